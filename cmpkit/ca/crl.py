"""The current CRLs: made when they are asked for, kept as long as nothing changed (RFC 5280 section 5).

A delta CRL is relative to the oldest complete CRL that is still valid, so that it completes every one that anybody may
have kept (RFC 5280 section 5.2.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
from cryptography import x509

from cmpkit.asn1 import Extension
from cmpkit.ca.certificates import IssuerCertificate
from cmpkit.crypto.crl_building import build_crl, crl_entries
from cmpkit.crypto.x509 import extension
from cmpkit.enums import CRLReason
from cmpkit.parts import IssuedCRL, PrivateKey, Revocation, Store

__all__ = ["CRLMaker", "distribution_points"]


@dataclass(frozen=True, slots=True)
class _Made:
    der: bytes
    status_version: int
    this_update: datetime
    validity: timedelta

    def is_fresh(self, now: datetime) -> bool:
        return self.this_update <= now < self.this_update + self.validity / 2


@dataclass(frozen=True, slots=True)
class _Listed:
    """What the last complete CRL lists.

    :param entries: their DER, one after the other.
    :param on_hold: the serial numbers of those that may leave it again; who is revoked never does.
    """

    status_version: int
    entries: bytes
    on_hold: frozenset[int]

    @classmethod
    def of(cls, revocations: Sequence[Revocation], status_version: int, now: datetime) -> _Listed:
        """A list from its beginning."""
        return cls(status_version, _entries(revocations, now), _on_hold(revocations))

    def followed_by(self, changes: Sequence[Revocation], status_version: int, now: datetime) -> _Listed | None:
        """The list after changes; ``None`` if entries are to leave it for that."""
        if any(change.at is None or change.serial_number in self.on_hold for change in changes):
            return None
        return _Listed(status_version, self.entries + _entries(changes, now), self.on_hold | _on_hold(changes))


def _entries(revocations: Sequence[Revocation], now: datetime) -> bytes:
    return crl_entries(
        (serial_number, now, CRLReason.REMOVE_FROM_CRL, None) if at is None else (serial_number, at, reason, since)
        for serial_number, at, reason, since in revocations
    )


def _on_hold(revocations: Sequence[Revocation]) -> frozenset[int]:
    return frozenset(one.serial_number for one in revocations if one.reason is CRLReason.CERTIFICATE_HOLD)


class CRLMaker:
    """Signs the CRLs of one issuer.

    Entries are put together once: a CRL after a revocation is the one before with an entry more, signed anew.

    Other processes may revoke, too: whether a CRL is still right is asked of the store each time, so that one which is
    fetched after a revocation was answered lists it.

    :param validity: from thisUpdate to nextUpdate. A CRL is made anew after half of it.
    :param delta_validity: the same for delta CRLs; ``None`` makes none.
    :param delta_urls: where delta CRLs can be fetched, for the complete ones (RFC 5280 section 5.2.6).
    """

    def __init__(
        self,
        certificate: IssuerCertificate,
        key: PrivateKey,
        store: Store,
        *,
        validity: timedelta,
        delta_validity: timedelta | None = None,
        delta_urls: Sequence[str] = (),
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._store = store
        self._validity = validity
        self._delta_validity = delta_validity
        self._extensions = (
            (extension(x509.FreshestCRL(distribution_points(delta_urls))),) if delta_urls and delta_validity else ()
        )
        self._lock = anyio.Lock()
        self._complete: _Made | None = None
        self._delta: _Made | None = None
        self._listed: _Listed | None = None

    async def current(self, now: datetime) -> bytes:
        """DER of the current CRL."""
        async with self._lock:
            if not await self._is_right(self._complete, now):
                self._complete, _ = await self._make_complete(now)
            assert self._complete is not None
            return self._complete.der

    async def current_delta(self, now: datetime) -> bytes | None:
        """DER of the current delta CRL; ``None`` if none are made."""
        if self._delta_validity is None:
            return None
        async with self._lock:
            if not await self._is_right(self._delta, now):
                self._delta = await self._make_delta(now, self._delta_validity)
            assert self._delta is not None
            return self._delta.der

    async def _is_right(self, made: _Made | None, now: datetime) -> bool:
        return (
            made is not None
            and made.is_fresh(now)
            and made.status_version == await self._store.status_version(self._certificate.key_id)
        )

    async def _make_complete(self, now: datetime) -> tuple[_Made, IssuedCRL]:
        issuer_key = self._certificate.key_id
        # The number before the list: whatever process takes a greater number reads its list later.
        number = await self._store.next_crl_number(issuer_key)
        version = await self._store.status_version(issuer_key)
        listed = await self._list(version, now)
        # What was committed meanwhile is listed, and would be among the changes since the version once more.
        self._listed = listed if version == await self._store.status_version(issuer_key) else None
        der = await self._build(listed.entries, number, now, self._validity, self._extensions)
        issued = IssuedCRL(issuer_key, number, version, now, now + self._validity)
        if self._delta_validity is not None:
            await self._store.add_crl(issued)
        return _Made(der, version, now, self._validity), issued

    async def _list(self, version: int, now: datetime) -> _Listed:
        """What is to be listed, at least up to that version."""
        issuer_key = self._certificate.key_id
        if self._listed is not None:
            changes = await self._store.status_changes(issuer_key, since=self._listed.status_version)
            followed = self._listed.followed_by(changes, version, now)
            if followed is not None:
                return followed
        revoked = await self._store.revoked(issuer_key)
        # In a thread, because the entries of a large CA take tenths of a second.
        return await anyio.to_thread.run_sync(_Listed.of, revoked, version, now)

    async def _make_delta(self, now: datetime, validity: timedelta) -> _Made:
        issuer_key = self._certificate.key_id
        base = await self._store.oldest_crl(issuer_key, at=now)
        if base is None:
            self._complete, base = await self._make_complete(now)
        number = await self._store.next_crl_number(issuer_key)
        version = await self._store.status_version(issuer_key)
        changes = await self._store.status_changes(issuer_key, since=base.status_version)
        indicator = extension(x509.DeltaCRLIndicator(base.number), critical=True)
        return _Made(
            await self._build(_entries(changes, now), number, now, validity, (indicator,)), version, now, validity
        )

    async def _build(
        self,
        entries: bytes,
        number: int,
        now: datetime,
        validity: timedelta,
        extensions: Sequence[Extension],
    ) -> bytes:
        return await build_crl(
            issuer=self._certificate.subject,
            issuer_key=self._key,
            this_update=now,
            next_update=now + validity,
            number=number,
            entries=entries,
            authority_key_identifier=self._certificate.key_identifier,
            extensions=extensions,
        )


def distribution_points(urls: Sequence[str]) -> list[x509.DistributionPoint]:
    """One distribution point that may be reached in several ways (RFC 5280 section 4.2.1.13)."""
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    return [x509.DistributionPoint(names, relative_name=None, reasons=None, crl_issuer=None)]
