"""Who is revoked: the values that revocation lists are made of, and where they are published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from cmpkit.enums import CRLReason
from cmpkit.parts.keys import PrivateKey

__all__ = ["IssuedCRL", "Revocation", "StatusAddresses", "StatusPublisher"]


class Revocation(NamedTuple):
    """How a certificate stands on a revocation list.

    A tuple, because there may be hundreds of thousands.

    :param at: when it was revoked or put on hold; ``None`` if a hold was lifted (in a list of changes only).
    :param invalidity_date: since when the key or the certificate is suspect, if that is known (RFC 5280 section 5.3.2).
    """

    serial_number: int
    at: datetime | None
    reason: CRLReason | None = None
    invalidity_date: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedCRL:
    """A complete CRL that was issued: what delta CRLs may be relative to (RFC 5280 section 5.2.4).

    :param issuer_key: see :attr:`cmpkit.parts.CertificateRecord.issuer_key`.
    :param number: its CRL number.
    :param status_version: what :meth:`cmpkit.parts.Store.status_version` gave before its entries were read.
    """

    issuer_key: str
    number: int
    status_version: int
    this_update: datetime
    next_update: datetime


@dataclass(frozen=True, slots=True)
class StatusAddresses:
    """Where what is known of certificates can be fetched, as they say themselves; that of the CRL is in
    :attr:`cmpkit.parts.Issuer.crl_urls`.

    :param delta_crl: URLs of the delta CRL (freshestCRL, RFC 5280 section 4.2.1.15).
    :param ocsp: URLs of OCSP responders (authorityInfoAccess, RFC 5280 section 4.2.2.1).
    :param ca_issuers: URLs of the certificate of the issuer (likewise).
    """

    delta_crl: tuple[str, ...] = ()
    ocsp: tuple[str, ...] = ()
    ca_issuers: tuple[str, ...] = ()


@runtime_checkable
class StatusPublisher(Protocol):
    """What an issuer may have besides: delta CRLs, addresses of more than its CRL, and a key for OCSP.

    :ivar addresses: as they are in the certificates.
    :ivar ocsp_key: the key of the CA, to sign OCSP responses where nobody else is authorised; ``None`` if it is not
        here.
    """

    addresses: StatusAddresses
    ocsp_key: PrivateKey | None

    async def delta_crl(self, *, now: datetime) -> bytes | None:
        """DER of the current delta CRL; ``None`` if it makes none."""
