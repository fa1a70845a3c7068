"""What CRLs say of a certificate (RFC 5280 section 6.3): a complete one, completed by a delta where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from cmpkit import oids
from cmpkit.crypto.crls import check_crl_signature
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.ocsp import StatusInfo
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
    title: str


def status_by_crls(
    certificate: bytes, issuer: bytes, crls: Sequence[bytes], *, now: datetime, plugins: Plugins
) -> StatusInfo:
    """How a certificate stands; unknown if none of the CRLs has a say: one does that is current and complete.

    A CRL that is only about some certificates (a critical issuingDistributionPoint) has none.

    :param certificate: DER.
    :param issuer: DER of the certificate of its issuer, whose key must have signed the CRL.
    :param crls: DER, of whatever issuers.
    """
    own = x509.load_der_x509_certificate(certificate)
    lists: list[_List] = []
    complaints: list[str] = []
    for der in crls:
        try:
            found = _of_issuer(der, own.issuer)
            if found is not None:
                _check(found, der, issuer, now, plugins)
                lists.append(found)
        except CMPError as error:
            complaints.append(error.detail)
    complete = max((one for one in lists if one.base is None), key=lambda one: one.number, default=None)
    if complete is None:
        complaints += [f"{one.title} completes none that is here" for one in lists]
        return StatusInfo("unknown", source="; ".join(complaints) or "no CRL of its issuer is given")
    deltas = [one for one in lists if one.base is not None and one.base <= complete.number < one.number]
    newest = max(deltas, key=lambda one: one.number, default=complete)
    for one in (newest, complete):
        entry = one.crl.get_revoked_certificate_by_serial_number(own.serial_number)
        if entry is not None:
            return _status(entry, one.title)
    return StatusInfo("good", source=newest.title)


def _of_issuer(der: bytes, issuer: x509.Name) -> _List | None:
    """The CRL, if it is of an issuer of that name.

    :raises CMPError: if it cannot be read.
    """
    try:
        crl = x509.load_der_x509_crl(der)
        if not names_match(crl.issuer, issuer):
            return None
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        indicators = [item.value for item in crl.extensions if isinstance(item.value, x509.DeltaCRLIndicator)]
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise CMPError(f"a CRL of {format_name(issuer)} cannot be used: {error}") from error
    base = indicators[0].crl_number if indicators else None
    title = f"the {'CRL' if base is None else 'delta CRL'} {number} of {format_name(issuer)}"
    return _List(crl, number, base, title)


def _check(found: _List, der: bytes, issuer: bytes, now: datetime, plugins: Plugins) -> None:
    """Whether a CRL has a say: it holds now, the issuer signed it, and it is about all of its certificates.

    :raises CMPError: if it has none.
    """
    begins, ends = found.crl.last_update_utc, found.crl.next_update_utc
    if ends is None or not begins - CLOCK_SKEW <= now < ends:
        until = "it does not say when" if ends is None else f"{ends:%Y-%m-%d %H:%M:%S} UTC"
        raise CMPError(f"{found.title} holds from {begins:%Y-%m-%d %H:%M:%S} to {until}")
    try:
        check_crl_signature(der, issuer, plugins)
    except CMPError as error:
        raise CMPError(f"{found.title}: {error.detail}", error.fail_info, rule=error.rule) from error
    if any(item.critical and item.oid not in _KNOWN_CRITICAL for item in found.crl.extensions):
        raise CMPError(f"{found.title} is about some certificates only")


def _status(entry: x509.RevokedCertificate, source: str) -> StatusInfo:
    reasons = [item.value.reason for item in entry.extensions if isinstance(item.value, x509.CRLReason)]
    reason = _REASONS[reasons[0].value] if reasons else None
    if reason is CRLReason.REMOVE_FROM_CRL:
        return StatusInfo("good", source=source)
    return StatusInfo("revoked", entry.revocation_date_utc, reason, source)
