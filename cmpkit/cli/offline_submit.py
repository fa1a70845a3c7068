"""``cmpkit offline submit``: bundles of requests are answered by a server, or by a CA that is here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import anyio.to_thread
import typer

from cmpkit.cli.bundles import (
    PackingOptions,
    Problems,
    SignedBy,
    bundle_signer,
    describe_bundle,
    read_bundles,
    wrong_kind,
)
from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.options import RoadOptions
from cmpkit.cli.serverside import print_json, server_packages
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.cli.results import Result
    from cmpkit.offline.bundle import Bundle
    from cmpkit.offline.submitting import Submission
    from cmpkit.plugins import Plugins

__all__ = ["submit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittingOptions:
    """What answers, and where the answers go."""

    answers: Annotated[
        Path,
        typer.Option(
            "--answers", metavar="BUNDLE", help="The bundle for the answers; what is in it already is not asked again."
        ),
    ]
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="The server; the scheme chooses the road.")
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="The configuration of a CA on this machine, in place of a server."
        ),
    ] = None


@with_option_groups
def submit(
    ctx: typer.Context,
    requests: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles of requests.")],
    *,
    submitting: SubmittingOptions,
    packing: PackingOptions,
    road: RoadOptions,
    signed_by: SignedBy = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Have bundles of requests answered, by a server over any road or by a CA that is here; no keys are needed."""
    problems = Problems()
    plugins = plugins_of(ctx)
    submission = anyio.run(
        partial(_submit, requests, submitting, packing, road, signed_by=signed_by, problems=problems, plugins=plugins)
    )
    status = problems.tell()
    result = None if submission is None else _result(submission, submitting.answers)
    if json:
        values = {"command": "offline submit"} if result is None else result.values
        print_json({"status": int(status), **values, "problems": problems.values})
    elif result is not None:
        from cmpkit.cli.results import print_result

        print_result(result, as_json=False)
    raise typer.Exit(status)


async def _submit(
    requests: list[Path],
    submitting: SubmittingOptions,
    packing: PackingOptions,
    road: RoadOptions,
    *,
    signed_by: list[Path] | None,
    problems: Problems,
    plugins: Plugins,
) -> Submission | None:
    """What came of the bundles; ``None`` if none could be read."""
    from cmpkit.cli.serverside import read_moment
    from cmpkit.offline.bundle import write_bundle
    from cmpkit.offline.submitting import submit as submit_bundles

    if (submitting.server is None) is (submitting.config is None):
        raise ConfigurationError("say who answers", hint="give --server URL, or --config FILE of a CA that is here")
    now = datetime.now(UTC)
    expires, signer = read_moment(packing.expires, "--expires", now), await bundle_signer(packing, plugins)
    before = await _read_answers(submitting.answers, plugins)
    bundles = await read_bundles(requests, plugins, problems, signed_by=signed_by)
    if not bundles:
        return None
    async with _answering(submitting, road, plugins) as exchange:
        submission = await submit_bundles(bundles, exchange, before=before, now=now, expires=expires)
    for bundle, reason in submission.refused:
        problems.add(str(bundle.path), ConfigurationError(reason))
    for entry, error in submission.failures.items():
        problems.add(entry.name, error)
    await write_bundle(submitting.answers, submission.manifest, submission.messages, plugins, signer=signer, now=now)
    return submission


async def _read_answers(path: Path, plugins: Plugins) -> Bundle | None:
    """The bundle of answers that was there before.

    :raises CMPError: if there is something else: it is not overwritten.
    """
    from cmpkit.ca.settings import naming
    from cmpkit.offline.bundle import read_bundle
    from cmpkit.offline.manifest import Kind

    if not await anyio.Path(path).exists():
        return None
    with naming(f"--answers {path}"):
        bundle = await anyio.to_thread.run_sync(read_bundle, path, plugins)
        fault = wrong_kind(bundle, Kind.ANSWERS)
        if fault is not None:
            raise fault
    return bundle


@asynccontextmanager
async def _answering(
    submitting: SubmittingOptions, road: RoadOptions, plugins: Plugins
) -> AsyncIterator[Callable[[bytes], Awaitable[bytes]]]:
    """What gives the answer to a message."""
    if submitting.config is not None:
        with server_packages():
            from cmpkit.config.offline import offline_server
        async with offline_server(submitting.config, plugins) as handle:
            yield handle
        return
    from cmpkit.cli.preparing import transport_options
    from cmpkit.transports import open_transport, with_answers

    assert submitting.server is not None
    options = transport_options(road, Path.cwd())
    transport = with_answers(open_transport(plugins, submitting.server, options), patience=road.total_timeout or None)
    try:
        yield transport.exchange
    finally:
        await transport.aclose()


def _result(submission: Submission, path: Path) -> Result:
    from cmpkit.cli.results import Result

    manifest = submission.manifest
    facts = [
        ("answers in it", str(len(manifest.entries))),
        ("asked just now", str(submission.asked)),
        ("number", str(manifest.sequence)),
        ("of use until", f"{manifest.expires:%Y-%m-%d %H:%M} UTC"),
    ]
    values = {"command": "offline submit", **describe_bundle(path, manifest), "asked": submission.asked}
    return Result(f"written {path}, to be carried to the devices", facts, values)
