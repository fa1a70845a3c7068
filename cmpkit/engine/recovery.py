"""Key recovery requests: archived keys, and a certificate for a new signing key (RFC 9810 sections 5.3.7 and 5.3.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cmpkit import oids
from cmpkit.asn1 import CertReqMsg, CertRequest, PKIMessage
from cmpkit.crypto.pop import leaves_key_to_server
from cmpkit.engine.enrolment import grant, put
from cmpkit.engine.needs import Authorize, Recover
from cmpkit.engine.polling import delay, put_again
from cmpkit.engine.registration import check_registration, find_attribute
from cmpkit.engine.replies import Reply, recovery_response
from cmpkit.engine.template import read_request, request_faults, requested_profiles, single_request_faults
from cmpkit.engine.work import Steps, Work, spent
from cmpkit.enums import PVNO, BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import AuditEntry, CertificateRequest, Pending, Recovered, RecoveryRequest, TransactionState

__all__ = ["recover", "recover_again", "recovery_faults"]

_RULE = "RFC 9810 section 5.3.7"
_PROOFS = (ProofMethod.SIGNATURE, ProofMethod.RA_VERIFIED)


def recover(work: Work) -> Steps:
    """krr."""
    yield Authorize(work.body_type)
    return (yield from _recover(work, work.message))


def recover_again(work: Work, kept: PKIMessage) -> Steps:
    """A krr that was kept, because the certificate for the new key takes time, is put again."""
    return put_again(work, kept, _recover(work, kept))


def recovery_faults(message: CertReqMsg, pvno: int) -> Iterator[CMPError]:
    """What a server refuses in the request of a krr, but for the proof of its key.

    :param pvno: of the message.
    """
    unusable = list(single_request_faults(BodyType.KRR, message))
    yield from unusable
    if unusable:
        return
    wants_keys, wants_certificate = _wants_keys(message.request), _wants_certificate(message.request)
    if not wants_keys and not wants_certificate:
        yield CMPError(
            "the krr has neither the control protocolEncrKey nor a key to certify",
            rule=_RULE,
            hint="name the key that archived keys are to be encrypted to: protocolEncrKey",
        )
    if wants_keys and pvno < PVNO.CMP2021:
        yield CMPError(
            f"archived keys come in EnvelopedData, and the message has pvno {pvno}",
            rule="RFC 9810 section 5.2.2",
            hint="set pvno to 3",
        )


def _wants_keys(request: CertRequest) -> bool:
    return find_attribute(request.controls, oids.PROTOCOL_ENCR_KEY) is not None


def _wants_certificate(request: CertRequest) -> bool:
    return not leaves_key_to_server(request.cert_template)


def _recover(work: Work, opening: PKIMessage) -> Steps:
    """The archived keys and the certificate for the new key that are asked for, or "waiting" for the latter.

    :raises CMPError: if the request is refused.
    """
    raise_first(request_faults(opening.body.content))
    (asked,) = opening.body.content
    raise_first(recovery_faults(asked, opening.header.pvno))
    (profile,) = requested_profiles(opening, work.profile)
    request = read_request(opening.body.type, asked, work.auth, profile)
    check_registration(request.registration, work.auth.grant)
    recovered: Recovered | None = None
    if request.encryption_key:
        recovered = yield Recover(RecoveryRequest(request.encryption_key, request.subject, profile))
    if not request.public_key_info:
        assert recovered is not None
        return _hand_over(work, recovered)
    _check_proof(request)
    key = work.request_key(opening)
    _, issued = yield from put(work, opening, asked, profile, key, proven=opening is not work.message)
    if isinstance(issued, Pending):
        return delay(work, opening, issued)
    body = recovery_response(issued.certificate.der, recovered)
    reply = yield from grant(work, opening, [(request.cert_req_id, issued)], body)
    return reply if recovered is None else replace(reply, audit=(*reply.audit, _event(work, recovered)))


def _check_proof(request: CertificateRequest) -> None:
    """The new key signs: newSigCert has no encrypted form."""
    if request.proof not in _PROOFS:
        raise CMPError(
            "the new key of a krr is to sign, and is not proven by its signature",
            PKIFailureInfo.BAD_POP,
            rule=_RULE,
            hint="prove the key by its signature, or leave it out",
        )


def _hand_over(work: Work, recovered: Recovered) -> Reply:
    """Archived keys alone: nothing is to be confirmed."""
    return Reply(
        recovery_response(None, recovered),
        transaction=work.opened(TransactionState.DONE),
        spent=spent(work),
        audit=(_event(work, recovered),),
    )


def _event(work: Work, recovered: Recovered) -> AuditEntry:
    records = [key.certificate for key in recovered.keys]
    return work.audit(
        "keys recovered",
        identity=work.auth.identity,
        subject=records[0].subject,
        serials=" ".join(f"{record.serial_number:x}" for record in records),
    )
