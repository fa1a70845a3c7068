"""``cmpkit doctor``: what is the matter with a CMP server, layer by layer, and what to set."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job
from cmpkit.cli.options import (
    CredentialOptions,
    KeepingOptions,
    ServerURL,
    ShowingOptions,
    TransferOptions,
    TrustOptions,
)
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.doctor import Diagnosis, Enrolment
    from cmpkit.parts import Check
    from cmpkit.plugins import Plugins

__all__ = ["EnrolmentOptions", "doctor"]

_WHAT = "An enrolment, to see it work"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentOptions:
    """What leaves a trace at the server."""

    enroll: Annotated[
        bool,
        typer.Option(
            "--enroll", help="Enrol for a certificate, which is thrown away: uses up a secret.", rich_help_panel=_WHAT
        ),
    ] = False
    subject: Annotated[
        str | None,
        typer.Option("--subject", help="Its subject; absent: up to the server.", metavar="DN", rich_help_panel=_WHAT),
    ] = None
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Revoke that certificate at once.", rich_help_panel=_WHAT)
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PatienceOptions(TransferOptions):
    """How messages get to the server; a diagnosis is less patient than a device."""

    total_timeout: Annotated[
        float,
        typer.Option(
            "--total-timeout", help="Seconds for it all; 0 waits for ever.", min=0, rich_help_panel="The road"
        ),
    ] = 60.0
    msg_timeout: Annotated[
        float, typer.Option("--msg-timeout", help="Seconds for each step.", min=0.001, rich_help_panel="The road")
    ] = 10.0


@with_option_groups
def doctor(
    ctx: typer.Context,
    *,
    url: ServerURL,
    enrolment: EnrolmentOptions,
    credentials: CredentialOptions,
    trust: TrustOptions,
    showing: ShowingOptions,
    transfer: PatienceOptions,
) -> None:
    """Find out what is the matter with a CMP server. Harmless: it only asks questions, unless told to enrol.

    The exit status is that of the first layer where a client with these options fails, 0 if none does.
    """
    import anyio

    from cmpkit.cli.diagnosis import Bulletin, plain, print_summary, status

    wanted = _wanted(enrolment)
    keeping = KeepingOptions(reqout=showing.reqout, rspout=showing.rspout, json=showing.json)
    job = Job(command="doctor", url=url, credentials=credentials, trust=trust, keeping=keeping, transfer=transfer)
    # What is tolerated or fails is told in its place.
    logging.getLogger("cmpkit").addHandler(logging.NullHandler())
    bulletin = Bulletin(silent=showing.json)
    diagnosis = anyio.run(_examine, job, wanted, plugins_of(ctx), bulletin.show)
    if showing.json:
        print(json.dumps(plain(diagnosis), indent=2))
    else:
        print_summary(diagnosis)
    raise typer.Exit(status(diagnosis))


def _wanted(given: EnrolmentOptions) -> Enrolment | None:
    from cmpkit.doctor import Enrolment

    if given.enroll:
        return Enrolment(given.subject, revoke=given.revoke)
    if given.subject is not None or given.revoke:
        raise ConfigurationError("--subject and --revoke need --enroll", hint="without it nothing is enrolled")
    return None


async def _examine(job: Job, wanted: Enrolment | None, plugins: Plugins, report: Callable[[Check], None]) -> Diagnosis:
    from cmpkit.cli.preparing import client_options, credentials, read_all
    from cmpkit.cli.watching import MessageSaver, split_names
    from cmpkit.doctor import diagnose

    given = job.credentials
    anonymous = given.ref is None and given.secret is None and given.cert is None and given.key is None
    return await diagnose(
        job.url,
        credentials=None if anonymous else await credentials(job, plugins),
        trust=await read_all(job.trust.trusted),
        options=replace(await client_options(job, plugins), state=None),
        enrolment=wanted,
        plugins=plugins,
        observers=(
            MessageSaver("message-sent", split_names(job.keeping.reqout)),
            MessageSaver("message-received", split_names(job.keeping.rspout)),
        ),
        report=report,
    )
