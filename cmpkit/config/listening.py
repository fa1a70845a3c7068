"""The addresses of a configuration, each with its road: served side by side, and none of them ends the others."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import TaskStatus

from cmpkit.ca.settings import naming
from cmpkit.config.tables import ListenTable
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.errors import CMPError, ConfigurationError, TransportError
from cmpkit.parts import (
    Answer,
    CertifiedServer,
    Handler,
    Peer,
    Resource,
    ResourceServer,
    ServerTransport,
    WantedCertificate,
)
from cmpkit.plugins import Plugins
from cmpkit.transports import configure_server

__all__ = ["EndpointHandler", "Listening", "listen", "road_settings"]

DELAYED_TIME_WINDOW = timedelta(days=30)
DELAYED_CONFIRM_WAIT_TIME = timedelta(days=30)
DELAYED_CHECK_AFTER = timedelta(hours=1)
"""What holds for roads on which messages take their time, unless their tables say something else."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
_LARGEST_POWER = 16

_log = logging.getLogger("cmpkit.server")


class EndpointHandler(Protocol):
    """Answers messages that came over a road."""

    def __call__(self, der: bytes, peer: Peer, settings: ServerSettings | None = None) -> Awaitable[Answer]:
        """See :meth:`cmpkit.endpoints.server.Server.handle`."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A table ``[[listen]]`` and the road that it is for.

    :param transport: told the keys of the table that are its own.
    """

    table: ListenTable
    transport: ServerTransport

    @classmethod
    def of(cls, table: ListenTable, plugins: Plugins, directory: Path) -> Listening:
        """The road of a table; nothing is opened.

        :param directory: where relative paths start.
        :raises ConfigurationError: if there is none, or it cannot use the URL or a key.
        """
        with naming("[[listen]] url"):
            transport = plugins.server_transport(table.url)
        try:
            transport = configure_server(transport, table.own, directory)
            transport.check(table.url)
        except ConfigurationError as error:
            raise ConfigurationError(f"[[listen]] {error.detail}", hint=error.hint) from error
        if "publication" in (table.serves or ()) and not isinstance(transport, ResourceServer):
            raise ConfigurationError(
                f"[[listen]] serves: {table.url}: the road {transport.name} carries messages only",
                hint="publish at an http address",
            )
        return cls(table, transport)

    @property
    def url(self) -> str:
        """The address."""
        return self.table.url

    @property
    def wanted_certificate(self) -> WantedCertificate | None:
        """The TLS certificate that the CA is to issue for the road, if it is."""
        return self.transport.wanted_certificate(self.url) if isinstance(self.transport, CertifiedServer) else None

    def serving(self, answer: EndpointHandler, settings: ServerSettings, resources: Mapping[str, Resource]) -> _Serve:
        """What serves at the address all that it is to serve there.

        :param answer: answers messages.
        """
        handler: Handler = partial(answer, settings=settings)
        size = settings.max_message_size
        if not isinstance(self.transport, ResourceServer):
            return partial(self.transport.serve, self.table.url, handler, max_message_size=size)
        serves = self.table.serves or ("cmp", "publication")
        return partial(
            self.transport.serve_resources,
            self.table.url,
            handler if "cmp" in serves else None,
            resources if "publication" in serves else {},
            max_message_size=size,
        )


_Serve = Callable[..., Awaitable[None]]


def road_settings(settings: ServerSettings, listening: Sequence[Listening]) -> list[ServerSettings]:
    """How the server behaves on each road: on those that take their time, it takes its time, too.

    :param settings: how it behaves where a table says nothing.
    """
    found = [_of_one(settings, one) for one in listening]
    windows = [one.message_time_window for one in found]
    widest = None if None in windows else max(filter(None, windows), default=timedelta(0))
    return [replace(one, widest_time_window=widest) for one in found]


def _of_one(settings: ServerSettings, listening: Listening) -> ServerSettings:
    table, delayed = listening.table, listening.transport.delayed
    responder = settings.responder
    check_after = table.check_after or (DELAYED_CHECK_AFTER if delayed else timedelta(0))
    wait = table.confirm_wait_time or (DELAYED_CONFIRM_WAIT_TIME if delayed else responder.confirm_wait_time)
    window = DELAYED_TIME_WINDOW if delayed else settings.message_time_window
    return replace(
        settings,
        message_time_window=table.message_time_window if "message_time_window" in table.model_fields_set else window,
        puts_off=delayed,
        responder=replace(responder, confirm_wait_time=wait, least_check_after=round(check_after.total_seconds())),
    )


async def listen(
    roads: Mapping[str, _Serve], *, shutdown: anyio.Event, task_status: TaskStatus[tuple[str, ...]]
) -> CMPError | None:
    """Serve on every road until ``shutdown``.

    One that cannot be used at all ends everything before it begins. One that cannot be used now, or fails later, is
    tried again, ever more rarely, and the others go on; the log says so.

    :param roads: what serves, by address.
    :returns: why one of them could not begin.
    """
    async with anyio.create_task_group() as tasks:
        urls: list[str] = []
        for url, serve in roads.items():
            try:
                found: str | None = await tasks.start(_Keeper(url, serve, shutdown).keep)
            except CMPError as error:
                # Raised here it would come out of the task group in an exception group.
                tasks.cancel_scope.cancel()
                return error
            urls += [found] if found is not None else []
        task_status.started(tuple(urls))
    return None


class _Keeper(TaskStatus[str]):
    """Keeps one road served; it is also what the road tells that it takes messages."""

    def __init__(self, url: str, serve: _Serve, shutdown: anyio.Event) -> None:
        self._url, self._serve, self._shutdown = url, serve, shutdown
        self._failures = 0
        self._outer: TaskStatus[str | None] | None = None

    def started(self, value: str | None = None) -> None:
        """The road takes messages."""
        if self._outer is None:
            _log.info("listening on %s", value)
        self._let_others_begin(value)

    def _let_others_begin(self, value: str | None) -> None:
        if self._outer is not None:
            self._outer.started(value)
            self._outer = None

    async def keep(self, *, task_status: TaskStatus[str | None]) -> None:
        """Serve until ``shutdown``, whatever ends it before.

        :raises CMPError: if it cannot be used at all, at the first time.
        """
        self._outer = task_status
        while not self._shutdown.is_set():
            began = anyio.current_time()
            said = await self._serve_once()
            if anyio.current_time() - began > LONGEST_PAUSE:
                self._failures = 0
            if not self._shutdown.is_set():
                await self._pause(said)
        self._let_others_begin(None)

    async def _serve_once(self) -> str:
        """Why it is not served any more."""
        try:
            await self._serve(shutdown=self._shutdown, task_status=self)
        except TransportError as error:
            return str(error)
        except Exception as error:
            if self._outer is not None:
                raise
            if not isinstance(error, ConfigurationError):
                _log.exception("%s failed", self._url)
            return str(error)
        return "it ended by itself"

    async def _pause(self, said: str) -> None:
        pause = min(FIRST_PAUSE * 2.0 ** min(self._failures, _LARGEST_POWER), LONGEST_PAUSE)
        self._failures += 1
        _log.error("nothing is taken at %s: %s; again in %g s", self._url, said, pause)
        self._let_others_begin(None)
        with anyio.move_on_after(pause):
            await self._shutdown.wait()
