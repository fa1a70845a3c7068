"""``cmpkit offline``: devices, couriers and CAs that no network joins."""

from __future__ import annotations

import typer

from cmpkit.cli.command import Command
from cmpkit.cli.offline_accept import accept
from cmpkit.cli.offline_make import make_app
from cmpkit.cli.offline_status import status
from cmpkit.cli.offline_submit import submit

__all__ = ["offline_app"]

offline_app = typer.Typer(help="Messages that people carry, between devices and a CA.", no_args_is_help=True)
offline_app.add_typer(make_app, name="make")
for _command in (submit, accept, status):
    offline_app.command(cls=Command)(_command)
