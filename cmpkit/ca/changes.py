"""What becomes of a certificate that is confirmed, rejected or revoked, by whichever issuer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cmpkit.crypto.names import format_name
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import CertificateChange, CertificateRecord, CertificateState, RevocationRequest

__all__ = ["changed", "confirmation", "revocation"]

_VALID, _ISSUED, _ON_HOLD = CertificateState.VALID, CertificateState.ISSUED, CertificateState.ON_HOLD


def confirmation(certificate: CertificateRecord, *, accepted: bool, now: datetime) -> CertificateChange:
    """Valid if it was accepted, else revoked: it went out, the requester may have it (RFC 9483 section 4.1.1)."""
    return CertificateChange(
        certificate.issuer_key,
        certificate.serial_number,
        _VALID if accepted else CertificateState.REVOKED,
        expected=(_ISSUED,),
        at=now,
        # "no longer needed, no cause to suspect the key" (X.509 section 9.5.3.1); unspecified should not be given
        # (RFC 5280 section 5.3.1).
        reason=None if accepted else CRLReason.CESSATION_OF_OPERATION,
        publish=accepted and certificate.publish,
    )


def changed(certificate: CertificateRecord, change: CertificateChange) -> CertificateRecord:
    """The record as it is once it is confirmed or rejected, before it was stored."""
    revoked_at = change.at if change.state is CertificateState.REVOKED else None
    return replace(certificate, state=change.state, revoked_at=revoked_at, reason=change.reason)


def revocation(record: CertificateRecord | None, request: RevocationRequest, now: datetime) -> CertificateChange:
    """The new state of a certificate whose revocation, hold or release is asked for (RFC 5280 section 5.3.1).

    :param record: of the certificate that the request names; ``None`` if there is none.
    :raises CMPError: badCertId, certRevoked or badRequest if it cannot be had.
    """
    shown = f"{request.serial_number:x} of {format_name(request.issuer)}"
    if record is None:
        raise CMPError(f"there is no certificate {shown}", PKIFailureInfo.BAD_CERT_ID, rule="RFC 9483 section 4.2")
    lifting = request.reason is CRLReason.REMOVE_FROM_CRL
    if lifting and record.state is not _ON_HOLD:
        raise CMPError(
            f"the certificate {shown} is {record.state.value}: removeFromCRL only lifts a hold",
            PKIFailureInfo.BAD_REQUEST,
            rule="RFC 5280 section 5.3.1",
        )
    holding = request.reason is CRLReason.CERTIFICATE_HOLD
    expected = (_ON_HOLD,) if lifting else (_ISSUED, _VALID) if holding else (_ISSUED, _VALID, _ON_HOLD)
    if record.state not in expected or now > record.not_after:
        state = record.state.value if record.state not in expected else "expired"
        raise CMPError(
            f"the certificate {shown} is already {state}", PKIFailureInfo.CERT_REVOKED, rule="RFC 9483 section 4.2"
        )
    return CertificateChange(
        record.issuer_key,
        record.serial_number,
        _VALID if lifting else _ON_HOLD if holding else CertificateState.REVOKED,
        expected=expected,
        at=now,
        reason=None if lifting else request.reason,
        invalidity_date=None if lifting else request.invalidity_date,
    )
