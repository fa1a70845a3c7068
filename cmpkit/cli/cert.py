"""``cmpkit cert``: the certificates that a server issued."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from cmpkit.cli.command import Command, plugins_of
from cmpkit.cli.revoke import read_reason
from cmpkit.cli.serverside import (
    ConfigOption,
    Encoding,
    JSONOption,
    print_columns,
    print_facts,
    print_json,
    read_moment,
    server_packages,
    shown_time,
    write_out,
)
from cmpkit.enums import CRLReason
from cmpkit.errors import CMPError, ConfigurationError, raise_first
from cmpkit.parts import CertificateState, issuers_of

if TYPE_CHECKING:
    from cmpkit.parts import CertificateRecord, Issuer, Store
    from cmpkit.plugins import Plugins

__all__ = ["cert_app"]

cert_app = typer.Typer(help="Certificates that the server issued.", no_args_is_help=True)

Which = Annotated[
    str, typer.Argument(metavar="SERIAL", help="Serial number in hexadecimal, or the SHA-256 of the certificate.")
]


@cert_app.command("list", cls=Command)
def list_certificates(
    ctx: typer.Context,
    *,
    config: ConfigOption,
    subject: Annotated[str | None, typer.Option("--subject", metavar="DN", help="Only those of this subject.")] = None,
    state: Annotated[
        list[CertificateState] | None, typer.Option("--state", help="Only those in this state; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 1000,
    json: JSONOption = False,
) -> None:
    """List certificates, the newest first."""
    from cmpkit.crypto.names import format_name, parse_name

    name = None if subject is None else format_name(parse_name(subject))

    async def run() -> tuple[CertificateRecord, ...]:
        with server_packages():
            from cmpkit.config import load_configuration, open_store
        plugins = plugins_of(ctx)
        async with open_store(load_configuration(config, plugins), plugins) as store:
            return await store.certificates(subject=name, states=state or (), limit=limit)

    found = [_plain(record) for record in anyio.run(run)]
    if json:
        print_json(found)
        return
    keys = ("serial_number", "subject", "state", "not_after", "profile")
    print_columns([key.upper().replace("_", " ") for key in keys], [[row[key] or "" for key in keys] for row in found])


@cert_app.command(cls=Command)
def show(ctx: typer.Context, which: Which, config: ConfigOption, json: JSONOption = False) -> None:
    """Show what the server knows of one certificate."""

    async def run() -> CertificateRecord:
        async with _found(config, plugins_of(ctx), which) as found:
            return found.record

    plain = _plain(anyio.run(run))
    if json:
        print_json(plain)
        return
    print_facts((key.replace("_", " "), value) for key, value in plain.items() if value is not None)


@cert_app.command(cls=Command)
def export(
    ctx: typer.Context,
    which: Which,
    *,
    config: ConfigOption,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write it; without it, standard output.")
    ] = None,
    encoding: Annotated[Encoding, typer.Option("--format", help="PEM or DER.")] = Encoding.PEM,
    chain: Annotated[bool, typer.Option("--chain", help="With the certificates above it (PEM only).")] = False,
) -> None:
    """Write one certificate."""
    from cmpkit.crypto.x509 import to_pem

    if chain and encoding is Encoding.DER:
        raise ConfigurationError("--chain: DER holds one certificate only", hint="leave out --format der")

    async def run() -> tuple[bytes, ...]:
        async with _found(config, plugins_of(ctx), which) as found:
            return (found.record.der, *(found.authority if chain else ()))

    certificates = anyio.run(run)
    write_out(to_pem(*certificates) if encoding is Encoding.PEM else certificates[0], out)


@cert_app.command(cls=Command)
def revoke(
    ctx: typer.Context,
    which: Which,
    *,
    config: ConfigOption,
    revreason: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Name or number: keyCompromise, superseded; certificateHold and removeFromCRL begin and end a hold.",
        ),
    ] = CRLReason.UNSPECIFIED.wire_name,
    json: JSONOption = False,
) -> None:
    """Revoke a certificate as the operator. The CRL has it from now on, see cmpkit crl."""
    reason = read_reason(revreason)

    async def run() -> tuple[CertificateRecord, CertificateState]:
        async with _found(config, plugins_of(ctx), which) as found:
            from cmpkit.ca.operator import revoke_certificate

            state = await revoke_certificate(
                found.record, reason, store=found.store, issuer=found.issuer, now=datetime.now(UTC)
            )
            return found.record, state

    record, state = anyio.run(run)
    if json:
        print_json({"serial_number": f"{record.serial_number:x}", "state": state.value, "reason": reason.wire_name})
    else:
        from cmpkit.inspection.text import printable

        print(f"{record.serial_number:x} ({printable(record.subject)}) is {state.value}")


@cert_app.command(cls=Command)
def warn(
    ctx: typer.Context,
    which: Which,
    *,
    config: ConfigOption,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="When it will be revoked: 12h, 30d, 2026-01-31T12:00Z.")
    ],
    revreason: Annotated[
        str, typer.Option(metavar="REASON", help="Name or number, as for cmpkit cert revoke.")
    ] = CRLReason.UNSPECIFIED.wire_name,
    json: JSONOption = False,
) -> None:
    """Announce to repositories that a certificate will be revoked. Revoke it then with cmpkit cert revoke."""
    reason, moment = read_reason(revreason), read_moment(at, "--at", datetime.now(UTC))
    told = anyio.run(_warn, config, plugins_of(ctx), which, reason, moment)
    raise_first(fault for fault in told.values() if fault is not None)
    if json:
        print_json({"told": list(told)})
        return
    for url in told:
        print(f"told {url}")


async def _warn(
    config: Path, plugins: Plugins, which: str, reason: CRLReason, at: datetime
) -> dict[str, CMPError | None]:
    with server_packages():
        from cmpkit.config import load_configuration, open_parts
        from cmpkit.config.running import build_announcer
    async with _found(config, plugins, which) as found:
        record = found.record
    if record.state not in (CertificateState.ISSUED, CertificateState.VALID):
        raise ConfigurationError(f"the certificate {record.serial_number:x} is already {record.state.value}")
    configuration = load_configuration(config, plugins)
    async with open_parts(configuration, plugins) as parts:
        told = await build_announcer(configuration, parts, plugins).warn(record, reason, at=at)
    if not told:
        raise ConfigurationError(
            "no repository is told of revocations", hint="have rann in the what of an [[announce]]"
        )
    return told


@dataclass(frozen=True, slots=True)
class _Found:
    record: CertificateRecord
    authority: tuple[bytes, ...]
    store: Store
    issuer: Issuer


@asynccontextmanager
async def _found(config: Path, plugins: Plugins, which: str) -> AsyncIterator[_Found]:
    """A certificate of the store, and what can be done with it.

    :raises ConfigurationError: if there is none.
    """
    with server_packages():
        from cmpkit.config import load_configuration, open_issuer
    from cmpkit.crypto.x509 import certificate_public_key_info, issuer_key_id

    digits = which.replace(":", "").lower().removeprefix("0x")
    if not re.fullmatch("[0-9a-f]{1,64}", digits):
        raise ConfigurationError(f"{which!r} is neither a serial number in hexadecimal nor a SHA-256")
    async with open_issuer(load_configuration(config, plugins), plugins) as (store, issuer):
        by_fingerprint = await store.certificate_by_fingerprint(bytes.fromhex(digits)) if len(digits) == 64 else None
        for each in issuers_of(issuer):
            authority = await each.ca_certificates()
            issuer_key = issuer_key_id(certificate_public_key_info(authority[0]))
            serial_number = int(digits, 16) if by_fingerprint is None else by_fingerprint.serial_number
            record = await store.certificate(issuer_key, serial_number)
            if record is not None and by_fingerprint in (None, record):
                yield _Found(record, authority, store, each)
                return
        raise ConfigurationError(f"there is no certificate {which}", hint="see: cmpkit cert list")


def _plain(record: CertificateRecord) -> dict[str, str | None]:
    from cmpkit.cli.results import describe_certificate

    return {
        **describe_certificate(record.der),
        "profile": record.profile,
        "state": record.state.value,
        "revoked_at": shown_time(record.revoked_at),
        "reason": None if record.reason is None else record.reason.wire_name,
    }
