"""``cmpkit serve``: the server of a configuration, until it is told to stop."""

from __future__ import annotations

import enum
import logging
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import anyio
import anyio.abc
import typer

from cmpkit.cli.command import plugins_of
from cmpkit.cli.serverside import ConfigOption, JSONOption, server_packages
from cmpkit.errors import CMPError, ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from cmpkit.config import Configuration
    from cmpkit.plugins import Plugins

__all__ = ["Backend", "LogLevel", "log_to_standard_error", "serve"]

GRACE_SECONDS = 3.5
"""What has not ended so long after the signal is cut off, so that the process ends within 5 s, on slow machines too."""


class Backend(enum.Enum):
    """The event loop."""

    ASYNCIO = "asyncio"
    TRIO = "trio"


class LogLevel(enum.Enum):
    """What is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    ctx: typer.Context,
    *,
    config: ConfigOption,
    check: Annotated[
        bool, typer.Option("--check", help="Only look for mistakes in the configuration and in what it names.")
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="MESSAGE",
            help="Only say what would become of a message in this file (- is stdin), and why. Nothing is stored.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="LABEL|URL", help="With --explain: the label, or the address, that the message comes to."
        ),
    ] = None,
    json: JSONOption = False,
    backend: Annotated[Backend, typer.Option("--backend", help="Event loop to run on.")] = Backend.ASYNCIO,
    log_level: Annotated[LogLevel, typer.Option("--log-level", help="What goes to standard error.")] = LogLevel.INFO,
) -> None:
    """Serve. Prints "listening on URL" for each address once it is ready; SIGTERM or SIGINT ends it."""
    with server_packages():
        from cmpkit.config import check_configuration, load_configuration
    plugins = plugins_of(ctx)
    if explain is not None:
        _explain(config, plugins, explain, address, as_json=json, backend=backend)
        return
    if address is not None or json:
        raise ConfigurationError("--from and --json go with --explain")
    if check:
        now = datetime.now(UTC)
        checked = anyio.run(partial(check_configuration, config, plugins, now=now), backend=backend.value)
        print(f"{checked.path}: no mistakes")
        return
    log_to_standard_error(log_level)
    configuration = load_configuration(config, plugins)
    anyio.run(_serve, configuration, plugins, backend=backend.value)


def _explain(
    config: Path, plugins: Plugins, name: str, address: str | None, *, as_json: bool, backend: Backend
) -> None:
    from cmpkit.cli.explaining import print_explanations
    from cmpkit.cli.inspect import read_messages
    from cmpkit.config import load_configuration
    from cmpkit.config.explaining import explain_messages

    messages = tuple(source.octets for source in read_messages(name))
    run = partial(explain_messages, load_configuration(config, plugins), plugins, messages, address=address)
    print_explanations(anyio.run(run, backend=backend.value), as_json=as_json)


def log_to_standard_error(level: LogLevel) -> None:
    """Let what happens in cmpkit be logged there, with the time."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    # The libraries below tell of their own affairs at INFO.
    logging.getLogger().setLevel(logging.WARNING if level in (LogLevel.DEBUG, LogLevel.INFO) else level.name)
    logging.getLogger("cmpkit").setLevel(level.name)


async def _serve(configuration: Configuration, plugins: Plugins) -> None:
    from cmpkit.config import serve as run_server

    shutdown = anyio.Event()
    failure: CMPError | None = None
    async with anyio.create_task_group() as task_group:
        await task_group.start(_watch_signals, shutdown, task_group.cancel_scope)
        announcement = _Announcement()
        try:
            await run_server(configuration, plugins, shutdown=shutdown, task_status=announcement)
        except CMPError as error:
            # Raised here it would come out of the task group in an exception group.
            failure = error
        task_group.cancel_scope.cancel()
    if failure is not None:
        raise failure


class _Announcement(anyio.abc.TaskStatus[tuple[str, ...]]):
    """Prints the addresses when the server takes messages."""

    def started(self, value: tuple[str, ...] | None = None) -> None:
        for url in value or ():
            print(f"listening on {url}", flush=True)


async def _watch_signals(
    shutdown: anyio.Event, everything: anyio.CancelScope, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    """The first signal asks for the end, the second one and impatience make it."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        received = await anext(signals)
        logging.getLogger("cmpkit.server").info("%s: finishing what is in flight", received.name)
        shutdown.set()
        with anyio.move_on_after(GRACE_SECONDS):
            await anext(signals)
        everything.cancel()
