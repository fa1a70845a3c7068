"""A unit of work is stored whole or not at all, and survives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import anyio.to_thread
import pytest

from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import ConflictError
from cmpkit.parts import (
    CertificateChange,
    CertificateState,
    Grant,
    SecretRecord,
    SharedSecret,
    Store,
    TransactionState,
    UnitOfWork,
)
from cmpkit.store.plugin import SQLStoreFactory

StoredRows = Callable[[], dict[str, list[Any]]]


@pytest.fixture
async def secret(store: Store) -> bytes:
    """The reference of a secret with one use."""
    await store.add_secret(SecretRecord(SharedSecret("dev-42", "s3cret"), Grant(None, uses=1)))
    return b"dev-42"


async def test_a_unit_is_there_after_the_store_was_opened_again(store: Store, store_url: str, make: Any) -> None:
    unit = make.unit()
    await store.commit(unit)
    await store.aclose()
    again = SQLStoreFactory().open(store_url, sealing_key=make.sealing_key)
    await again.check()
    loaded = await again.load(unit.transaction.transaction_id, unit.answer.digest)
    assert loaded == ((replace(unit.transaction, version=1),), (unit.answer,))
    assert await again.certificates() == unit.certificates
    assert await again.audit_entries() == unit.audit
    await again.aclose()


async def test_an_empty_unit_changes_nothing(store: Store, stored_rows: StoredRows) -> None:
    before = stored_rows()
    await store.commit(UnitOfWork())
    assert stored_rows() == before


async def test_load_finds_what_other_credentials_have_under_the_same_id_and_digest(store: Store, make: Any) -> None:
    mine = make.transaction()
    yours = replace(mine, credential="cert:00")
    my_answer = make.answer(mine)
    your_answer = replace(my_answer, credential="cert:00", der=b"another")
    await store.commit(UnitOfWork(transaction=mine, answer=my_answer))
    await store.commit(UnitOfWork(transaction=yours, answer=your_answer))
    transactions, answers = await store.load(mine.transaction_id, my_answer.digest)
    assert {transaction.credential for transaction in transactions} == {mine.credential, "cert:00"}
    assert set(answers) == {my_answer, your_answer}
    assert await store.load(b"another", b"another") == ((), ())


def conflicts(make: Any, stored: UnitOfWork) -> Iterator[tuple[str, UnitOfWork]]:
    """Units of which everything could be stored but one thing."""
    transaction, answer, (record,) = stored.transaction, stored.answer, stored.certificates
    change = CertificateChange(
        record.issuer_key, record.serial_number, CertificateState.VALID, (CertificateState.REVOKED,), make.now
    )
    yield "the transaction exists", make.unit(transaction=replace(transaction, version=0))
    yield "the version is older", make.unit(transaction=replace(transaction, version=2))
    yield "there is no such transaction", make.unit(transaction=make.transaction(version=1))
    yield "the answer exists", make.unit(answer=answer)
    yield "the serial number exists", make.unit(certificates=(make.record(serial_number=record.serial_number),))
    yield "the request has its certificate", make.unit(certificates=(make.record(request_key=record.request_key),))
    yield "the fingerprint exists", make.unit(certificates=(make.record(fingerprint=record.fingerprint),))
    yield "the state is another", make.unit(changes=(change,))
    yield "no state is expected", make.unit(changes=(replace(change, expected=()),))
    yield "there is no such certificate", make.unit(changes=(replace(change, serial_number=1),))
    yield "there is no such secret", make.unit(spent=(b"unknown",))
    yield "only one use is left", make.unit(spent=(b"dev-42", b"dev-42"))
    yield "one of two conflicts", make.unit(certificates=(make.record(), record))


async def test_every_condition_that_fails_is_a_conflict_that_leaves_nothing(
    store: Store, stored_rows: StoredRows, make: Any, secret: bytes
) -> None:
    stored = make.unit()
    await store.commit(stored)
    before = stored_rows()
    for reason, unit in conflicts(make, stored):
        with pytest.raises(ConflictError) as caught:
            await store.commit(unit)
        assert PKIFailureInfo.SYSTEM_UNAVAIL in caught.value.fail_info, reason
        assert stored_rows() == before, reason
    await store.commit(make.unit(transaction=replace(stored.transaction, version=1), spent=(secret,)))


async def test_a_conflict_says_what_was_in_the_way(store: Store, make: Any, secret: bytes) -> None:
    unit = make.unit(spent=(secret,))
    await store.commit(unit)
    with pytest.raises(ConflictError, match="no use of the secret b'dev-42' or of its regToken is left"):
        await store.commit(UnitOfWork(spent=(secret,)))
    with pytest.raises(ConflictError, match=f"version 7 of transaction {unit.transaction.transaction_id.hex()}"):
        await store.commit(UnitOfWork(transaction=replace(unit.transaction, version=7)))
    with pytest.raises(ConflictError, match=r"certificates\.request_key"):
        await store.commit(UnitOfWork(certificates=(make.record(request_key=unit.certificates[0].request_key),)))
    change = CertificateChange(make.issuer_key, 15, CertificateState.VALID, tuple(CertificateState), make.now)
    with pytest.raises(ConflictError, match="the certificate f is not there as issued or valid or on hold or revoked"):
        await store.commit(UnitOfWork(changes=(change,)))


async def run_all(store: Store, units: list[UnitOfWork]) -> int:
    """Commit all at once; how many were not in conflict."""
    done = 0

    async def commit(unit: UnitOfWork) -> None:
        nonlocal done
        try:
            await store.commit(unit)
        except ConflictError:
            return
        done += 1

    async with anyio.create_task_group() as tasks:
        for unit in units:
            tasks.start_soon(commit, unit)
    return done


@pytest.mark.parametrize("version", [0, 1])
async def test_of_concurrent_commits_of_one_version_exactly_one_wins(store: Store, make: Any, version: int) -> None:
    transaction = make.transaction()
    if version:
        await store.commit(UnitOfWork(transaction=transaction))
    units = [make.unit(transaction=replace(transaction, version=version)) for _ in range(8)]
    assert await run_all(store, units) == 1
    ((loaded,), _) = await store.load(transaction.transaction_id, b"")
    assert loaded.version == version + 1
    assert len(await store.certificates()) == 1


async def test_of_concurrent_commits_through_two_stores_exactly_one_wins(
    store: Store, store_url: str, make: Any
) -> None:
    other = SQLStoreFactory().open(store_url, sealing_key=make.sealing_key)
    transaction = make.transaction()
    done = []

    async def commit_all(through: Store) -> None:
        done.append(await run_all(through, [make.unit(transaction=transaction) for _ in range(4)]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commit_all, store)
        tasks.start_soon(commit_all, other)
    assert sum(done) == 1
    await other.aclose()


async def test_a_secret_with_one_use_is_spent_once_by_twenty_at_the_same_time(
    store: Store, make: Any, secret: bytes
) -> None:
    assert await run_all(store, [make.unit(spent=(secret,)) for _ in range(20)]) == 1
    assert len(await store.certificates()) == 1
    ((_, grant, _),) = await store.secrets()
    assert grant.uses == 0


async def test_a_secret_with_three_uses_is_spent_three_times(store: Store, make: Any) -> None:
    await store.add_secret(SecretRecord(SharedSecret("three", "s3cret"), Grant(None, uses=3)))
    assert await run_all(store, [make.unit(spent=(b"three",)) for _ in range(6)]) == 3


async def test_a_secret_without_limit_is_never_used_up(store: Store, make: Any) -> None:
    await store.add_secret(SecretRecord(SharedSecret("endless", "s3cret"), Grant(None, uses=None)))
    assert await run_all(store, [make.unit(spent=(b"endless",)) for _ in range(6)]) == 6
    ((_, grant, _),) = await store.secrets()
    assert grant.uses is None


async def test_a_revoked_secret_cannot_be_spent(store: Store, secret: bytes) -> None:
    await store.revoke_secret(secret)
    with pytest.raises(ConflictError, match="revoked"):
        await store.commit(UnitOfWork(spent=(secret,)))


async def test_a_change_sets_state_time_and_reason_and_lifting_a_hold_clears_them(store: Store, make: Any) -> None:
    record = make.record()
    await store.commit(UnitOfWork(certificates=(record,)))
    hold = CertificateChange(
        record.issuer_key,
        record.serial_number,
        CertificateState.ON_HOLD,
        (CertificateState.ISSUED, CertificateState.VALID),
        make.now + timedelta(microseconds=1),
        CRLReason.CERTIFICATE_HOLD,
    )
    await store.commit(UnitOfWork(changes=(hold,)))
    assert await store.certificate(record.issuer_key, record.serial_number) == replace(
        record, state=CertificateState.ON_HOLD, revoked_at=hold.at, reason=CRLReason.CERTIFICATE_HOLD
    )
    lifted = replace(hold, state=CertificateState.VALID, expected=(CertificateState.ON_HOLD,), reason=None)
    await store.commit(UnitOfWork(changes=(lifted,)))
    assert await store.certificate(record.issuer_key, record.serial_number) == replace(
        record, state=CertificateState.VALID
    )


async def test_an_intent_is_kept_as_first_stated_until_it_is_finished(
    store: Store, stored_rows: StoredRows, make: Any
) -> None:
    intent, other = make.intent(), make.intent()
    await store.commit(UnitOfWork(intents=(intent, other)))
    stated = stored_rows()["intents"]
    await store.commit(UnitOfWork(intents=(replace(intent, operation="another"),)))
    assert stored_rows()["intents"] == stated
    await store.commit(UnitOfWork(finished_intents=(intent.idempotency_key,)))
    assert [row[0] for row in stored_rows()["intents"]] == [other.idempotency_key]


class Gate(tuple[bytes, ...]):
    """References that a test holds back: the commit waits while it reads them."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        self.reached.set()
        self.opened.wait()
        return iter(())


async def test_a_commit_that_has_begun_is_finished_when_its_caller_is_cancelled(store: Store, make: Any) -> None:
    gate = Gate()
    unit = make.unit(spent=gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.commit, unit)
        await anyio.to_thread.run_sync(gate.reached.wait)
        tasks.cancel_scope.cancel()
        gate.opened.set()
    ((loaded,), answers) = await store.load(unit.transaction.transaction_id, unit.answer.digest)
    assert loaded.state is TransactionState.ISSUED
    assert answers == (unit.answer,)


async def test_a_commit_that_has_not_begun_stores_nothing_when_its_caller_is_cancelled(
    store: Store, make: Any, stored_rows: StoredRows
) -> None:
    before = stored_rows()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.commit(make.unit())
    assert scope.cancelled_caught
    assert stored_rows() == before
