"""Who is revoked, in the few values that certificate revocation lists are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cmpkit.enums import CRLReason

__all__ = ["IssuedCRL", "Revocation"]


class Revocation(NamedTuple):
    """How a certificate stands on a revocation list.

    A tuple, because there may be hundreds of thousands.

    :param at: when it was revoked or put on hold; ``None`` if a hold was lifted (in a list of changes only).
    """

    serial_number: int
    at: datetime | None
    reason: CRLReason | None = None


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
