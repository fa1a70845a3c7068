"""Requests for certificates, ir, cr, kur and p10cr, and polling for those that take time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, Null, PKIBody, PKIMessage, PollRep, PollReq, decode_message
from cmpkit.engine.header import whole_seconds
from cmpkit.engine.needs import Authorize, CheckProof, Confirm, Issue
from cmpkit.engine.replies import Reply, certificate_response, change_event, rejection, waiting_response
from cmpkit.engine.states import HEADER_FAULTS, P10_CERT_REQ_ID, WHOLE_MESSAGE
from cmpkit.engine.template import read_p10, read_request, requested_profile
from cmpkit.engine.wording import number_text
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import (
    CertificateChange,
    CertificateRequest,
    Issued,
    Pending,
    ProtectionKind,
    Rejected,
    TransactionState,
)

__all__ = ["enrol", "poll", "poll_req_faults"]


def enrol(work: Work) -> Steps:
    """ir, cr, kur and p10cr."""
    yield Authorize(work.body_type)
    content = work.message.body.content
    proof = content if work.body_type is BodyType.P10CR else content[0]
    request = _read(work, work.message, work.profile)
    yield CheckProof(proof, work.message.header.sender)
    return (yield from _issue(work, request, work.message, work.opened))


def _read(work: Work, message: PKIMessage, profile: str | None) -> CertificateRequest:
    if message.body.type is BodyType.P10CR:
        return read_p10(message.body.content, profile)
    return read_request(message.body.type, message.body.content, work.auth, profile)


def _issue(work: Work, request: CertificateRequest, opening: PKIMessage, transaction: Any) -> Steps:
    """Ask for the certificate and answer with it, with "waiting", or with the refusal.

    :param transaction: makes the state that follows: ``work.opened`` or ``work.continued``.
    """
    key = hashlib.sha256(work.auth.credential.id.encode() + b"\0" + opening.digest).hexdigest()
    result: Issued | Pending | Rejected = yield Issue(request, key)
    if isinstance(result, Rejected):
        raise result.error
    if isinstance(result, Pending):
        return _waiting(work, opening, request.cert_req_id, result, transaction)
    return (yield from _issued(work, request, opening, result, transaction))


def _issued(work: Work, request: CertificateRequest, opening: PKIMessage, result: Issued, transaction: Any) -> Steps:
    record = result.certificate
    wanted = opening.header.info(oids.IMPLICIT_CONFIRM) is not None
    changes: tuple[CertificateChange, ...] = ()
    named = ((request.cert_req_id, record.issuer_key, record.serial_number),)
    if wanted and work.settings.implicit_confirm:
        changes = ((yield Confirm(record, accepted=True)),)
        state = transaction(TransactionState.DONE, implicit_confirm=True, certificates=named, request=b"", expires=None)
        info = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())
    else:
        expires = work.now + work.settings.confirm_wait_time
        state = transaction(TransactionState.ISSUED, certificates=named, request=b"", expires=expires)
        info = _confirm_until(expires.replace(microsecond=0))
    by_mac = work.auth.credential.kind is ProtectionKind.MAC
    ca_pubs = work.settings.ca_pubs if by_mac and opening.body.type is BodyType.IR else ()
    return Reply(
        certificate_response(opening.body.type, request.cert_req_id, result, ca_pubs),
        transaction=state,
        general_info=(info,),
        extra_certs=result.chain,
        certificates=(record,),
        changes=changes,
        spent=_spent(work),
        audit=(
            work.audit(
                "issued",
                serial=f"{record.serial_number:x}",
                subject=record.subject,
                profile=record.profile,
                identity=work.auth.identity,
                body=opening.body.type.wire_name,
            ),
            *(change_event(work.now, work.auth, opening, change) for change in changes),
        ),
    )


@lru_cache(maxsize=16)
def _confirm_until(moment: datetime) -> InfoTypeAndValue:
    """Kept, because what is issued within a second may be confirmed for as long."""
    return InfoTypeAndValue(oids.CONFIRM_WAIT_TIME, whole_seconds(moment))


def _spent(work: Work) -> tuple[bytes, ...]:
    """What the store counts a use of: a secret without limit may be one that it does not hold."""
    secret, grant = work.auth.credential.secret, work.auth.grant
    return (secret.reference,) if secret and grant and grant.uses is not None else ()


def _waiting(work: Work, opening: PKIMessage, cert_req_id: int, result: Pending, transaction: Any) -> Reply:
    """The request is kept and put again at each pollReq (R-110), for as long as there are any (R-116)."""
    expires = work.now + work.settings.pending_time
    state = transaction(TransactionState.PENDING, request=opening.raw, expires=expires)
    if work.body_type is not BodyType.POLL_REQ:
        body = waiting_response(opening.body.type, cert_req_id, result.reason)
        return Reply(body, transaction=state, audit=(work.audit("waiting"),))
    reasons = [result.reason] if result.reason else None
    # the certReqId that was asked for, which is -1 where the client polls for the whole message.
    poll_rep = PollRep(
        cert_req_id=work.message.body.content[0].cert_req_id, check_after=result.check_after, reason=reasons
    )
    return Reply(PKIBody(BodyType.POLL_REP, [poll_rep]), transaction=state)


def poll(work: Work) -> Steps:
    """pollReq: the pending request is put again, under its idempotency key (R-110 to R-118).

    What comes of it answers the pollReq, in its recipNonce too: RFC 9483 section 4.4 wants the nonce of the request
    there, section 5.1.5 that of the pollReq, and OpenSSL before 3.3 takes no other; later ones take either (R-024).
    """
    assert work.transaction is not None
    raw = work.transaction.request
    opening = decode_message(raw, max_size=len(raw))
    request = _read(work, opening, requested_profile(opening, work.profile))
    raise_first(poll_req_faults(work.message.body.content, request.cert_req_id))
    try:
        return (yield from _issue(work, request, opening, work.continued))
    except CMPError as error:
        if error.fail_info & HEADER_FAULTS:
            raise
        over = work.continued(TransactionState.DONE, request=b"", expires=None)
        return replace(rejection(opening.body, error), transaction=over)


def poll_req_faults(content: list[PollReq], awaited: int | None = None) -> Iterator[CMPError]:
    """What a server refuses in a pollReq: it asks by the certReqId, or for the whole message (R-111, R-114).

    :param awaited: the certReqId of what is pending; ``None`` if it is not known.
    """
    asked = [item.cert_req_id for item in content]
    # Older clients have 0 for p10cr, as in certConf.
    known = {awaited, WHOLE_MESSAGE, 0} if awaited == P10_CERT_REQ_ID else {awaited, WHOLE_MESSAGE}
    if len(asked) != 1 or (awaited is not None and asked[0] not in known):
        pending = "one request" if awaited is None else str(awaited)
        yield CMPError(
            f"pollReq asks for certReqId {', '.join(map(number_text, asked)) or 'none'}, {pending} is pending",
            rule="RFC 9483 section 4.4",
            hint="repeat the certReqId of the response that said waiting, or -1 after an error that said so",
        )
