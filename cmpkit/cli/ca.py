"""``cmpkit ca``: the keys of a server's CA, and how they are replaced."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from cmpkit.cli.command import Command, plugins_of
from cmpkit.cli.serverside import ConfigOption, JSONOption, print_json, server_packages, shown_time

if TYPE_CHECKING:
    from cmpkit.ca.generation import Generation
    from cmpkit.config.rollover import Switched

__all__ = ["ca_app"]

ca_app = typer.Typer(help="The keys of the CA, and how they are replaced.", no_args_is_help=True)


def _address(option: str, what: str) -> Any:
    """An option for where something of the new issuing CA will be published."""
    text = f"Where {what} of the new issuing CA will be; default: the old address with a number. May be repeated."
    return typer.Option(option, metavar="URL", help=text, show_default=False)


_CRLURL = Annotated[list[str] | None, _address("--crl-url", "the CRL")]
_DeltaCRLURL = Annotated[list[str] | None, _address("--delta-crl-url", "the delta CRL")]
_CAIssuersURL = Annotated[list[str] | None, _address("--ca-issuers-url", "the certificate")]


@ca_app.command(cls=Command)
def rollover(
    ctx: typer.Context,
    *,
    config: ConfigOption,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="DIR", help="Directory with the present root, if it was carried away."),
    ] = None,
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Only make the new keys and tell of the new root; issue by the old key so far."),
    ] = False,
    subject: Annotated[
        str | None,
        typer.Option("--subject", metavar="DN", help="Name of the new issuing CA; default: the old one with a number."),
    ] = None,
    key_type: Annotated[
        str | None, typer.Option("--key-type", metavar="TYPE", help="Of the new keys; default: as the old one.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Even if keys from an earlier rollover are in use; they stay in use.")
    ] = False,
    crl_url: _CRLURL = None,
    delta_crl_url: _DeltaCRLURL = None,
    ca_issuers_url: _CAIssuersURL = None,
    json: JSONOption = False,
) -> None:
    """Replace the keys of the CA, from the root on. What was issued before stays valid. Asks nothing."""
    with server_packages():
        from cmpkit.config.rollover import prepare_rollover, switch_keys
        from cmpkit.crypto.names import parse_name

    plugins, now = plugins_of(ctx), datetime.now(UTC)
    name = None if subject is None else parse_name(subject)
    addresses = _addresses(crl_url, delta_crl_url, ca_issuers_url)

    async def run() -> Generation | Switched:
        made = await prepare_rollover(config, plugins, root=root, subject=name, key_type=key_type, again=again, now=now)
        return made if prepare else await switch_keys(config, plugins, addresses=addresses, now=now)

    _tell(anyio.run(run), config, json=json)


@ca_app.command(cls=Command)
def switch(
    ctx: typer.Context,
    *,
    config: ConfigOption,
    crl_url: _CRLURL = None,
    delta_crl_url: _DeltaCRLURL = None,
    ca_issuers_url: _CAIssuersURL = None,
    json: JSONOption = False,
) -> None:
    """Issue by the keys that `cmpkit ca rollover --prepare` made."""
    with server_packages():
        from cmpkit.config.rollover import switch_keys

    addresses = _addresses(crl_url, delta_crl_url, ca_issuers_url)
    work = partial(switch_keys, config, plugins_of(ctx), addresses=addresses, now=datetime.now(UTC))
    _tell(anyio.run(work), config, json=json)


def _addresses(
    crl: list[str] | None, delta_crl: list[str] | None, ca_issuers: list[str] | None
) -> dict[str, list[str]]:
    return {"crl_urls": crl or [], "delta_crl_urls": delta_crl or [], "ca_issuers_urls": ca_issuers or []}


@ca_app.command(cls=Command)
def finish(
    ctx: typer.Context,
    *,
    config: ConfigOption,
    force: Annotated[
        bool, typer.Option("--force", help="Even if certificates from the former keys are valid.")
    ] = False,
    json: JSONOption = False,
) -> None:
    """Forget the former keys, once everything that they issued has expired."""
    with server_packages():
        from cmpkit.config.rollover import finish_rollover

    keys = anyio.run(partial(finish_rollover, config, plugins_of(ctx), force=force, now=datetime.now(UTC)))
    if json:
        print_json({"config": str(config), "keys": list(keys)})
        return
    print(f"not needed any more: {', '.join(keys)}")
    print("The old root is no longer in trust.pem. Restart the server.")


def _tell(came: Generation | Switched, config: Path, *, json: bool) -> None:
    from cmpkit.config.rollover import Switched

    switched = isinstance(came, Switched)
    shown = _plain(came.generation if isinstance(came, Switched) else came, config.parent)
    addresses = {key: list(urls) for key, urls in came.addresses.items()} if isinstance(came, Switched) else {}
    if json:
        print_json({"config": str(config), "switched": switched, **shown, **_addresses(None, None, None), **addresses})
        return
    print(f"new root: {shown['subject']}, SHA-256 {shown['sha256']}, until {shown['not_after']}")
    print(f"trust anchors for clients, old and new: {shown['trust']}")
    if shown["root"] is not None:
        print(f"The new root key is in {shown['root']}, encrypted, with its passphrase beside it: carry both away.")
    if switched:
        print(f"From its next start on, the server issues as {shown['issuing']}.")
        for key, what in _PUBLISHED.items():
            for url in addresses[key]:
                print(f"Where its certificates say that {what} is: {url}")
        print("Later, when nothing from the old key is valid any more: cmpkit ca finish")
    else:
        print(f"From its next start on, the server tells of the new root, and issues by the old key until: {_SWITCH}")


_SWITCH = "cmpkit ca switch"
_PUBLISHED = {"crl_urls": "its CRL", "delta_crl_urls": "its delta CRL", "ca_issuers_urls": "its own"}


def _plain(made: Generation, base: Path) -> dict[str, Any]:
    from cryptography import x509

    from cmpkit.ca.setup import TRUST
    from cmpkit.crypto.names import format_name
    from cmpkit.crypto.x509 import fingerprint

    root = x509.load_der_x509_certificate(made.update.new_with_new)
    folder = base / made.directory / "root"
    return {
        "directory": str(base / made.directory),
        "root": str(folder) if folder.exists() else None,
        "subject": format_name(root.subject),
        "sha256": fingerprint(made.update.new_with_new).hex(),
        "not_after": shown_time(root.not_valid_after_utc),
        "trust": str(base / TRUST),
        "issuing": format_name(made.issuing.name),
    }
