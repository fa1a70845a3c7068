"""``cmpkit update`` (kur): a new certificate in place of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job
from cmpkit.cli.options import CredentialOptions, IssuanceOptions, ServerURL, UpdateOptions
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.cli.operations import Operation, Work
    from cmpkit.cli.preparing import CertifiedKey
    from cmpkit.endpoints.client import Client
    from cmpkit.endpoints.credentials import Credentials
    from cmpkit.endpoints.enrolled import Enrolled
    from cmpkit.plugins import Plugins

__all__ = ["operation", "update"]


@with_option_groups
def update(
    ctx: typer.Context,
    *,
    url: ServerURL,
    credentials: CredentialOptions,
    certificate: UpdateOptions,
    others: IssuanceOptions,
) -> None:
    """Renew the certificate that protects the request (kur), with a new key or the same."""
    from cmpkit.cli.operations import run_job

    job = Job.issuance("update", url, credentials, certificate, others)
    run_job(job, operation(), plugins_of(ctx))


def operation() -> Operation:
    """What the command does."""
    from cmpkit.cli.issuance import write_certificate
    from cmpkit.cli.operations import Operation

    return Operation(key=_key, begin=_begin, finish=write_certificate)


async def _key(job: Job, plugins: Plugins, credentials: Credentials) -> CertifiedKey:
    from cmpkit.cli.preparing import CertifiedKey, new_key
    from cmpkit.endpoints.credentials import SigningCredentials

    if not isinstance(credentials, SigningCredentials):
        raise ConfigurationError(
            "an update is protected by the certificate that it renews",
            rule="RFC 9483 section 4.1.3",
            hint="give --cert and --key in place of --ref and --secret",
        )
    if job.wanted.newkey is None:
        return CertifiedKey(credentials.key.public_key_info, credentials.key)
    return await new_key(job, plugins, credentials, default_type=credentials.key.key_type)


async def _begin(client: Client, work: Work) -> Enrolled:
    from cmpkit.cli.preparing import proof
    from cmpkit.endpoints.requests import subject_alternative_names

    assert work.key is not None
    wanted, key = work.job.wanted, work.key.private
    names = subject_alternative_names(wanted.sans)
    return await client.update(
        key=key,
        subject=wanted.subject,
        extensions=names if names or wanted.san_nodefault else None,
        proof=await proof(work.job),
        context=work.job.context,
    )
