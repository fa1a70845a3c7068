"""The application on trio, by Hypercorn.

Hypercorn keeps no connection of HTTP/1.0, so OpenSSL's client opens one for each message, and gives up if told to
insist (``-keep_alive 2``). Clients that send header and body of a kept connection apart wait for Linux's delayed
acknowledgement (40 ms): there is no hold on the sockets of connections.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import cast

import anyio
import hypercorn
import hypercorn.trio
from hypercorn.typing import ASGIFramework

from cmpkit.transports import ServerTLSOptions, server_context
from cmpkit_http.app import ASGIApplication, Receive, Scope, Send, with_certificate
from cmpkit_http.limits import GRACE_SECONDS, KEEP_ALIVE_SECONDS, MAX_HEADER_OCTETS

__all__ = ["run"]

# Hypercorn's connection hangs for ever if a refused body fills this queue before the connection is closed.
_QUEUE = 1024


async def run(
    application: ASGIApplication,
    sockets: list[socket.socket],
    *,
    tls: ServerTLSOptions | None,
    shutdown: anyio.Event,
    started: Callable[[], None],
) -> None:
    """Serve on listening sockets until ``shutdown`` is set, then end what is in flight.

    :raises ConfigurationError: if the files of TLS cannot be used.
    """
    config = _Config(None if tls is None else server_context(tls, connected=_remember))
    config.bind = [f"fd://{sock.detach()}" for sock in sockets]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.graceful_timeout = GRACE_SECONDS
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.h11_max_incomplete_size = MAX_HEADER_OCTETS
    config.max_app_queue_size = _QUEUE
    framework = cast("ASGIFramework", application if tls is None else _Certified(application))
    serve = partial(hypercorn.trio.serve, framework, config, shutdown_trigger=shutdown.wait, mode="asgi")
    async with anyio.create_task_group() as task_group:
        await task_group.start(serve)
        started()


_certificate: ContextVar[bytes | None] = ContextVar("certificate", default=None)
"""That of the client of a connection, in the task of the connection and in those of its requests."""


def _remember(secured: ssl.SSLObject) -> None:
    _certificate.set(secured.getpeercert(binary_form=True))


class _Certified:
    """The application, told of the certificate of the client: Hypercorn itself says nothing of it."""

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await with_certificate(self._application, _certificate.get())(scope, receive, send)


class _Config(hypercorn.Config):
    """With a TLS context that was made elsewhere: Hypercorn itself reads certificates from files once only."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._context = context

    @property
    def ssl_enabled(self) -> bool:
        return self._context is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._context
