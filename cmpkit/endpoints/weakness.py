"""Certificates for keys that are stronger than what protected their requests: the operator is told (R-176)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime

from cmpkit.crypto.strength import certificate_strength, credential_strength
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.parts import AuditEntry, CertificateRecord, Credential, Transaction
from cmpkit.plugins import Plugins

__all__ = ["WEAK_PROTECTION", "weak_protection"]

WEAK_PROTECTION = "weak protection"
"""The event in the audit."""
_STRONGEST_SECRET = 32
_ALGORITHM_OCTETS = 23
"""Of a SubjectPublicKeyInfo: EC keys of one curve and RSA keys of one length begin with the same octets."""

_log = logging.getLogger("cmpkit.server")


def weak_protection(
    records: Sequence[CertificateRecord],
    credential: Credential,
    transaction: Transaction,
    *,
    plugins: Plugins,
    at: datetime,
) -> tuple[AuditEntry, ...]:
    """Warn of certificates whose keys are stronger than what protected their requests; what the audit says of them.

    They are issued all the same (RFC 9810 section 8.7).

    :param records: what was issued.
    """
    found = []
    for record, own, wanted in _weak(records, credential, plugins):
        details: dict[str, str | int] = {"serial": f"{record.serial_number:x}", "bits": own, "key_bits": wanted}
        found.append(AuditEntry(at, WEAK_PROTECTION, credential.id, transaction.transaction_id, details))
        _log.warning(
            "certificate %x, transaction %s: its key has %d bits of security, what protected the request %d",
            record.serial_number,
            transaction.transaction_id.hex(),
            wanted,
            own,
        )
    return tuple(found)


def _weak(
    records: Sequence[CertificateRecord], credential: Credential, plugins: Plugins
) -> Iterator[tuple[CertificateRecord, int, int]]:
    """Each certificate with the bits of the credential, which are fewer, and of its key."""
    for record in records:
        if _is_obvious(record, credential):
            continue
        own, wanted = credential_strength(credential, plugins), certificate_strength(record.der, plugins)
        if own is not None and wanted is not None and own < wanted:
            yield record, own, wanted


def _is_obvious(record: CertificateRecord, credential: Credential) -> bool:
    """Whether the protection is strong enough, as is seen without reading the certificate: most requests end here."""
    if credential.secret is not None:
        return len(credential.secret.value) >= _STRONGEST_SECRET
    if credential.certificate is None:
        return True
    return certificate_public_key_info(credential.certificate)[:_ALGORITHM_OCTETS] in record.der
