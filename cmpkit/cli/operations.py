"""How a client command runs: prepared, gone on with if it was begun before, its results written, then forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from cmpkit.cli.central import key_keeper
from cmpkit.cli.exits import Interrupted, UnfinishedError
from cmpkit.cli.jobs import Job
from cmpkit.cli.preparing import CertifiedKey, check_outputs, client_options, credentials, read_all
from cmpkit.cli.results import Result, print_result
from cmpkit.cli.watching import MessageSaver, Progress, TransactionTracker, split_names
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.recovery import Recovery
from cmpkit.endpoints.resuming import is_own_transaction, resume_or_begin
from cmpkit.endpoints.saving import TransactionFolder
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.errors import CMPError, ConfigurationError, StillWaiting
from cmpkit.offline.road import OFFLINE, without_waiting
from cmpkit.parts import Road

if TYPE_CHECKING:
    from cmpkit.plugins import Plugins

__all__ = ["Operation", "Work", "do_job", "run_job"]


@dataclass(frozen=True, slots=True)
class Work:
    """What the steps of a command share.

    :param key: the key to certify, if there is one.
    :param anchors: DER of the trust anchors.
    """

    job: Job
    plugins: Plugins
    credentials: Credentials
    key: CertifiedKey | None
    anchors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """What a command does, step by step.

    :param key: gives the key to certify: it is on the disk before a request is sent.
    :param begin: asks the server.
    :param finish: writes what came into files, and says what happened.
    """

    key: Callable[[Job, Plugins, Credentials], Awaitable[CertifiedKey | None]]
    begin: Callable[[Client, Work], Awaitable[Any]]
    finish: Callable[[Any, Work], Result]


def run_job(job: Job, operation: Operation, plugins: Plugins, saved: Path | None = None) -> None:
    """Do a job to its end, and print what came of it; see :func:`do_job`."""
    print_result(do_job(job, operation, plugins, saved), as_json=job.keeping.json)


def do_job(
    job: Job, operation: Operation, plugins: Plugins, saved: Path | None = None, *, road: Road | None = None
) -> Result:
    """Do a job to its end.

    :param saved: the file of the transaction to go on with; without it, one that does this job is looked for.
    :param road: to use in place of the one to the address.
    :raises UnfinishedError: if it stopped and can be resumed.
    :raises CMPError: if it cannot be.
    """
    tracker = TransactionTracker()
    try:
        return anyio.run(partial(_perform, job, operation, plugins, saved, tracker=tracker, road=road))
    except (CMPError, KeyboardInterrupt) as stopped:
        error = stopped if isinstance(stopped, CMPError) else Interrupted()
        if job.url == OFFLINE and isinstance(error, StillWaiting):
            error.hint = "what waits is carried by cmpkit offline accept --into BUNDLE"
        if saved is None and tracker.transaction_id is not None:
            saved = job.state / f"{tracker.transaction_id.hex()}.json"
        if saved is not None and saved.exists():
            raise UnfinishedError(error, saved) from stopped
        raise error from stopped


async def _perform(
    job: Job,
    operation: Operation,
    plugins: Plugins,
    saved: Path | None,
    *,
    tracker: TransactionTracker,
    road: Road | None,
) -> Result:
    check_outputs(job)
    given = await credentials(job, plugins)
    options = replace(await client_options(job, plugins), keep_key=key_keeper(job, plugins))
    if job.url == OFFLINE:
        options = without_waiting(options)
    trust = await read_all(job.trust.trusted)
    work = Work(job, plugins, given, await operation.key(job, plugins, given), trust)
    transaction = await _begun(work, saved)
    tracker.transaction_id = transaction.transaction_id if transaction else None
    with Progress() as progress:
        observers = (
            tracker,
            progress,
            MessageSaver("message-sent", split_names(job.keeping.reqout)),
            MessageSaver("message-received", split_names(job.keeping.rspout)),
        )
        async with Client(
            job.url,
            credentials=given,
            trust=trust,
            options=options,
            plugins=plugins,
            transport=road,
            observers=observers,
        ) as client:
            came = await _come(client, operation, work, transaction, begin_anew=saved is None)
            # Certificates and keys are kept in their transaction until they are in the files.
            result = await anyio.to_thread.run_sync(operation.finish, came, work)
            if isinstance(came, Enrolled | Recovery):
                client.forget(came)
    return result


async def _come(
    client: Client, operation: Operation, work: Work, transaction: ClientTransaction | None, *, begin_anew: bool
) -> Any:
    """What comes of the transaction, or of a new one."""
    key = work.key.private if work.key else None
    if transaction is not None and not begin_anew:
        return await client.resume(transaction, key)
    return await resume_or_begin(client, transaction, key, begin=partial(operation.begin, client, work))


async def _begun(work: Work, saved: Path | None) -> ClientTransaction | None:
    """The transaction to go on with, with the job as it is now."""
    folder = TransactionFolder(work.job.state)
    if saved is not None:
        transaction = await anyio.to_thread.run_sync(folder.load, saved)
        if not await _is_ours(transaction, work):
            raise ConfigurationError(
                f"the transaction in {saved} was begun with other credentials or another key",
                hint="give the secret, certificate and key that it was begun with",
            )
        return replace(transaction, context=work.job.context)
    for transaction in await anyio.to_thread.run_sync(folder.all):
        if work.job.fits(transaction) and await _is_ours(transaction, work):
            return replace(transaction, context=work.job.context)
    return None


async def _is_ours(transaction: ClientTransaction, work: Work) -> bool:
    return await is_own_transaction(
        transaction,
        work.credentials,
        work.plugins,
        public_key_info=None if work.key is None else work.key.public_key_info,
    )
