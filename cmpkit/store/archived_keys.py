"""Archived private keys, sealed, each with its certificate. Each function is one statement on a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from cmpkit.parts import ArchivedKey, CertificateRecord, CertificateState
from cmpkit.store import tables
from cmpkit.store.rows import certificate_from_row
from cmpkit.store.sealing import Sealer

__all__ = ["add", "any_key", "listing"]

_K, _C = tables.archived_keys.c, tables.certificates.c
_RECORD = tuple(_C[field.name] for field in fields(CertificateRecord))

_ADD = tables.archived_keys.insert()
_FOUND = sa.select(*_RECORD, _K.sealed).join_from(
    tables.archived_keys,
    tables.certificates,
    sa.and_(_K.issuer_key == _C.issuer_key, _K.serial_number == _C.serial_number),
)
_LISTING = (
    _FOUND.where(
        _C.subject == sa.bindparam("subject"),
        _C.profile == sa.bindparam("profile"),
        _C.state != CertificateState.ISSUED,
    )
    .order_by(_C.ordinal.desc())
    .limit(sa.bindparam("most"))
)
_ANY = _FOUND.limit(1)


def add(connection: sa.Connection, keys: Sequence[ArchivedKey], sealer: Sealer) -> None:
    """Keep them; IntegrityError if there is one already for a certificate."""
    rows = [
        {
            "issuer_key": key.certificate.issuer_key,
            "serial_number": key.certificate.serial_number,
            "sealed": sealer.seal(_reference(key.certificate), key.private_key),
        }
        for key in keys
    ]
    connection.execute(_ADD, rows)


def listing(
    connection: sa.Connection, subject: str, profile: str, limit: int, sealer: Sealer
) -> tuple[ArchivedKey, ...]:
    """See :meth:`cmpkit.parts.Store.archived_keys`."""
    rows = connection.execute(_LISTING, {"subject": subject, "profile": profile, "most": limit})
    return tuple(_from_row(row, sealer) for row in rows)


def any_key(connection: sa.Connection, sealer: Sealer) -> ArchivedKey | None:
    """One of them, if there is one."""
    row = connection.execute(_ANY).one_or_none()
    return None if row is None else _from_row(row, sealer)


def _from_row(row: Sequence[Any], sealer: Sealer) -> ArchivedKey:
    *columns, sealed = row
    record = certificate_from_row(columns)
    return ArchivedKey(record, sealer.unseal(_reference(record), sealed))


def _reference(record: CertificateRecord) -> bytes:
    return f"\0archivedKey {record.issuer_key} {record.serial_number:x}".encode()
