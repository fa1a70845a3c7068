"""The application on asyncio, by uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import anyio
import uvicorn

from cmpkit.transports import ServerTLSOptions, server_context
from cmpkit_http.app import CMPApplication, with_certificate
from cmpkit_http.limits import (
    CLOSING_SECONDS,
    GRACE_SECONDS,
    HEADER_SECONDS,
    KEEP_ALIVE_SECONDS,
    MAX_CONNECTIONS,
    MAX_HEADER_OCTETS,
)

__all__ = ["run"]


async def run(
    application: CMPApplication,
    sockets: list[socket.socket],
    *,
    tls: ServerTLSOptions | None,
    shutdown: anyio.Event,
    started: Callable[[], None],
) -> None:
    """Serve on listening sockets until ``shutdown`` is set, then end what is in flight.

    :raises ConfigurationError: if the files of TLS cannot be used.
    """
    context = None if tls is None else server_context(tls)
    config = uvicorn.Config(
        application,
        http=protocol_class(),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=MAX_HEADER_OCTETS,
    )
    config.load()
    # uvicorn itself reads certificates from files once only.
    config.ssl = context
    server = _Server(config, started)
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(_stop, server, shutdown)
        # A cancelled uvicorn would leave its port open: it is told to stop instead, and does so at once.
        with anyio.CancelScope(shield=True):
            await server.serve(sockets=sockets)
            await _end(server.server_state.tasks)
        task_group.cancel_scope.cancel()


async def _stop(server: _Server, shutdown: anyio.Event) -> None:
    try:
        await shutdown.wait()
        server.should_exit = True
        await anyio.sleep_forever()
    except BaseException:
        server.give_up()
        raise


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Wait for what uvicorn cancelled and left behind."""
    if tasks:
        await asyncio.wait(tasks)


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone and says when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started
        self._cancelled = False

    def give_up(self) -> None:
        """Stop, and do not wait for what is in flight."""
        self.should_exit = True
        self._cancelled = True
        self._cancel_tasks()

    def _cancel_tasks(self) -> None:
        for task in self.server_state.tasks:
            task.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._cancelled:
            self._cancel_tasks()
        await super().shutdown(sockets)


def protocol_class() -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, by httptools where that is installed, with habits of our own."""
    if find_spec("httptools") is None:
        from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415

        return type("CMPProtocol", (_Habits, H11Protocol), {})
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: PLC0415

    return type("CMPProtocol", (_KeepsHTTP10, _Habits, HttpToolsProtocol), {})


class _Habits:
    """Acknowledges at once, bounds what a client may take to send a request's header, and tells who the client is.

    OpenSSL's client sends header and body apart and waits, by Nagle's algorithm, for the acknowledgement of the first.
    Linux delays that by 40 ms, and forgets TCP_QUICKACK, so it is set again whenever something came.
    """

    app: Any
    transport: asyncio.Transport
    cycle: Any
    loop: asyncio.AbstractEventLoop
    _socket: Any = None
    _header_deadline: asyncio.TimerHandle | None = None
    _header_octets = 0
    _is_secured = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._socket = transport.get_extra_info("socket")
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._is_secured = True
            self.app = with_certificate(self.app, secured.getpeercert(binary_form=True))
        self._acknowledge_at_once()
        self._header_deadline = self.loop.call_later(HEADER_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        self._acknowledge_at_once()
        super().data_received(data)  # type: ignore[misc]
        if self.cycle is None or self.cycle.response_complete:
            self._bound_header(len(data))
        elif self._header_deadline is not None:
            self._header_is_complete()

    def connection_lost(self, error: Exception | None) -> None:
        self._header_is_complete()
        self._socket = None
        super().connection_lost(error)  # type: ignore[misc]

    def shutdown(self) -> None:
        """The server ends: close the connection, or see to it that it closes after the answer."""
        super().shutdown()  # type: ignore[misc]
        if self._is_secured and (self.cycle is None or self.cycle.response_complete):
            # asyncio would wait half a minute for the client to close TLS, too.
            self.loop.call_later(CLOSING_SECONDS, self.transport.abort)

    def _acknowledge_at_once(self) -> None:
        if _QUICKACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _bound_header(self, octets: int) -> None:
        """A part of a header came: it may not last for ever, nor grow for ever."""
        self._header_octets += octets
        if self._header_octets > MAX_HEADER_OCTETS:
            self.transport.close()
        elif self._header_deadline is None:
            self._header_deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _header_is_complete(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None
        self._header_octets = 0


class _KeepsHTTP10:
    """Keeps connections of HTTP/1.0 too, if the client asks: uvicorn does not, and OpenSSL's client speaks HTTP/1.0."""

    cycle: Any
    parser: Any

    def on_headers_complete(self) -> None:
        super().on_headers_complete()  # type: ignore[misc]
        self.cycle.keep_alive = self.parser.should_keep_alive()


_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
