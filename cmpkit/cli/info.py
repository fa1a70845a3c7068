"""``cmpkit info`` (genm): what a server tells about itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job, Wanted
from cmpkit.cli.options import (
    CredentialOptions,
    InfoOptions,
    KeepingOptions,
    RequestOptions,
    ServerURL,
    TransferOptions,
    TrustOptions,
)
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.x509 import ObjectIdentifier

    from cmpkit.asn1 import InfoTypeAndValue
    from cmpkit.cli.operations import Operation, Work
    from cmpkit.endpoints.client import Client
    from cmpkit.plugins import Plugins

__all__ = ["info", "operation"]


@with_option_groups
def info(
    ctx: typer.Context,
    *,
    url: ServerURL,
    about: InfoOptions,
    credentials: CredentialOptions,
    trust: TrustOptions,
    keeping: KeepingOptions,
    transfer: TransferOptions,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Certificate profile to ask about (certReqTemplate).",
            rich_help_panel="What is asked about",
        ),
    ] = None,
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TYPE]...",
            help="What to ask for: caCerts, currentCRL, crlStatusList, rootCaCert, certReqTemplate, or an OID; "
            "absent: all that needs no file.",
        ),
    ] = None,
) -> None:
    """Ask a server for information (genm)."""
    from cmpkit.cli.operations import run_job

    plugins = plugins_of(ctx)
    _check_options(about, profile, [info_type(question, plugins) for question in questions or ()])
    job = Job(
        command="info",
        url=url,
        credentials=credentials,
        wanted=Wanted(questions=questions or []),
        request=RequestOptions(profile=profile),
        info=about,
        trust=trust,
        keeping=keeping,
        transfer=transfer,
    )
    run_job(job, operation(), plugins)


def _check_options(about: InfoOptions, profile: str | None, asked: list[ObjectIdentifier]) -> None:
    """Whether each option belongs to a question.

    :raises ConfigurationError: naming one that does not, or one that is missing.
    """
    from cmpkit import oids

    crls = (oids.CRL_STATUS_LIST, oids.CURRENT_CRL)
    belongs = {
        **dict.fromkeys(
            ("oldwithold", "newwithnew", "newwithold", "oldwithnew", "adopt"), ("rootCaCert", (oids.ROOT_CA_CERT,))
        ),
        **dict.fromkeys(("passphrase", "passref"), ("revPassphrase", (oids.REV_PASSPHRASE,))),
        **dict.fromkeys(("crlcert", "oldcrl"), ("crlStatusList", (oids.CRL_STATUS_LIST,))),
        **dict.fromkeys(("template", "keyspec", "profile"), ("certReqTemplate", (oids.CERT_REQ_TEMPLATE,))),
        "cacertsout": ("caCerts", (oids.CA_CERTS,)),
        "crlout": ("currentCRL or crlStatusList", crls),
    }
    for name, (question, types) in belongs.items():
        given = profile if name == "profile" else getattr(about, name)
        # All that is told without a question is not told about files.
        told = not set(types).isdisjoint(asked) or (not asked and name not in InfoOptions.INPUTS)
        if given is not None and not told:
            raise ConfigurationError(f"--{name} belongs to the question {question}", hint=f"ask for {question}, too")
    if oids.CRL_STATUS_LIST in asked and about.crlcert is None and about.oldcrl is None:
        raise ConfigurationError(
            "crlStatusList needs to know which CRL", hint="give --crlcert, --oldcrl or both, or ask for currentCRL"
        )
    if oids.REV_PASSPHRASE in asked and (about.passphrase is None or about.passref is None):
        raise ConfigurationError(
            "revPassphrase needs a passphrase and its reference", hint="give --passphrase SOURCE and --passref NAME"
        )


def info_type(text: str, plugins: Plugins) -> ObjectIdentifier:
    """The OID of an information type, by the name that its part has, or as it is.

    :raises ConfigurationError: naming those that there are.
    """
    from cryptography.x509 import ObjectIdentifier

    named: dict[str, ObjectIdentifier] = {part.name: part.oid for part in plugins.all("info type")}
    if text in named:
        return named[text]
    try:
        return ObjectIdentifier(text)
    except ValueError as error:
        known = ", ".join(sorted(named))
        raise ConfigurationError(f"{text!r} is no information type", hint=f"give an OID, or one of: {known}") from error


def operation() -> Operation:
    """What the command does."""
    from cmpkit.cli.answers import tell
    from cmpkit.cli.operations import Operation
    from cmpkit.cli.preparing import no_key

    return Operation(key=no_key, begin=_begin, finish=tell)


async def _begin(client: Client, work: Work) -> tuple[InfoTypeAndValue, ...]:
    questions = [await _question(info_type(text, work.plugins), client, work) for text in work.job.wanted.questions]
    return await client.info(*questions, context=work.job.context)


async def _question(oid: ObjectIdentifier, client: Client, work: Work) -> InfoTypeAndValue:
    from cmpkit import oids
    from cmpkit.asn1 import InfoTypeAndValue
    from cmpkit.ca.sources import read_file
    from cmpkit.cli.sources import read_secret
    from cmpkit.endpoints.support import ask_for_crl, ask_for_root_update
    from cmpkit.parts import SharedSecret

    about = work.job.info or InfoOptions()
    if oid == oids.ROOT_CA_CERT:
        return ask_for_root_update(await _first_certificate(about.oldwithold), work.anchors)
    if oid == oids.REV_PASSPHRASE and about.passphrase is not None and about.passref is not None:
        secret = await read_secret(about.passphrase, "--passphrase")
        return await client.passphrase_question(SharedSecret(about.passref, secret))
    if oid == oids.CRL_STATUS_LIST:
        crl = None if about.oldcrl is None else await read_file(about.oldcrl, Path())
        return ask_for_crl(await _first_certificate(about.crlcert), crl)
    return InfoTypeAndValue(oid)


async def _first_certificate(path: Path | None) -> bytes | None:
    from cmpkit.ca.sources import read_certificates

    return None if path is None else (await read_certificates(str(path), Path()))[0]
