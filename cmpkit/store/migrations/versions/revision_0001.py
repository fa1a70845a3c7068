"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ordinal = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    _messages()
    _certificates()
    _bookkeeping()


def _messages() -> None:
    op.create_table(
        "transactions",
        sa.Column("transaction_id", sa.LargeBinary, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.PrimaryKeyConstraint("transaction_id", "credential", name="pk_transactions"),
    )
    op.create_index("ix_transactions_expires", "transactions", ["expires"])
    op.create_table(
        "answers",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.LargeBinary, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("keep_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("digest", "credential", name="pk_answers"),
    )
    op.create_index("ix_answers_keep_until", "answers", ["keep_until"])
    op.create_index("ix_answers_transaction_id_credential", "answers", ["transaction_id", "credential"])
    op.create_table(
        "intents",
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.LargeBinary, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("idempotency_key", name="pk_intents"),
    )


def _certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("ordinal", _ordinal, nullable=False),
        sa.Column("issuer_key", sa.String(64), nullable=False),
        sa.Column("serial_number", sa.String(40), nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("request_key", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("reason", sa.SmallInteger),
        sa.PrimaryKeyConstraint("ordinal", name="pk_certificates"),
        sa.UniqueConstraint("issuer_key", "serial_number", name="uq_certificates_issuer_key_serial_number"),
        sa.UniqueConstraint("fingerprint", name="uq_certificates_fingerprint"),
        sa.UniqueConstraint("request_key", name="uq_certificates_request_key"),
    )
    op.create_index("ix_certificates_state", "certificates", ["state"])
    op.create_index("ix_certificates_subject", "certificates", ["subject"])
    op.create_table(
        "crl_numbers",
        sa.Column("issuer_key", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer_key", name="pk_crl_numbers"),
    )


def _bookkeeping() -> None:
    op.create_table(
        "secrets",
        sa.Column("reference", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.LargeBinary),
        sa.Column("profile", sa.Text),
        sa.Column("uses_left", sa.BigInteger),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("reference", name="pk_secrets"),
    )
    op.create_table(
        "audit",
        sa.Column("ordinal", _ordinal, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.LargeBinary),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("ordinal", name="pk_audit"),
    )
