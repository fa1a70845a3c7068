"""``cmpkit revoke`` (rr): revoke certificates, put them on hold, or lift the hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job, Wanted
from cmpkit.cli.options import CredentialOptions, KeepingOptions, ServerURL, TransferOptions, TrustOptions
from cmpkit.enums import CRLReason
from cmpkit.errors import ConfigurationError, PeerRefusal

if TYPE_CHECKING:
    from cmpkit.asn1 import CertId
    from cmpkit.cli.operations import Operation, Work
    from cmpkit.cli.results import Result
    from cmpkit.endpoints.client import Client

__all__ = ["RevocationOptions", "operation", "read_reason", "read_serial", "revoke"]

_PANEL = "The revocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationOptions:
    """What to revoke, and why."""

    oldcert: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The certificate to revoke (PEM or DER); repeated, several by one message.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    issuer: Annotated[
        str | None,
        typer.Option(metavar="DN", help="Issuer of the certificate, in place of --oldcert.", rich_help_panel=_PANEL),
    ] = None
    serial: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="Its serial number, decimal or 0x and hexadecimal.", rich_help_panel=_PANEL
        ),
    ] = None
    revreason: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Name or number: keyCompromise, superseded, certificateHold, removeFromCRL ... (RFC 5280).",
            rich_help_panel=_PANEL,
        ),
    ] = CRLReason.UNSPECIFIED.wire_name


@with_option_groups
def revoke(
    ctx: typer.Context,
    *,
    url: ServerURL,
    credentials: CredentialOptions,
    revocation: RevocationOptions,
    trust: TrustOptions,
    keeping: KeepingOptions,
    transfer: TransferOptions,
) -> None:
    """Revoke certificates (rr)."""
    from cmpkit.cli.operations import run_job

    read_reason(revocation.revreason)
    wanted = Wanted.from_options(revocation)
    _check(wanted)
    job = Job(
        command="revoke",
        url=url,
        credentials=credentials,
        wanted=wanted,
        trust=trust,
        keeping=keeping,
        transfer=transfer,
    )
    run_job(job, operation(), plugins_of(ctx))


def read_reason(text: str) -> CRLReason:
    """A revocation reason by name, in any case, or by number.

    :raises ConfigurationError: naming those that there are.
    """
    for reason in CRLReason:
        if text.casefold() == reason.wire_name.casefold() or text == str(int(reason)):
            return reason
    known = ", ".join(f"{reason.wire_name} ({int(reason)})" for reason in CRLReason)
    raise ConfigurationError(
        f"--revreason: {text!r} is no revocation reason", rule="RFC 5280 section 5.3.1", hint=f"there are: {known}"
    )


def read_serial(text: str) -> int:
    """A serial number, decimal or ``0x`` and hexadecimal.

    :raises ConfigurationError: if it is none.
    """
    try:
        number = int(text, 16 if text[:2].casefold() == "0x" else 10)
    except ValueError:
        number = -1
    if number < 0:
        raise ConfigurationError(
            f"--serial: {text!r} is no serial number", hint="write it decimal, or hexadecimal behind 0x"
        )
    return number


def _check(wanted: Wanted) -> None:
    """Whether it is said which certificates are meant, in one way."""
    by_name = wanted.issuer is not None or wanted.serial is not None
    if by_name is bool(wanted.oldcert) or (by_name and (wanted.issuer is None or wanted.serial is None)):
        raise ConfigurationError(
            "say which certificate is to be revoked", hint="by --oldcert, or by --issuer and --serial together"
        )
    if wanted.serial is not None:
        read_serial(wanted.serial)


def operation() -> Operation:
    """What the command does."""
    from cmpkit.cli.operations import Operation
    from cmpkit.cli.preparing import no_key

    return Operation(key=no_key, begin=_begin, finish=_finish)


def _named(wanted: Wanted) -> tuple[CertId, ...]:
    """The certificates that are meant."""
    from cmpkit.asn1 import CertId, directory_name
    from cmpkit.crypto.names import parse_name
    from cmpkit.crypto.x509 import load_certificates
    from cmpkit.endpoints.requests import certificate_id

    if wanted.issuer is not None and wanted.serial is not None:
        return (CertId(issuer=directory_name(parse_name(wanted.issuer)), serial_number=read_serial(wanted.serial)),)
    return tuple(certificate_id(load_certificates(path.read_bytes())[0]) for path in wanted.oldcert or ())


async def _begin(client: Client, work: Work) -> Any:
    from anyio import to_thread

    from cmpkit.cli.preparing import read_all

    wanted, reason = work.job.wanted, read_reason(work.job.wanted.revreason or "")
    # Files that cannot be read are named before anything is sent.
    await read_all(wanted.oldcert)
    return await client.revoke_several(await to_thread.run_sync(_named, wanted), reason, context=work.job.context)


def _finish(came: Any, work: Work) -> Result:
    from cmpkit.asn1 import RevRepContent
    from cmpkit.cli.results import Result
    from cmpkit.endpoints.enrolled import revocation_results

    wanted, reason = work.job.wanted, read_reason(work.job.wanted.revreason or "")
    described = _describe(wanted)
    _check_results(revocation_results(came) if isinstance(came, RevRepContent) else came, described)
    done = {CRLReason.CERTIFICATE_HOLD: "put on hold", CRLReason.REMOVE_FROM_CRL: "taken off hold"}.get(
        reason, "revoked"
    )
    facts = [
        (label, one[key])
        for one in described
        for label, key in (("serial number", "serial_number"), ("issuer", "issuer"))
    ]
    names = ", ".join(_shown(one) for one in described)
    about: dict[str, Any] = {"certificate": described[0]} if len(described) == 1 else {"certificates": described}
    values = {"command": "revoke", **about, "reason": reason.wire_name}
    return Result(f"{done} {names}", [*facts, ("reason", reason.wire_name)], values)


def _describe(wanted: Wanted) -> list[dict[str, str]]:
    from cmpkit.asn1 import distinguished_name
    from cmpkit.cli.results import describe_certificate
    from cmpkit.crypto.names import format_name
    from cmpkit.crypto.x509 import load_certificates

    if wanted.oldcert:
        return [describe_certificate(load_certificates(path.read_bytes())[0]) for path in wanted.oldcert]
    (one,) = _named(wanted)
    issuer = distinguished_name(one.issuer)
    return [{"issuer": format_name(issuer) if issuer else "", "serial_number": f"{one.serial_number:x}"}]


def _shown(described: dict[str, str]) -> str:
    return described.get("subject") or f"{described['serial_number']} of {described['issuer']}"


def _check_results(results: tuple[PeerRefusal | None, ...], described: list[dict[str, str]]) -> None:
    """Whether everything was done.

    :raises PeerRefusal: naming what was not.
    """
    refused = [(one, refusal) for one, refusal in zip(described, results, strict=True) if refusal is not None]
    if not refused:
        return
    first = refused[0][1]
    if len(results) == 1:
        raise first
    texts = [f"{_shown(one)}: {'; '.join(refusal.texts) or 'no text'}" for one, refusal in refused]
    raise PeerRefusal(
        first.fail_info,
        status=first.status,
        texts=tuple(texts),
        body=first.body,
        hint=f"{len(results) - len(refused)} of {len(results)} certificates were done as asked",
    )
