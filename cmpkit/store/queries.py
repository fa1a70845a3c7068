"""What is read. Each function is one statement on a connection, and so sees one state of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime

import sqlalchemy as sa

from cmpkit.parts import (
    AuditEntry,
    CertificateRecord,
    CertificateState,
    IssuedCRL,
    Revocation,
    StoredAnswer,
    Transaction,
    TransactionState,
)
from cmpkit.store import tables
from cmpkit.store.columns import moment
from cmpkit.store.rows import certificate_from_row, revocations_from_rows, transaction_from_row
from cmpkit.store.sealing import Sealer

__all__ = [
    "CERTIFICATE_COLUMNS",
    "audit_entries",
    "certificate",
    "certificate_by_fingerprint",
    "certificates",
    "last_expiry",
    "load",
    "oldest_crl",
    "open_transactions",
    "overdue",
    "revoked",
    "status_changes",
    "status_version",
]

_T, _A, _C = tables.transactions.c, tables.answers.c, tables.certificates.c

# Both in one statement: an answer without the transaction it belongs to would look like another request.
_LOAD = sa.union_all(
    sa.select(
        _T.transaction_id,
        _T.credential,
        _T.version,
        _T.state,
        _T.body,
        _T.expires.label("until"),
        sa.type_coerce(sa.null(), sa.LargeBinary).label("der"),
    ).where(_T.transaction_id == sa.bindparam("transaction")),
    sa.select(_A.transaction_id, _A.credential, sa.null(), sa.null(), sa.null(), _A.keep_until, _A.der).where(
        _A.digest == sa.bindparam("digest")
    ),
)
CERTIFICATE_COLUMNS = tuple(_C[field.name] for field in fields(CertificateRecord))
"""As :func:`cmpkit.store.rows.certificate_from_row` wants them."""
_CERTIFICATE = sa.select(*CERTIFICATE_COLUMNS)
_CERTIFICATE_BY_SERIAL = _CERTIFICATE.where(
    _C.issuer_key == sa.bindparam("issuer_key"), _C.serial_number == sa.bindparam("serial_number")
)
_CERTIFICATE_BY_FINGERPRINT = _CERTIFICATE.where(_C.fingerprint == sa.bindparam("fingerprint"))
# A certificate that had expired before it was revoked never was on a CRL (RFC 5280 section 3.3).
_ON_CRL = _C.revoked_at <= _C.not_after
# As they lie in the columns: there may be hundreds of thousands of rows, which are read in one loop.
_REVOCATION = (
    sa.type_coerce(_C.serial_number, sa.String),
    sa.type_coerce(_C.revoked_at, sa.BigInteger),
    sa.type_coerce(_C.reason, sa.SmallInteger),
    sa.type_coerce(_C.invalidity_date, sa.BigInteger),
)
_REVOKED = sa.select(*_REVOCATION).where(
    _C.issuer_key == sa.bindparam("issuer_key"),
    _C.state.in_((CertificateState.REVOKED, CertificateState.ON_HOLD)),
    _ON_CRL,
)
_STATUS_CHANGES = (
    sa.select(*_REVOCATION)
    .where(
        _C.issuer_key == sa.bindparam("issuer_key"),
        _C.status_version > sa.bindparam("since"),
        sa.or_(_C.revoked_at.is_(None), _ON_CRL),
    )
    .order_by(_C.status_version)
)
_STATUS_VERSION = sa.select(tables.crl_numbers.c.status_version).where(
    tables.crl_numbers.c.issuer_key == sa.bindparam("issuer_key")
)
_OLDEST_CRL = (
    sa.select(*(tables.crls.c[field.name] for field in fields(IssuedCRL)))
    .where(tables.crls.c.issuer_key == sa.bindparam("issuer_key"), tables.crls.c.next_update > sa.bindparam("at"))
    .order_by(tables.crls.c.number)
    .limit(1)
)
_LAST_EXPIRY = sa.select(sa.func.max(_C.not_after, type_=_C.not_after.type)).where(
    _C.issuer_key == sa.bindparam("issuer_key"), _C.profile != sa.bindparam("besides")
)
_OVERDUE = (
    sa.select(_T.transaction_id, _T.credential, _T.version, _T.state, _T.body, _T.expires)
    .where(_T.expires < sa.bindparam("now"), _T.state != TransactionState.DONE)
    .order_by(_T.expires)
)
# What is open expires, and nothing else does: this reads an index over few.
_OPEN = (
    sa.select(_T.credential, sa.func.count())
    .where(_T.expires > moment(0), _T.state != TransactionState.DONE)
    .group_by(_T.credential)
)
_AUDIT = (
    sa.select(*(tables.audit.c[field.name] for field in fields(AuditEntry)))
    .order_by(tables.audit.c.ordinal.desc())
    .limit(sa.bindparam("limit"))
)


def load(
    connection: sa.Connection, transaction_id: bytes, digest: bytes, sealer: Sealer
) -> tuple[tuple[Transaction, ...], tuple[StoredAnswer, ...]]:
    """See :meth:`cmpkit.parts.Store.load`."""
    transactions, answers = [], []
    for row in connection.execute(_LOAD, {"transaction": transaction_id, "digest": digest}):
        if row.der is None:
            transactions.append(transaction_from_row(row, sealer))
        else:
            answers.append(StoredAnswer(digest, row.credential, row.transaction_id, row.der, row.until))
    return tuple(transactions), tuple(answers)


def certificate(connection: sa.Connection, issuer_key: str, serial_number: int) -> CertificateRecord | None:
    """See :meth:`cmpkit.parts.Store.certificate`."""
    row = connection.execute(
        _CERTIFICATE_BY_SERIAL, {"issuer_key": issuer_key, "serial_number": serial_number}
    ).one_or_none()
    return None if row is None else certificate_from_row(row)


def certificate_by_fingerprint(connection: sa.Connection, fingerprint: bytes) -> CertificateRecord | None:
    """See :meth:`cmpkit.parts.Store.certificate_by_fingerprint`."""
    row = connection.execute(_CERTIFICATE_BY_FINGERPRINT, {"fingerprint": fingerprint}).one_or_none()
    return None if row is None else certificate_from_row(row)


def certificates(
    connection: sa.Connection, subject: str | None, states: Sequence[CertificateState], limit: int
) -> tuple[CertificateRecord, ...]:
    """See :meth:`cmpkit.parts.Store.certificates`."""
    query = _CERTIFICATE.order_by(_C.ordinal.desc()).limit(limit)
    if subject is not None:
        query = query.where(_C.subject == subject)
    if states:
        query = query.where(_C.state.in_(states))
    return tuple(map(certificate_from_row, connection.execute(query)))


def revoked(connection: sa.Connection, issuer_key: str) -> tuple[Revocation, ...]:
    """See :meth:`cmpkit.parts.Store.revoked`."""
    return tuple(revocations_from_rows(connection.execute(_REVOKED, {"issuer_key": issuer_key})))


def status_version(connection: sa.Connection, issuer_key: str) -> int:
    """See :meth:`cmpkit.parts.Store.status_version`; 0 before anything was revoked."""
    return connection.execute(_STATUS_VERSION, {"issuer_key": issuer_key}).scalar_one_or_none() or 0


def status_changes(connection: sa.Connection, issuer_key: str, since: int) -> tuple[Revocation, ...]:
    """See :meth:`cmpkit.parts.Store.status_changes`."""
    rows = connection.execute(_STATUS_CHANGES, {"issuer_key": issuer_key, "since": since})
    return tuple(revocations_from_rows(rows))


def oldest_crl(connection: sa.Connection, issuer_key: str, at: datetime) -> IssuedCRL | None:
    """See :meth:`cmpkit.parts.Store.oldest_crl`."""
    row = connection.execute(_OLDEST_CRL, {"issuer_key": issuer_key, "at": at}).one_or_none()
    return None if row is None else IssuedCRL(*row)


def last_expiry(connection: sa.Connection, issuer_key: str, besides: str) -> datetime | None:
    """See :meth:`cmpkit.parts.Store.last_expiry`."""
    found: datetime | None = connection.execute(
        _LAST_EXPIRY, {"issuer_key": issuer_key, "besides": besides}
    ).scalar_one()
    return found


def overdue(connection: sa.Connection, now: datetime, sealer: Sealer) -> tuple[Transaction, ...]:
    """See :meth:`cmpkit.parts.Store.overdue`."""
    return tuple(transaction_from_row(row, sealer) for row in connection.execute(_OVERDUE, {"now": now}))


def open_transactions(connection: sa.Connection) -> Mapping[str, int]:
    """See :meth:`cmpkit.parts.Store.open_transactions`."""
    return {row[0]: row[1] for row in connection.execute(_OPEN)}


def audit_entries(connection: sa.Connection, limit: int) -> tuple[AuditEntry, ...]:
    """See :meth:`cmpkit.parts.Store.audit_entries`."""
    return tuple(AuditEntry(*row) for row in connection.execute(_AUDIT, {"limit": limit}))
