"""``cmpkit offline make``: the commands that ask a server, for devices that no network reaches."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from cmpkit.cli import cross_certify, enroll, info, p10, recover, revoke, update
from cmpkit.cli.bundles import PackingOptions, bundle_signer, describe_bundle, offline_transactions
from cmpkit.cli.command import Command, plugins_of, with_option_groups
from cmpkit.cli.exits import UnfinishedError
from cmpkit.cli.options import RoadOptions
from cmpkit.errors import StillWaiting

if TYPE_CHECKING:
    from cmpkit.offline.manifest import Manifest
    from cmpkit.plugins import Plugins

__all__ = ["make_app", "pack_folder"]

make_app = typer.Typer(
    help="Write a request, and keep its transaction: what a device without a network does first.",
    no_args_is_help=True,
)


async def pack_folder(path: Path, folder: Path, packing: PackingOptions, plugins: Plugins) -> Manifest:
    """Write everything that waits in a folder into a bundle.

    :raises ConfigurationError: if something cannot be read or written.
    """
    from anyio import to_thread

    from cmpkit.cli.serverside import read_moment
    from cmpkit.offline.packing import locked, pack, waiting_messages

    now = datetime.now(UTC)
    expires = read_moment(packing.expires, "--expires", now)
    signer = await bundle_signer(packing, plugins)
    with locked(folder):
        transactions = await to_thread.run_sync(offline_transactions, folder)
        messages = waiting_messages(transaction for _, transaction in transactions)
        return await pack(path, messages, folder, plugins, now=now, expires=expires, signer=signer)


@with_option_groups
def _pack(
    *,
    ctx: typer.Context,
    url: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle to write; what is there is replaced.")],
    state: Path | None,
    json: bool,
    packing: PackingOptions,
) -> None:
    """Write the bundle after a request was made, and say so."""
    from cmpkit.cli.jobs import default_state
    from cmpkit.cli.results import Result, print_result

    manifest = anyio.run(pack_folder, url, state or default_state(), packing, plugins_of(ctx))
    facts = [
        ("messages in it", str(len(manifest.entries))),
        ("number", str(manifest.sequence)),
        ("of use until", f"{manifest.expires:%Y-%m-%d %H:%M} UTC"),
    ]
    values = {"command": "offline make", **describe_bundle(url, manifest)}
    print_result(Result(f"written {url}, to be carried to the CA", facts, values), as_json=json)


_OWN = inspect.signature(_pack).parameters
_ROAD = {member.name: member.default for member in fields(RoadOptions)}


def _offline(command: Callable[..., None]) -> Callable[..., None]:
    """A client command that writes its request into a bundle: with BUNDLE in place of URL, and no options of a road."""
    given = inspect.signature(command).parameters
    parameters = {name: parameter for name, parameter in given.items() if name not in _ROAD}
    parameters["url"] = _OWN["url"]
    added = {name: parameter for name, parameter in _OWN.items() if name not in given}
    parameters |= added

    @functools.wraps(command)
    def make(**options: Any) -> None:
        from cmpkit.offline.road import OFFLINE

        packing = {name: options.pop(name) for name in added}
        path = options.pop("url")
        kept = {name: options[name] for name in ("ctx", "state", "json")}
        try:
            command(url=OFFLINE, **_ROAD, **options)
        except UnfinishedError as unfinished:
            if not isinstance(unfinished.error, StillWaiting):
                raise
            _pack(url=path, **kept, **packing)

    make.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    make.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    return make


for _name, _command in {
    "enroll": enroll.enroll,
    "certify": enroll.certify,
    "update": update.update,
    "p10": p10.p10,
    "revoke": revoke.revoke,
    "recover": recover.recover,
    "info": info.info,
    "cross-certify": cross_certify.cross_certify,
}.items():
    make_app.command(_name, cls=Command)(_offline(_command))
