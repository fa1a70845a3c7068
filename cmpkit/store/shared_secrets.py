"""Shared secrets, sealed, with what they grant. Each function is one statement on a connection."""

from __future__ import annotations

import sqlalchemy as sa

from cmpkit.parts import Grant, SecretRecord, SharedSecret
from cmpkit.store import tables
from cmpkit.store.rows import grant_from_row, grant_to_row
from cmpkit.store.sealing import Sealer

__all__ = ["add", "any_reference", "find", "listing", "revoke"]

_S = tables.secrets.c

_ADD = tables.secrets.insert()
_FIND = sa.select(tables.secrets).where(_S.reference == sa.bindparam("reference"))
_LISTING = sa.select(_S.reference, _S.subject, _S.profile, _S.uses_left, _S.expires, _S.revoked).order_by(_S.reference)
_REVOKE = tables.secrets.update().where(_S.reference == sa.bindparam("of_reference")).values(revoked=True)
_ANY = sa.select(_S.reference).limit(1)


def add(connection: sa.Connection, record: SecretRecord, sealer: Sealer) -> None:
    """Keep it; IntegrityError if the reference exists."""
    reference = record.secret.reference
    row = {
        "reference": reference,
        "sealed": sealer.seal(reference, record.secret.value),
        "revoked": record.revoked,
        **grant_to_row(record.grant),
    }
    connection.execute(_ADD, row)


def find(connection: sa.Connection, reference: bytes, sealer: Sealer) -> SecretRecord | None:
    """See :meth:`cmpkit.parts.Store.find_secret`."""
    row = connection.execute(_FIND, {"reference": reference}).one_or_none()
    if row is None:
        return None
    secret = SharedSecret(reference, sealer.unseal(reference, row.sealed))
    return SecretRecord(secret, grant_from_row(row), row.revoked)


def listing(connection: sa.Connection) -> tuple[tuple[bytes, Grant, bool], ...]:
    """See :meth:`cmpkit.parts.Store.secrets`."""
    return tuple((row.reference, grant_from_row(row), row.revoked) for row in connection.execute(_LISTING))


def revoke(connection: sa.Connection, reference: bytes) -> bool:
    """See :meth:`cmpkit.parts.Store.revoke_secret`."""
    return connection.execute(_REVOKE, {"of_reference": reference}).rowcount > 0


def any_reference(connection: sa.Connection) -> bytes | None:
    """The reference of some secret, if there is one."""
    return connection.execute(_ANY).scalar_one_or_none()
