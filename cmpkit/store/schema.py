"""The schema: made and upgraded by the revisions in ``migrations``, and compared with what this version knows."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConfigurationError

__all__ = ["require_current_schema", "upgrade_schema"]

_NEWEST = "head"


def _config() -> Config:
    config = Config()
    location = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    return config


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(revision: str | None, scripts: ScriptDirectory, name: str) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        raise ConfigurationError(
            f"the store {name} has schema {revision}, which this version of cmpkit does not know",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            hint="a newer version of cmpkit made it: pip install --upgrade cmpkit",
        )


def upgrade_schema(connection: sa.Connection, name: str) -> None:
    """Make the schema, or bring it to this version, within the transaction of ``connection``.

    :param name: what to call the store in errors.
    :raises ConfigurationError: if the schema is of a newer version.
    """
    config = _config()
    _refuse_newer(_revision(connection), ScriptDirectory.from_config(config), name)
    config.attributes["connection"] = connection
    command.upgrade(config, _NEWEST)


def require_current_schema(connection: sa.Connection, name: str) -> None:
    """Compare the schema with the one of this version.

    :param name: what to call the store in errors.
    :raises ConfigurationError: if it is missing, or of another version.
    """
    revision = _revision(connection)
    scripts = ScriptDirectory.from_config(_config())
    _refuse_newer(revision, scripts, name)
    if revision is None:
        raise ConfigurationError(
            f"the store {name} is empty", PKIFailureInfo.SYSTEM_UNAVAIL, hint="make it with: cmpkit init"
        )
    if revision != scripts.get_current_head():
        raise ConfigurationError(
            f"the store {name} has schema {revision}; this version needs {scripts.get_current_head()}",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            hint="an older version of cmpkit made it: make a backup, then upgrade it from Python: StoreFactory.create",
        )
