"""Requests for certificates: ir, cr, kur and p10cr."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import lru_cache

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, Null, PKIMessage
from cmpkit.engine.header import whole_seconds
from cmpkit.engine.needs import Authorize, CheckProof, Confirm, Issue
from cmpkit.engine.polling import delay, refuse_late
from cmpkit.engine.replies import Reply, certificate_response, change_event
from cmpkit.engine.template import read_p10, read_request, requested_profile
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.parts import (
    CertificateChange,
    CertificateRequest,
    Issued,
    Pending,
    ProtectionKind,
    Rejected,
    TransactionState,
)

__all__ = ["enrol", "enrol_again"]


def enrol(work: Work) -> Steps:
    """ir, cr, kur and p10cr."""
    yield Authorize(work.body_type)
    content = work.message.body.content
    proof = content if work.body_type is BodyType.P10CR else content[0]
    request = _read(work, work.message, work.profile)
    yield CheckProof(proof, work.message.header.sender, work.leniency)
    return (yield from _issue(work, request, work.message))


def enrol_again(work: Work, kept: PKIMessage) -> Steps:
    """A kept request is put again, under its idempotency key."""
    request = _read(work, kept, requested_profile(kept, work.profile))
    try:
        return (yield from _issue(work, request, kept))
    except CMPError as error:
        return refuse_late(work, kept, error)


def _read(work: Work, message: PKIMessage, profile: str | None) -> CertificateRequest:
    if message.body.type is BodyType.P10CR:
        return read_p10(message.body.content, profile)
    return read_request(message.body.type, message.body.content, work.auth, profile)


def _issue(work: Work, request: CertificateRequest, opening: PKIMessage) -> Steps:
    """Ask for the certificate and answer with it, or with "waiting".

    :raises CMPError: the refusal.
    """
    key = hashlib.sha256(work.auth.credential.id.encode() + b"\0" + opening.digest).hexdigest()
    result: Issued | Pending | Rejected = yield Issue(request, key, again=opening is not work.message)
    if isinstance(result, Rejected):
        raise result.error
    if isinstance(result, Pending):
        return delay(work, opening, result, request.cert_req_id)
    return (yield from _issued(work, request, opening, result))


def _issued(work: Work, request: CertificateRequest, opening: PKIMessage, result: Issued) -> Steps:
    record = result.certificate
    wanted = opening.header.info(oids.IMPLICIT_CONFIRM) is not None
    changes: tuple[CertificateChange, ...] = ()
    named = ((request.cert_req_id, record.issuer_key, record.serial_number),)
    if wanted and work.settings.implicit_confirm:
        change: CertificateChange | Pending = yield Confirm(record, accepted=True)
        # An issuer that needs time to confirm wants the certConf: its answer can be waited for.
        changes = () if isinstance(change, Pending) else (change,)
    if changes:
        state = work.followed(
            TransactionState.DONE, implicit_confirm=True, certificates=named, request=b"", expires=None
        )
        info = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())
    else:
        expires = work.now + work.settings.confirm_wait_time
        state = work.followed(TransactionState.ISSUED, certificates=named, request=b"", expires=expires)
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
