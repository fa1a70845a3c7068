"""What is secret of a transaction, and what is kept for requesters, lies encrypted in the database."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cmpkit.errors import ConfigurationError, ConflictError
from cmpkit.parts import KeptValue, Store, TransactionState, UnitOfWork
from cmpkit.store.plugin import SQLStoreFactory

REQUEST = b"a request with the regToken tomato"
VALUE = KeptValue("passphrase", "alice", b"the key", b"my passphrase")


async def pending(store: Store, make: Any) -> Any:
    """A transaction with a request that waits, as it is stored."""
    made = make.transaction(state=TransactionState.PENDING, request=REQUEST)
    await store.commit(UnitOfWork(transaction=made))
    return made


async def loaded(store: Store, made: Any) -> Any:
    ((found,), _) = await store.load(made.transaction_id, b"")
    return found


@pytest.mark.rule("R-073")
async def test_a_request_that_waits_lies_encrypted(
    store: Store, make: Any, stored_rows: Callable[[], dict[str, list[Any]]]
) -> None:
    """Its regToken is a secret like any other."""
    made = await pending(store, make)
    assert (await loaded(store, made)).request == REQUEST
    ((found,), (overdue,)) = (
        (await store.load(made.transaction_id, b""))[0],
        await store.overdue(make.now + timedelta(days=1)),
    )
    assert found == overdue == replace(made, version=1)
    (row,) = stored_rows()["transactions"]
    assert base64.b64encode(REQUEST).decode() not in repr(row)
    assert b"tomato" not in base64.b64decode(json.loads(row[4])["request"])


async def test_a_request_is_bound_to_its_transaction(store: Store, make: Any, store_path: Path) -> None:
    made, other = await pending(store, make), await pending(store, make)
    with closing(sqlite3.connect(store_path)) as connection, connection:
        connection.execute(
            "UPDATE transactions SET body = (SELECT body FROM transactions WHERE transaction_id = ?)"
            " WHERE transaction_id = ?",
            (other.transaction_id, made.transaction_id),
        )
    assert (await loaded(store, other)).request == REQUEST
    with pytest.raises(ConfigurationError, match="cannot be decrypted"):
        await loaded(store, made)


async def test_a_request_that_waited_before_requests_were_encrypted_is_read(
    store: Store, make: Any, store_path: Path
) -> None:
    made = await pending(store, make)
    with closing(sqlite3.connect(store_path)) as connection, connection:
        connection.execute(
            "UPDATE transactions SET body = json_set(body, '$.format', 1, '$.request', ?)",
            (base64.b64encode(REQUEST).decode(),),
        )
    assert (await loaded(store, made)).request == REQUEST


async def test_a_value_lies_encrypted(
    store: Store, store_url: str, stored_rows: Callable[[], dict[str, list[Any]]]
) -> None:
    await store.commit(UnitOfWork(kept=(VALUE,)))
    assert await store.kept_value("passphrase", b"the key") == VALUE
    ((*_, sealed),) = stored_rows()["kept_values"]
    assert VALUE.value not in sealed
    assert VALUE.value.decode() not in repr(VALUE)
    elsewhere = SQLStoreFactory().open(store_url, sealing_key=bytes(32))
    with pytest.raises(ConfigurationError, match="cannot be decrypted"):
        await elsewhere.kept_value("passphrase", b"the key")
    await elsewhere.aclose()


async def test_nothing_of_a_unit_is_stored_if_another_owner_has_the_key(
    store: Store, make: Any, stored_rows: Callable[[], dict[str, list[Any]]]
) -> None:
    await store.commit(UnitOfWork(kept=(VALUE,)))
    before = stored_rows()
    with pytest.raises(ConflictError):
        await store.commit(make.unit(kept=(replace(VALUE, owner="mallory"),)))
    assert stored_rows() == before


@pytest.mark.rule("R-007")
async def test_open_transactions_are_counted_by_an_index(store: Store, make: Any, store_path: Path) -> None:
    """However many are done and kept for their answers, they are not looked at."""
    await pending(store, make)
    await store.commit(UnitOfWork(transaction=make.transaction(credential="cert:00", state=TransactionState.DONE)))
    assert await store.open_transactions() == {make.credential: 1}
    with closing(sqlite3.connect(store_path)) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT credential, count(*) FROM transactions"
            " WHERE expires > 0 AND state != 'done' GROUP BY credential"
        ).fetchall()
    assert any("ix_transactions_expires" in row[-1] for row in plan)
