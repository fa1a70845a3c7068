"""The store of :class:`cmpkit.parts.Store` on an SQL database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, ConflictError
from cmpkit.parts import (
    ArchivedKey,
    AuditEntry,
    Batch,
    CertificateRecord,
    CertificateState,
    Grant,
    HeldRequest,
    HeldState,
    Intent,
    IssuedCRL,
    KeptValue,
    Relayed,
    RelayState,
    Revocation,
    SecretRecord,
    StoredAnswer,
    Transaction,
    Undertaking,
    UnitOfWork,
)
from cmpkit.store import (
    announcements,
    archived_keys,
    held_requests,
    kept_values,
    queries,
    relaying,
    shared_secrets,
    undertakings,
    units,
)
from cmpkit.store.database import Database
from cmpkit.store.schema import require_current_schema
from cmpkit.store.sealing import Sealer

__all__ = ["SQLStore"]


class SQLStore:
    """Keeps everything in one SQL database; calls are done in worker threads.

    :param database: where it is.
    :param sealing_key: 32 octets; secrets at rest are encrypted with it.
    :raises ConfigurationError: if the sealing key has another size.
    """

    def __init__(self, database: Database, *, sealing_key: bytes) -> None:
        self._database = database
        self._sealer = Sealer(sealing_key)

    async def load(
        self, transaction_id: bytes, digest: bytes
    ) -> tuple[tuple[Transaction, ...], tuple[StoredAnswer, ...]]:
        """See :meth:`cmpkit.parts.Store.load`."""
        return await self._database.look_up(
            lambda connection: queries.load(connection, transaction_id, digest, self._sealer)
        )

    async def commit(self, unit: UnitOfWork) -> None:
        """See :meth:`cmpkit.parts.Store.commit`: one transaction of the database, finished once it has begun.

        :raises ConflictError: if a condition of the unit does not hold; nothing was stored then.
        :raises CMPError: systemUnavail if the database cannot be used now; nothing was stored then.
        """
        await self._database.write(lambda connection: units.commit(connection, unit, self._sealer))

    async def certificate(self, issuer_key: str, serial_number: int) -> CertificateRecord | None:
        """See :meth:`cmpkit.parts.Store.certificate`."""
        return await self._database.look_up(
            lambda connection: queries.certificate(connection, issuer_key, serial_number)
        )

    async def certificate_by_fingerprint(self, fingerprint: bytes) -> CertificateRecord | None:
        """See :meth:`cmpkit.parts.Store.certificate_by_fingerprint`."""
        return await self._database.look_up(
            lambda connection: queries.certificate_by_fingerprint(connection, fingerprint)
        )

    async def certificates(
        self, *, subject: str | None = None, states: Sequence[CertificateState] = (), limit: int = 1000
    ) -> tuple[CertificateRecord, ...]:
        """See :meth:`cmpkit.parts.Store.certificates`."""
        return await self._database.read(lambda connection: queries.certificates(connection, subject, states, limit))

    async def revoked(self, issuer_key: str) -> tuple[Revocation, ...]:
        """See :meth:`cmpkit.parts.Store.revoked`; without those that had expired before they were revoked."""
        return await self._database.read(lambda connection: queries.revoked(connection, issuer_key))

    async def status_version(self, issuer_key: str) -> int:
        """See :meth:`cmpkit.parts.Store.status_version`."""
        return await self._database.read(lambda connection: queries.status_version(connection, issuer_key))

    async def status_changes(self, issuer_key: str, *, since: int) -> tuple[Revocation, ...]:
        """See :meth:`cmpkit.parts.Store.status_changes`."""
        return await self._database.read(lambda connection: queries.status_changes(connection, issuer_key, since))

    async def add_crl(self, crl: IssuedCRL) -> None:
        """See :meth:`cmpkit.parts.Store.add_crl`."""
        await self._database.write(lambda connection: units.add_crl(connection, crl))

    async def oldest_crl(self, issuer_key: str, *, at: datetime) -> IssuedCRL | None:
        """See :meth:`cmpkit.parts.Store.oldest_crl`."""
        return await self._database.read(lambda connection: queries.oldest_crl(connection, issuer_key, at))

    async def publications(
        self, issuer_key: str, *, since: int, now: datetime, limit: int = 100
    ) -> tuple[tuple[int, CertificateRecord], ...]:
        """See :meth:`cmpkit.parts.Store.publications`."""
        return await self._database.read(
            lambda connection: announcements.publications(connection, issuer_key, since, now, limit)
        )

    async def revocations(
        self, issuer_key: str, *, since: int, now: datetime, limit: int = 100
    ) -> tuple[tuple[int, CertificateRecord], ...]:
        """See :meth:`cmpkit.parts.Store.revocations`."""
        return await self._database.read(
            lambda connection: announcements.revocations(connection, issuer_key, since, now, limit)
        )

    async def announced(self, subscriber: str, topic: str) -> int:
        """See :meth:`cmpkit.parts.Store.announced`."""
        return await self._database.read(lambda connection: announcements.announced(connection, subscriber, topic))

    async def note_announced(self, subscriber: str, topic: str, number: int) -> None:
        """See :meth:`cmpkit.parts.Store.note_announced`."""
        await self._database.write(
            lambda connection: announcements.note_announced(connection, subscriber, topic, number)
        )

    async def last_expiry(self, issuer_key: str, *, besides: str = "") -> datetime | None:
        """See :meth:`cmpkit.parts.Store.last_expiry`."""
        return await self._database.read(lambda connection: queries.last_expiry(connection, issuer_key, besides))

    async def overdue(self, now: datetime) -> tuple[Transaction, ...]:
        """See :meth:`cmpkit.parts.Store.overdue`; the one that waits longest comes first."""
        return await self._database.read(lambda connection: queries.overdue(connection, now, self._sealer))

    async def open_transactions(self) -> Mapping[str, int]:
        """See :meth:`cmpkit.parts.Store.open_transactions`."""
        return await self._database.read(queries.open_transactions)

    async def held_requests(
        self, *, now: datetime, key: str = "", states: Sequence[HeldState] = (), limit: int = 1000
    ) -> tuple[HeldRequest, ...]:
        """See :meth:`cmpkit.parts.Store.held_requests`."""
        return await self._database.read(lambda connection: held_requests.listing(connection, now, key, states, limit))

    async def undertaking(self, kind: str, key: str) -> Undertaking | None:
        """See :meth:`cmpkit.parts.Store.undertaking`.

        :raises ConfigurationError: if the sealing key is not the one that it was stored with.
        """
        return await self._database.look_up(lambda connection: undertakings.find(connection, kind, key, self._sealer))

    async def abandoned_intents(self, *, before: datetime, limit: int = 1000) -> tuple[Intent, ...]:
        """See :meth:`cmpkit.parts.Store.abandoned_intents`."""
        return await self._database.read(lambda connection: undertakings.abandoned_intents(connection, before, limit))

    async def relayed(self, key: str) -> Relayed | None:
        """See :meth:`cmpkit.parts.Store.relayed`.

        :raises ConfigurationError: if the sealing key is not the one that it was stored with.
        """
        return await self._database.look_up(lambda connection: relaying.find(connection, key, self._sealer))

    async def relayed_messages(
        self, *, upstream: str, states: Sequence[RelayState] = (), batch: str | None = None, limit: int = 1000
    ) -> tuple[Relayed, ...]:
        """See :meth:`cmpkit.parts.Store.relayed_messages`.

        :raises ConfigurationError: if the sealing key is not the one that they were stored with.
        """
        return await self._database.read(
            lambda connection: relaying.listing(
                connection, self._sealer, upstream=upstream, states=states, batch=batch, limit=limit
            )
        )

    async def batches(self, *, upstream: str, key: str = "") -> tuple[Batch, ...]:
        """See :meth:`cmpkit.parts.Store.batches`.

        :raises ConfigurationError: if the sealing key is not the one that they were stored with.
        """
        return await self._database.read(lambda connection: relaying.batches(connection, upstream, key, self._sealer))

    async def next_crl_number(self, issuer_key: str) -> int:
        """See :meth:`cmpkit.parts.Store.next_crl_number`; the first one is 1."""
        return await self._database.write(lambda connection: units.next_crl_number(connection, issuer_key))

    async def add_secret(self, record: SecretRecord) -> None:
        """See :meth:`cmpkit.parts.Store.add_secret`.

        :raises ConfigurationError: if the reference exists, or its uses cannot be counted.
        """
        try:
            await self._database.write(lambda connection: shared_secrets.add(connection, record, self._sealer))
        except ConflictError:
            raise ConfigurationError(
                f"there is a secret {record.secret.reference!r} already",
                hint="choose another reference; one that was used or revoked stays taken",
            ) from None

    async def find_secret(self, reference: bytes) -> SecretRecord | None:
        """See :meth:`cmpkit.parts.Store.find_secret`.

        :raises ConfigurationError: if the sealing key is not the one that it was stored with.
        """
        return await self._database.look_up(lambda connection: shared_secrets.find(connection, reference, self._sealer))

    async def secrets(self) -> tuple[tuple[bytes, Grant, bool], ...]:
        """See :meth:`cmpkit.parts.Store.secrets`; ordered by reference."""
        return await self._database.read(shared_secrets.listing)

    async def revoke_secret(self, reference: bytes) -> bool:
        """See :meth:`cmpkit.parts.Store.revoke_secret`."""
        return await self._database.write(lambda connection: shared_secrets.revoke(connection, reference))

    async def archived_keys(self, *, subject: str, profile: str, limit: int = 1000) -> tuple[ArchivedKey, ...]:
        """See :meth:`cmpkit.parts.Store.archived_keys`.

        :raises ConfigurationError: if the sealing key is not the one that they were stored with.
        """
        return await self._database.read(
            lambda connection: archived_keys.listing(connection, subject, profile, limit, self._sealer)
        )

    async def kept_value(self, kind: str, key: bytes) -> KeptValue | None:
        """See :meth:`cmpkit.parts.Store.kept_value`.

        :raises ConfigurationError: if the sealing key is not the one that it was stored with.
        """
        return await self._database.look_up(lambda connection: kept_values.find(connection, kind, key, self._sealer))

    async def audit_entries(self, *, limit: int = 1000) -> tuple[AuditEntry, ...]:
        """See :meth:`cmpkit.parts.Store.audit_entries`."""
        return await self._database.read(lambda connection: queries.audit_entries(connection, limit))

    async def prune(self, now: datetime) -> int:
        """See :meth:`cmpkit.parts.Store.prune`; transactions that are done are forgotten with their last answer."""
        return await self._database.write(lambda connection: units.prune(connection, now))

    async def check(self) -> None:
        """See :meth:`cmpkit.parts.Store.check`.

        :raises ConfigurationError: if the database cannot be reached, its schema is of another version, or the sealing
            key does not fit the secrets and keys in it.
        """
        try:
            await self._database.read(self._check)
        except ConfigurationError:
            raise
        except CMPError as error:
            raise ConfigurationError(
                error.detail, PKIFailureInfo.SYSTEM_UNAVAIL, hint="correct the url of the store, or run: cmpkit init"
            ) from error

    def _check(self, connection: sa.Connection) -> None:
        require_current_schema(connection, self._database.name)
        reference = shared_secrets.any_reference(connection)
        if reference is not None:
            shared_secrets.find(connection, reference, self._sealer)
        archived_keys.any_key(connection, self._sealer)

    async def aclose(self) -> None:
        """See :meth:`cmpkit.parts.Store.aclose`."""
        await self._database.aclose()
