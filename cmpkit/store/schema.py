"""Whether the schema of a database is the one of this version; that needs no Alembic, which takes long to load."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConfigurationError

__all__ = ["MIGRATIONS", "known_revisions", "refuse_newer_schema", "require_current_schema"]

MIGRATIONS: Final = Path(__file__).with_name("migrations")
"""The folder of Alembic's scripts."""
_VERSION_TABLE = "alembic_version"


def known_revisions() -> list[str]:
    """The revisions that this version knows, each a file of its name, the newest last."""
    return sorted(path.stem.removeprefix("revision_") for path in MIGRATIONS.glob("versions/revision_*.py"))


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_VERSION_TABLE):
        return None
    found: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608
    return found


def refuse_newer_schema(connection: sa.Connection, name: str) -> str | None:
    """The revision of the schema, ``None`` if there is none.

    :param name: what to call the store in errors.
    :raises ConfigurationError: if the schema is of a newer version.
    """
    revision = _revision(connection)
    if revision is not None and revision not in known_revisions():
        raise ConfigurationError(
            f"the store {name} has schema {revision}, which this version of cmpkit does not know",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            hint="a newer version of cmpkit made it: pip install --upgrade cmpkit",
        )
    return revision


def require_current_schema(connection: sa.Connection, name: str) -> None:
    """Compare the schema with the one of this version.

    :param name: what to call the store in errors.
    :raises ConfigurationError: if it is missing, or of another version.
    """
    revision = refuse_newer_schema(connection, name)
    if revision is None:
        raise ConfigurationError(
            f"the store {name} is empty", PKIFailureInfo.SYSTEM_UNAVAIL, hint="make it with: cmpkit init"
        )
    newest = known_revisions()[-1]
    if revision != newest:
        raise ConfigurationError(
            f"the store {name} has schema {revision}; this version needs {newest}",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            hint="an older version of cmpkit made it: make a backup, then upgrade it from Python: StoreFactory.create",
        )
