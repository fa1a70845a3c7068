"""``cmpkit renew``: certificates that are kept valid, by a timer or a process that stays."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import anyio.abc
import typer

from cmpkit.cli.command import Command, CommandGroup, plugins_of
from cmpkit.cli.renewal_setup import StateOption, add, import_certificate, renewal_folder, units
from cmpkit.cli.serve import Backend, LogLevel, log_to_standard_error
from cmpkit.cli.serverside import JSONOption
from cmpkit.errors import CMPError, ConfigurationError

if TYPE_CHECKING:
    from cmpkit.plugins import Plugins
    from cmpkit.renewal.keeper import Keeper
    from cmpkit.renewal.place import Place
    from cmpkit.renewal.standing import Standing

__all__ = ["renew_app"]

GRACE_SECONDS = 75.0
"""What has not ended so long after the signal is broken off, to be gone on with; systemd waits for 90 s."""

renew_app = typer.Typer(cls=CommandGroup, invoke_without_command=True)


@renew_app.callback()
def renew(
    ctx: typer.Context,
    *,
    state: StateOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this certificate; may be repeated.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Renew and deploy now, due or not.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look whether everything is there, and say what is due when.")
    ] = False,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="Stay, and do what is due when it is; SIGTERM ends.")
    ] = False,
    json: JSONOption = False,
    backend: Annotated[Backend, typer.Option("--backend", help="Event loop to run on.")] = Backend.ASYNCIO,
    log_level: Annotated[
        LogLevel | None,
        typer.Option("--log-level", help="What is logged to standard error.", show_default="info with --daemon"),
    ] = None,
) -> None:
    """Renew certificates that are due, go on with what was interrupted, and run deploy hooks.

    Certificates get under renewal by: cmpkit renew add.
    """
    if ctx.invoked_subcommand is not None:
        _no_options_before(ctx)
        return
    _check_modes(daemon=daemon, force=force, only=bool(only), dry_run=dry_run)
    if daemon and log_level is None:
        log_level = LogLevel.INFO
    if log_level is None:
        # What goes wrong is told in another way.
        import logging

        logging.getLogger("cmpkit").addHandler(logging.NullHandler())
    else:
        log_to_standard_error(log_level)
    run = _stay if daemon else _check if dry_run else partial(_renew, force=force)
    status = anyio.run(
        partial(run, renewal_folder(state), plugins_of(ctx), only or [], as_json=json), backend=backend.value
    )
    raise typer.Exit(status)


def _no_options_before(ctx: typer.Context) -> None:
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    wrong = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if wrong:
        raise ConfigurationError(
            f"--{wrong[0].replace('_', '-')} stands before {ctx.invoked_subcommand}",
            hint=f"write it behind: cmpkit renew {ctx.invoked_subcommand} …",
        )


def _check_modes(*, daemon: bool, force: bool, only: bool, dry_run: bool) -> None:
    for wrong, text in (
        (daemon and force, "--daemon and --force exclude each other"),
        (daemon and dry_run, "--daemon and --dry-run exclude each other"),
        (daemon and only, "--daemon and --only exclude each other"),
        (dry_run and force, "--dry-run and --force exclude each other"),
    ):
        if wrong:
            raise ConfigurationError(text)


async def _renew(folder: Path, plugins: Plugins, only: list[str], *, force: bool, as_json: bool) -> int:
    from cmpkit.cli.renewing import print_outcomes, status_of
    from cmpkit.renewal.keeper import Keeper

    outcomes = await Keeper(folder, plugins).renew(only, force=force)
    print_outcomes(outcomes, as_json=as_json)
    return status_of(outcomes)


async def _check(folder: Path, plugins: Plugins, only: list[str], *, as_json: bool) -> int:
    """The dry run: the list, and whether all that is needed can be used."""
    from cmpkit.cli.exits import ExitStatus, report
    from cmpkit.cli.renewing import print_list
    from cmpkit.renewal.keeper import Keeper
    from cmpkit.renewal.materials import utc_now

    keeper, status = Keeper(folder, plugins), ExitStatus.DONE
    found: list[tuple[Place, Standing | ConfigurationError]] = []
    for place in keeper.places(only):
        try:
            found.append((place, await keeper.check(place)))
        except ConfigurationError as error:
            status = report(error, about=place.name)
            found.append((place, error))
    print_list(found, utc_now(), as_json=as_json)
    return status


async def _stay(folder: Path, plugins: Plugins, only: list[str], *, as_json: bool) -> int:
    from cmpkit.cli.renewing import outcome_line
    from cmpkit.renewal.keeper import Keeper
    from cmpkit.renewal.renewer import Outcome

    def tell(outcome: Outcome) -> None:
        if as_json and (outcome.done or outcome.errors):
            print(outcome_line(outcome), flush=True)

    keeper, stop = Keeper(folder, plugins), anyio.Event()
    failure: CMPError | None = None
    async with anyio.create_task_group() as tasks:
        await tasks.start(_watch_signals, keeper, stop, tasks.cancel_scope)
        try:
            await keeper.keep(stop, told=tell)
        except CMPError as error:
            # Raised here it would come out of the task group in an exception group.
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return 0


async def _watch_signals(
    keeper: Keeper, stop: anyio.Event, everything: anyio.CancelScope, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    """SIGHUP wakes; another signal asks for the end, the next one and impatience make it."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        while await anext(signals) == signal.SIGHUP:
            keeper.wake()
        stop.set()
        with anyio.move_on_after(GRACE_SECONDS):
            while await anext(signals) == signal.SIGHUP:
                pass
        everything.cancel()


@renew_app.command("list", cls=Command)
def list_certificates(ctx: typer.Context, *, state: StateOption = None, json: JSONOption = False) -> None:
    """List the certificates under renewal: how they stand, and what is due when."""
    from cmpkit.cli.renewing import print_list
    from cmpkit.renewal.materials import utc_now
    from cmpkit.renewal.place import find_places
    from cmpkit.renewal.standing import look

    found: list[tuple[Place, Standing | ConfigurationError]] = []
    for place in find_places(renewal_folder(state)):
        try:
            found.append((place, look(place)))
        except ConfigurationError as error:
            found.append((place, error))
    print_list(found, utc_now(), as_json=json)


renew_app.command(cls=Command)(add)
renew_app.command("import", cls=Command)(import_certificate)
renew_app.command(cls=Command)(units)
