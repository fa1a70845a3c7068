"""The server of a configuration without a road: it answers what people bring."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cmpkit.config.listening import DELAYED_CONFIRM_WAIT_TIME, DELAYED_TIME_WINDOW, road_settings
from cmpkit.config.opening import open_parts, utc_now
from cmpkit.config.reading import load_configuration
from cmpkit.config.relaying import passing_on
from cmpkit.config.running import build_passing, build_server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.errors import TransportError
from cmpkit.parts import Disposition, Peer
from cmpkit.plugins import Plugins

__all__ = ["offline_server"]


@asynccontextmanager
async def offline_server(
    path: Path, plugins: Plugins, *, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[Callable[[bytes], Awaitable[bytes]]]:
    """The server of a configuration file, as a function from a message to its answer, until the block ends.

    It shares its store with ``cmpkit serve``, which may run beside it.

    :param clock: gives the time, in UTC.
    :raises ConfigurationError: if something that the configuration names cannot be used.
    """
    configuration = load_configuration(path, plugins)
    async with open_parts(configuration, plugins, clock=clock) as parts:
        server = build_server(configuration.server, parts, plugins, clock=clock)
        settings = _settings(server.settings, road_settings(server.settings, configuration.listen))

        async with passing_on(server, build_passing(configuration, parts)) as handler:

            async def answer(message: bytes) -> bytes:
                given = await handler(message, Peer("offline"), settings)
                if given.der is None or given.disposition is Disposition.UNAVAILABLE:
                    raise TransportError("the CA has no answer to that", retryable=True)
                return given.der

            yield answer
        # No server that runs may do that here: what was not confirmed in time ends.
        await server.housekeep()


def _settings(settings: ServerSettings, of_roads: Sequence[ServerSettings]) -> ServerSettings:
    """How the server behaves to what people bring: it takes its time, as on roads with delays.

    Messages may be as old as on any of its roads, or as half the time for which answers are kept: what is older could
    have been answered, and the answer forgotten, so that it would be taken for new.

    :param settings: how it behaves where nothing else is said.
    :param of_roads: how it behaves on each of its roads.
    """
    widest = next((one.widest_time_window for one in of_roads), settings.message_time_window)
    safe = None if widest is None else max(widest, settings.answer_retention / 2)
    window = DELAYED_TIME_WINDOW if safe is None else min(DELAYED_TIME_WINDOW, safe)
    return replace(
        settings,
        message_time_window=window,
        widest_time_window=widest,
        puts_off=True,
        responder=replace(settings.responder, confirm_wait_time=DELAYED_CONFIRM_WAIT_TIME),
    )
