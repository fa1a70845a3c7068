"""A store whose process, disk or database fails."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConflictError
from cmpkit.parts import Grant, SecretRecord, SharedSecret, Store, UnitOfWork
from cmpkit.store.database import open_database
from cmpkit.store.faults import database_errors
from cmpkit.store.plugin import SQLStoreFactory
from cmpkit.store.sql import SQLStore

StoredRows = Callable[[], dict[str, list[Any]]]

COMMITTER = """
import hashlib, itertools, sys
from datetime import UTC, datetime
import anyio
from cmpkit.enums import BodyType
from cmpkit.parts import CertificateRecord, StoredAnswer, Transaction, TransactionState, UnitOfWork
from cmpkit.store.plugin import SQLStoreFactory

url, backend = sys.argv[1:]
now = datetime(2026, 11, 23, tzinfo=UTC)
numbers = itertools.count(1)

async def commit_for_ever(store):
    while True:
        number = next(numbers)
        key = number.to_bytes(16, "big")
        digest = hashlib.sha256(key).digest()
        await store.commit(UnitOfWork(
            transaction=Transaction(key, "credential", BodyType.IR, TransactionState.ISSUED),
            answer=StoredAnswer(digest, "credential", key, b"answer" * 200, None),
            certificates=(CertificateRecord(
                "ab" * 32, number, b"certificate" * 50, digest, "CN=x", now, now, "device", str(number)
            ),),
        ))
        print(number, flush=True)

async def main():
    store = SQLStoreFactory().open(url, sealing_key=bytes(32))
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(commit_for_ever, store)

anyio.run(main, backend=backend)
"""


def kill_after(lines: int, url: str, backend: str) -> list[int]:
    """The numbers that a process said to have committed before it was killed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", COMMITTER, url, backend], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += process.stdout.readlines()
    return [int(line) for line in said if line.endswith("\n")]


async def test_what_was_committed_survives_kill_9(
    store: Store, store_url: str, stored_rows: StoredRows, anyio_backend_name: str
) -> None:
    committed = await anyio.to_thread.run_sync(kill_after, 40, store_url, anyio_backend_name)
    assert len(committed) >= 40
    await store.check()
    for number in committed:
        record = await store.certificate("ab" * 32, number)
        assert record is not None
        transactions, answers = await store.load(number.to_bytes(16, "big"), record.fingerprint)
        assert len(transactions) == len(answers) == 1
    rows = stored_rows()
    assert len(rows["transactions"]) == len(rows["answers"]) == len(rows["certificates"])
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_database_that_another_program_writes_to_is_unavailable_for_writing_alone(
    store: Store, store_url: str, store_path: Path, stored_rows: StoredRows, make: Any
) -> None:
    impatient = SQLStore(open_database(store_url, busy_timeout=0), sealing_key=make.sealing_key)
    unit = make.unit()
    before = stored_rows()
    with closing(sqlite3.connect(store_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CMPError, match="database is locked") as caught:
            await impatient.commit(unit)
        assert caught.value.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL
        assert not isinstance(caught.value, ConflictError)
        assert str(store_path) in caught.value.detail
        assert await impatient.load(b"", b"") == ((), ())
        other.execute("ROLLBACK")
    assert stored_rows() == before
    await impatient.commit(unit)
    await impatient.aclose()


@pytest.fixture
def small_disk(store_path: Path) -> Iterator[None]:
    """Connections that are made from now on find a little room more."""

    def limit(connection: Any, *_: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 8}")

    sa.event.listen(sa.Pool, "connect", limit)
    yield
    sa.event.remove(sa.Pool, "connect", limit)


async def test_a_full_disk_loses_nothing_and_stores_no_half(
    store: Store, store_url: str, stored_rows: StoredRows, make: Any, request: pytest.FixtureRequest
) -> None:
    await store.commit(make.unit())
    request.getfixturevalue("small_disk")
    full = SQLStoreFactory().open(store_url, sealing_key=make.sealing_key)
    large = make.unit(certificates=tuple(make.record(der=bytes(4096)) for _ in range(20)))
    before = stored_rows()
    with pytest.raises(CMPError, match="full") as caught:
        await full.commit(large)
    assert caught.value.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL
    assert "out of space" in caught.value.hint
    assert stored_rows() == before
    await full.commit(make.unit())
    await store.commit(large)
    assert len(await full.certificates()) == 22
    await full.aclose()


async def test_errors_of_the_database_show_no_values(store: Store, store_path: Path) -> None:
    with closing(sqlite3.connect(store_path)) as connection:
        connection.execute("DROP TABLE secrets")
    with pytest.raises(CMPError, match="no such table") as caught:
        await store.add_secret(SecretRecord(SharedSecret("reference-7", "v4lue"), Grant(None)))
    shown = f"{caught.value} {caught.value.__cause__}"
    assert "v4lue" not in shown
    assert "reference-7" not in shown


class DriverError(Exception):
    """What psycopg raises has the SQLSTATE."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("first line\nDETAIL: Key (reference)=(x)")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(("sqlstate", "conflict"), [("40001", True), ("40P01", True), ("57P01", False), ("", False)])
def test_a_race_that_the_database_decided_is_a_conflict(sqlstate: str, conflict: bool) -> None:
    error = sqlalchemy.exc.OperationalError("UPDATE", {}, DriverError(sqlstate))
    with pytest.raises(CMPError, match="first line") as caught, database_errors("db"):
        raise error
    assert isinstance(caught.value, ConflictError) is conflict
    assert "DETAIL" not in str(caught.value)


def test_a_pool_without_a_free_connection_is_unavailable() -> None:
    with pytest.raises(CMPError, match="every connection") as caught, database_errors("db"):
        raise sqlalchemy.exc.TimeoutError
    assert caught.value.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL


def test_a_mistake_of_ours_is_not_taken_for_a_fault_of_the_database() -> None:
    mistake = sqlalchemy.exc.StatementError("message", "SELECT", {}, ValueError("mistake"))
    with pytest.raises(sqlalchemy.exc.StatementError), database_errors("db"):
        raise mistake


async def test_a_store_can_be_used_by_many_at_once(store: Store, make: Any) -> None:
    units = [make.unit() for _ in range(40)]

    async def use(unit: UnitOfWork) -> None:
        await store.commit(unit)
        assert unit.transaction is not None
        assert unit.answer is not None
        transactions, answers = await store.load(unit.transaction.transaction_id, unit.answer.digest)
        assert len(transactions) == len(answers) == 1

    async with anyio.create_task_group() as tasks:
        for unit in units:
            tasks.start_soon(use, unit)
    assert len(await store.certificates()) == 40
