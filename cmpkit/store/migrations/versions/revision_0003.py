"""Requests that wait for a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "held_requests",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.LargeBinary, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("approved", sa.Boolean),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.Column("fail_info", sa.BigInteger),
        sa.Column("status_text", sa.Text),
        sa.PrimaryKeyConstraint("key", name="pk_held_requests"),
    )
    op.create_index("ix_held_requests_at", "held_requests", ["at"])
