"""Answers: whether they say no, and what a client refuses in their bodies (RFC 9810 section 5.3), without any state."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator

from cmpkit.asn1 import (
    CertifiedKeyPair,
    CertRepMessage,
    CertResponse,
    KeyRecRepContent,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    RevRepContent,
)
from cmpkit.engine.states import P10_CERT_REQ_ID
from cmpkit.engine.wording import number_text
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import TrustError

__all__ = [
    "answer_ids",
    "answer_statuses",
    "broken_answer",
    "certificate_answer_faults",
    "is_refusal",
    "misplaced_answer",
    "poll_rep_faults",
    "recovery_answer_faults",
    "revocation_answer_faults",
    "sent_key_answer_faults",
    "waiting_faults",
]


def broken_answer(detail: str, rule: str, hint: str = "") -> TrustError:
    """The error for an answer that is authentic and wrong."""
    return TrustError(f"the answer breaks a rule: {detail}", PKIFailureInfo.BAD_REQUEST, rule=rule, hint=hint)


def misplaced_answer(body_type: BodyType, due: BodyType) -> TrustError:
    """The error for a body that does not answer what was sent (R-080)."""
    return broken_answer(
        f"{body_type.wire_name} where {due.wire_name} is due",
        "RFC 9810 section 5.3",
        f"the server must answer by {due.wire_name} or error",
    )


def is_refusal(message: PKIMessage) -> bool:
    """Whether an answer says no: error, a negative ip, cp, kup, ccp, rp or krp; never one that gives something."""
    statuses = answer_statuses(message)
    return bool(statuses) and all(status.status is PKIStatus.REJECTION for status in statuses)


def answer_statuses(message: PKIMessage) -> list[PKIStatusInfo]:
    """Every PKIStatusInfo of an answer, or none if such a body has none."""
    content = message.body.content
    if message.body.type is BodyType.ERROR:
        return [content.pki_status_info]
    if message.body.type is BodyType.RP:
        return list(content.status)
    if message.body.type is BodyType.KRP:
        return [content.status]
    if message.body.type in (BodyType.IP, BodyType.CP, BodyType.KUP, BodyType.CCP):
        return [response.status for response in content.response]
    return []


def answer_ids(operation: BodyType, asked: Iterable[int]) -> frozenset[int]:
    """The certReqIds that an ip, cp, kup or ccp may have (R-081); servers answer p10cr with -1 or, older ones, 0.

    :param operation: the body that is answered.
    :param asked: the certReqIds in it.
    """
    return frozenset({P10_CERT_REQ_ID, 0} if operation is BodyType.P10CR else asked)


def certificate_answer_faults(
    content: CertRepMessage, allowed: Container[int] | None = None, count: int | None = 1
) -> Iterator[TrustError]:
    """What is wrong with an ip, cp, kup or ccp (R-081, R-082).

    :param allowed: the certReqIds that the answer may have; ``None`` if the request is not known.
    :param count: how many responses it must have; ``None`` takes any number but none.
    """
    ids = [response.cert_req_id for response in content.response]
    wrong_number = not ids if count is None else len(ids) != count
    foreign = allowed is not None and any(number not in allowed for number in ids)
    if wrong_number or foreign or len(set(ids)) != len(ids):
        yield broken_answer(
            f"it has responses for certReqId {', '.join(map(number_text, ids)) or 'none'}",
            "RFC 9810 section 5.3.4",
            "the server must answer each request once, under its certReqId, a p10cr under -1",
        )
    for response in content.response:
        yield from _response_faults(response)


def _response_faults(response: CertResponse) -> Iterator[TrustError]:
    status, pair = response.status, response.certified_key_pair
    if status.status in (PKIStatus.WAITING, PKIStatus.REJECTION):
        if pair is not None:
            yield broken_answer(
                f"{status.status.wire_name} with a certificate",
                "RFC 9810 section 5.3.4",
                "the server must leave certifiedKeyPair out",
            )
        yield from waiting_faults(status)
    elif pair is None or status.failures:
        yield broken_answer(
            f"{status.status.wire_name} without certificate, or with failInfo",
            "RFC 9810 section 5.3.4",
            "the server must send the certificate and no failInfo, or reject",
        )


def sent_key_answer_faults(response: CertResponse) -> Iterator[TrustError]:
    """What is wrong with a response in a ccp that brings a private key (R-191)."""
    pair = response.certified_key_pair
    if pair is not None and pair.private_key is not None:
        yield broken_answer(
            "a private key comes with a cross certificate",
            "RFC 9810 section 5.3.12",
            "the server must leave privateKey out",
        )


def waiting_faults(status: PKIStatusInfo) -> Iterator[TrustError]:
    """What is wrong with a status that may say "later" (R-110)."""
    if status.status is PKIStatus.WAITING and status.failures:
        yield broken_answer(
            "waiting with failInfo", "RFC 9810 section 5.3.22", "the server must leave failInfo out until it rejects"
        )


def poll_rep_faults(content: list[PollRep], poll_ids: Collection[int] | None = None) -> Iterator[TrustError]:
    """What is wrong with a pollRep (R-112).

    :param poll_ids: the certReqIds that were polled for; ``None`` if they are not known.
    """
    ids = [entry.cert_req_id for entry in content]
    wrong_ids = not ids or len(set(ids)) != len(ids) or (poll_ids is not None and not set(ids) <= set(poll_ids))
    if wrong_ids or any(entry.check_after < 0 for entry in content):
        asked = "each certReqId" if poll_ids is None else f"certReqId {', '.join(map(number_text, poll_ids))}"
        yield broken_answer(
            f"a pollRep needs one entry for {asked} of the pollReq, with checkAfter >= 0",
            "RFC 9810 section 5.3.22",
            "the server must repeat the certReqId and say in how many seconds to ask again",
        )


def recovery_answer_faults(content: KeyRecRepContent, *, with_certificate: bool | None = None) -> Iterator[TrustError]:
    """What is wrong with a krp: archived keys, each with its certificate, were asked for (R-082).

    :param with_certificate: whether a certificate for a new key was asked for, too; ``None`` if it is not known.
    """
    rule, status = "RFC 9810 section 5.3.8", content.status
    brought = (content.new_sig_cert, content.ca_certs, content.key_pair_hist)
    if status.status in (PKIStatus.WAITING, PKIStatus.REJECTION):
        if any(part is not None for part in brought):
            yield broken_answer(f"{status.status.wire_name} with keys or certificates", rule)
        yield from waiting_faults(status)
        return
    if status.failures:
        yield broken_answer(f"{status.status.wire_name} with failInfo", rule)
    if with_certificate is not None and with_certificate is (content.new_sig_cert is None):
        yield broken_answer(f"krp has {'no' if with_certificate else 'a'} newSigCert", rule)
    if with_certificate is not None and content.key_pair_hist is None:
        yield broken_answer("krp has no keyPairHist, which was asked for", rule)
    if not all(map(_is_recovered, content.key_pair_hist or ())):
        yield broken_answer("keyPairHist needs a certificate and a private key in EnvelopedData for each", rule)


def _is_recovered(pair: CertifiedKeyPair) -> bool:
    key = pair.private_key
    return pair.cert_or_enc_cert.tag == "certificate" and key is not None and key.tag == "enveloped_data"


def revocation_answer_faults(content: RevRepContent, asked: int = 1) -> Iterator[TrustError]:
    """What is wrong with an rp (R-143).

    :param asked: how many certificates the rr names.
    """
    if len(content.status) != asked:
        named = "one certificate" if asked == 1 else f"{asked} certificates"
        yield broken_answer(
            f"rp has {len(content.status)} statuses for {named}",
            "RFC 9810 section 5.3.10",
            "the server must answer each entry of the rr, in its order",
        )
    if content.rev_certs is not None and len(content.rev_certs) != len(content.status):
        yield broken_answer(
            f"rp has {len(content.status)} statuses and {len(content.rev_certs)} revCerts",
            "RFC 9810 section 5.3.10",
            "the server must name the certificates in the order of their statuses, or none",
        )
    for status in content.status:
        yield from waiting_faults(status)
