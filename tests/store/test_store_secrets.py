"""Shared secrets in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cmpkit.errors import ConfigurationError, ConflictError
from cmpkit.parts import Grant, SecretRecord, SharedSecret, Store, UnitOfWork
from cmpkit.store.plugin import SQLStoreFactory

StoredRows = Callable[[], dict[str, list[Any]]]

SUBJECT = x509.Name.from_rfc4514_string("CN=dev-42")
VALUE = b"correct horse battery staple"


@pytest.fixture
def record(make: Any) -> SecretRecord:
    return SecretRecord(SharedSecret("dev-42", VALUE), Grant(SUBJECT, "device", 1, make.now + timedelta(days=30)))


async def test_an_unknown_reference_finds_nothing(store: Store) -> None:
    assert await store.find_secret(b"dev-42") is None
    assert await store.secrets() == ()


async def test_a_reference_that_exists_is_refused_and_keeps_its_secret(
    store: Store, stored_rows: StoredRows, record: SecretRecord
) -> None:
    await store.add_secret(record)
    before = stored_rows()
    with pytest.raises(ConfigurationError, match="b'dev-42' already") as caught:
        await store.add_secret(SecretRecord(SharedSecret("dev-42", "another"), Grant(None)))
    assert "another" not in caught.value.detail
    assert stored_rows() == before
    assert await store.find_secret(b"dev-42") == record


async def test_the_listing_has_grants_in_order_and_no_secret(store: Store, record: SecretRecord) -> None:
    await store.add_secret(record)
    await store.add_secret(SecretRecord(SharedSecret("any", VALUE), Grant(None, uses=None), revoked=True))
    listed = await store.secrets()
    assert listed == ((b"any", Grant(None, uses=None), True), (b"dev-42", record.grant, False))
    assert VALUE.decode() not in repr(listed)


async def test_a_revoked_secret_is_found_as_revoked(store: Store, record: SecretRecord) -> None:
    await store.add_secret(record)
    assert await store.revoke_secret(b"dev-42")
    found = await store.find_secret(b"dev-42")
    assert found is not None
    assert found.revoked
    assert await store.revoke_secret(b"dev-42")
    assert not await store.revoke_secret(b"dev-43")


async def test_another_sealing_key_finds_nothing_and_fails_the_check(
    store: Store, store_url: str, record: SecretRecord
) -> None:
    await store.add_secret(record)
    wrong = SQLStoreFactory().open(store_url, sealing_key=bytes(32))
    for use in (wrong.check, lambda: wrong.find_secret(b"dev-42")):
        with pytest.raises(ConfigurationError) as caught:
            await use()
        assert "sealing key" in caught.value.hint
        assert VALUE.decode() not in str(caught.value)
    assert [reference for reference, _, _ in await wrong.secrets()] == [b"dev-42"]
    await wrong.aclose()


async def test_no_octet_of_a_secret_lies_in_a_file(store: Store, store_path: Path, record: SecretRecord) -> None:
    await store.add_secret(record)
    files = [path.read_bytes() for path in store_path.parent.iterdir()]
    assert any(b"dev-42" in content for content in files)
    for start in range(len(VALUE) - 8):
        assert not any(VALUE[start : start + 8] in content for content in files)


async def test_what_requests_must_have_besides_is_encrypted_and_not_listed(
    store: Store, stored_rows: StoredRows, record: SecretRecord
) -> None:
    wanted = replace(record.grant, reg_token="once only", authenticator="Mutter Müller")
    await store.add_secret(replace(record, grant=wanted))
    found = await store.find_secret(b"dev-42")
    assert found is not None
    assert found.grant == wanted
    assert "once only" not in repr(stored_rows())
    assert "Müller" not in repr(stored_rows())
    assert await store.secrets() == ((b"dev-42", record.grant, False),)


async def test_a_reg_token_is_used_once(store: Store, record: SecretRecord) -> None:
    grant = replace(record.grant, uses=None, reg_token="once only", authenticator="always")
    await store.add_secret(replace(record, grant=grant))
    await store.commit(UnitOfWork(spent=(b"dev-42",)))
    found = await store.find_secret(b"dev-42")
    assert found is not None
    assert found.grant == replace(grant, reg_token="")
    with pytest.raises(ConflictError, match="regToken"):
        await store.commit(UnitOfWork(spent=(b"dev-42",)))
