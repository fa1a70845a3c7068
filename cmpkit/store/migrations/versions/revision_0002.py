"""What delta CRLs need: the order of revocations, and the complete CRLs that were issued."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("certificates", sa.Column("status_version", sa.BigInteger))
    op.create_index("ix_certificates_issuer_key_status_version", "certificates", ["issuer_key", "status_version"])
    op.add_column("crl_numbers", sa.Column("status_version", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "crls",
        sa.Column("issuer_key", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("status_version", sa.BigInteger, nullable=False),
        sa.Column("this_update", sa.BigInteger, nullable=False),
        sa.Column("next_update", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer_key", "number", name="pk_crls"),
    )
