"""``cmpkit p10`` (p10cr): a certificate for a PKCS#10 request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job
from cmpkit.cli.options import CredentialOptions, IssuanceOptions, ServerURL
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.cli.operations import Operation, Work
    from cmpkit.cli.preparing import CertifiedKey
    from cmpkit.endpoints.client import Client
    from cmpkit.endpoints.credentials import Credentials
    from cmpkit.endpoints.enrolled import Enrolled
    from cmpkit.plugins import Plugins

__all__ = ["PKCS10Options", "operation", "p10"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PKCS10Options:
    """The request that was made elsewhere."""

    csr: Annotated[
        Path,
        typer.Option(metavar="FILE", help="PKCS#10 request (PEM or DER).", rich_help_panel="The certificate"),
    ]


@with_option_groups
def p10(
    ctx: typer.Context,
    *,
    url: ServerURL,
    credentials: CredentialOptions,
    certificate: PKCS10Options,
    others: IssuanceOptions,
) -> None:
    """Get a certificate for a PKCS#10 request (p10cr), whose private key stays where it is."""
    from cmpkit.cli.operations import run_job

    job = Job.issuance("p10", url, credentials, certificate, others)
    run_job(job, operation(), plugins_of(ctx))


def operation() -> Operation:
    """What the command does."""
    from cmpkit.cli.issuance import write_certificate
    from cmpkit.cli.operations import Operation

    return Operation(key=_key, begin=_begin, finish=write_certificate)


async def _key(job: Job, plugins: Plugins, credentials: Credentials) -> CertifiedKey:
    from cmpkit.asn1 import CertificationRequest, decode, encode
    from cmpkit.cli.preparing import CertifiedKey

    request = decode(CertificationRequest, await _read(job))
    return CertifiedKey(encode(request.info.subject_pk_info), None)


async def _read(job: Job) -> bytes:
    """DER of the request.

    :raises ConfigurationError: if it cannot be read.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from cmpkit.ca.sources import read_file

    path = job.wanted.csr
    assert path is not None
    data = await read_file(path, Path())
    try:
        load = x509.load_pem_x509_csr if b"-----BEGIN" in data else x509.load_der_x509_csr
        return load(data).public_bytes(Encoding.DER)
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is no PKCS#10 request", hint="give a certificate signing request in PEM or DER"
        ) from error


async def _begin(client: Client, work: Work) -> Enrolled:
    return await client.request_p10(await _read(work.job), context=work.job.context)
