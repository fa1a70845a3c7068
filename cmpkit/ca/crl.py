"""The current CRL: made when it is asked for, kept as long as nothing changed (RFC 5280 section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from cmpkit.ca.certificates import IssuerCertificate
from cmpkit.crypto.x509 import build_crl
from cmpkit.enums import CRLReason
from cmpkit.parts import CertificateRecord, PrivateKey, Store

__all__ = ["CRLMaker"]

_Entries = tuple[tuple[int, datetime, CRLReason | None], ...]


@dataclass(frozen=True, slots=True)
class _Made:
    der: bytes
    entries: _Entries
    this_update: datetime


class CRLMaker:
    """Signs the CRL of one issuer.

    Other processes may revoke, too: whether a CRL is still right is asked of the store each time, so that one which is
    fetched after a revocation was answered lists it.

    :param validity: from thisUpdate to nextUpdate. A CRL is made anew after half of it.
    """

    def __init__(self, certificate: IssuerCertificate, key: PrivateKey, store: Store, *, validity: timedelta) -> None:
        self._certificate = certificate
        self._key = key
        self._store = store
        self._validity = validity
        self._lock = anyio.Lock()
        self._made: _Made | None = None

    async def current(self, now: datetime) -> bytes:
        """DER of the current CRL."""
        async with self._lock:
            made = self._made
            if made is None or not self._is_fresh(made, now) or made.entries != await self._entries():
                made = self._made = await self._make(now)
            return made.der

    def _is_fresh(self, made: _Made, now: datetime) -> bool:
        return made.this_update <= now < made.this_update + self._validity / 2

    async def _entries(self) -> _Entries:
        return tuple(_entries(await self._store.revoked(self._certificate.key_id)))

    async def _make(self, now: datetime) -> _Made:
        # The number before the list: whatever process takes a greater number reads its list later.
        number = await self._store.next_crl_number(self._certificate.key_id)
        entries = await self._entries()
        der = await build_crl(
            issuer=self._certificate.subject,
            issuer_key=self._key,
            this_update=now,
            next_update=now + self._validity,
            number=number,
            entries=entries,
            authority_key_identifier=self._certificate.key_identifier,
        )
        return _Made(der, entries, now)


def _entries(records: Iterable[CertificateRecord]) -> Iterable[tuple[int, datetime, CRLReason | None]]:
    for record in records:
        assert record.revoked_at is not None
        yield record.serial_number, record.revoked_at, record.reason
