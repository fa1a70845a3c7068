"""``cmpkit enroll`` (ir) and ``cmpkit certify`` (cr): a certificate for a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job
from cmpkit.cli.options import CertificateOptions, CredentialOptions, IssuanceOptions, ServerURL

if TYPE_CHECKING:
    from cmpkit.cli.operations import Operation, Work
    from cmpkit.endpoints.client import Client
    from cmpkit.endpoints.enrolled import Enrolled

__all__ = ["certify", "enroll", "operation"]


@with_option_groups
def enroll(
    ctx: typer.Context,
    *,
    url: ServerURL,
    credentials: CredentialOptions,
    certificate: CertificateOptions,
    others: IssuanceOptions,
) -> None:
    """Get a first certificate (ir), by a shared secret or by a certificate of another PKI."""
    from cmpkit.cli.operations import run_job

    job = Job.issuance("enroll", url, credentials, certificate, others)
    run_job(job, operation(), plugins_of(ctx))


@with_option_groups
def certify(
    ctx: typer.Context,
    *,
    url: ServerURL,
    credentials: CredentialOptions,
    certificate: CertificateOptions,
    others: IssuanceOptions,
) -> None:
    """Get a further certificate (cr) from a PKI that one belongs to already."""
    from cmpkit.cli.operations import run_job

    job = Job.issuance("certify", url, credentials, certificate, others)
    run_job(job, operation(), plugins_of(ctx))


def operation() -> Operation:
    """What both commands do."""
    from cmpkit.cli.central import wanted_key
    from cmpkit.cli.issuance import write_certificate
    from cmpkit.cli.operations import Operation

    return Operation(key=wanted_key, begin=_begin, finish=write_certificate)


async def _begin(client: Client, work: Work) -> Enrolled:
    from cmpkit.cli.central import archiving, asked_key
    from cmpkit.cli.preparing import proof
    from cmpkit.crypto.names import parse_name
    from cmpkit.endpoints.requests import Wish, subject_alternative_names
    from cmpkit.enums import BodyType

    assert work.key is not None
    wanted = work.job.wanted
    subject = None if wanted.subject is None else parse_name(wanted.subject)
    key = await asked_key(work.job, work.key, work.plugins)
    wish = Wish(
        key=key,
        subject=subject,
        extensions=subject_alternative_names(wanted.sans),
        controls=await archiving(client, key, subject, work) if wanted.archive else (),
        proof=await proof(work.job),
    )
    operation = BodyType.IR if work.job.command == "enroll" else BodyType.CR
    return await client.obtain(wish, operation=operation, context=work.job.context)
