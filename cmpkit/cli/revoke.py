"""``cmpkit revoke`` (rr): revoke a certificate, put it on hold, or lift the hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job, Wanted
from cmpkit.cli.options import CredentialOptions, KeepingOptions, ServerURL, TransferOptions, TrustOptions
from cmpkit.enums import CRLReason
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.cli.operations import Operation, Work
    from cmpkit.cli.results import Result
    from cmpkit.endpoints.client import Client

__all__ = ["RevocationOptions", "operation", "read_reason", "revoke"]

_PANEL = "The revocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationOptions:
    """What to revoke, and why."""

    oldcert: Annotated[
        Path, typer.Option(metavar="FILE", help="The certificate to revoke (PEM or DER).", rich_help_panel=_PANEL)
    ]
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
    """Revoke a certificate (rr)."""
    from cmpkit.cli.operations import run_job

    read_reason(revocation.revreason)
    job = Job(
        command="revoke",
        url=url,
        credentials=credentials,
        wanted=Wanted.from_options(revocation),
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


def operation() -> Operation:
    """What the command does."""
    from cmpkit.cli.operations import Operation
    from cmpkit.cli.preparing import no_key

    return Operation(key=no_key, begin=_begin, finish=_finish)


async def _begin(client: Client, work: Work) -> None:
    from cmpkit.cli.preparing import read_all

    assert work.job.wanted.oldcert is not None
    certificate = (await read_all([work.job.wanted.oldcert]))[0]
    await client.revoke(certificate, read_reason(work.job.wanted.revreason or ""), context=work.job.context)


def _finish(came: Any, work: Work) -> Result:
    from cmpkit.cli.results import Result, describe_certificate
    from cmpkit.crypto.x509 import load_certificates

    assert work.job.wanted.oldcert is not None
    described = describe_certificate(load_certificates(work.job.wanted.oldcert.read_bytes())[0])
    reason = read_reason(work.job.wanted.revreason or "")
    done = {CRLReason.CERTIFICATE_HOLD: "put on hold", CRLReason.REMOVE_FROM_CRL: "taken off hold"}.get(
        reason, "revoked"
    )
    facts = [
        ("serial number", described["serial_number"]),
        ("issuer", described["issuer"]),
        ("reason", reason.wire_name),
    ]
    values = {"command": "revoke", "certificate": described, "reason": reason.wire_name}
    return Result(f"{done} {described['subject']}", facts, values)
