"""Shared secrets, sealed, with what they grant. Each function is one statement on a connection."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from cmpkit.parts import Grant, SecretRecord, SharedSecret
from cmpkit.store import tables
from cmpkit.store.rows import USED, grant_from_row, grant_to_row
from cmpkit.store.sealing import Sealer

__all__ = ["add", "any_reference", "find", "listing", "revoke"]

_S = tables.secrets.c
_TOKEN, _AUTHENTICATOR = b"\0regToken", b"\0authenticator"

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
        "reg_token": _sealed(sealer, reference, _TOKEN, record.grant.reg_token),
        "authenticator": _sealed(sealer, reference, _AUTHENTICATOR, record.grant.authenticator),
        **grant_to_row(record.grant),
    }
    connection.execute(_ADD, row)


def find(connection: sa.Connection, reference: bytes, sealer: Sealer) -> SecretRecord | None:
    """See :meth:`cmpkit.parts.Store.find_secret`."""
    row = connection.execute(_FIND, {"reference": reference}).one_or_none()
    if row is None:
        return None
    secret = SharedSecret(reference, sealer.unseal(reference, row.sealed))
    grant = grant_from_row(row)
    if row.reg_token is not None or row.authenticator is not None:
        grant = replace(
            grant,
            reg_token=_unsealed(sealer, reference, _TOKEN, row.reg_token),
            authenticator=_unsealed(sealer, reference, _AUTHENTICATOR, row.authenticator),
        )
    return SecretRecord(secret, grant, row.revoked)


def _sealed(sealer: Sealer, reference: bytes, kind: bytes, text: str | None) -> bytes | None:
    if text is None:
        return None
    return sealer.seal(reference + kind, text.encode()) if text else USED


def _unsealed(sealer: Sealer, reference: bytes, kind: bytes, sealed: bytes | None) -> str | None:
    if sealed is None:
        return None
    return sealer.unseal(reference + kind, sealed).decode() if sealed != USED else ""


def listing(connection: sa.Connection) -> tuple[tuple[bytes, Grant, bool], ...]:
    """See :meth:`cmpkit.parts.Store.secrets`."""
    return tuple((row.reference, grant_from_row(row), row.revoked) for row in connection.execute(_LISTING))


def revoke(connection: sa.Connection, reference: bytes) -> bool:
    """See :meth:`cmpkit.parts.Store.revoke_secret`."""
    return connection.execute(_REVOKE, {"of_reference": reference}).rowcount > 0


def any_reference(connection: sa.Connection) -> bytes | None:
    """The reference of some secret, if there is one."""
    return connection.execute(_ANY).scalar_one_or_none()
