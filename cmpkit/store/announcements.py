"""What repositories are told of single certificates, and how far they were told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cmpkit.parts import CertificateRecord, CertificateState
from cmpkit.store import tables
from cmpkit.store.queries import CERTIFICATE_COLUMNS
from cmpkit.store.rows import certificate_from_row

__all__ = ["announced", "note_announced", "publications", "revocations"]

_C, _A = tables.certificates.c, tables.announced.c
_OUT_OF_USE = (CertificateState.REVOKED, CertificateState.ON_HOLD)


def _after(number: sa.Column[int], *states: CertificateState) -> sa.Select[Any]:
    return (
        sa.select(number, *CERTIFICATE_COLUMNS)
        .where(
            _C.issuer_key == sa.bindparam("issuer_key"),
            number > sa.bindparam("since"),
            _C.state.in_(states),
            _C.not_after >= sa.bindparam("now"),
        )
        .order_by(number)
        .limit(sa.bindparam("limit"))
    )


_PUBLICATIONS = _after(_C.publication, CertificateState.VALID)
_REVOCATIONS = _after(_C.status_version, *_OUT_OF_USE)
_OF = (_A.subscriber == sa.bindparam("of_subscriber"), _A.topic == sa.bindparam("of_topic"))
_ANNOUNCED = sa.select(_A.number).where(*_OF)
_FORGET = tables.announced.delete().where(*_OF)
_NOTE = tables.announced.insert()


def publications(
    connection: sa.Connection, issuer_key: str, since: int, now: datetime, limit: int
) -> tuple[tuple[int, CertificateRecord], ...]:
    """See :meth:`cmpkit.parts.Store.publications`."""
    values = {"issuer_key": issuer_key, "since": since, "now": now, "limit": limit}
    return _numbered(connection.execute(_PUBLICATIONS, values))


def revocations(
    connection: sa.Connection, issuer_key: str, since: int, now: datetime, limit: int
) -> tuple[tuple[int, CertificateRecord], ...]:
    """See :meth:`cmpkit.parts.Store.revocations`."""
    values = {"issuer_key": issuer_key, "since": since, "now": now, "limit": limit}
    return _numbered(connection.execute(_REVOCATIONS, values))


def _numbered(rows: Iterable[sa.Row[Any]]) -> tuple[tuple[int, CertificateRecord], ...]:
    return tuple((row[0], certificate_from_row(row[1:])) for row in rows)


def announced(connection: sa.Connection, subscriber: str, topic: str) -> int:
    """See :meth:`cmpkit.parts.Store.announced`."""
    of = {"of_subscriber": subscriber, "of_topic": topic}
    return connection.execute(_ANNOUNCED, of).scalar_one_or_none() or 0


def note_announced(connection: sa.Connection, subscriber: str, topic: str, number: int) -> None:
    """See :meth:`cmpkit.parts.Store.note_announced`."""
    connection.execute(_FORGET, {"of_subscriber": subscriber, "of_topic": topic})
    connection.execute(_NOTE, {"subscriber": subscriber, "topic": topic, "number": number})
