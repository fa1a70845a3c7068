"""``cmpkit crl``: the certificate revocation list of a server's CA."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from cmpkit.cli.command import plugins_of
from cmpkit.cli.serverside import (
    ConfigOption,
    Encoding,
    JSONOption,
    print_columns,
    print_json,
    server_packages,
    shown_time,
    write_out,
)
from cmpkit.cli.wording import counted
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.parts import Issuer
    from cmpkit.plugins import Plugins

__all__ = ["crl"]


def crl(
    ctx: typer.Context,
    *,
    config: ConfigOption,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write it; without it, it is shown.")
    ] = None,
    encoding: Annotated[Encoding, typer.Option("--format", help="PEM or DER.")] = Encoding.PEM,
    issuer: Annotated[
        str | None,
        typer.Option("--issuer", metavar="DN", help="The CA by a name that it had before a rollover of its keys."),
    ] = None,
    json: JSONOption = False,
) -> None:
    """Make the current CRL: it has every certificate that was revoked or put on hold before."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    der = anyio.run(_make, config, issuer, plugins_of(ctx))
    made = x509.load_der_x509_crl(der)
    if out is not None:
        write_out(der if encoding is Encoding.DER else made.public_bytes(serialization.Encoding.PEM), out)
    shown = _plain(made)
    if json:
        print_json(shown)
    elif out is not None:
        print(f"CRL {shown['number']} with {counted(len(shown['revoked']), 'certificate')}: {out}")
    else:
        _show(shown)


async def _make(config: Path, name: str | None, plugins: Plugins) -> bytes:
    with server_packages():
        from cmpkit.config import load_configuration, open_issuer
    async with open_issuer(load_configuration(config, plugins), plugins) as (_, issuer):
        chosen = issuer if name is None else await _named(issuer, name)
        return await chosen.crl(now=datetime.now(UTC))


async def _named(issuer: Issuer, name: str) -> Issuer:
    """The issuer of that name, by a present or a former key.

    :raises ConfigurationError: naming those that there are.
    """
    from cmpkit.asn1 import read_name
    from cmpkit.crypto.names import format_name, names_match, parse_name
    from cmpkit.crypto.x509 import outline
    from cmpkit.parts import issuers_of

    wanted, known = parse_name(name), []
    for each in issuers_of(issuer):
        known.append(read_name(outline((await each.ca_certificates())[0]).subject_der))
        if names_match(known[-1], wanted):
            return each
    raise ConfigurationError(f"the CA has no key by the name {name}; it has: {'; '.join(map(format_name, known))}")


def _plain(made: Any) -> dict[str, Any]:
    from cryptography import x509

    from cmpkit.crypto.names import format_name

    revoked = []
    for entry in made:
        reasons = [extension.value for extension in entry.extensions if isinstance(extension.value, x509.CRLReason)]
        revoked.append(
            {
                "serial_number": f"{entry.serial_number:x}",
                "revoked_at": shown_time(entry.revocation_date_utc),
                "reason": reasons[0].reason.value if reasons else "unspecified",
            }
        )
    return {
        "issuer": format_name(made.issuer),
        "number": made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number,
        "this_update": shown_time(made.last_update_utc),
        "next_update": shown_time(made.next_update_utc),
        "revoked": revoked,
    }


def _show(shown: dict[str, Any]) -> None:
    print(f"CRL {shown['number']} of {shown['issuer']}")
    print(f"from {shown['this_update']} to {shown['next_update']}")
    rows = [[entry["serial_number"], entry["revoked_at"], entry["reason"]] for entry in shown["revoked"]]
    print_columns(["SERIAL NUMBER", "REVOKED AT", "REASON"], rows)
