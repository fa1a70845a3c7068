"""``cmpkit info`` (genm): what a server tells about itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job, Wanted
from cmpkit.cli.options import CredentialOptions, KeepingOptions, ServerURL, TransferOptions, TrustOptions
from cmpkit.cli.wording import counted
from cmpkit.errors import CMPError, ConfigurationError, TrustError

if TYPE_CHECKING:
    from cryptography.x509 import ObjectIdentifier

    from cmpkit.asn1 import InfoTypeAndValue
    from cmpkit.cli.operations import Operation, Work
    from cmpkit.cli.results import Result
    from cmpkit.endpoints.client import Client
    from cmpkit.plugins import Plugins

__all__ = ["InfoOptions", "info", "operation"]

_FILES = "Files to write"


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoOptions:
    """Where the answers go."""

    cacertsout: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The CA certificates (caCerts), as PEM.", rich_help_panel=_FILES)
    ] = None
    crlout: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The CRL (currentCRL), as PEM.", rich_help_panel=_FILES)
    ] = None


@with_option_groups
def info(
    ctx: typer.Context,
    *,
    url: ServerURL,
    files: InfoOptions,
    credentials: CredentialOptions,
    trust: TrustOptions,
    keeping: KeepingOptions,
    transfer: TransferOptions,
    questions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TYPE]...", help="What to ask for: caCerts, currentCRL, or an OID; absent: all."),
    ] = None,
) -> None:
    """Ask a server for information (genm)."""
    from cmpkit.cli.operations import run_job

    plugins = plugins_of(ctx)
    for question in questions or ():
        info_type(question, plugins)
    job = Job(
        command="info",
        url=url,
        credentials=credentials,
        wanted=Wanted(questions=questions or [], cacertsout=files.cacertsout, crlout=files.crlout),
        trust=trust,
        keeping=keeping,
        transfer=transfer,
    )
    run_job(job, operation(), plugins)


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
    from cmpkit.cli.operations import Operation
    from cmpkit.cli.preparing import no_key

    return Operation(key=no_key, begin=_begin, finish=_finish)


async def _begin(client: Client, work: Work) -> tuple[InfoTypeAndValue, ...]:
    questions = [info_type(question, work.plugins) for question in work.job.wanted.questions]
    return await client.info(*questions, context=work.job.context)


def _finish(came: Any, work: Work) -> Result:
    from cmpkit import oids
    from cmpkit.cli.results import Result

    facts: list[tuple[str, str]] = []
    answers: list[dict[str, Any]] = []
    names = {part.oid: part.name for part in work.plugins.all("info type")} | {oids.UNSUPPORTED_OIDS: "unsupportedOIDs"}
    for item in came:
        name = names.get(item.info_type, item.info_type.dotted_string)
        shown, values = _answer(item, work)
        facts += [(name, text) for text in shown]
        answers.append({"type": name, "oid": item.info_type.dotted_string, **values})
    return Result(
        f"{counted(len(answers), 'answer')} from {work.job.url}", facts, {"command": "info", "answers": answers}
    )


def _answer(item: InfoTypeAndValue, work: Work) -> tuple[list[str], dict[str, Any]]:
    """An answer as text for people and values for machines, written into its file if it has one.

    :raises TrustError: if it cannot be read.
    """
    from cmpkit import oids
    from cmpkit.asn1 import encode

    if item.info_value is None:
        return ["nothing"], {"value": None}
    readers = {oids.CA_CERTS: _ca_certificates, oids.CURRENT_CRL: _crl, oids.UNSUPPORTED_OIDS: _unsupported}
    try:
        if item.info_type in readers:
            return readers[item.info_type](item, work)
        encoded = base64.b64encode(encode(item.info_value)).decode()
    except (CMPError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise TrustError(
            f"the answer to {item.info_type.dotted_string} cannot be read: {error}", rule="RFC 9810 section 5.3.19"
        ) from error
    return [encoded], {"value": encoded}


def _ca_certificates(item: InfoTypeAndValue, work: Work) -> tuple[list[str], dict[str, Any]]:
    from cmpkit.asn1 import TLV, encode
    from cmpkit.cli.results import describe_certificate, summarise
    from cmpkit.crypto.keys import write_file_atomically
    from cmpkit.crypto.x509 import to_pem

    ders = [encode(element) for element in item.parse_list(TLV)]
    described = [describe_certificate(der) for der in ders]
    if work.job.wanted.cacertsout is not None:
        write_file_atomically(work.job.wanted.cacertsout, to_pem(*ders))
    return [summarise(der) for der in ders], {"certificates": described}


def _crl(item: InfoTypeAndValue, work: Work) -> tuple[list[str], dict[str, Any]]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from cmpkit.asn1 import encode
    from cmpkit.crypto.keys import write_file_atomically

    crl = x509.load_der_x509_crl(encode(item.info_value))
    if work.job.wanted.crlout is not None:
        write_file_atomically(work.job.wanted.crlout, crl.public_bytes(Encoding.PEM))
    updated = crl.last_update_utc.isoformat()
    return [f"{len(crl)} revoked, thisUpdate {updated}"], {"revoked": len(crl), "this_update": updated}


def _unsupported(item: InfoTypeAndValue, _: Work) -> tuple[list[str], dict[str, Any]]:
    from cryptography.x509 import ObjectIdentifier

    unknown = [oid.dotted_string for oid in item.parse_list(ObjectIdentifier)]
    return unknown, {"unsupported": unknown}
