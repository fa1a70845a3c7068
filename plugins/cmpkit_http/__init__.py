"""CMP over HTTP (RFC 9811): a client for ``http`` and ``https``, a server for ``http``.

TLS for the server belongs to a reverse proxy in front of it, or to an ASGI server of your own around
:class:`cmpkit_http.app.CMPApplication`.
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
    """The road that listens on ``http`` addresses."""
    return [HTTPServer()]
