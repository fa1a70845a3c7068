"""Stores are made, and brought to the schema of this version, by the revisions in ``migrations``."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from cmpkit.store.database import open_database
from cmpkit.store.schema import MIGRATIONS, refuse_newer_schema

__all__ = ["create_store", "upgrade_schema"]

_NEWEST = "head"


async def create_store(url: str) -> None:
    """See :meth:`cmpkit.parts.StoreFactory.create`.

    :raises ConfigurationError: if the URL cannot be used, or the schema there is of a newer version.
    """
    database = open_database(url)
    try:
        await database.make_file()
        await database.write(lambda connection: upgrade_schema(connection, database.name))
    finally:
        await database.aclose()


def upgrade_schema(connection: sa.Connection, name: str) -> None:
    """Make the schema, or bring it to this version, within the transaction of ``connection``.

    :param name: what to call the store in errors.
    :raises ConfigurationError: if the schema is of a newer version.
    """
    refuse_newer_schema(connection, name)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, _NEWEST)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
