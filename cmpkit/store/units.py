"""What is written: units of work, CRL numbers, and what is forgotten. Each function is part of one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from cmpkit.errors import ConflictError
from cmpkit.parts import (
    AuditEntry,
    CertificateChange,
    CertificateRecord,
    CertificateState,
    IssuedCRL,
    Transaction,
    TransactionState,
    UnitOfWork,
)
from cmpkit.store import archived_keys, held_requests, kept_values, relaying, tables, undertakings
from cmpkit.store.rows import USED, certificate_to_row, transaction_to_row, value_to_row
from cmpkit.store.sealing import Sealer

__all__ = ["add_crl", "commit", "next_crl_number", "prune"]

_T, _A, _C, _S = tables.transactions.c, tables.answers.c, tables.certificates.c, tables.secrets.c

_ADD_TRANSACTION = tables.transactions.insert()
_CHANGE_TRANSACTION = (
    tables.transactions.update()
    .where(
        _T.transaction_id == sa.bindparam("stored_id"),
        _T.credential == sa.bindparam("stored_credential"),
        _T.version == sa.bindparam("stored_version"),
    )
    .values({column: sa.bindparam(f"new_{column}") for column in ("version", "state", "body", "expires")})
)
_ADD_ANSWER = tables.answers.insert()
_ADD_CERTIFICATE = tables.certificates.insert()
_CHANGE_CERTIFICATE = (
    tables.certificates.update()
    .where(
        _C.issuer_key == sa.bindparam("of_issuer"),
        _C.serial_number == sa.bindparam("with_serial_number"),
        _C.state.in_(sa.bindparam("expected", expanding=True)),
    )
    .values(
        state=sa.bindparam("to_state"),
        revoked_at=sa.bindparam("at"),
        reason=sa.bindparam("for_reason"),
        invalidity_date=sa.bindparam("suspect_since"),
    )
)
_CHANGE_STATUS = _CHANGE_CERTIFICATE.values(status_version=sa.bindparam("at_version"))
_PUBLISH = _CHANGE_CERTIFICATE.values(publication=sa.bindparam("at_version"))
_SPEND = (
    tables.secrets.update()
    .where(
        _S.reference == sa.bindparam("of_reference"),
        _S.revoked.is_(sa.false()),
        sa.or_(_S.uses_left.is_(None), _S.uses_left > 0),
        sa.or_(_S.reg_token.is_(None), _S.reg_token != USED),
    )
    .values(uses_left=_S.uses_left - 1, reg_token=sa.case((_S.reg_token.is_(None), sa.null()), else_=USED))
)
_FINISH_INTENT = tables.intents.delete().where(tables.intents.c.idempotency_key == sa.bindparam("finished"))
_ADD_AUDIT = tables.audit.insert()
_OF_ISSUER = tables.crl_numbers.c.issuer_key == sa.bindparam("of_issuer")
_ADD_CRL = tables.crls.insert()
_FORGET_CRLS = tables.crls.delete().where(
    tables.crls.c.issuer_key == sa.bindparam("of_issuer"), tables.crls.c.next_update <= sa.bindparam("at")
)
_FORGET_ANSWERS = tables.answers.delete().where(_A.keep_until < sa.bindparam("now"))
_FORGET_TRANSACTIONS = tables.transactions.delete().where(
    _T.state == TransactionState.DONE,
    ~sa.exists().where(_A.transaction_id == _T.transaction_id, _A.credential == _T.credential),
)
_OUT_OF_USE = (CertificateState.REVOKED, CertificateState.ON_HOLD)


def commit(connection: sa.Connection, unit: UnitOfWork, sealer: Sealer) -> None:
    """See :meth:`cmpkit.parts.Store.commit`.

    :param sealer: encrypts what is secret of it.
    """
    if unit.transaction is not None:
        _put_transaction(connection, unit.transaction, sealer)
    if unit.answer is not None:
        connection.execute(_ADD_ANSWER, value_to_row(unit.answer))
    if unit.certificates:
        connection.execute(_ADD_CERTIFICATE, [_new_certificate(connection, record) for record in unit.certificates])
    for change in unit.changes:
        _change_certificate(connection, change)
    if unit.archived:
        archived_keys.add(connection, unit.archived, sealer)
    for reference in unit.spent:
        _spend(connection, reference)
    if unit.intents:
        connection.execute(
            _insert_or_keep(connection, tables.intents), [value_to_row(intent) for intent in unit.intents]
        )
    if unit.finished_intents:
        connection.execute(_FINISH_INTENT, [{"finished": key} for key in unit.finished_intents])
    if unit.held:
        held_requests.add(connection, unit.held)
    for decision in unit.decisions:
        held_requests.decide(connection, decision)
    for value in unit.kept:
        kept_values.put(connection, value, sealer)
    undertakings.commit(connection, unit.undertakings, sealer)
    relaying.commit(connection, unit, sealer)
    if unit.audit:
        connection.execute(_ADD_AUDIT, [_audit_row(entry) for entry in unit.audit])


def _put_transaction(connection: sa.Connection, transaction: Transaction, sealer: Sealer) -> None:
    row = transaction_to_row(transaction, sealer)
    if transaction.version == 0:
        connection.execute(_ADD_TRANSACTION, row)
        return
    changed = connection.execute(
        _CHANGE_TRANSACTION,
        {
            "stored_id": row.pop("transaction_id"),
            "stored_credential": row.pop("credential"),
            "stored_version": transaction.version,
            **{f"new_{column}": value for column, value in row.items()},
        },
    )
    if changed.rowcount == 0:
        raise ConflictError(
            f"version {transaction.version} of transaction {transaction.transaction_id.hex()} is not the stored one"
        )


def _new_certificate(connection: sa.Connection, record: CertificateRecord) -> dict[str, Any]:
    versions: dict[str, int | None] = {"status_version": None, "publication": None}
    if record.state in _OUT_OF_USE:
        versions["status_version"] = _count(connection, record.issuer_key, "status_version")
    elif record.publish and record.state is CertificateState.VALID:
        versions["publication"] = _count(connection, record.issuer_key, "publication")
    return certificate_to_row(record) | versions


def _change_certificate(connection: sa.Connection, change: CertificateChange) -> None:
    out_of_use = change.state in _OUT_OF_USE
    values = {
        "of_issuer": change.issuer_key,
        "with_serial_number": change.serial_number,
        "expected": change.expected,
        "to_state": change.state,
        "at": change.at if out_of_use else None,
        "for_reason": change.reason if out_of_use else None,
        "suspect_since": change.invalidity_date if out_of_use else None,
    }
    if out_of_use or CertificateState.ON_HOLD in change.expected:
        version = _count(connection, change.issuer_key, "status_version")
        changed = connection.execute(_CHANGE_STATUS, {**values, "at_version": version})
    elif change.publish:
        version = _count(connection, change.issuer_key, "publication")
        changed = connection.execute(_PUBLISH, {**values, "at_version": version})
    else:
        changed = connection.execute(_CHANGE_CERTIFICATE, values)
    if changed.rowcount == 0:
        expected = " or ".join(state.value for state in change.expected)
        raise ConflictError(f"the certificate {change.serial_number:x} is not there as {expected}")


def _spend(connection: sa.Connection, reference: bytes) -> None:
    if connection.execute(_SPEND, {"of_reference": reference}).rowcount == 0:
        raise ConflictError(f"no use of the secret {reference!r} or of its regToken is left, or it is revoked")


def _audit_row(entry: AuditEntry) -> dict[str, object]:
    return value_to_row(entry) | {"details": dict(entry.details)}


def _insert_or_keep(connection: sa.Connection, table: sa.Table) -> sa.Insert:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - with it come all its drivers

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def next_crl_number(connection: sa.Connection, issuer_key: str) -> int:
    """See :meth:`cmpkit.parts.Store.next_crl_number`."""
    return _count(connection, issuer_key, "number")


def _count(connection: sa.Connection, issuer_key: str, column: str) -> int:
    """Count on, and hold the row until the transaction ends."""
    counter = tables.crl_numbers.c[column]
    connection.execute(_insert_or_keep(connection, tables.crl_numbers), {"issuer_key": issuer_key, "number": 0})
    one = {"of_issuer": issuer_key}
    connection.execute(tables.crl_numbers.update().where(_OF_ISSUER).values({column: counter + 1}), one)
    number: int = connection.execute(sa.select(counter).where(_OF_ISSUER), one).scalar_one()
    return number


def add_crl(connection: sa.Connection, crl: IssuedCRL) -> None:
    """See :meth:`cmpkit.parts.Store.add_crl`; those that are not valid any more by then are forgotten."""
    connection.execute(_FORGET_CRLS, {"of_issuer": crl.issuer_key, "at": crl.this_update})
    connection.execute(_ADD_CRL, value_to_row(crl))


def prune(connection: sa.Connection, now: datetime) -> int:
    """See :meth:`cmpkit.parts.Store.prune`. Transactions that are done go with their last answer."""
    forgotten = connection.execute(_FORGET_ANSWERS, {"now": now}).rowcount
    connection.execute(_FORGET_TRANSACTIONS)
    held_requests.prune(connection)
    undertakings.prune(connection, now)
    relaying.prune(connection, now)
    return forgotten
