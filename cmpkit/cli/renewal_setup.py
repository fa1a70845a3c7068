"""``cmpkit renew add``, ``import`` and ``units``: what is done once, so that a certificate is renewed from then on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import default_state, key_uri
from cmpkit.cli.options import CredentialOptions, ServerURL, TransferOptions, TrustOptions
from cmpkit.cli.sources import absolute_address, absolute_source
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.renewal.definition import Definition

__all__ = ["StateOption", "add", "import_certificate", "renewal_folder", "units"]

_SOURCE = "file:PATH|env:NAME"
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name: letters, digits, _.@+-")]
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Folder of the certificates.",
        show_default="$XDG_STATE_HOME/cmpkit/renewal or ~/.local/state/cmpkit/renewal",
    ),
]


def renewal_folder(state: Path | None) -> Path:
    """The folder of the certificates, absolute."""
    return (default_state() / "renewal" if state is None else state).absolute()


_WHAT = "The certificate"
_WHEN = "When, and what then"


def _option(name: str, text: str, panel: str, metavar: str | None = None, show_default: str | None = None) -> Any:
    return typer.Option(name, help=text, metavar=metavar, rich_help_panel=panel, show_default=show_default or False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalOptions:
    """How a certificate is renewed."""

    newkey_type: Annotated[str | None, _option("--newkey-type", "Type of new keys.", _WHAT, "TYPE", "as before")] = None
    reuse_key: Annotated[bool, _option("--reuse-key", "Keep the key, in place of a new one each time.", _WHAT)] = False
    subject: Annotated[
        str | None, _option("--subject", "The subject of what the shared secret gets.", _WHAT, "DN", "as before")
    ] = None
    sans: Annotated[
        str | None, _option("--sans", "Its alternative names by comma: DNS, IP address, URI, mail.", _WHAT, "NAMES")
    ] = None
    profile: Annotated[str | None, _option("--profile", "Certificate profile to ask for.", _WHAT, "NAME")] = None
    implicit_confirm: Annotated[bool, _option("--implicit-confirm", "Ask that certConf be dispensed with.", _WHAT)] = (
        False
    )
    window: Annotated[
        str,
        _option(
            "--window", "So long before its end it is due, or so large a share of its life.", _WHEN, "30d|33%", "33%"
        ),
    ] = "33%"
    jitter: Annotated[
        str, _option("--jitter", "How much later at most; a share is of the window.", _WHEN, "1h|10%", "10%")
    ] = "10%"
    deploy_hook: Annotated[
        str | None, _option("--deploy-hook", "Shell command to run when there is a new certificate.", _WHEN, "CMD")
    ] = None
    hook_timeout: Annotated[str, _option("--hook-timeout", "How long it may take.", _WHEN, "TIME", "60s")] = "60s"


@with_option_groups
def add(
    ctx: typer.Context,
    name: _Name,
    *,
    url: ServerURL,
    state: StateOption = None,
    credentials: CredentialOptions,
    trust: TrustOptions,
    certificate: RenewalOptions,
    transfer: TransferOptions,
) -> None:
    """Put a certificate under renewal: one that there is, or one that a shared secret will get."""
    from cmpkit.renewal.adding import add_certificate
    from cmpkit.renewal.place import Place

    pair = _pair(credentials.cert, credentials.key)
    definition = _definition(url, pair, credentials, trust, certificate, transfer)
    place = Place.named(renewal_folder(state), name)
    version = anyio.run(partial(add_certificate, place, definition, plugins_of(ctx), pair=pair))
    print(f"{name} is renewed by: cmpkit renew --state {place.folder}")
    print(f"  definition   {place.definition}")
    print(f"  certificate  {place.current / 'fullchain.pem'}{'' if version is not None else ' (after the first run)'}")
    print(f"  key          {definition.key or place.current / 'key.pem'}")


def _pair(cert: Path | None, key: str | None) -> tuple[Path, str] | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise ConfigurationError(f"{'--cert' if cert is None else '--key'} missing", hint="give both, or neither")
    return cert.absolute(), key_uri(key)


def _definition(url: str, pair: tuple[Path, str] | None, *groups: Any) -> Definition:
    """The definition that options make; they have the names of its fields.

    :raises ConfigurationError: naming the option that cannot be used.
    """
    from cmpkit.durations import parse_duration
    from cmpkit.renewal.definition import Definition
    from cmpkit.renewal.schedule import Span

    given = {member.name: getattr(group, member.name) for group in groups for member in fields(group)}
    del given["cert"], given["key"]
    values: dict[str, Any] = {"url": url, "key": None if pair is None or pair[1].startswith("file:") else pair[1]}
    readers = {"window": Span.parse, "jitter": Span.parse, "hook_timeout": parse_duration}
    for name, value in given.items():
        try:
            values[name] = readers[name](value) if name in readers else _absolute(name, value)
        except ValueError as error:
            raise ConfigurationError(f"--{name.replace('_', '-')}: {error}") from error
    return Definition(**values)


def _absolute(name: str, value: Any) -> Any:
    """A value that does not depend on the directory of this process.

    :raises ValueError: if there is no such.
    """
    if isinstance(value, Path):
        return value.absolute()
    if name in ("secret", "keypass", "tls_keypass") and value is not None:
        source = absolute_source(value)
        if source is None:
            raise ValueError("file:PATH or env:NAME is needed: it is read again each time")
        return source
    if name == "crl":
        return tuple(map(absolute_address, value or ()))
    if name == "road_option":
        return tuple(_absolute_option(text) for text in value or ())
    if isinstance(value, list) or name in ("trusted", "untrusted", "extracerts", "tolerate"):
        return tuple(_absolute("", item) for item in value or ())
    return value


def _absolute_option(text: str) -> str:
    """An option of the road's own; where it says where a secret is, that does not depend on this process either."""
    name, equals, value = text.partition("=")
    return f"{name}={absolute_source(value)}" if equals and value.startswith("file:") else text


def import_certificate(
    ctx: typer.Context,
    name: _Name,
    *,
    cert: Annotated[Path, typer.Option("--cert", metavar="FILE", help="The certificate, then those above it.")],
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="Its private key: a file, or a URI.")],
    keypass: Annotated[
        str | None, typer.Option("--keypass", metavar=_SOURCE, help="Where the password of that key is.")
    ] = None,
    state: StateOption = None,
) -> None:
    """Take a certificate into use that was got in another way: for one that expired, say."""
    from cmpkit.renewal.adding import import_pair
    from cmpkit.renewal.definition import load_definition
    from cmpkit.renewal.keeper import Keeper

    plugins = plugins_of(ctx)
    (place,) = Keeper(renewal_folder(state), plugins).places([name])
    pair = (cert.absolute(), key_uri(key))
    definition = load_definition(place.definition)
    anyio.run(partial(import_pair, place, definition, plugins, pair=pair, keypass=keypass))
    print(f"{name}: {place.current / 'fullchain.pem'}")


def units(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write them: /etc/systemd/system")],
    *,
    state: StateOption = None,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="A service that stays, in place of one with a timer.")
    ] = False,
    user: Annotated[str | None, typer.Option("--user", help="Whom it runs as.", show_default="root")] = None,
    writable: Annotated[
        list[Path] | None,
        typer.Option("--writable", metavar="PATH", help="Where deploy hooks may write; may be repeated."),
    ] = None,
) -> None:
    """Write units for systemd: a service with a timer that runs it each hour, or a service that stays."""
    import sysconfig

    from cmpkit.crypto.keys import write_file_atomically
    from cmpkit.renewal.units import systemd_units

    program = Path(sysconfig.get_path("scripts"), "cmpkit")
    made = systemd_units(
        program, renewal_folder(state), daemon=daemon, user=user, writable=[path.absolute() for path in writable or ()]
    )
    for name, text in made.items():
        write_file_atomically(out / name, text.encode())
        print(out / name)
    print(f"start with: systemctl daemon-reload && systemctl enable --now {list(made)[-1]}")
