"""``cmpkit init``: a directory with a CA, a server and their configuration."""

from __future__ import annotations

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

__all__ = ["init"]

_EXISTING = "A CA that exists, or that another CA certifies"


_Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Directory to make; must not exist, or be empty.")]
_Listen = Annotated[
    list[str] | None,
    typer.Option("--listen", metavar="URL", help="Address to listen on; may be repeated.", show_default=False),
]
_Subject = Annotated[
    str | None, typer.Option("--subject", metavar="DN", help="Name of the CA; without it, one is made up.")
]
_KeyType = Annotated[
    str, typer.Option("--key-type", metavar="TYPE", help="Of all keys: p256, rsa3072, ed25519, mldsa65 …")
]
_PathLength = Annotated[
    int,
    typer.Option(
        "--path-length", metavar="N", min=0, help="How many CAs may be below the issuing CA: 1 to cross-certify others."
    ),
]
_CACert = Annotated[
    Path | None,
    typer.Option(
        "--ca-cert",
        metavar="FILE",
        help="Certificate of the CA and those above it: PEM, DER or PKCS#12.",
        rich_help_panel=_EXISTING,
    ),
]
_CAKey = Annotated[
    Path | None,
    typer.Option(
        "--ca-key", metavar="FILE", help="Its private key, if it is in another file.", rich_help_panel=_EXISTING
    ),
]
_CAKeyPassword = Annotated[
    str | None,
    typer.Option(
        "--ca-keypass",
        metavar="file:PATH|env:NAME|fd:N",
        help="Where the password of the key or of the PKCS#12 file is.",
        rich_help_panel=_EXISTING,
    ),
]
_CSROut = Annotated[
    Path | None,
    typer.Option(
        "--csr-out",
        metavar="FILE",
        help="Write a request (PKCS#10) for another CA to sign; then run init again with --ca-cert.",
        rich_help_panel=_EXISTING,
    ),
]


def init(
    ctx: typer.Context,
    directory: _Directory,
    *,
    listen: _Listen = None,
    subject: _Subject = None,
    key_type: _KeyType = "p256",
    path_length: _PathLength = 0,
    ca_cert: _CACert = None,
    ca_key: _CAKey = None,
    ca_keypass: _CAKeyPassword = None,
    csr_out: _CSROut = None,
    json: JSONOption = False,
) -> None:
    """Make a CA with a CMP server: keys, certificates, store and configuration in one directory. Asks nothing."""
    with server_packages():
        from cmpkit.ca.setup import initialise
        from cmpkit.crypto.names import parse_name

    async def run() -> Initialised:
        password = None if ca_keypass is None else await read_secret(ca_keypass, "--ca-keypass")
        return await initialise(
            directory,
            listen=listen or (),
            subject=None if subject is None else parse_name(subject),
            key_type=key_type,
            path_length=path_length,
            ca_certificate=ca_cert,
            ca_key=ca_key,
            ca_key_password=password,
            csr_out=csr_out,
            plugins=plugins_of(ctx),
            now=datetime.now(UTC),
        )

    made = anyio.run(run)
    if json:
        print_json(
            {
                "directory": str(made.directory),
                "config": str(made.config),
                "trust": str(made.trust) if made.trust.exists() else None,
                "request": None if made.request is None else str(made.request),
                "notes": list(made.notes),
            }
        )
    else:
        _tell(made)


def _tell(made: Initialised) -> None:
    print(f"configuration: {made.config}")
    if made.trust.exists():
        print(f"trust anchor for clients: {made.trust}")
    for note in made.notes:
        print(note)
    if made.trust.exists():
        print(f"Let a client in with: cmpkit secret add REF --config {made.config}")
        print(f"Start the server with: cmpkit serve --config {made.config}")
