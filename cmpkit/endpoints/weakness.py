"""Certificates for keys that are stronger than what protected their requests: the operator is told (R-176)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cmpkit.crypto.strength import certificate_strength, credential_strength
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.parts import AuditEntry, CertificateRecord, Credential
from cmpkit.plugins import Plugins

__all__ = ["WEAK_PROTECTION", "weak_protection"]

WEAK_PROTECTION = "weak protection"
"""The event in the audit."""
_STRONGEST_SECRET = 32
_ALGORITHM_OCTETS = 23
"""Of a SubjectPublicKeyInfo: EC keys of one curve and RSA keys of one length begin with the same octets."""


def weak_protection(
    records: Sequence[CertificateRecord],
    credential: Credential,
    transaction_id: bytes,
    *,
    plugins: Plugins,
    at: datetime,
) -> tuple[AuditEntry, ...]:
    """What the audit says of certificates whose keys are stronger than what protected their requests.

    They are issued all the same (RFC 9810 section 8.7).

    :param records: what was issued.
    """
    return tuple(
        AuditEntry(
            at,
            WEAK_PROTECTION,
            credential.id,
            transaction_id,
            {"serial": f"{record.serial_number:x}", "bits": own, "key_bits": wanted},
        )
        for record in records
        if not _is_obvious(record, credential)
        and (own := credential_strength(credential, plugins)) is not None
        and (wanted := certificate_strength(record.der, plugins)) is not None
        and own < wanted
    )


def _is_obvious(record: CertificateRecord, credential: Credential) -> bool:
    """Whether the protection is strong enough, as is seen without reading the certificate: most requests end here."""
    if credential.secret is not None:
        return len(credential.secret.value) >= _STRONGEST_SECRET
    if credential.certificate is None:
        return True
    return certificate_public_key_info(credential.certificate)[:_ALGORITHM_OCTETS] in record.der
