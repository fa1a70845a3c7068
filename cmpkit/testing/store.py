"""Whether a store keeps its contract: a check to be awaited in its author's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from cmpkit.errors import CMPError, ConfigurationError, ConflictError
from cmpkit.parts import (
    CertificateRecord,
    CertificateState,
    Store,
    StoredAnswer,
    StoreFactory,
    Transaction,
    TransactionState,
    UnitOfWork,
)
from cmpkit.testing.contract import refused, require, require_schemes, success, task_group
from cmpkit.testing.store_announcing import check_announcing
from cmpkit.testing.store_queries import check_queries
from cmpkit.testing.store_relaying import check_relay_pruning
from cmpkit.testing.store_undertakings import check_undertakings
from cmpkit.testing.store_values import NOW, Values

__all__ = ["check_store"]

_KEY, _OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
_ONE_USE = b"one use"


async def check_store(factory: StoreFactory, url: str) -> None:
    """Check a store at a place where there is none yet.

    What was committed is there, exactly, also after the store was opened again; a unit of which one condition does not
    hold leaves nothing; of commits at the same time that exclude each other exactly one succeeds; every query gives
    what it must and nothing else; secrets are of no use under another sealing key. That a commit survives ``kill -9``
    is not among what is checked.

    :param url: of an empty place that the check may fill, and that is thrown away afterwards.
    :raises AssertionError: naming what is wrong.
    """
    require_schemes(factory)
    scheme = url.partition(":")[0]
    require(scheme in factory.schemes, f"the check needs a URL of {factory.schemes}, not of {scheme!r}")
    async with _opened(factory, url) as store:
        with refused("check() where no schema was made", by=ConfigurationError):
            await store.check()
    for _ in range(2):
        with success("create() must make the schema, and leave one that is there as it is"):
            await factory.create(url)
    values = Values()
    async with _opened(factory, url) as store:
        with success("check() must find that a store that was made can be used"):
            await store.check()
        await check_queries(store, values)
        stored = await _check_units(store, values)
        await _check_conflicts(store, values, stored)
        await _check_races(store, values)
        await check_announcing(store, values)
        before = await _everything(store, stored)
    async with _opened(factory, url) as store:
        require(await _everything(store, stored) == before, "everything must be there after the store was opened again")
        await _check_pruning(store, values)
    await _check_sealing(factory, url, values)


@asynccontextmanager
async def _opened(factory: StoreFactory, url: str, key: bytes = _KEY) -> AsyncIterator[Store]:
    with success("open() must open a store without using it"):
        store = factory.open(url, sealing_key=key)
    yield store
    for _ in range(2):
        with success("aclose() must give up connections, and do no harm a second time"):
            await store.aclose()


async def _everything(store: Store, unit: UnitOfWork) -> tuple[Any, ...]:
    """What there is, as far as queries show it."""
    assert unit.transaction is not None
    assert unit.answer is not None
    return (
        await store.load(unit.transaction.transaction_id, unit.answer.digest),
        await store.certificates(),
        await store.revoked(Values.issuer_key),
        await store.overdue(NOW + timedelta(days=9999)),
        await store.secrets(),
        await store.find_secret(_ONE_USE),
        await store.audit_entries(),
    )


async def _check_units(store: Store, values: Values) -> UnitOfWork:
    """What is committed is loaded; the unit that was stored."""
    unit = values.unit()
    (record,), transaction, answer = unit.certificates, unit.transaction, unit.answer
    assert transaction is not None
    assert answer is not None
    with success("commit() must store a unit of which every condition holds"):
        await store.commit(unit)
    await _require_loaded(store, replace(transaction, version=1), answer)
    for found in (
        await store.certificate(record.issuer_key, record.serial_number),
        await store.certificate_by_fingerprint(record.fingerprint),
    ):
        require(found == record, f"a certificate must be found as it was stored: {record}, not {found}")
    entries = await store.audit_entries(limit=len(unit.audit))
    require(
        entries == unit.audit[::-1], f"audit_entries() must give the newest first: {unit.audit[::-1]}, not {entries}"
    )
    done = replace(transaction, version=1, state=TransactionState.DONE, peer_nonces=(b"another",), expires=None)
    with success("commit() must store a transaction whose version is the stored one"):
        await store.commit(UnitOfWork(transaction=done))
        await store.commit(UnitOfWork())
        await store.commit(UnitOfWork(finished_intents=(unit.intents[0].idempotency_key, "none that was begun")))
    await _require_loaded(store, replace(done, version=2), answer)
    others = replace(transaction, credential="cert:" + "00" * 32)
    answer_of_others = replace(answer, credential=others.credential, der=b"another answer", keep_until=None)
    with success("commit() must keep apart what credentials have under the same transactionID"):
        await store.commit(UnitOfWork(transaction=others, answer=answer_of_others))
    transactions, answers = await store.load(transaction.transaction_id, answer.digest)
    require(
        {one.credential for one in transactions} == {transaction.credential, others.credential}
        and set(answers) == {answer, answer_of_others},
        "load() must give what every credential has under the transactionID and the digest",
    )
    nothing = await store.load(b"never stored", b"never stored")
    require(nothing == ((), ()), f"load() must give two empty tuples where there is nothing, not {nothing}")
    return unit


async def _require_loaded(store: Store, transaction: Transaction, answer: StoredAnswer) -> None:
    with success("load() must give what was stored"):
        loaded = await store.load(transaction.transaction_id, answer.digest)
    wanted = ((transaction,), (answer,))
    require(loaded == wanted, f"load() must give what was stored, under the next version: {wanted}, not {loaded}")


def _conflicts(values: Values, stored: UnitOfWork) -> Iterator[tuple[str, UnitOfWork]]:
    """Units of which everything could be stored but one thing."""
    assert stored.transaction is not None
    transaction, answer, (record,) = stored.transaction, stored.answer, stored.certificates
    change = values.change(record, CertificateState.VALID, CertificateState.REVOKED)
    unit = values.unit
    yield "a transaction that exists already", unit(transaction=replace(transaction, version=0), answer=None)
    yield "a version that is not the stored one", unit(transaction=replace(transaction, version=1), answer=None)
    yield "a version of what does not exist", unit(transaction=values.transaction(version=1))
    yield "an answer that exists already", unit(answer=answer)
    yield "a serial number that exists", unit(certificates=(values.record(serial_number=record.serial_number),))
    yield "a request that has its certificate", unit(certificates=(values.record(request_key=record.request_key),))
    yield "a certificate in another state than expected", unit(changes=(change,))
    yield "a change of no certificate", unit(changes=(replace(change, serial_number=1),))
    yield "a use of no secret", unit(spent=(b"never stored",))
    yield "two uses of a secret that has one", unit(spent=(_ONE_USE, _ONE_USE))
    yield "one certificate of two that exists", unit(certificates=(values.record(), record))


async def _check_conflicts(store: Store, values: Values, stored: UnitOfWork) -> None:
    await store.add_secret(values.secret(_ONE_USE, uses=1))
    before = await _everything(store, stored)
    for what, unit in _conflicts(values, stored):
        with refused(what, by=ConflictError):
            await store.commit(unit)
        require(
            await _everything(store, stored) == before and await _is_absent(store, unit),
            f"{what} must leave nothing of its unit in the store",
        )


async def _is_absent(store: Store, unit: UnitOfWork) -> bool:
    assert unit.transaction is not None
    digest = b"" if unit.answer is None else unit.answer.digest
    transactions, answers = await store.load(unit.transaction.transaction_id, digest)
    return unit.transaction not in transactions and all(
        answer.transaction_id != unit.transaction.transaction_id or answer != unit.answer for answer in answers
    )


async def _check_races(store: Store, values: Values) -> None:
    transaction = values.transaction()
    for version in (0, 1):
        units = [values.unit(transaction=replace(transaction, version=version)) for _ in range(8)]
        done = await _commit_all(store, units)
        require(done == 1, f"of eight commits of version {version} at the same time one must succeed, not {done}")
    record = values.record()
    done = await _commit_all(store, [UnitOfWork(certificates=(_twin(values, record),)) for _ in range(8)])
    require(done == 1, f"of eight certificates for one request one must be stored, not {done}")
    await store.add_secret(values.secret(b"three uses", uses=3))
    done = await _commit_all(store, [values.unit(spent=(b"three uses",)) for _ in range(8)])
    require(done == 3, f"a secret with three uses must be spent three times at most, not {done} times")
    await store.add_secret(values.secret(b"endless", uses=None))
    done = await _commit_all(store, [values.unit(spent=(b"endless",)) for _ in range(8)])
    require(done == 8, f"a secret without limit must be spent each time, not {done} times of 8")


def _twin(values: Values, record: CertificateRecord) -> CertificateRecord:
    return values.record(request_key=record.request_key)


async def _commit_all(store: Store, units: list[UnitOfWork]) -> int:
    """Commit all at once; how many were not in conflict."""
    done = 0

    async def commit(unit: UnitOfWork) -> None:
        nonlocal done
        try:
            await store.commit(unit)
        except ConflictError:
            return
        except Exception as error:
            raise AssertionError(f"commits at the same time must succeed or be in conflict, not {error!r}") from error
        done += 1

    async with task_group() as tasks:
        for unit in units:
            tasks.start_soon(commit, unit)
    return done


async def _check_pruning(store: Store, values: Values) -> None:
    old, new, eternal = (values.transaction(state=TransactionState.DONE, expires=None) for _ in range(3))
    moment = NOW - timedelta(days=30)
    answers = [
        values.answer(old, keep_until=moment),
        values.answer(new, keep_until=moment + timedelta(seconds=2)),
        values.answer(eternal, keep_until=None),
    ]
    for transaction, answer in zip((old, new, eternal), answers, strict=True):
        await store.commit(UnitOfWork(transaction=transaction, answer=answer))
    with success("prune() must forget answers"):
        forgotten = await store.prune(moment + timedelta(seconds=1))
    require(forgotten == 1, f"prune() must say how many answers it forgot: 1, not {forgotten!r}")
    kept = [bool((await store.load(b"", answer.digest))[1]) for answer in answers]
    require(kept == [False, True, True], "prune() must forget the answers whose keep_until has passed, and only those")
    await check_relay_pruning(store)
    await check_undertakings(store, values)


async def _check_sealing(factory: StoreFactory, url: str, values: Values) -> None:
    async with _opened(factory, url, _OTHER_KEY) as store:
        try:
            await store.check()
            found = await store.find_secret(_ONE_USE)
        except CMPError:
            return
        known = values.secret(_ONE_USE).secret.value
        require(found is None or found.secret.value != known, "a secret must be of no use under another sealing key")
