"""``cmpkit demo``: a CA, a server and a client in one process, and what they say to each other."""

from __future__ import annotations

import logging
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import anyio
import typer

from cmpkit.cli.command import plugins_of
from cmpkit.cli.serverside import server_packages

__all__ = ["demo"]


def demo(
    ctx: typer.Context,
    *,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Leave the CA, keys and certificates in DIR, which must not exist yet."),
    ] = None,
    all_transports: Annotated[
        bool, typer.Option("--all-transports", help="Enrol over each road in place of that: HTTP, TCP, files, mail ...")
    ] = False,
) -> None:
    """Show it all on loopback: make a CA, serve, enrol, update, revoke, and find the certificate in the CRL."""
    with server_packages():
        from cmpkit.cli.tour import Tour
        from cmpkit.cli.tour_roads import RoadsTour
    tour = RoadsTour if all_transports else Tour
    # What the server refuses on purpose is told in its place.
    logging.getLogger("cmpkit").addHandler(logging.NullHandler())
    place: AbstractContextManager[Path | str] = (
        nullcontext(keep) if keep is not None else tempfile.TemporaryDirectory(prefix="cmpkit-demo-")
    )
    with place as directory:
        anyio.run(tour(Path(directory), plugins_of(ctx), kept=keep is not None).run)
