"""What the responder answers: the body, and everything that must be stored with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from cmpkit.asn1 import (
    TLV,
    CertId,
    CertificateWire,
    CertifiedKeyPair,
    CertRepMessage,
    CertResponse,
    EncryptedKey,
    EncryptedValue,
    ErrorMsgContent,
    InfoTypeAndValue,
    KeyRecRepContent,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    RevRepContent,
    Variant,
    decode,
    make_element,
    to_tlv,
)
from cmpkit.engine.states import ANSWERS, DELAYED_BY, P10_CERT_REQ_ID
from cmpkit.enums import BodyType, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import (
    ArchivedKey,
    AuditEntry,
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateState,
    HeldRequest,
    Issued,
    KeptValue,
    Recovered,
    RelayChange,
    Transaction,
)
from cmpkit.values import quick

__all__ = [
    "Reply",
    "certificate_response",
    "change_event",
    "recovery_response",
    "refusal",
    "rejection",
    "requests_in",
    "revocation_response",
    "waiting_response",
]


@quick
@dataclass(frozen=True)
class Reply:
    """An answer, and what it changes.

    :param body: the body to protect and send; ``None`` where there is nobody to answer.
    :param transaction: the state to store, before the senderNonce of the answer is known; ``None`` stores nothing.
    :param general_info: for the header of the answer.
    :param extra_certs: DER certificates for extraCerts, beside those of the signer.
    :param archived: private keys of these certificates that are to be kept.
    :param held: requests that wait for a person, to be kept for that person.
    :param keep: what is to be kept for the requester.
    :param refused: why, if the body says no: what the operator should know.
    :param also_refused: why, for each further request of the message that it says no to.
    :param given: the answer itself, in place of a body, where an upstream made it.
    :param sender_nonce: of the answer, if it is to be another one than a fresh one.
    :param relay_changes: what becomes of messages that are passed on.
    """

    body: PKIBody | None
    transaction: Transaction | None = None
    general_info: tuple[InfoTypeAndValue, ...] = ()
    extra_certs: tuple[bytes, ...] = ()
    certificates: tuple[CertificateRecord, ...] = ()
    changes: tuple[CertificateChange, ...] = ()
    archived: tuple[ArchivedKey, ...] = ()
    spent: tuple[bytes, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    held: tuple[HeldRequest, ...] = ()
    keep: tuple[KeptValue, ...] = ()
    refused: CMPError | None = None
    also_refused: tuple[CMPError, ...] = ()
    given: PKIMessage | None = None
    sender_nonce: bytes = b""
    relay_changes: tuple[RelayChange, ...] = ()


def requests_in(body: PKIBody) -> int:
    """How many requests a body has."""
    return 1 if body.type is BodyType.P10CR else len(body.content)


def certificate_response(
    body_type: BodyType, outcomes: Sequence[tuple[int, Issued | CMPError]], ca_pubs: Sequence[bytes]
) -> PKIBody:
    """ip, cp or kup (RFC 9810 section 5.3.4).

    :param outcomes: the certificate or the refusal for each certReqId.
    """
    responses = [
        CertResponse(cert_req_id=cert_req_id, status=_status(outcome))
        if isinstance(outcome, CMPError)
        else _granted(cert_req_id, outcome)
        for cert_req_id, outcome in outcomes
    ]
    content = CertRepMessage(ca_pubs=[to_tlv(der) for der in ca_pubs] or None, response=responses)
    return PKIBody(ANSWERS[body_type], content)


def _cert_or_enc_cert(result: Issued) -> Variant[TLV, Literal["certificate"]] | Variant[TLV, Literal["encrypted_cert"]]:
    if result.encrypted is None:
        return Variant(to_tlv(result.certificate.der), "certificate")
    form = "encrypted_value" if isinstance(result.encrypted, EncryptedValue) else "enveloped_data"
    return Variant(make_element(Variant(result.encrypted, form), EncryptedKey), "encrypted_cert")


def _granted(cert_req_id: int, result: Issued) -> CertResponse:
    status = PKIStatus.GRANTED_WITH_MODS if result.modified else PKIStatus.ACCEPTED
    key = result.private_key
    pair = CertifiedKeyPair(
        cert_or_enc_cert=_cert_or_enc_cert(result),
        private_key=None if key is None else Variant(key, "enveloped_data"),
    )
    return CertResponse(cert_req_id=cert_req_id, status=PKIStatusInfo.of(status), certified_key_pair=pair)


def recovery_response(new_certificate: bytes | None, recovered: Recovered | None) -> PKIBody:
    """krp (RFC 9810 section 5.3.8).

    :param new_certificate: DER of the certificate for a new signing key, if one was asked for.
    :param recovered: the keys that are handed over, if any were asked for; if there are more, it says so.
    """
    complete = recovered is None or recovered.is_complete
    status = PKIStatus.ACCEPTED if complete else PKIStatus.GRANTED_WITH_MODS
    keys, chain = ((), ()) if recovered is None else (recovered.keys, recovered.chain)
    pairs = [
        CertifiedKeyPair(
            cert_or_enc_cert=Variant(to_tlv(key.certificate.der), "certificate"),
            private_key=Variant(key.private_key, "enveloped_data"),
        )
        for key in keys
    ]
    content = KeyRecRepContent(
        status=PKIStatusInfo.of(status, [] if complete else ["there are older keys"]),
        new_sig_cert=None if new_certificate is None else decode(CertificateWire, new_certificate),
        ca_certs=[decode(CertificateWire, der) for der in chain] or None,
        key_pair_hist=pairs or None,
    )
    return PKIBody(BodyType.KRP, content)


def revocation_response(outcomes: Sequence[tuple[CertId, CMPError | None]]) -> PKIBody:
    """rp (RFC 9810 section 5.3.10).

    :param outcomes: for each certificate of the request why it was not revoked, ``None`` if it was. RFC 9483 section
        4.2 knows only the status: the certificates are named where there are several.
    """
    accepted = PKIStatusInfo.of(PKIStatus.ACCEPTED)
    statuses = [accepted if error is None else _status(error) for _, error in outcomes]
    named = [certificate for certificate, _ in outcomes] if len(outcomes) > 1 else None
    return PKIBody(BodyType.RP, RevRepContent(status=statuses, rev_certs=named))


def waiting_response(body_type: BodyType, cert_req_ids: Sequence[int], reason: str) -> PKIBody:
    """What says "later" to a body: ip, cp, kup or krp to requests, error to others (RFC 9483 section 4.4).

    :param body_type: of what is answered.
    :param cert_req_ids: of the requests for certificates.
    """
    status = PKIStatusInfo.of(PKIStatus.WAITING, [reason] if reason else [])
    answer = DELAYED_BY[body_type]
    if answer is BodyType.ERROR:
        return PKIBody(answer, ErrorMsgContent(pki_status_info=status))
    if answer is BodyType.KRP:
        return PKIBody(answer, KeyRecRepContent(status=status))
    responses = [CertResponse(cert_req_id=cert_req_id, status=status) for cert_req_id in cert_req_ids]
    return PKIBody(answer, CertRepMessage(response=responses))


def rejection(body: PKIBody, error: CMPError) -> Reply:
    """The refusal of a request in the body that answers it, of a genm by ``error`` (RFC 9483 section 3.6)."""
    if body.type is BodyType.GENM:
        return replace(refusal(error), refused=error)
    status = _status(error)
    if body.type is BodyType.RR:
        return Reply(PKIBody(BodyType.RP, RevRepContent(status=[status] * max(1, len(body.content)))), refused=error)
    if body.type is BodyType.KRR:
        return Reply(PKIBody(BodyType.KRP, KeyRecRepContent(status=status)), refused=error)
    ids = [P10_CERT_REQ_ID] if body.type is BodyType.P10CR else [msg.request.cert_req_id for msg in body.content]
    return Reply(certificate_response(body.type, [(cert_req_id, error) for cert_req_id in ids], ()), refused=error)


def refusal(error: CMPError) -> Reply:
    """The refusal of a message by ``error`` (RFC 9810 section 5.3.21)."""
    return Reply(PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=_status(error))))


def _status(error: CMPError) -> PKIStatusInfo:
    return PKIStatusInfo.of(PKIStatus.REJECTION, [error.status_text], error.fail_info)


def change_event(now: datetime, auth: Authenticated, message: PKIMessage, change: CertificateChange) -> AuditEntry:
    """The line of the audit about a certificate's new state."""
    event = {
        CertificateState.VALID: "hold lifted" if message.body.type is BodyType.RR else "confirmed",
        CertificateState.ON_HOLD: "put on hold",
        CertificateState.REVOKED: "revoked" if message.body.type is BodyType.RR else "rejected",
    }.get(change.state, change.state.value)
    details: dict[str, str | int] = {"serial": f"{change.serial_number:x}", "identity": auth.identity}
    if change.reason is not None:
        details["reason"] = change.reason.wire_name
    return AuditEntry(now, event, auth.credential.id, message.header.transaction_id, details)
