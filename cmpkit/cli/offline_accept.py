"""``cmpkit offline accept``: what has come is verified and installed, and what is to follow is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from cmpkit.cli.bundles import (
    PackingOptions,
    Problems,
    SignedBy,
    describe_bundle,
    offline_transactions,
    read_bundles,
    wrong_kind,
)
from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.exits import ExitStatus, UnfinishedError
from cmpkit.cli.offline_make import pack_folder
from cmpkit.cli.options import KeepingOptions, TrustOptions
from cmpkit.cli.resume import KeypassAgain, NewKeypassAgain, SecretAgain, job_again
from cmpkit.cli.serverside import print_json
from cmpkit.cli.wording import counted
from cmpkit.errors import CMPError, ConfigurationError, StillWaiting

if TYPE_CHECKING:
    from cmpkit.cli.jobs import Job
    from cmpkit.cli.operations import Operation
    from cmpkit.cli.results import Result
    from cmpkit.offline.bundle import Bundle
    from cmpkit.offline.manifest import Manifest
    from cmpkit.offline.packing import Ledger
    from cmpkit.plugins import Plugins

__all__ = ["accept"]


@dataclass
class _Came:
    """What came of the transactions of a folder."""

    results: list[Result] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    notes: list[str] = field(default_factory=list)
    manifest: Manifest | None = None
    waiting: int = 0


@with_option_groups
def accept(
    ctx: typer.Context,
    answers: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BUNDLE]...", help="Bundles of answers; without them, only --into is written."),
    ] = None,
    *,
    trust: TrustOptions,
    packing: PackingOptions,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="BUNDLE", help="Write what is to be carried next into this bundle.")
    ] = None,
    signed_by: SignedBy = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="Folder of the transactions, as for offline make.")
    ] = None,
    secret: SecretAgain = None,
    keypass: KeypassAgain = None,
    newkeypass: NewKeypassAgain = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify and install what has come for this device, and write what is to follow, such as certConf."""
    from cmpkit.cli.jobs import default_state

    plugins, folder, came = plugins_of(ctx), state or default_state(), _Came()
    bundles = anyio.run(_read, answers or [], folder, plugins, came, signed_by)
    for saved, messages in _concerned(folder, bundles):
        try:
            again = job_again(
                saved, KeepingOptions(state=folder), trust, secret=secret, keypass=keypass, newkeypass=newkeypass
            )
            _go_on(saved, again, messages, plugins, came)
        except CMPError as error:
            came.problems.add(f"transaction {saved.stem}", error)
    came.waiting = len(_waiting(folder))
    if into is not None:
        came.manifest = anyio.run(pack_folder, into, folder, packing, plugins)
    raise typer.Exit(_tell(came, into, as_json=json))


async def _read(
    paths: Sequence[Path], folder: Path, plugins: Plugins, came: _Came, signed_by: Sequence[Path] | None
) -> list[Bundle]:
    """The bundles that count; that they were read is written down."""
    from anyio import to_thread

    from cmpkit.offline.packing import Ledger, locked

    bundles = await read_bundles(paths, plugins, came.problems, signed_by=signed_by)
    if not bundles:
        return []
    with locked(folder):
        ledger = await to_thread.run_sync(Ledger.load, folder)
        taken = []
        for bundle in bundles:
            fault = _fault(bundle, ledger)
            if fault is not None:
                came.problems.add(str(bundle.path), fault)
                continue
            taken.append(bundle)
            came.problems.leave_to_others(
                f"{bundle.path}: {entry.name}" for entry in bundle.manifest.entries if entry.series != ledger.series
            )
            answered = bundle.manifest.seen.get(ledger.series, ledger.sequence)
            if answered < ledger.sequence:
                came.notes.append(
                    f"{bundle.path} answers number {answered} from here, {ledger.sequence} was written since"
                )
            ledger = ledger.having_seen(bundle.manifest.series, bundle.manifest.sequence)
        await to_thread.run_sync(ledger.save, folder)
    return taken


def _fault(bundle: Bundle, ledger: Ledger) -> CMPError | None:
    """Why a bundle does not count."""
    from cmpkit.offline.manifest import Kind

    manifest = bundle.manifest
    newest = ledger.seen.get(manifest.series, 0)
    if manifest.kind is not Kind.ANSWERS:
        return wrong_kind(bundle, Kind.ANSWERS)
    if manifest.sequence < newest:
        return ConfigurationError(
            f"it is out of date: number {manifest.sequence} of its sender, number {newest} was here already"
        )
    if manifest.expires < datetime.now(UTC):
        return ConfigurationError(
            f"it expired at {manifest.expires:%Y-%m-%d %H:%M} UTC", hint="submit the requests again"
        )
    return None


def _concerned(folder: Path, bundles: Sequence[Bundle]) -> list[tuple[Path, tuple[bytes, ...]]]:
    """The files of the transactions that something came for, with that, or whose result is still to be written."""
    from cmpkit.engine.states import ClientState
    from cmpkit.offline.packing import answers_for

    found = [
        (path, transaction, answers_for(transaction, bundles)) for path, transaction in offline_transactions(folder)
    ]
    return [(path, came) for path, transaction, came in found if came or transaction.state is ClientState.DONE]


def _go_on(saved: Path, again: tuple[Job, Operation], messages: Sequence[bytes], plugins: Plugins, came: _Came) -> None:
    from cmpkit.cli.operations import do_job
    from cmpkit.offline.road import OfflineRoad

    job, operation = again
    try:
        came.results.append(do_job(job, operation, plugins, saved, road=OfflineRoad(messages)))
    except UnfinishedError as unfinished:
        if not isinstance(unfinished.error, StillWaiting):
            raise unfinished.error from unfinished


def _waiting(folder: Path) -> tuple[bytes, ...]:
    from cmpkit.offline.packing import waiting_messages

    return waiting_messages(transaction for _, transaction in offline_transactions(folder))


def _tell(came: _Came, into: Path | None, *, as_json: bool) -> ExitStatus:
    """Print what came; the status to end with."""
    from cmpkit.cli.results import Result, print_result

    status = came.problems.tell()
    notes = came.notes if came.waiting else []
    if status is ExitStatus.DONE and came.waiting:
        status = ExitStatus.WAITING
    if as_json:
        written = None if into is None or came.manifest is None else describe_bundle(into, came.manifest)
        values: dict[str, Any] = {
            "status": int(status),
            "command": "offline accept",
            "results": [result.values for result in came.results],
            "waiting": came.waiting,
            "notes": notes,
            "written": written,
            "problems": came.problems.values,
        }
        print_json(values)
        return status
    for result in (*came.results, *map(Result, notes)):
        print_result(result, as_json=False)
    if came.manifest is not None:
        said = f"{counted(came.waiting, 'message')} to be carried to the CA"
        print_result(Result(f"written {into}: {said}"), as_json=False)
    elif came.waiting:
        said = f"{counted(came.waiting, 'message')} still to be carried: write them with --into BUNDLE"
        print_result(Result(said), as_json=False)
    elif not came.results:
        print_result(Result("nothing came for this device, and nothing waits"), as_json=False)
    return status
