"""What parts have begun elsewhere, sealed, and what nobody waits for. Each function is part of a transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from cmpkit.errors import ConflictError
from cmpkit.parts import Intent, TransactionState, Undertaking
from cmpkit.store import tables
from cmpkit.store.sealing import Sealer

__all__ = ["abandoned_intents", "commit", "find", "prune"]

_U, _I, _T = tables.undertakings.c, tables.intents.c, tables.transactions.c
_THIS = (_U.kind == sa.bindparam("of_kind"), _U.key == sa.bindparam("of_key"))

_ADD = tables.undertakings.insert()
_REPLACE = (
    tables.undertakings.update()
    .where(*_THIS, _U.version == sa.bindparam("of_version"))
    .values(version=_U.version + 1, sealed=sa.bindparam("new_sealed"), until=sa.bindparam("new_until"))
)
_FORGET = tables.undertakings.delete().where(*_THIS)
_FIND = sa.select(_U.version, _U.sealed, _U.until).where(*_THIS)
_PRUNE = tables.undertakings.delete().where(_U.until < sa.bindparam("now"))
_IS_OPEN = sa.exists().where(
    _T.transaction_id == _I.transaction_id, _T.credential == _I.credential, _T.state != TransactionState.DONE
)
_ABANDONED = (
    sa.select(_I.idempotency_key, _I.transaction_id, _I.credential, _I.operation, _I.at)
    .where(_I.at < sa.bindparam("before"), ~_IS_OPEN)
    .order_by(_I.at, _I.idempotency_key)
    .limit(sa.bindparam("most"))
)


def commit(connection: sa.Connection, undertakings: Iterable[Undertaking], sealer: Sealer) -> None:
    """Keep each in place of the version that it follows, or forget it; IntegrityError if there is one already.

    :raises ConflictError: if another version is stored.
    """
    for undertaking in undertakings:
        _put(connection, undertaking, sealer)


def _put(connection: sa.Connection, undertaking: Undertaking, sealer: Sealer) -> None:
    kind, key = undertaking.kind, undertaking.key
    this = {"of_kind": kind, "of_key": key}
    if not undertaking.state:
        connection.execute(_FORGET, this)
        return
    sealed = sealer.seal(_reference(kind, key), undertaking.state)
    if undertaking.version == 0:
        row = {"kind": kind, "key": key, "version": 1, "sealed": sealed, "until": undertaking.until}
        connection.execute(_ADD, row)
        return
    changes = {"of_version": undertaking.version, "new_sealed": sealed, "new_until": undertaking.until}
    if connection.execute(_REPLACE, this | changes).rowcount == 0:
        raise ConflictError(f"version {undertaking.version} of the {kind} {key} is not the stored one")


def find(connection: sa.Connection, kind: str, key: str, sealer: Sealer) -> Undertaking | None:
    """See :meth:`cmpkit.parts.Store.undertaking`."""
    row = connection.execute(_FIND, {"of_kind": kind, "of_key": key}).one_or_none()
    if row is None:
        return None
    return Undertaking(kind, key, sealer.unseal(_reference(kind, key), row.sealed), row.version, row.until)


def abandoned_intents(connection: sa.Connection, before: datetime, limit: int) -> tuple[Intent, ...]:
    """See :meth:`cmpkit.parts.Store.abandoned_intents`."""
    return tuple(Intent(*row) for row in connection.execute(_ABANDONED, {"before": before, "most": limit}))


def prune(connection: sa.Connection, now: datetime) -> None:
    """Forget what is not kept any longer."""
    connection.execute(_PRUNE, {"now": now})


def _reference(kind: str, key: str) -> bytes:
    return b"\0undertaking\0" + kind.encode() + b"\0" + key.encode()
