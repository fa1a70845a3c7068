"""What a request under a shared secret must have besides: regToken and authenticator, encrypted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "revision", "upgrade"]

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("secrets", sa.Column("reg_token", sa.LargeBinary))
    op.add_column("secrets", sa.Column("authenticator", sa.LargeBinary))
