"""The check for stores finds what breaks their contract."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cmpkit.errors import CMPError, ConfigurationError, ConflictError
from cmpkit.parts import CertificateState, SecretRecord, SharedSecret, Store, UnitOfWork
from cmpkit.store.plugin import SQLStoreFactory
from cmpkit.testing import check_store
from cmpkit.testing.store_values import NOW


class Broken:
    """A store that delegates to another, for tests to break."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class Factory(SQLStoreFactory):
    """Opens broken stores."""

    def __init__(self, broken: type[Broken]) -> None:
        self.broken = broken

    def open(self, url: str, *, sealing_key: bytes) -> Any:
        return self.broken(super().open(url, sealing_key=sealing_key))


class NeverFails(Broken):
    async def check(self) -> None:
        with contextlib.suppress(ConfigurationError):
            await self.store.check()


class ClosesOnce(Broken):
    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True
        await self.store.aclose()


class Committing(Broken):
    """Commits something else than it is given."""

    async def commit(self, unit: UnitOfWork) -> None:
        for part in self.parts(unit):
            await self.store.commit(part)

    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        yield unit


class Piecemeal(Committing):
    """Leaves what it had stored before a conflict."""

    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        yield UnitOfWork(audit=unit.audit)
        yield replace(unit, audit=())


class PiecemealTransactions(Committing):
    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        yield UnitOfWork(transaction=unit.transaction)
        yield replace(unit, transaction=None)


class Unconditional(Committing):
    """Takes any state of a certificate for the expected one."""

    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        changes = tuple(replace(change, expected=tuple(CertificateState)) for change in unit.changes)
        yield replace(unit, changes=changes)


class Unspent(Committing):
    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        yield replace(unit, spent=())


class OneSpentForAll(Committing):
    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        yield replace(unit, spent=tuple(set(unit.spent)))


class NoAnswers(Committing):
    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        yield replace(unit, answer=None)


class NoAudit(Committing):
    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        yield replace(unit, audit=())


class SilentConflicts(Broken):
    async def commit(self, unit: UnitOfWork) -> None:
        with contextlib.suppress(ConflictError):
            await self.store.commit(unit)


class OtherConflicts(Broken):
    """Where two commits meet, it raises what is no conflict."""

    async def commit(self, unit: UnitOfWork) -> None:
        try:
            await self.store.commit(unit)
        except ConflictError as error:
            raise CMPError("no idea") from error


class LocksAtOnce(Broken):
    """Fails where commits meet."""

    busy = False

    async def commit(self, unit: UnitOfWork) -> None:
        if self.busy:
            raise TimeoutError("the database is locked")
        self.busy = True
        try:
            await self.store.commit(unit)
        finally:
            self.busy = False


class Forgetful(Broken):
    """Keeps a list in memory that is gone with it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.entries: list[Any] = []

    async def commit(self, unit: UnitOfWork) -> None:
        await self.store.commit(replace(unit, audit=()))
        self.entries.extend(unit.audit)

    async def audit_entries(self, *, limit: int = 1000) -> Any:
        return tuple(self.entries[::-1][:limit])


class OldestFirst(Broken):
    async def certificates(self, **options: Any) -> Any:
        return (await self.store.certificates(**options))[::-1]


class AnySubject(Broken):
    async def certificates(self, *, subject: str | None = None, states: Any = (), limit: int = 1000) -> Any:
        found = await self.store.certificates(states=states)
        return tuple(one for one in found if subject is None or one.subject.startswith(subject))[:limit]


class AnyFingerprint(Broken):
    async def certificate_by_fingerprint(self, fingerprint: bytes) -> Any:
        return await self.store.certificate_by_fingerprint(fingerprint) or (await self.store.certificates())[0]


class OddCertificates(Broken):
    async def certificate(self, *arguments: Any) -> Any:
        found = await self.store.certificate(*arguments)
        return found and replace(found, revoked_at=None)


class AllRevoked(Broken):
    async def revoked(self, issuer_key: str) -> Any:
        found = await self.store.certificates()
        return tuple(one for one in found if one.issuer_key == issuer_key)


class EndsTooEarly(Broken):
    async def last_expiry(self, issuer_key: str, *, besides: str = "") -> Any:
        return await self.store.last_expiry(issuer_key, besides="other")


class NothingOverdue(Broken):
    async def overdue(self, now: Any) -> Any:
        return ()


class HoldsNothing(Broken):
    async def held_requests(self, **options: Any) -> Any:
        return ()


class HoldsOldestFirst(Broken):
    async def held_requests(self, **options: Any) -> Any:
        return (await self.store.held_requests(**options))[::-1]


class NeverLapses(Broken):
    async def held_requests(self, *, now: Any, **options: Any) -> Any:
        return await self.store.held_requests(now=NOW, **options)


class DecidesAgain(Broken):
    async def commit(self, unit: UnitOfWork) -> None:
        try:
            await self.store.commit(unit)
        except ConflictError:
            if not unit.decisions:
                raise


class ArchivesNothing(Broken):
    async def archived_keys(self, **options: Any) -> Any:
        return ()


class ArchivesOldestFirst(Broken):
    async def archived_keys(self, **options: Any) -> Any:
        return (await self.store.archived_keys(**options))[::-1]


class KeepsNothing(Broken):
    async def kept_value(self, kind: str, key: bytes) -> Any:
        return None


class RelaysNothing(Broken):
    async def relayed(self, key: str) -> Any:
        return None


class ListsAllRelayed(Broken):
    async def relayed_messages(self, *, upstream: str, **_: Any) -> Any:
        return await self.store.relayed_messages(upstream=upstream)


class ForgetsUndertakings(Broken):
    async def undertaking(self, kind: str, key: str) -> Any:
        return None


class IgnoresVersions(Committing):
    """Takes whatever comes for the next version."""

    def parts(self, unit: UnitOfWork) -> Iterator[UnitOfWork]:
        yield UnitOfWork(undertakings=tuple(replace(one, state=b"") for one in unit.undertakings))
        yield replace(unit, undertakings=tuple(replace(one, version=0) for one in unit.undertakings if one.state))


class ListsAllIntents(Broken):
    async def abandoned_intents(self, **_: Any) -> Any:
        return await self.store.abandoned_intents(before=NOW)


class CountsNothing(Broken):
    async def open_transactions(self) -> Any:
        return {}


class SameNumber(Broken):
    async def next_crl_number(self, issuer_key: str) -> int:
        return 1


class ReplacesSecrets(Broken):
    async def add_secret(self, record: SecretRecord) -> None:
        with contextlib.suppress(ConfigurationError):
            await self.store.add_secret(record)


class FindsAnySecret(Broken):
    async def find_secret(self, reference: bytes) -> Any:
        return await self.store.find_secret(reference) or SecretRecord(SharedSecret(reference, "x"), None)  # type: ignore[arg-type]


class ListsNothing(Broken):
    async def secrets(self) -> Any:
        return ()


class RevokesSilently(Broken):
    async def revoke_secret(self, reference: bytes) -> Any:
        await self.store.revoke_secret(reference)


class NeverRevokes(Broken):
    async def revoke_secret(self, reference: bytes) -> bool:
        return await self.store.find_secret(reference) is not None


class KeepsAll(Broken):
    async def prune(self, now: Any) -> int:
        return 0


class MiscountsPruned(Broken):
    async def prune(self, now: Any) -> int:
        await self.store.prune(now)
        return 1

    async def load(self, transaction_id: bytes, digest: bytes) -> Any:
        transactions, answers = await self.store.load(transaction_id, digest)
        return transactions, answers if transaction_id else ()


class LoadsMine(Broken):
    """Loads what one credential has."""

    async def load(self, transaction_id: bytes, digest: bytes) -> Any:
        transactions, answers = await self.store.load(transaction_id, digest)
        return transactions[:1], answers[:1]


class LoadsNone(Broken):
    async def load(self, transaction_id: bytes, digest: bytes) -> Any:
        transactions, answers = await self.store.load(transaction_id, digest)
        return transactions or None, answers


@pytest.mark.parametrize(
    ("broken", "breach"),
    [
        (NeverFails, r"check\(\) where no schema was made must be refused"),
        (ClosesOnce, r"aclose\(\) must give up connections, and do no harm a second time"),
        (Piecemeal, "must leave nothing of its unit in the store"),
        (PiecemealTransactions, "must leave nothing of its unit in the store"),
        (Unconditional, "a certificate in another state than expected must be refused by a ConflictError"),
        (Unspent, "a secret that was spent must have a use less"),
        (OneSpentForAll, "two uses of a secret that has one must be refused"),
        (NoAnswers, r"load\(\) must give what was stored"),
        (NoAudit, r"audit_entries\(\) must give the newest first"),
        (SilentConflicts, "must be refused by a ConflictError, but was not"),
        (OtherConflicts, "must be refused by a ConflictError, not by CMPError"),
        (LocksAtOnce, "commits at the same time must succeed or be in conflict, not TimeoutError"),
        (Forgetful, "everything must be there after the store was opened again"),
        (OldestFirst, r"certificates\(\) with subject= must give just these, newest first"),
        (AnySubject, r"certificates\(\) with a part of a subject"),
        (AnyFingerprint, "a certificate that was never stored must not be found"),
        (OddCertificates, "a certificate that was changed must be"),
        (AllRevoked, r"revoked\(\) must give what this issuer revoked or put on hold"),
        (EndsTooEarly, r"last_expiry\(\) must give when the last certificate of an issuer ends"),
        (NothingOverdue, r"overdue\(\) must give what expired and is not done"),
        (HoldsNothing, r"held_requests\(\) with nothing asked"),
        (HoldsOldestFirst, "newest first"),
        (NeverLapses, "must have lapsed"),
        (DecidesAgain, "a decision about a request that is issued"),
        (ArchivesNothing, r"archived_keys\(\) with a subject and a profile"),
        (ArchivesOldestFirst, "newest first"),
        (KeepsNothing, r"kept_value\(\) must give what was kept"),
        (RelaysNothing, r"relayed\(\) must give a message as it was stored"),
        (ListsAllRelayed, r"relayed_messages\(\) with limit="),
        (ForgetsUndertakings, r"undertaking\(\) must give what was kept"),
        (IgnoresVersions, "an undertaking that is there already"),
        (ListsAllIntents, r"abandoned_intents\(\) must give what began before then"),
        (CountsNothing, r"open_transactions\(\) must count what is open"),
        (SameNumber, "each CRL number must be greater than those before"),
        (ReplacesSecrets, "a reference that exists must be refused by a ConfigurationError"),
        (FindsAnySecret, r"find_secret\(\) must be None where there is none"),
        (ListsNothing, r"secrets\(\) must list"),
        (RevokesSilently, r"revoke_secret\(\) must say whether there was one"),
        (NeverRevokes, "a secret that was revoked must be found as such"),
        (KeepsAll, r"prune\(\) must say how many answers it forgot: 1, not 0"),
        (MiscountsPruned, r"prune\(\) must forget the answers whose keep_until has passed, and only those"),
        (LoadsMine, r"load\(\) must give what every credential has"),
        (LoadsNone, r"load\(\) must give two empty tuples where there is nothing"),
    ],
)
async def test_a_store_that_breaks_the_contract_is_named(broken: type[Broken], breach: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_store(Factory(broken), f"sqlite:///{tmp_path}/cmpkit.db")


class Unsealed(SQLStoreFactory):
    """Takes every sealing key for the same."""

    def open(self, url: str, *, sealing_key: bytes) -> Any:
        return super().open(url, sealing_key=bytes(32))


class CreatesOnce(SQLStoreFactory):
    created = False

    async def create(self, url: str) -> None:
        if self.created:
            raise ConfigurationError("there is a schema")
        self.created = True
        await super().create(url)


class OtherScheme(SQLStoreFactory):
    schemes = ("another",)


@pytest.mark.parametrize(
    ("factory", "breach"),
    [
        (Unsealed, "a secret must be of no use under another sealing key"),
        (CreatesOnce, r"create\(\) must make the schema, and leave one that is there as it is"),
        (OtherScheme, "the check needs a URL of"),
    ],
)
async def test_a_store_factory_that_breaks_the_contract_is_named(
    factory: type[SQLStoreFactory], breach: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_store(factory(), f"sqlite:///{tmp_path}/cmpkit.db")
