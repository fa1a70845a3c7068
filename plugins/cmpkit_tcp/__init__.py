"""CMP straight over TCP, port 829: the framing of RFC 2510 section 5.2, and that of its successor, "version 10"."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import ClientTransportFactory, ServerTransport
from cmpkit_tcp.roads import TCPClients, TCPServer

__all__ = ["cmpkit_client_transports", "cmpkit_server_transports"]


@hookimpl
def cmpkit_client_transports() -> Iterable[ClientTransportFactory]:
    """The road of clients to ``tcp`` and ``tcps`` addresses."""
    return [TCPClients()]


@hookimpl
def cmpkit_server_transports() -> Iterable[ServerTransport]:
    """The road that listens on ``tcp`` and ``tcps`` addresses."""
    return [TCPServer()]
