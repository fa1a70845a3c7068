"""``cmpkit resume``: go on with a saved transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmpkit.cli import cross_certify, enroll, info, p10, recover, revoke, update
from cmpkit.cli.command import plugins_of, with_option_groups
from cmpkit.cli.jobs import job_of
from cmpkit.cli.options import KeepingOptions, ShowingOptions, TrustOptions
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.cli.operations import Operation

__all__ = ["resume"]

_SOURCE = "file:PATH|env:NAME|fd:N"
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
    secret: Annotated[
        str | None, typer.Option(metavar=_SOURCE, help="Where the shared secret is, if not where it was.")
    ] = None,
    keypass: Annotated[
        str | None, typer.Option(metavar=_SOURCE, help="Where the password of the key is, if not where it was.")
    ] = None,
    newkeypass: Annotated[
        str | None, typer.Option(metavar=_SOURCE, help="Where the password of the new key is, if not where it was.")
    ] = None,
    total_timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds for it all, if not as before; 0 waits for ever.")
    ] = None,
) -> None:
    """Go on with a transaction that was interrupted, or that the server needed time for."""
    from cmpkit.cli.operations import run_job
    from cmpkit.endpoints.saving import TransactionFolder

    folder = saved.absolute().parent
    job = job_of(TransactionFolder(folder).load(saved))
    job = replace(
        job,
        credentials=_updated(job.credentials, secret=secret, keypass=keypass),
        wanted=_updated(job.wanted, newkeypass=newkeypass),
        trust=_updated(job.trust, **{member.name: getattr(trust, member.name) or None for member in fields(trust)}),
        transfer=_updated(job.transfer, total_timeout=total_timeout),
        keeping=KeepingOptions(state=folder, reqout=showing.reqout, rspout=showing.rspout, json=showing.json),
    )
    operation = _OPERATIONS.get(job.command)
    if operation is None:
        raise ConfigurationError(f"the saved transaction is of the command {job.command!r}, which there is not")
    run_job(job, operation(), plugins_of(ctx), saved)


def _updated(group: Any, **given: Any) -> Any:
    """The options with those that were given anew."""
    return replace(group, **{name: value for name, value in given.items() if value is not None})
