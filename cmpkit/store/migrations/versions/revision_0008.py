"""What is to be published, and what repositories were told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "revision", "upgrade"]

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("certificates", sa.Column("publish", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("certificates", sa.Column("publication", sa.BigInteger))
    op.create_index("ix_certificates_issuer_key_publication", "certificates", ["issuer_key", "publication"])
    op.add_column("crl_numbers", sa.Column("publication", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "announced",
        sa.Column("subscriber", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subscriber", "topic", name="pk_announced"),
    )
