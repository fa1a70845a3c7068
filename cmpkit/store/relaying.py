"""Messages that are passed on, sealed, and the batches they go in. Each function is part of one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from cmpkit.enums import BodyType
from cmpkit.errors import ConflictError
from cmpkit.parts import Batch, RelayChange, Relayed, RelayState, UnitOfWork
from cmpkit.store import tables
from cmpkit.store.sealing import Sealer

__all__ = ["batches", "commit", "find", "listing", "prune"]

_R, _B = tables.relayed.c, tables.batches.c

_ADD = tables.relayed.insert()
_EXPECTED = sa.and_(_R.key == sa.bindparam("of_key"), _R.state.in_(sa.bindparam("expected", expanding=True)))
_FORGET = tables.relayed.delete().where(_EXPECTED)
_FIND = tables.relayed.select().where(_R.key == sa.bindparam("key"))
_PRUNE = tables.relayed.delete().where(_R.state == RelayState.GIVEN_UP, _R.deadline < sa.bindparam("now"))
_ADD_BATCH = tables.batches.insert()
_SEND_BATCH = tables.batches.update().where(_B.key == sa.bindparam("of_key")).values(is_sent=sa.true())
_FINISH_BATCH = tables.batches.delete().where(_B.key == sa.bindparam("of_key"))


def commit(connection: sa.Connection, unit: UnitOfWork, sealer: Sealer) -> None:
    """What a unit says of messages that are passed on, and of batches.

    :raises ConflictError: if one is in none of the states that are expected of it.
    """
    if unit.relayed:
        connection.execute(_ADD, [_row(message, sealer) for message in unit.relayed])
    for changed in unit.relay_changes:
        _change(connection, changed, sealer)
    if unit.batches:
        connection.execute(_ADD_BATCH, [_batch_row(batch, sealer) for batch in unit.batches])
    if unit.sent_batches:
        connection.execute(_SEND_BATCH, [{"of_key": key} for key in unit.sent_batches])
    if unit.finished_batches:
        connection.execute(_FINISH_BATCH, [{"of_key": key} for key in unit.finished_batches])


def _row(relayed: Relayed, sealer: Sealer) -> dict[str, Any]:
    same = relayed.outgoing == relayed.message
    return {
        "key": relayed.key,
        "transaction_id": relayed.transaction_id,
        "credential": relayed.credential,
        "upstream": relayed.upstream,
        "body_type": relayed.body_type.name,
        "message": sealer.seal(_reference("message", relayed.key), relayed.message),
        "outgoing": None if same else sealer.seal(_reference("outgoing", relayed.key), relayed.outgoing),
        "at": relayed.at,
        "deadline": relayed.deadline,
        "state": relayed.state,
        "is_sent": relayed.is_sent,
        "batch": relayed.batch,
        "answer": sealer.seal(_reference("answer", relayed.key), relayed.answer) if relayed.answer else None,
    }


def _change(connection: sa.Connection, changed: RelayChange, sealer: Sealer) -> None:
    values: dict[str, Any] = {"of_key": changed.key, "expected": changed.expected}
    if changed.state is None:
        statement: sa.Delete | sa.Update = _FORGET
    else:
        given: dict[str, Any] = {"state": changed.state}
        if changed.answer:
            given["answer"] = sealer.seal(_reference("answer", changed.key), changed.answer)
        if changed.is_sent:
            given["is_sent"] = True
        if changed.batch:
            given["batch"] = changed.batch
        if changed.deadline is not None:
            given["deadline"] = changed.deadline
        statement = _change_of(tuple(given))
        values |= {f"new_{column}": value for column, value in given.items()}
    if connection.execute(statement, values).rowcount == 0:
        expected = " or ".join(state.value for state in changed.expected)
        raise ConflictError(f"the message {changed.key} is not passed on as {expected}")


@cache
def _change_of(columns: tuple[str, ...]) -> sa.Update:
    return tables.relayed.update().where(_EXPECTED).values({name: sa.bindparam(f"new_{name}") for name in columns})


def find(connection: sa.Connection, key: str, sealer: Sealer) -> Relayed | None:
    """See :meth:`cmpkit.parts.Store.relayed`."""
    row = connection.execute(_FIND, {"key": key}).one_or_none()
    return None if row is None else _from_row(row, sealer)


def listing(
    connection: sa.Connection,
    sealer: Sealer,
    *,
    upstream: str,
    states: Sequence[RelayState],
    batch: str | None,
    limit: int,
) -> tuple[Relayed, ...]:
    """See :meth:`cmpkit.parts.Store.relayed_messages`."""
    query = tables.relayed.select().where(_R.upstream == upstream).order_by(_R.at, _R.key).limit(limit)
    if states:
        query = query.where(_R.state.in_(states))
    if batch is not None:
        query = query.where(_R.batch == batch)
    return tuple(_from_row(row, sealer) for row in connection.execute(query))


def _from_row(row: Any, sealer: Sealer) -> Relayed:
    message = sealer.unseal(_reference("message", row.key), row.message)
    return Relayed(
        key=row.key,
        transaction_id=row.transaction_id,
        credential=row.credential,
        upstream=row.upstream,
        body_type=BodyType[row.body_type],
        message=message,
        outgoing=message if row.outgoing is None else sealer.unseal(_reference("outgoing", row.key), row.outgoing),
        at=row.at,
        deadline=row.deadline,
        state=row.state,
        is_sent=row.is_sent,
        batch=row.batch,
        answer=sealer.unseal(_reference("answer", row.key), row.answer) if row.answer else b"",
    )


def prune(connection: sa.Connection, now: datetime) -> None:
    """Forget what was given up and can have no answer any more."""
    connection.execute(_PRUNE, {"now": now})


def _batch_row(batch: Batch, sealer: Sealer) -> dict[str, Any]:
    names = ("key", "upstream", "transaction_id", "sender_nonce", "at", "is_sent")
    kept = {name: getattr(batch, name) for name in names}
    return kept | {"outgoing": sealer.seal(_reference("batch", batch.key), batch.outgoing)}


def batches(connection: sa.Connection, upstream: str, key: str, sealer: Sealer) -> tuple[Batch, ...]:
    """See :meth:`cmpkit.parts.Store.batches`."""
    query = tables.batches.select().where(_B.upstream == upstream).order_by(_B.at, _B.key)
    if key:
        query = query.where(_B.key == key)
    return tuple(
        Batch(
            row.key,
            row.upstream,
            row.transaction_id,
            row.sender_nonce,
            sealer.unseal(_reference("batch", row.key), row.outgoing),
            row.at,
            row.is_sent,
        )
        for row in connection.execute(query)
    )


def _reference(kind: str, key: str) -> bytes:
    return f"\0relayed {kind} {key}".encode()
