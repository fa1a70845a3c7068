"""Alembic runs this for every command; :mod:`cmpkit.store.upgrading` gives it the connection, inside a transaction."""

from __future__ import annotations

from alembic import context

from cmpkit.store.tables import metadata

__all__: list[str] = []

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
