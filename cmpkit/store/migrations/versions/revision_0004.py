"""Since when a revoked certificate is suspect, and by whom it was enrolled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("certificates", sa.Column("invalidity_date", sa.BigInteger))
    op.add_column("certificates", sa.Column("enrolled_by", sa.Text, nullable=False, server_default=""))
