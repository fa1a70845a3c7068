"""What CRLs say of a certificate (RFC 5280 section 6.3): a complete one, completed by a delta where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import CertificateList, decode, encode
from cmpkit.crypto.names import names_match
from cmpkit.crypto.ocsp import StatusInfo
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.enums import CRLReason
from cmpkit.errors import CMPError
from cmpkit.plugins import Plugins

__all__ = ["CLOCK_SKEW", "status_by_crls"]

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far the clock of who signs may be ahead."""
_KNOWN_CRITICAL: Final = frozenset({oids.DELTA_CRL_INDICATOR})
_REASONS: Final = {reason.wire_name: reason for reason in CRLReason}


@dataclass(frozen=True, slots=True)
class _List:
    crl: x509.CertificateRevocationList
    number: int
    base: int | None


def status_by_crls(
    certificate: bytes, issuer: bytes, crls: Sequence[bytes], *, now: datetime, plugins: Plugins
) -> StatusInfo | None:
    """How a certificate stands, or ``None`` if none of the CRLs has a say: one does that is current and complete.

    A CRL that is only about some certificates (a critical issuingDistributionPoint) has none.

    :param certificate: DER.
    :param issuer: DER of the certificate of its issuer, whose key must have signed the CRL.
    :param crls: DER, of whatever issuers.
    """
    own = x509.load_der_x509_certificate(certificate)
    lists = [found for der in crls if (found := _current(der, own.issuer, issuer, now, plugins)) is not None]
    complete = max((one for one in lists if one.base is None), key=lambda one: one.number, default=None)
    if complete is None:
        return None
    deltas = [one for one in lists if one.base is not None and one.base <= complete.number < one.number]
    newest = max(deltas, key=lambda one: one.number, default=complete)
    for one in (newest, complete):
        entry = one.crl.get_revoked_certificate_by_serial_number(own.serial_number)
        if entry is not None:
            return _status(entry)
    return StatusInfo("good")


def _current(der: bytes, name: x509.Name, issuer: bytes, now: datetime, plugins: Plugins) -> _List | None:
    """The CRL, if that issuer signed it and it holds now."""
    try:
        crl = x509.load_der_x509_crl(der)
        until = crl.next_update_utc
        holds = until is not None and crl.last_update_utc - CLOCK_SKEW <= now < until
        if not holds or not names_match(crl.issuer, name) or not _is_signed_by(der, issuer, plugins):
            return None
        if any(item.critical and item.oid not in _KNOWN_CRITICAL for item in crl.extensions):
            return None
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        indicators = [item.value for item in crl.extensions if isinstance(item.value, x509.DeltaCRLIndicator)]
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, CMPError):
        return None
    return _List(crl, number, indicators[0].crl_number if indicators else None)


def _is_signed_by(der: bytes, issuer: bytes, plugins: Plugins) -> bool:
    wire = decode(CertificateList, der)
    algorithm = wire.signature_algorithm
    return plugins.key_algorithm(algorithm.algorithm).verify(
        certificate_public_key_info(issuer), algorithm, encode(wire.tbs_cert_list), wire.signature_value.as_bytes()
    )


def _status(entry: x509.RevokedCertificate) -> StatusInfo:
    reasons = [item.value.reason for item in entry.extensions if isinstance(item.value, x509.CRLReason)]
    reason = _REASONS[reasons[0].value] if reasons else None
    if reason is CRLReason.REMOVE_FROM_CRL:
        return StatusInfo("good")
    return StatusInfo("revoked", entry.revocation_date_utc, reason)
