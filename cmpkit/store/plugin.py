"""The plugin that brings the store on SQL databases. SQLAlchemy is imported when one is opened or made."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

from cmpkit.errors import ConfigurationError
from cmpkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from cmpkit.parts import Store, StoreFactory

__all__ = ["SQLStoreFactory", "cmpkit_stores"]


class SQLStoreFactory:
    """Opens stores on SQLite and PostgreSQL; see :class:`cmpkit.parts.StoreFactory`."""

    schemes: tuple[str, ...] = ("sqlite", "postgresql+psycopg")

    def open(self, url: str, *, sealing_key: bytes) -> Store:
        """The store at ``url``; no connection is made yet.

        :param url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or ``postgresql+psycopg://...``.
        :param sealing_key: 32 octets; secrets at rest are encrypted with it.
        :raises ConfigurationError: if the URL or the key cannot be used, or a package is missing.
        """
        sql, database = _import("sql"), _import("database")
        store: Store = sql.SQLStore(database.open_database(url), sealing_key=sealing_key)
        return store

    async def create(self, url: str) -> None:
        """Make the schema, or bring it to this version; the file of an SQLite database gets mode 0600.

        :raises ConfigurationError: if that cannot be done, or a package is missing.
        """
        await _import("upgrading").create_store(url)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"cmpkit.store.{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the store needs the package {error.name}", hint="pip install 'cmpkit[server]'"
        ) from error


@hookimpl
def cmpkit_stores() -> Iterable[StoreFactory]:
    """The store on SQL databases."""
    return [SQLStoreFactory()]
