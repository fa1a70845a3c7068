"""What is asked of a database at the same time is done together, and nobody suffers from the others."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sqlalchemy as sa

from cmpkit.errors import ConflictError
from cmpkit.store.database import Database, open_database


class Gate:
    """Work that tells when it began, and ends when it may."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, connection: sa.Connection) -> None:
        self.began.set()
        assert self.may_end.wait(10)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'batches.db'}")
    await opened.make_file()
    await opened.write(lambda connection: connection.exec_driver_sql("CREATE TABLE things (number INTEGER UNIQUE)"))
    yield opened
    await opened.aclose()


def add(number: int) -> Callable[[sa.Connection], int]:
    """Work that adds a thing, and gives the connection away that it was done on."""

    def work(connection: sa.Connection) -> int:
        connection.exec_driver_sql("INSERT INTO things VALUES (?)", (number,))
        return id(connection)

    return work


async def things(database: Database) -> list[int]:
    return await database.read(
        lambda connection: list(connection.exec_driver_sql("SELECT number FROM things ORDER BY 1").scalars())
    )


async def all_behind(
    gate: Gate, do: Callable[[Callable[[sa.Connection], Any]], Any], works: list[Callable[[sa.Connection], Any]]
) -> list[Any]:
    """What comes of works that are asked for while a gate keeps the only thread; errors are among it."""
    outcomes: list[Any] = [None] * len(works)

    async def ask(number: int) -> None:
        try:
            outcomes[number] = await do(works[number])
        except Exception as error:
            outcomes[number] = error

    async with anyio.create_task_group() as group:
        group.start_soon(do, gate)
        await anyio.to_thread.run_sync(gate.began.wait)
        for number in range(len(works)):
            group.start_soon(ask, number)
        await anyio.wait_all_tasks_blocked()
        gate.may_end.set()
    return outcomes


async def test_what_waits_is_written_in_one_transaction(database: Database) -> None:
    connections = await all_behind(Gate(), database.write, [add(number) for number in range(8)])
    assert len(set(connections)) == 1
    assert await things(database) == list(range(8))


async def test_one_that_fails_spoils_only_itself(database: Database) -> None:
    await database.write(add(3))
    outcomes = await all_behind(Gate(), database.write, [add(number) for number in range(5)])
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, ConflictError)] == [3]
    assert await things(database) == list(range(5))


async def test_what_is_looked_up_at_once_is_looked_up_on_one_connection(database: Database) -> None:
    assert len(set(await all_behind(Gate(), database.look_up, [id] * 8))) == 1


async def test_a_look_up_that_fails_spoils_only_itself(database: Database) -> None:
    def fail(connection: sa.Connection) -> None:
        raise LookupError("nothing there")

    outcomes = await all_behind(Gate(), database.look_up, [lambda connection: 1, fail, lambda connection: 2])
    assert (outcomes[0], repr(outcomes[1]), outcomes[2]) == (1, "LookupError('nothing there')", 2)


async def test_more_than_a_batch_is_done_in_several(database: Database) -> None:
    await all_behind(Gate(), database.write, [add(number) for number in range(150)])
    assert await things(database) == list(range(150))


async def test_what_was_asked_for_is_done_although_the_caller_is_cancelled(database: Database) -> None:
    gate = Gate()
    async with anyio.create_task_group() as group:
        group.start_soon(database.write, gate)
        await anyio.to_thread.run_sync(gate.began.wait)
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(database.write, add(1))
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
            gate.may_end.set()
        await database.write(add(2))
    assert await things(database) == [1, 2]


async def test_who_is_cancelled_already_asks_for_nothing(database: Database) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await database.write(add(1))
    assert await things(database) == []
