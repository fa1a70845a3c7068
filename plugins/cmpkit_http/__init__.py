"""CMP over HTTP (RFC 9811), plain and in TLS: a client and a server for ``http`` and ``https``.

The server is uvicorn on asyncio and Hypercorn on trio; :class:`cmpkit_http.app.CMPApplication` runs under any ASGI
server.
"""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import ClientTransportFactory, ServerTransport
from cmpkit_http.roads import HTTPClients, HTTPServer

__all__ = ["cmpkit_client_transports", "cmpkit_server_transports"]


@hookimpl
def cmpkit_client_transports() -> Iterable[ClientTransportFactory]:
    """The road of clients to ``http`` and ``https`` addresses."""
    return [HTTPClients()]


@hookimpl
def cmpkit_server_transports() -> Iterable[ServerTransport]:
    """The road that listens on ``http`` and ``https`` addresses."""
    return [HTTPServer()]
