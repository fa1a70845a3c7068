"""Requests for certificates: ir, cr, kur, p10cr and ccr."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    CertificationRequest,
    CertReqMsg,
    EnvelopedData,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIMessage,
    distinguished_name,
)
from cmpkit.engine.challenging import challenge, challenged
from cmpkit.engine.header import whole_seconds
from cmpkit.engine.needs import Authorize, CheckProof, Confirm, FindNamed, Issue, Need
from cmpkit.engine.polling import delay, put_again
from cmpkit.engine.registration import check_registration, is_replaced
from cmpkit.engine.replies import Reply, certificate_response, change_event
from cmpkit.engine.states import OPENS
from cmpkit.engine.template import (
    archived_key_faults,
    certificate_named,
    is_by_rsa,
    key_generation_faults,
    proof_version_faults,
    read_p10,
    read_request,
    request_faults,
    requested_profiles,
)
from cmpkit.engine.work import Steps, Work, settled, spent
from cmpkit.enums import BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import (
    ArchivedKey,
    AuditEntry,
    CertificateChange,
    CertificateRecord,
    CertificateRequest,
    Grant,
    Issued,
    Pending,
    ProtectionKind,
    Rejected,
    TransactionState,
)

__all__ = ["enrol", "enrol_again", "grant", "put"]

_SYSTEM_FAILURE = PKIFailureInfo.SYSTEM_FAILURE


def enrol(work: Work) -> Steps:
    """ir, cr, kur, p10cr and ccr."""
    yield Authorize(work.body_type)
    asked = challenged(work.message)
    if asked:
        raise_first(request_faults(work.message.body.content, work.settings.max_requests))
        return (yield from challenge(work, asked))
    return (yield from _put_all(work, work.message))


def enrol_again(work: Work, kept: PKIMessage) -> Steps:
    """What was kept is put again, under its idempotency keys."""
    return put_again(work, kept, _put_all(work, kept))


def _put_all(work: Work, opening: PKIMessage) -> Steps:
    """Ask for each certificate and answer with those that come, or with "waiting".

    :raises CMPError: if the message is refused.
    """
    body = opening.body
    if body.type is not BodyType.P10CR:
        # A ccr is for one certificate, whatever is allowed otherwise.
        most = 1 if body.type is BodyType.CCR else work.settings.max_requests
        raise_first(request_faults(body.content, most))
    asked = [body.content] if body.type is BodyType.P10CR else body.content
    profiles = requested_profiles(opening, work.profile, len(asked))
    key = work.request_key(opening)
    if len(asked) == 1:
        # Its proof was checked when it came: what fails in that is never kept.
        request, result = yield from put(work, opening, asked[0], profiles[0], key, proven=opening is not work.message)
        if isinstance(result, Pending):
            return delay(work, opening, result)
        return (yield from _answer(work, opening, [(request.cert_req_id, result)]))
    return (yield from _put_several(work, opening, profiles, key))


def _put_several(work: Work, opening: PKIMessage, profiles: Sequence[str | None], key: str) -> Steps:
    """One that is refused does not spoil the others; one that needs time lets all wait."""
    outcomes: list[tuple[int, Issued | CMPError]] = []
    waiting: list[Pending] = []
    left = None if work.auth.grant is None else _uses_left(work.auth.grant)
    for asked, profile in zip(opening.body.content, profiles, strict=True):
        number: int = asked.request.cert_req_id
        if left is not None and left <= len(waiting) + sum(isinstance(outcome, Issued) for _, outcome in outcomes):
            outcomes.append((number, _used_up(work, left)))
            continue
        outcome = yield from settled(put(work, opening, asked, profile, f"{key}-{number}", proven=False))
        if isinstance(outcome, CMPError):
            outcomes.append((number, outcome))
        elif isinstance(outcome[1], Pending):
            waiting.append(outcome[1])
        else:
            outcomes.append((number, outcome[1]))
    if waiting:
        return delay(work, opening, *waiting)
    return (yield from _answer(work, opening, outcomes))


def _uses_left(grant: Grant) -> int | None:
    """How many certificates a message may get: a regToken is good for one."""
    if grant.reg_token is None:
        return grant.uses
    return 1 if grant.uses is None else min(1, grant.uses)


def _used_up(work: Work, uses: int) -> CMPError:
    return CMPError(
        f"the secret of {work.auth.identity!r} is for {uses} more certificates",
        PKIFailureInfo.NOT_AUTHORIZED,
        hint="ask for fewer, or make a secret with: cmpkit secret add --uses",
    )


def put(
    work: Work,
    opening: PKIMessage,
    asked: CertReqMsg | CertificationRequest,
    profile: str | None,
    key: str,
    *,
    proven: bool,
) -> Generator[Need, Any, tuple[CertificateRequest, Issued | Pending]]:
    """Ask for one certificate.

    :param profile: the profile that is asked for.
    :param key: the idempotency key.
    :param proven: whether the proof of possession was checked when the request came.
    :raises CMPError: the refusal.
    """
    if isinstance(asked, CertificationRequest):
        request = read_p10(asked, profile)
    else:
        request = read_request(opening.body.type, asked, work.auth, profile)
        if opening.body.type is BodyType.KUR and request.old_certificate is None and "ra" in work.auth.roles:
            request = yield from _on_behalf(asked, request)
    if not request.public_key_info:
        raise_first(key_generation_faults(opening.header.pvno), work.leniency)
    encrypted = request.proof is ProofMethod.ENCRYPTED_CERTIFICATE
    by_rsa = encrypted and isinstance(asked, CertReqMsg) and is_by_rsa(asked, opening.header.pvno, work.leniency)
    if request.proof is ProofMethod.AGREED_MAC:
        raise_first(proof_version_faults(request.proof, opening.header.pvno))
    if isinstance(request.archive, EnvelopedData):
        raise_first(archived_key_faults(opening.header.pvno))
    check_registration(request.registration, work.auth.grant)
    if not proven:
        yield CheckProof(asked, opening.header.sender, work.leniency)
    result: Issued | Pending | Rejected = yield Issue(request, key, again=opening is not work.message, by_rsa=by_rsa)
    if isinstance(result, Rejected):
        raise result.error
    if encrypted and isinstance(result, Issued) and result.encrypted is None:
        raise CMPError("a certificate that only the holder of its key may read is not encrypted", _SYSTEM_FAILURE)
    if isinstance(result, Issued) and isinstance(asked, CertReqMsg) and is_replaced(asked):
        # The requester gets another certificate than it asked for.
        result = replace(result, modified=True)
    return request, result


def _on_behalf(asked: CertReqMsg, request: CertificateRequest) -> Generator[Need, Any, CertificateRequest]:
    """The update that a registration authority asks for, with the certificate that it names (R-122)."""
    named = certificate_named(asked.request)
    if named is None:
        return request
    issuer = distinguished_name(named.issuer)
    old: CertificateRecord = yield FindNamed(x509.Name([]) if issuer is None else issuer, named.serial_number)
    return replace(request, old_certificate=old)


def _answer(work: Work, opening: PKIMessage, outcomes: Sequence[tuple[int, Issued | CMPError]]) -> Steps:
    """The certificates and refusals, which are stored together or not at all."""
    issued = [(number, outcome) for number, outcome in outcomes if isinstance(outcome, Issued)]
    if not issued:
        return _all_refused(work, opening, outcomes)
    by_mac = work.auth.credential.kind is ProtectionKind.MAC
    ca_pubs = work.settings.ca_pubs if by_mac and opening.body.type is BodyType.IR else ()
    refused = [] if len(issued) == len(outcomes) else _errors(outcomes)
    body = certificate_response(opening.body.type, outcomes, ca_pubs)
    return (yield from grant(work, opening, issued, body, refused))


def grant(
    work: Work,
    opening: PKIMessage,
    issued: Sequence[tuple[int, Issued]],
    body: PKIBody,
    refused: Sequence[CMPError] = (),
) -> Steps:
    """The reply with certificates, by their certReqIds, and everything that is stored with it.

    :param body: that brings them.
    :param refused: why further requests of the message were refused.
    """
    named = tuple([(number, item.certificate.issuer_key, item.certificate.serial_number) for number, item in issued])
    changes: tuple[CertificateChange, ...] = ()
    if work.settings.implicit_confirm and opening.header.info(oids.IMPLICIT_CONFIRM) is not None:
        changes = yield from _confirm_implicitly(issued)
    if changes:
        state = work.followed(
            TransactionState.DONE, implicit_confirm=True, certificates=named, request=b"", expires=None
        )
        info = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())
    else:
        expires = work.now + work.settings.confirm_wait_time
        kind = TransactionState.ISSUED_ENCRYPTED if _any_encrypted(issued) else TransactionState.ISSUED
        state = work.followed(kind, certificates=named, request=b"", expires=expires)
        info = _confirm_until(expires.replace(microsecond=0))
    events = [_issued_event(work, opening, item) for _, item in issued]
    if refused:
        events += [work.refused(error) for error in refused]
    if changes:
        events += [change_event(work.now, work.auth, opening, change) for change in changes]
    return Reply(
        body,
        transaction=state,
        general_info=(info,),
        extra_certs=issued[0][1].chain if len(issued) == 1 else _chains(issued),
        certificates=tuple([item.certificate for _, item in issued]),
        changes=changes,
        archived=tuple([ArchivedKey(item.certificate, item.archived) for _, item in issued if item.archived]),
        spent=spent(work) * len(issued),
        audit=tuple(events),
        refused=refused[0] if refused else None,
        also_refused=tuple(refused[1:]),
    )


def _all_refused(work: Work, opening: PKIMessage, outcomes: Sequence[tuple[int, Issued | CMPError]]) -> Reply:
    """The refusals; of what was kept, they are the end of the transaction."""
    errors = _errors(outcomes)
    over = work.body_type not in OPENS
    return Reply(
        certificate_response(opening.body.type, outcomes, ()),
        transaction=work.continued(TransactionState.DONE, request=b"", expires=None) if over else None,
        refused=errors[0],
        also_refused=tuple(errors[1:]),
    )


def _errors(outcomes: Sequence[tuple[int, Issued | CMPError]]) -> list[CMPError]:
    return [outcome for _, outcome in outcomes if isinstance(outcome, CMPError)]


def _any_encrypted(issued: Sequence[tuple[int, Issued]]) -> bool:
    return [item for _, item in issued if item.encrypted is not None] != []


def _confirm_implicitly(
    issued: Sequence[tuple[int, Issued]],
) -> Generator[Need, Any, tuple[CertificateChange, ...]]:
    """The certificates as they are without certConf: for all of them or for none."""
    if _any_encrypted(issued):
        # certConf is the proof of possession.
        return ()
    changes = []
    for _, item in issued:
        change: CertificateChange | Pending = yield Confirm(item.certificate, accepted=True)
        if isinstance(change, Pending):
            # An issuer that needs time to confirm wants the certConf: its answer can be waited for.
            return ()
        changes.append(change)
    return tuple(changes)


def _chains(issued: Sequence[tuple[int, Issued]]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(der for _, item in issued for der in item.chain))


def _issued_event(work: Work, opening: PKIMessage, item: Issued) -> AuditEntry:
    record = item.certificate
    details = {"key": "archived"} if item.archived else {}
    return work.audit(
        "issued",
        serial=f"{record.serial_number:x}",
        subject=record.subject,
        profile=record.profile,
        identity=work.auth.identity,
        body=opening.body.type.wire_name,
        **details,
    )


@lru_cache(maxsize=16)
def _confirm_until(moment: datetime) -> InfoTypeAndValue:
    """Kept, because what is issued within a second may be confirmed for as long."""
    return InfoTypeAndValue(oids.CONFIRM_WAIT_TIME, whole_seconds(moment))
