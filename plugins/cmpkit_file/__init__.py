"""CMP by drop-directory (RFC 9483 section 6.4.1): messages and answers are files that are put down and picked up."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import ClientTransportFactory, ServerTransport
from cmpkit_file.roads import FileClients, FileServer

__all__ = ["cmpkit_client_transports", "cmpkit_server_transports"]


@hookimpl
def cmpkit_client_transports() -> Iterable[ClientTransportFactory]:
    """The road of clients to ``file`` addresses."""
    return [FileClients()]


@hookimpl
def cmpkit_server_transports() -> Iterable[ServerTransport]:
    """The road that serves drop-directories."""
    return [FileServer()]
