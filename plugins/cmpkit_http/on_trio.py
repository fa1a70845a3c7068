"""The application on trio, by Hypercorn.

Hypercorn keeps no connection of HTTP/1.0, so OpenSSL's client opens one for each message, and gives up if told to
insist (``-keep_alive 2``). Clients that send header and body of a kept connection apart wait for Linux's delayed
acknowledgement (40 ms): there is no hold on the sockets of connections.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

import anyio
import hypercorn
import hypercorn.trio
from hypercorn.typing import ASGIFramework

from cmpkit_http.app import CMPApplication
from cmpkit_http.limits import GRACE_SECONDS, KEEP_ALIVE_SECONDS, MAX_HEADER_OCTETS

__all__ = ["run"]

# Hypercorn's connection hangs for ever if a refused body fills this queue before the connection is closed.
_QUEUE = 1024


async def run(
    application: CMPApplication,
    sockets: list[socket.socket],
    *,
    shutdown: anyio.Event,
    started: Callable[[], None],
) -> None:
    """Serve on listening sockets until ``shutdown`` is set, then end what is in flight."""
    config = hypercorn.Config()
    config.bind = [f"fd://{sock.detach()}" for sock in sockets]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.graceful_timeout = GRACE_SECONDS
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.h11_max_incomplete_size = MAX_HEADER_OCTETS
    config.max_app_queue_size = _QUEUE
    framework = cast("ASGIFramework", application)
    serve = partial(hypercorn.trio.serve, framework, config, shutdown_trigger=shutdown.wait, mode="asgi")
    async with anyio.create_task_group() as task_group:
        await task_group.start(serve)
        started()
