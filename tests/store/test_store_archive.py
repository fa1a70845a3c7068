"""Archived private keys in the store: sealed, whole or not at all, and of no use under another sealing key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from cmpkit.errors import ConfigurationError, ConflictError
from cmpkit.parts import ArchivedKey, CertificateState, Store, UnitOfWork
from cmpkit.store.plugin import SQLStoreFactory

KEY = b"the octets of a private key"


async def keep(store: Store, make: Any, **changes: Any) -> ArchivedKey:
    """An archived key with its certificate."""
    record = make.record(**{"state": CertificateState.VALID, "subject": "CN=dev-42", **changes})
    key = ArchivedKey(record, KEY)
    await store.commit(UnitOfWork(certificates=(record,), archived=(key,)))
    return key


async def found(store: Store) -> tuple[ArchivedKey, ...]:
    return await store.archived_keys(subject="CN=dev-42", profile="device")


@pytest.mark.rule("R-175")
async def test_a_key_lies_encrypted_in_the_database(
    store: Store, make: Any, stored_rows: Callable[[], dict[str, list[Any]]]
) -> None:
    key = await keep(store, make)
    assert await found(store) == (key,)
    ((_, _, sealed),) = stored_rows()["archived_keys"]
    assert len(sealed) > len(KEY)
    assert KEY not in sealed
    assert KEY.decode() not in repr(key)


async def test_a_key_is_bound_to_its_certificate(store: Store, make: Any, store_path: Any) -> None:
    first, second = await keep(store, make), await keep(store, make, subject="CN=another")
    serials = [f"{key.certificate.serial_number:040x}" for key in (first, second)]
    with closing(sqlite3.connect(store_path)) as connection, connection:
        connection.execute(
            "UPDATE archived_keys SET sealed = (SELECT sealed FROM archived_keys WHERE serial_number = ?)"
            " WHERE serial_number = ?",
            serials[::-1],
        )
    with pytest.raises(ConfigurationError, match="cannot be decrypted"):
        await found(store)


async def test_the_key_of_a_certificate_that_nobody_confirmed_is_not_given_out(store: Store, make: Any) -> None:
    await keep(store, make, state=CertificateState.ISSUED)
    assert await found(store) == ()


async def test_a_unit_in_conflict_leaves_no_key(store: Store, make: Any) -> None:
    key = await keep(store, make)
    again = ArchivedKey(key.certificate, b"another key")
    with pytest.raises(ConflictError):
        await store.commit(UnitOfWork(archived=(again,)))
    assert await found(store) == (key,)


async def test_a_store_with_keys_is_not_opened_under_another_sealing_key(
    store: Store, store_url: str, make: Any
) -> None:
    await keep(store, make)
    other = SQLStoreFactory().open(store_url, sealing_key=bytes(32))
    with pytest.raises(ConfigurationError, match="cannot be decrypted"):
        await other.check()
    await other.aclose()
