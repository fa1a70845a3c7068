"""A store on a file of its own, what to put into it, and what really lies in it."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cmpkit.enums import BodyType
from cmpkit.parts import (
    AuditEntry,
    CertificateRecord,
    CertificateState,
    Intent,
    Store,
    StoredAnswer,
    Transaction,
    TransactionState,
    UnitOfWork,
)
from cmpkit.store.plugin import SQLStoreFactory

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
ISSUER_KEY = "ab" * 32
CREDENTIAL = "mac:6465762d3432"
SEALING_KEY = bytes(range(32))


class Make:
    """Makes values that differ in all that must be unique."""

    now = NOW
    issuer_key = ISSUER_KEY
    credential = CREDENTIAL
    sealing_key = SEALING_KEY

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def transaction(self, **changes: Any) -> Transaction:
        values: dict[str, Any] = {
            "transaction_id": next(self._numbers).to_bytes(16, "big"),
            "credential": CREDENTIAL,
            "opened_by": BodyType.IR,
            "state": TransactionState.ISSUED,
            "expires": NOW + timedelta(seconds=300),
        }
        return Transaction(**(values | changes))

    def answer(self, transaction: Transaction, **changes: Any) -> StoredAnswer:
        values: dict[str, Any] = {
            "digest": hashlib.sha256(str(next(self._numbers)).encode()).digest(),
            "credential": transaction.credential,
            "transaction_id": transaction.transaction_id,
            "der": b"answer",
            "keep_until": NOW + timedelta(seconds=600),
        }
        return StoredAnswer(**(values | changes))

    def record(self, **changes: Any) -> CertificateRecord:
        number = next(self._numbers)
        der = f"certificate {number}".encode()
        values: dict[str, Any] = {
            "issuer_key": ISSUER_KEY,
            "serial_number": number << 120,
            "der": der,
            "fingerprint": hashlib.sha256(der).digest(),
            "subject": f"CN=device-{number}",
            "not_before": NOW,
            "not_after": NOW + timedelta(days=365),
            "profile": "device",
            "request_key": f"request {number}",
            "state": CertificateState.ISSUED,
        }
        return CertificateRecord(**(values | changes))

    def intent(self, **changes: Any) -> Intent:
        values: dict[str, Any] = {
            "idempotency_key": f"intent {next(self._numbers)}",
            "transaction_id": b"transaction",
            "credential": CREDENTIAL,
            "operation": "issue",
            "at": NOW,
        }
        return Intent(**(values | changes))

    def unit(self, **changes: Any) -> UnitOfWork:
        """A unit that stores something in every table that a unit may add to."""
        transaction = changes.pop("transaction", None) or self.transaction()
        values: dict[str, Any] = {
            "transaction": transaction,
            "answer": self.answer(transaction),
            "certificates": (self.record(),),
            "intents": (self.intent(),),
            "audit": (AuditEntry(NOW, "issued", CREDENTIAL, transaction.transaction_id, {"serial": "1"}),),
        }
        return UnitOfWork(**(values | changes))


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "cmpkit.db"


@pytest.fixture
def store_url(store_path: Path) -> str:
    return f"sqlite:///{store_path}"


@pytest.fixture
async def store(store_url: str, anyio_backend: str) -> AsyncIterator[Store]:
    """A store that is ready for use."""
    factory = SQLStoreFactory()
    await factory.create(store_url)
    store = factory.open(store_url, sealing_key=SEALING_KEY)
    yield store
    await store.aclose()


@pytest.fixture
def stored_rows(store_path: Path) -> Callable[[], dict[str, list[Any]]]:
    """Every row of every table, read by the sqlite3 module itself."""

    def read() -> dict[str, list[Any]]:
        with closing(sqlite3.connect(store_path)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}

    return read
