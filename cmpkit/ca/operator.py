"""What the operator of a CA does to a certificate beside the protocol: revoke it, put it on hold, lift the hold."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    AuditEntry,
    Authenticated,
    CertificateRecord,
    CertificateState,
    Credential,
    Issuer,
    Pending,
    ProtectionKind,
    Rejected,
    RevocationRequest,
    Store,
    UnitOfWork,
)

__all__ = ["OPERATOR", "revoke_certificate"]

OPERATOR = Authenticated("operator", Credential(ProtectionKind.SIGNATURE, "operator"), roles=frozenset({"ca"}))
"""Who has the configuration file, and with it the keys of the CA."""

_EVENTS = {CertificateState.VALID: "hold lifted", CertificateState.ON_HOLD: "put on hold"}


async def revoke_certificate(
    record: CertificateRecord, reason: CRLReason, *, store: Store, issuer: Issuer, now: datetime
) -> CertificateState:
    """Revoke a certificate, or put it on hold, or lift its hold, and store that.

    :param reason: ``CERTIFICATE_HOLD`` and ``REMOVE_FROM_CRL`` begin and end a hold (RFC 5280 section 5.3.1).
    :returns: the state that the certificate has now.
    :raises CMPError: if its present state does not allow it, or the issuer refuses or has not decided.
    """
    name = x509.load_der_x509_certificate(record.der).issuer
    answer = await issuer.revoke(RevocationRequest(name, record.serial_number, reason), OPERATOR, now=now)
    if isinstance(answer, Rejected):
        raise answer.error
    if isinstance(answer, Pending):
        raise CMPError(
            f"the issuer decides later: {answer.reason}",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            hint=f"ask again in {answer.check_after} s",
        )
    event = _EVENTS.get(answer.change.state, "revoked")
    details: dict[str, str | int] = {"serial": f"{record.serial_number:x}", "reason": reason.wire_name}
    entry = AuditEntry(now, event, OPERATOR.credential.id, details=details)
    await store.commit(UnitOfWork(changes=(answer.change,), audit=(entry,)))
    return answer.change.state
