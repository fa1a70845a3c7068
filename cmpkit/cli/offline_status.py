"""``cmpkit offline status``: what is where, and what is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from cmpkit.cli.bundles import Problems, SignedBy, describe_bundle, offline_transactions, read_bundles
from cmpkit.cli.command import plugins_of
from cmpkit.cli.serverside import print_columns, print_json

if TYPE_CHECKING:
    from cmpkit.offline.bundle import Bundle
    from cmpkit.offline.overview import Line

__all__ = ["status"]

_TITLES = ("DEVICE", "MESSAGE", "TRANSACTION", "WHERE", "FILES")
_BUNDLE_TITLES = ("BUNDLE", "KIND", "SENDER", "NUMBER", "MESSAGES", "OF USE UNTIL")
_SHORT = 8


def status(
    ctx: typer.Context,
    bundles: Annotated[
        list[Path] | None, typer.Argument(metavar="[BUNDLE]...", help="Bundles of requests and of answers.")
    ] = None,
    *,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="Folder of the transactions, as for offline make.")
    ] = None,
    signed_by: SignedBy = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell of every message in some bundles, and of those that wait at this device, where it is and what is missing."""
    from cmpkit.cli.jobs import default_state
    from cmpkit.offline.overview import overview
    from cmpkit.offline.packing import waiting_messages

    problems = Problems()

    async def read() -> list[Bundle]:
        return await read_bundles(bundles or [], plugins_of(ctx), problems, signed_by=signed_by)

    found = anyio.run(read)
    waiting = waiting_messages(one for _, one in offline_transactions(state or default_state()))
    lines = overview(found, waiting)
    ended = problems.tell()
    if json:
        print_json(
            {
                "status": int(ended),
                "bundles": [describe_bundle(one.path, one.manifest) for one in found],
                "messages": [_values(line) for line in lines],
                "problems": problems.values,
            }
        )
    else:
        _print(found, lines)
    raise typer.Exit(ended)


def _print(bundles: list[Bundle], lines: tuple[Line, ...]) -> None:
    now = datetime.now(UTC)
    if bundles:
        print_columns(_BUNDLE_TITLES, [_row(bundle, now) for bundle in bundles])
        print()
    if not lines:
        print("nothing waits")
        return
    print_columns(_TITLES, [_shown(line) for line in lines])


def _row(bundle: Bundle, now: datetime) -> tuple[str, ...]:
    manifest = bundle.manifest
    until = f"{manifest.expires:%Y-%m-%d %H:%M} UTC{' (expired)' if manifest.expires < now else ''}"
    whole = len(bundle.messages)
    count = str(whole) if whole == len(manifest.entries) else f"{whole} of {len(manifest.entries)}"
    return (
        *(bundle.path.name, manifest.kind.value, manifest.series.hex()[:_SHORT]),
        *(str(manifest.sequence), count, until),
    )


def _shown(line: Line) -> tuple[str, ...]:
    files = ", ".join(path.name for path in line.files)
    transaction = line.transaction_id.hex()[:_SHORT]
    return line.device or "?", line.body or "?", transaction or "?", line.place.value, files


def _values(line: Line) -> dict[str, Any]:
    return {
        "digest": line.digest.hex(),
        "transaction": line.transaction_id.hex(),
        "body": line.body,
        "device": line.device,
        "place": line.place.name.lower(),
        "files": [str(path) for path in line.files],
    }
