"""Messages that are passed on to an upstream, and the batches they go in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "revision", "upgrade"]

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "relayed",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("transaction_id", sa.LargeBinary, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("body_type", sa.Text, nullable=False),
        sa.Column("message", sa.LargeBinary, nullable=False),
        sa.Column("outgoing", sa.LargeBinary),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("deadline", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_sent", sa.Boolean, nullable=False),
        sa.Column("batch", sa.String(64), nullable=False),
        sa.Column("answer", sa.LargeBinary),
        sa.PrimaryKeyConstraint("key", name="pk_relayed"),
    )
    op.create_index("ix_relayed_upstream_at", "relayed", ["upstream", "at"])
    op.create_table(
        "batches",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.LargeBinary, nullable=False),
        sa.Column("sender_nonce", sa.LargeBinary, nullable=False),
        sa.Column("outgoing", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("is_sent", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_batches"),
    )
