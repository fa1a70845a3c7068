"""The store on SQL databases: one unit of work per message, durable before its answer leaves.

:mod:`cmpkit.store.plugin` brings it under the URL schemes ``sqlite`` and ``postgresql+psycopg``. Importing this package
does not import SQLAlchemy; opening or creating a store does.
"""

from cmpkit.store.sealing import new_sealing_key

__all__ = ["new_sealing_key"]
