"""The tables. Every change here needs a revision in ``migrations/versions``; a test compares the two."""

from __future__ import annotations

import enum

import sqlalchemy as sa

from cmpkit.parts import CertificateState, RelayState, TransactionState
from cmpkit.store.columns import Moment, Reason, SerialNumber, SubjectName

__all__ = [
    "announced",
    "answers",
    "archived_keys",
    "audit",
    "batches",
    "certificates",
    "crl_numbers",
    "crls",
    "held_requests",
    "intents",
    "kept_values",
    "metadata",
    "relayed",
    "secrets",
    "transactions",
    "undertakings",
]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(values: type[enum.Enum]) -> sa.Enum:
    return sa.Enum(
        values, native_enum=False, length=16, values_callable=lambda choices: [choice.value for choice in choices]
    )


# SQLite counts only a column of exactly this type (sqlite.org/autoinc.html).
_Ordinal = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

transactions = sa.Table(
    "transactions",
    metadata,
    sa.Column("transaction_id", sa.LargeBinary, primary_key=True),
    sa.Column("credential", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("state", _one_of(TransactionState), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("expires", Moment, index=True),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("credential", sa.Text, primary_key=True),
    sa.Column("transaction_id", sa.LargeBinary, nullable=False),
    sa.Column("der", sa.LargeBinary, nullable=False),
    sa.Column("keep_until", Moment, index=True),
    sa.Index(None, "transaction_id", "credential"),
)

certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    sa.Column("issuer_key", sa.String(64), nullable=False),
    sa.Column("serial_number", SerialNumber, nullable=False),
    sa.Column("der", sa.LargeBinary, nullable=False),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("subject", sa.Text, nullable=False, index=True),
    sa.Column("not_before", Moment, nullable=False),
    sa.Column("not_after", Moment, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("request_key", sa.Text, nullable=False, unique=True),
    sa.Column("state", _one_of(CertificateState), nullable=False, index=True),
    sa.Column("revoked_at", Moment),
    sa.Column("reason", Reason),
    sa.Column("invalidity_date", Moment),
    sa.Column("enrolled_by", sa.Text, nullable=False, server_default=""),
    sa.Column("publish", sa.Boolean, nullable=False, server_default=sa.false()),
    # The status_version of the issuer as of which it is revoked, on hold, or released from a hold.
    sa.Column("status_version", sa.BigInteger),
    # As the how many-th of the issuer it became public.
    sa.Column("publication", sa.BigInteger),
    sa.UniqueConstraint("issuer_key", "serial_number"),
    sa.Index(None, "issuer_key", "status_version"),
    sa.Index("ix_certificates_issuer_key_publication", "issuer_key", "publication"),
)

archived_keys = sa.Table(
    "archived_keys",
    metadata,
    sa.Column("issuer_key", sa.String(64), primary_key=True),
    sa.Column("serial_number", SerialNumber, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("reference", sa.LargeBinary, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("subject", SubjectName),
    sa.Column("profile", sa.Text),
    sa.Column("uses_left", sa.BigInteger),
    sa.Column("expires", Moment),
    sa.Column("revoked", sa.Boolean, nullable=False),
    sa.Column("reg_token", sa.LargeBinary),
    sa.Column("authenticator", sa.LargeBinary),
)

intents = sa.Table(
    "intents",
    metadata,
    sa.Column("idempotency_key", sa.Text, primary_key=True),
    sa.Column("transaction_id", sa.LargeBinary, nullable=False),
    sa.Column("credential", sa.Text, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False, index=True),
)

undertakings = sa.Table(
    "undertakings",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("until", Moment, index=True),
)

kept_values = sa.Table(
    "kept_values",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("kind", "key"),
)

held_requests = sa.Table(
    "held_requests",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("transaction_id", sa.LargeBinary, nullable=False),
    sa.Column("credential", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False, index=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("approved", sa.Boolean),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", Moment),
    sa.Column("reason", sa.Text),
    sa.Column("fail_info", sa.BigInteger),
    sa.Column("status_text", sa.Text),
)

relayed = sa.Table(
    "relayed",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("transaction_id", sa.LargeBinary, nullable=False),
    sa.Column("credential", sa.Text, nullable=False),
    sa.Column("upstream", sa.Text, nullable=False),
    sa.Column("body_type", sa.Text, nullable=False),
    sa.Column("message", sa.LargeBinary, nullable=False),
    # None if it is the message itself.
    sa.Column("outgoing", sa.LargeBinary),
    sa.Column("at", Moment, nullable=False),
    sa.Column("deadline", Moment, nullable=False),
    sa.Column("state", _one_of(RelayState), nullable=False),
    sa.Column("is_sent", sa.Boolean, nullable=False),
    sa.Column("batch", sa.String(64), nullable=False),
    sa.Column("answer", sa.LargeBinary),
    sa.Index(None, "upstream", "at"),
)

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("upstream", sa.Text, nullable=False),
    sa.Column("transaction_id", sa.LargeBinary, nullable=False),
    sa.Column("sender_nonce", sa.LargeBinary, nullable=False),
    sa.Column("outgoing", sa.LargeBinary, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("is_sent", sa.Boolean, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("transaction_id", sa.LargeBinary),
    sa.Column("details", sa.JSON, nullable=False),
)

crl_numbers = sa.Table(
    "crl_numbers",
    metadata,
    sa.Column("issuer_key", sa.String(64), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    # Counted under the lock of this row, so that it grows in the order in which units are committed.
    sa.Column("status_version", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("publication", sa.BigInteger, nullable=False, server_default="0"),
)

announced = sa.Table(
    "announced",
    metadata,
    sa.Column("subscriber", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

crls = sa.Table(
    "crls",
    metadata,
    sa.Column("issuer_key", sa.String(64), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("status_version", sa.BigInteger, nullable=False),
    sa.Column("this_update", Moment, nullable=False),
    sa.Column("next_update", Moment, nullable=False),
)
