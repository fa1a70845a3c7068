"""``cmpkit ca cross-certify`` (ccr): a certificate of another CA for the key of this one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import anyio.from_thread
import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job, Wanted
from cmpkit.cli.options import (
    CredentialOptions,
    KeepingOptions,
    RequestOptions,
    ServerURL,
    TransferOptions,
    TrustOptions,
)
from cmpkit.cli.serverside import server_packages
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography import x509

    from cmpkit.cli.operations import Operation, Work
    from cmpkit.cli.preparing import CertifiedKey
    from cmpkit.cli.results import Result
    from cmpkit.config.cross_certificates import OwnCA
    from cmpkit.endpoints.client import Client
    from cmpkit.endpoints.credentials import Credentials
    from cmpkit.endpoints.enrolled import Enrolled
    from cmpkit.plugins import Plugins

__all__ = ["cross_certify", "operation"]

_WHAT = "The cross certificate"
_WHO = "Who asks"


def _option(name: str, metavar: str, text: str, panel: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(name, metavar=metavar, help=text, rich_help_panel=panel)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossOptions:
    """What the other CA is to certify."""

    config: Annotated[Path, _option("--config", "FILE", "Configuration file of the CA that asks.", _WHO)]
    issuer_cert: Annotated[Path, _option("--issuer-cert", "FILE", "Certificate of the CA that is asked.", _WHAT)]
    name: Annotated[
        str, _option("--name", "NAME", "What it is called here: cross/NAME.pem, published as /ca/NAME.cer.", _WHAT)
    ]
    validity: Annotated[str, _option("--validity", "TIME", "How long it should be valid.", _WHAT)] = "365d"
    path_length: Annotated[
        int,
        typer.Option(
            "--path-length", metavar="N", min=0, help="How many CAs may be below this one.", rich_help_panel=_WHAT
        ),
    ] = 0
    signed_like: Annotated[
        Path | None,
        _option("--signed-like", "FILE", "A certificate that the other CA issued: by that algorithm it signs.", _WHAT),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisationOptions:
    """What protects the request, if not the signer of the configuration, and what it names."""

    ref: Annotated[
        str | None, _option("--ref", "REF", "Reference of a shared secret; without it [signer] signs.", _WHO)
    ] = None
    secret: Annotated[
        str | None, _option("--secret", "file:PATH|env:NAME|fd:N", "Where the shared secret is.", _WHO)
    ] = None
    profile: Annotated[
        str | None, _option("--profile", "NAME", "Certificate profile to ask for (certProfile).", _WHAT)
    ] = None


@with_option_groups
def cross_certify(
    ctx: typer.Context,
    *,
    url: ServerURL,
    crossing: CrossOptions,
    authorisation: AuthorisationOptions,
    trust: TrustOptions,
    keeping: KeepingOptions,
    transfer: TransferOptions,
) -> None:
    """Have another CA certify the key of this one (ccr), for the server to hand out from its next start on."""
    with server_packages():
        from cmpkit.config.cross_certificates import open_own_ca

    from cmpkit.cli.operations import run_job

    _check_name(crossing.name)
    plugins = plugins_of(ctx)
    ca = anyio.run(open_own_ca, crossing.config, plugins)
    job = Job(
        command="cross-certify",
        url=url,
        credentials=_credentials(ca, authorisation),
        trust=trust,
        transfer=transfer,
        keeping=keeping,
        wanted=Wanted.from_options(crossing),
        request=RequestOptions(profile=authorisation.profile),
    )
    run_job(job, operation(), plugins)


def _check_name(name: str) -> None:
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigurationError(f"--name {name!r} cannot be the name of a file", hint="use letters, digits, - and _")


def _credentials(ca: OwnCA, given: AuthorisationOptions) -> CredentialOptions:
    """A shared secret if one is given, else the signer: the key of the CA signs no messages (RFC 9810 section 8.6)."""
    if given.ref is not None or given.secret is not None:
        return CredentialOptions(ref=given.ref, secret=given.secret)
    from cmpkit.ca.sources import resolve_key_uri

    signer, base = ca.configuration.signer, ca.configuration.directory
    kind, _, rest = (signer.key_password or "").partition(":")
    password = f"file:{base / rest}" if kind == "file" else signer.key_password
    return CredentialOptions(cert=base / signer.certificate, key=resolve_key_uri(signer.key, base), keypass=password)


def operation() -> Operation:
    """What the command does."""
    from cmpkit.cli.operations import Operation

    return Operation(key=_key, begin=_begin, finish=_finish)


async def _key(job: Job, plugins: Plugins, own: Credentials) -> CertifiedKey:
    from cmpkit.cli.preparing import CertifiedKey
    from cmpkit.config.cross_certificates import open_own_ca

    assert job.wanted.config is not None
    ca = await open_own_ca(job.wanted.config, plugins)
    return CertifiedKey(ca.certificate.public_key_info, ca.key)


async def _begin(client: Client, work: Work) -> Enrolled:
    from cmpkit.asn1 import CertificateWire, decode
    from cmpkit.ca.sources import read_certificates
    from cmpkit.config.cross_certificates import open_own_ca
    from cmpkit.durations import parse_duration

    wanted = work.job.wanted
    assert wanted.config is not None
    assert wanted.issuer_cert is not None
    ca = await open_own_ca(wanted.config, work.plugins)
    try:
        validity = parse_duration(wanted.validity)
    except ValueError as error:
        raise ConfigurationError(f"--validity: {error}") from error
    like = None if wanted.signed_like is None else (await read_certificates(str(wanted.signed_like), Path()))[0]
    return await client.cross_certify(
        ca.certificate.der,
        ca.key,
        responder=(await read_certificates(str(wanted.issuer_cert), Path()))[0],
        not_after=datetime.now(UTC) + validity,
        path_length=wanted.path_length,
        signing_algorithm=None if like is None else decode(CertificateWire, like).signature_algorithm,
        profile=work.job.request.profile or "",
        context=work.job.context,
    )


def _finish(enrolled: Enrolled, work: Work) -> Result:
    from cmpkit.cli.results import Result, describe_certificate
    from cmpkit.config.cross_certificates import install_cross_certificate

    wanted = work.job.wanted
    assert wanted.config is not None
    assert wanted.name is not None
    config, name = wanted.config, wanted.name

    async def install() -> Path:
        return await install_cross_certificate(config, name, enrolled.certificate, work.plugins, now=datetime.now(UTC))

    # Whoever finishes a job runs in a thread of its own.
    file = anyio.from_thread.run(install)
    described = describe_certificate(enrolled.certificate)
    facts = [
        ("issuer", described["issuer"]),
        ("serial number", described["serial_number"]),
        ("valid", f"{described['not_before']} to {described['not_after']}"),
        *_bounds(enrolled.certificate),
        ("certificate", str(file)),
        ("handed out", "by the server, from its next start on: caCerts, and where it publishes"),
    ]
    values = {"command": work.job.command, "certificate": described, "file": str(file), "config": str(config)}
    return Result(f"cross-certified {described['subject']}", facts, values)


def _bounds(der: bytes) -> list[tuple[str, str]]:
    """What the other CA allows: who publishes the certificate must know (RFC 9810 appendix D.6)."""
    from cryptography import x509

    extensions = x509.load_der_x509_certificate(der).extensions
    length = extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    facts = [("CAs below", "any number" if length is None else str(length))]
    for found in extensions:
        if isinstance(found.value, x509.NameConstraints):
            facts += [("names", f"only {_name(subtree)}") for subtree in found.value.permitted_subtrees or ()]
            facts += [("names", f"not {_name(subtree)}") for subtree in found.value.excluded_subtrees or ()]
    return facts


def _name(subtree: x509.GeneralName) -> str:
    from cryptography import x509

    from cmpkit.crypto.names import format_name

    return format_name(subtree.value) if isinstance(subtree, x509.DirectoryName) else str(subtree.value)
