"""``cmpkit init-ra``: a directory with a registration authority and its configuration."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from cmpkit.cli.command import plugins_of
from cmpkit.cli.serverside import JSONOption, print_json, server_packages
from cmpkit.cli.sources import read_secret

if TYPE_CHECKING:
    from cmpkit.ca.setup import Initialised

__all__ = ["Forward", "init_ra"]


class Forward(enum.Enum):
    """How messages go upstream (RFC 9483 section 5.2)."""

    REPROTECT = "reprotect"
    NEST = "nest"
    BATCH = "batch"
    UNCHANGED = "unchanged"


_Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Directory to make; must not exist, or be empty.")]
_Upstream = Annotated[str, typer.Option("--upstream", metavar="URL", help="Address of the CA.")]
_Trusted = Annotated[
    Path, typer.Option("--trusted", metavar="FILE", help="Trust anchors for answers of the CA and for requests.")
]
_Cert = Annotated[
    Path,
    typer.Option("--cert", metavar="FILE", help="Certificate of the registration authority, then those above it."),
]
_Key = Annotated[Path, typer.Option("--key", metavar="FILE", help="Its private key.")]
_Chain = Annotated[
    Path | None, typer.Option("--chain", metavar="FILE", help="The certificates above it, if they are in another file.")
]
_KeyPassword = Annotated[
    str | None,
    typer.Option("--keypass", metavar="file:PATH|env:NAME|fd:N", help="Where the password of the key is."),
]
_Forward = Annotated[
    Forward,
    typer.Option(
        "--forward",
        help="What the CA gets: messages under the protection of the registration authority in place of a MAC, each "
        "inside a message of its own, many inside one, or as they came.",
    ),
]
_Listen = Annotated[
    list[str] | None,
    typer.Option("--listen", metavar="URL", help="Address to listen on; may be repeated.", show_default=False),
]


def init_ra(
    ctx: typer.Context,
    directory: _Directory,
    *,
    upstream: _Upstream,
    trusted: _Trusted,
    cert: _Cert,
    key: _Key,
    chain: _Chain = None,
    keypass: _KeyPassword = None,
    forward: _Forward = Forward.REPROTECT,
    listen: _Listen = None,
    json: JSONOption = False,
) -> None:
    """Make a registration authority in front of a CA: store and configuration in one directory. Asks nothing."""
    with server_packages():
        from cmpkit.config.ra_setup import initialise_ra

    async def run() -> Initialised:
        return await initialise_ra(
            directory,
            upstream=upstream,
            trusted=trusted,
            certificate=cert,
            key=key,
            chain=chain,
            key_password=None if keypass is None else await read_secret(keypass, "--keypass"),
            forward=forward.value,
            listen=listen or (),
            plugins=plugins_of(ctx),
            now=datetime.now(UTC),
        )

    made = anyio.run(run)
    if json:
        print_json({"directory": str(made.directory), "config": str(made.config), "notes": list(made.notes)})
        return
    print(f"configuration: {made.config}")
    for note in made.notes:
        print(note)
    print(f"Let a requester in with: cmpkit secret add REF --config {made.config}")
    print(f"Start the server with: cmpkit serve --config {made.config}")
