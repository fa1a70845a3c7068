"""``cmpkit``: its commands, each from a module of its own, and the way in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cmpkit import __version__
from cmpkit.cli.ca import ca_app
from cmpkit.cli.cert import cert_app
from cmpkit.cli.command import Command
from cmpkit.cli.crl import crl
from cmpkit.cli.cross_certify import cross_certify
from cmpkit.cli.demo import demo
from cmpkit.cli.doctor import doctor
from cmpkit.cli.enroll import certify, enroll
from cmpkit.cli.info import info
from cmpkit.cli.init import init
from cmpkit.cli.init_ra import init_ra
from cmpkit.cli.inspect import inspect
from cmpkit.cli.offline import offline_app
from cmpkit.cli.p10 import p10
from cmpkit.cli.plugins import plugins as list_plugins
from cmpkit.cli.recover import recover
from cmpkit.cli.renew import renew_app
from cmpkit.cli.request import request_app
from cmpkit.cli.resume import resume
from cmpkit.cli.revoke import revoke
from cmpkit.cli.secret import secret_app
from cmpkit.cli.serve import serve
from cmpkit.cli.update import update
from cmpkit.cli.verify import verify

if TYPE_CHECKING:
    from cmpkit.plugins import Plugins

__all__ = ["app", "main"]

app = typer.Typer(
    name="cmpkit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"cmpkit {__version__}")
        raise typer.Exit


@app.callback()
def cmpkit(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The Certificate Management Protocol (CMP, RFC 9810): client, server and a small CA."""


app.command(cls=Command)(demo)
app.command(cls=Command)(init)
app.command("init-ra", cls=Command)(init_ra)
app.command(cls=Command)(serve)
app.add_typer(secret_app, name="secret")
ca_app.command("cross-certify", cls=Command)(cross_certify)
app.add_typer(ca_app, name="ca")
app.add_typer(cert_app, name="cert")
app.add_typer(request_app, name="request")
app.add_typer(renew_app, name="renew")
app.add_typer(offline_app, name="offline")
app.command(cls=Command)(crl)
app.command("plugins", cls=Command)(list_plugins)
for _command in (enroll, certify, update, p10, revoke, recover, info, inspect, doctor, verify, resume):
    app.command(cls=Command)(_command)


def main(arguments: Sequence[str] | None = None, *, plugins: Plugins | None = None) -> NoReturn:
    """Run the command line and exit with its status.

    :param arguments: without the name of the program; ``None`` takes those of the process.
    :param plugins: the parts that commands use; ``None`` takes those that are installed.
    """
    raise SystemExit(app(arguments, obj=plugins))
