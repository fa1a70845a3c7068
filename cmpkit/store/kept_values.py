"""Values that are kept for requesters, sealed. Each function is part of one transaction."""

from __future__ import annotations

import sqlalchemy as sa

from cmpkit.parts import KeptValue
from cmpkit.store import tables
from cmpkit.store.sealing import Sealer

__all__ = ["find", "put"]

_V = tables.kept_values.c

_ADD = tables.kept_values.insert()
_REPLACE = (
    tables.kept_values.update()
    .where(_V.kind == sa.bindparam("of_kind"), _V.owner == sa.bindparam("of_owner"))
    .values(key=sa.bindparam("new_key"), sealed=sa.bindparam("new_sealed"))
)
_FIND = sa.select(_V.owner, _V.sealed).where(_V.kind == sa.bindparam("kind"), _V.key == sa.bindparam("key"))


def put(connection: sa.Connection, value: KeptValue, sealer: Sealer) -> None:
    """Keep it in place of what its owner had; IntegrityError if another owner has the key."""
    sealed = sealer.seal(_reference(value.kind, value.owner, value.key), value.value)
    changes = {"of_kind": value.kind, "of_owner": value.owner, "new_key": value.key, "new_sealed": sealed}
    if connection.execute(_REPLACE, changes).rowcount == 0:
        row = {"kind": value.kind, "owner": value.owner, "key": value.key, "sealed": sealed}
        connection.execute(_ADD, row)


def find(connection: sa.Connection, kind: str, key: bytes, sealer: Sealer) -> KeptValue | None:
    """See :meth:`cmpkit.parts.Store.kept_value`."""
    row = connection.execute(_FIND, {"kind": kind, "key": key}).one_or_none()
    if row is None:
        return None
    return KeptValue(kind, row.owner, key, sealer.unseal(_reference(kind, row.owner, key), row.sealed))


def _reference(kind: str, owner: str, key: bytes) -> bytes:
    return b"\0keptValue\0" + kind.encode() + b"\0" + owner.encode() + b"\0" + key
