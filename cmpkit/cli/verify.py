"""``cmpkit verify``: whether a certificate leads to a trust anchor, and is not revoked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.options import StatusOptions
from cmpkit.cli.serverside import JSONOption, print_json
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.parts import TransportOptions

if TYPE_CHECKING:
    from cmpkit.plugins import Plugins

__all__ = ["verify"]

_TIMEOUT = 60.0


@with_option_groups
def verify(
    ctx: typer.Context,
    certificate: Annotated[
        Path,
        typer.Argument(metavar="CERT", help="The certificate (PEM or DER); others in the file lead to its issuers."),
    ],
    *,
    trusted: Annotated[
        list[Path], typer.Option("--trusted", metavar="FILE", help="Trust anchors (PEM or DER); may be repeated.")
    ],
    untrusted: Annotated[
        list[Path] | None,
        typer.Option("--untrusted", metavar="FILE", help="Intermediate CA certificates that the path may go through."),
    ] = None,
    status: StatusOptions,
    proxy: Annotated[str | None, typer.Option("--proxy", metavar="URL", help="URL of a proxy.")] = None,
    json: JSONOption = False,
) -> None:
    """Check that a certificate leads to a trust anchor and that, as CRLs or OCSP say, nothing on the way is revoked.

    Nothing is fetched but from the addresses that are given here, unless --crl-download allows it.
    """
    wanted = _Wanted(certificate, tuple(trusted), tuple(untrusted or ()), status, proxy)
    checked = anyio.run(_check, wanted, plugins_of(ctx))
    if json:
        print_json(checked)
        return
    from cmpkit.inspection.text import printable

    for one in checked:
        print(f"{printable(one['subject'])} ({one['serial_number']}): {one['standing']}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    certificate: Path
    trusted: tuple[Path, ...]
    untrusted: tuple[Path, ...]
    status: StatusOptions
    proxy: str | None


async def _check(wanted: _Wanted, plugins: Plugins) -> list[dict[str, str]]:
    from cmpkit.ca.sources import read_certificates
    from cmpkit.cli.preparing import read_all
    from cmpkit.cli.results import describe_certificate
    from cmpkit.crypto.paths import validate_path
    from cmpkit.endpoints.revocation import RevocationChecker, revocation_sources

    asked = wanted.status
    sources = await revocation_sources(asked.crl or (), asked.ocsp, crl_download=asked.crl_download, directory=Path())
    if sources is None:
        raise ConfigurationError(
            "nothing says what is revoked",
            hint="give a CRL of each CA of the path (--crl), or an OCSP responder (--ocsp)",
        )
    now = datetime.now(UTC)
    leaf, *more = await read_certificates(str(wanted.certificate), Path())
    candidates, anchors = (*more, *await read_all(wanted.untrusted)), await read_all(wanted.trusted)
    try:
        path = validate_path(leaf, candidates=candidates, anchors=anchors, now=now, plugins=plugins)
    except CMPError as error:
        raise TrustError(error.detail, error.fail_info, rule=error.rule, hint=error.hint) from error
    checker = RevocationChecker(sources, plugins, TransportOptions(timeout=_TIMEOUT, proxy=wanted.proxy))
    statuses = await checker.check(path, now=now)
    described = (describe_certificate(der) for der in path)
    return [
        {"subject": str(one["subject"]), "serial_number": str(one["serial_number"]), "standing": status.standing}
        for one, status in zip(described, statuses, strict=False)
    ]
