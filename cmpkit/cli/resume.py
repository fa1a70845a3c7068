"""``cmpkit resume``: go on with a saved transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmpkit.cli import cross_certify, enroll, info, p10, recover, revoke, update
from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import Job, job_of
from cmpkit.cli.options import KeepingOptions, ShowingOptions, TrustOptions
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.cli.operations import Operation

__all__ = ["KeypassAgain", "NewKeypassAgain", "SecretAgain", "job_again", "resume"]

_SOURCE = "file:PATH|env:NAME|fd:N"
SecretAgain = Annotated[
    str | None, typer.Option(metavar=_SOURCE, help="Where the shared secret is, if not where it was.")
]
KeypassAgain = Annotated[
    str | None, typer.Option(metavar=_SOURCE, help="Where the password of the key is, if not where it was.")
]
NewKeypassAgain = Annotated[
    str | None, typer.Option(metavar=_SOURCE, help="Where the password of the new key is, if not where it was.")
]
_OPERATIONS: dict[str, Callable[[], Operation]] = {
    "enroll": enroll.operation,
    "certify": enroll.operation,
    "update": update.operation,
    "p10": p10.operation,
    "revoke": revoke.operation,
    "recover": recover.operation,
    "info": info.operation,
    "cross-certify": cross_certify.operation,
}


@with_option_groups
def resume(
    ctx: typer.Context,
    saved: Annotated[Path, typer.Argument(metavar="FILE", help="The saved transaction.")],
    *,
    trust: TrustOptions,
    showing: ShowingOptions,
    secret: SecretAgain = None,
    keypass: KeypassAgain = None,
    newkeypass: NewKeypassAgain = None,
    total_timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds for it all, if not as before; 0 waits for ever.")
    ] = None,
) -> None:
    """Go on with a transaction that was interrupted, or that the server needed time for."""
    from cmpkit.cli.operations import run_job

    folder = saved.absolute().parent
    keeping = KeepingOptions(state=folder, reqout=showing.reqout, rspout=showing.rspout, json=showing.json)
    job, operation = job_again(saved, keeping, trust, secret=secret, keypass=keypass, newkeypass=newkeypass)
    job = replace(job, transfer=_updated(job.transfer, total_timeout=total_timeout))
    run_job(job, operation, plugins_of(ctx), saved)


def job_again(
    saved: Path,
    keeping: KeepingOptions,
    trust: TrustOptions,
    *,
    secret: str | None = None,
    keypass: str | None = None,
    newkeypass: str | None = None,
) -> tuple[Job, Operation]:
    """The job of a saved transaction and what it does, with what is given anew in place of what was given then.

    :raises ConfigurationError: if the transaction cannot be read, or was begun by no command that there is.
    """
    from cmpkit.endpoints.saving import TransactionFolder

    job = job_of(TransactionFolder(saved.absolute().parent).load(saved))
    job = replace(
        job,
        credentials=_updated(job.credentials, secret=secret, keypass=keypass),
        wanted=_updated(job.wanted, newkeypass=newkeypass),
        trust=_updated(job.trust, **{member.name: getattr(trust, member.name) or None for member in fields(trust)}),
        keeping=keeping,
    )
    operation = _OPERATIONS.get(job.command)
    if operation is None:
        raise ConfigurationError(f"the saved transaction is of the command {job.command!r}, which there is not")
    return job, operation()


def _updated(group: Any, **given: Any) -> Any:
    """The options with those that were given anew."""
    return replace(group, **{name: value for name, value in given.items() if value is not None})
