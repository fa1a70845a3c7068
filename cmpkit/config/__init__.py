"""From the configuration file to the server: what it may say, all its mistakes at once, and the parts that it names.

:func:`load_configuration` reads the file, :func:`open_parts` opens what it names, :func:`serve` runs the server.
It needs the packages of ``cmpkit[server]``.
"""

from cmpkit.config.opening import ServerParts, check_configuration, open_issuer, open_parts, open_store
from cmpkit.config.reading import Configuration, PartTable, load_configuration
from cmpkit.config.running import serve

__all__ = [
    "Configuration",
    "PartTable",
    "ServerParts",
    "check_configuration",
    "load_configuration",
    "open_issuer",
    "open_parts",
    "open_store",
    "serve",
]
