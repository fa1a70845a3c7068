"""``cmpkit recover`` (krr): have archived private keys back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.cli.operations import Operation, Work
    from cmpkit.cli.preparing import CertifiedKey
    from cmpkit.cli.results import Result
    from cmpkit.endpoints.client import Client
    from cmpkit.endpoints.credentials import Credentials
    from cmpkit.endpoints.recovery import Recovery
    from cmpkit.plugins import Plugins

__all__ = ["RecoveryOptions", "operation", "recover"]

_PANEL, _SOURCE = "The archived keys", "file:PATH|env:NAME|fd:N"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryOptions:
    """Whose keys, what they are encrypted to, and where they go."""

    keysout: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder for the keys and their certificates: SERIAL.key.pem and SERIAL.pem; made if absent.",
            rich_help_panel=_PANEL,
        ),
    ]
    keysoutpass: Annotated[
        str | None,
        typer.Option(metavar=_SOURCE, help="Where the password for these keys is.", rich_help_panel=_PANEL),
    ] = None
    enckey: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Private key that the archived keys are encrypted to; made if the file is absent (X25519). Without it "
            "that of --cert.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    enckeypass: Annotated[
        str | None,
        typer.Option(metavar=_SOURCE, help="Where the password of that key is.", rich_help_panel=_PANEL),
    ] = None
    subject: Annotated[
        str | None,
        typer.Option(metavar="DN", help="Whose keys; absent: up to the server.", rich_help_panel=_PANEL),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of which certificate profile; absent: of all that may be.", rich_help_panel=_PANEL
        ),
    ] = None


@with_option_groups
def recover(
    ctx: typer.Context,
    *,
    url: ServerURL,
    credentials: CredentialOptions,
    recovery: RecoveryOptions,
    trust: TrustOptions,
    keeping: KeepingOptions,
    transfer: TransferOptions,
) -> None:
    """Have archived private keys back (krr), where a profile of the server allows it."""
    from cmpkit.cli.operations import run_job

    wanted = Wanted(
        subject=recovery.subject,
        newkey=recovery.enckey,
        newkeypass=recovery.enckeypass,
        keysout=recovery.keysout,
        keysoutpass=recovery.keysoutpass,
    )
    job = Job(
        command="recover",
        url=url,
        credentials=credentials,
        wanted=wanted,
        request=RequestOptions(profile=recovery.profile),
        trust=trust,
        keeping=keeping,
        transfer=transfer,
    )
    run_job(job, operation(), plugins_of(ctx))


def operation() -> Operation:
    """What the command does."""
    from cmpkit.cli.operations import Operation

    return Operation(key=_key, begin=_begin, finish=_finish)


async def _key(job: Job, plugins: Plugins, own: Credentials) -> CertifiedKey | None:
    """The key that archived keys are encrypted to; ``None`` for that of the credentials."""
    from cmpkit.cli.preparing import new_key

    if job.wanted.newkey is None:
        return None
    return replace(await new_key(job, plugins, own, default_type="x25519"), public_key_info=b"")


async def _begin(client: Client, work: Work) -> Recovery:
    key = None if work.key is None else work.key.private
    return await client.recover(key, subject=work.job.wanted.subject, context=work.job.context)


def _finish(came: Recovery, work: Work) -> Result:
    import anyio

    from cmpkit.cli.results import Result, describe_certificate
    from cmpkit.cli.sources import read_secret
    from cmpkit.cli.wording import counted
    from cmpkit.crypto.keys import key_to_pem, write_file_atomically
    from cmpkit.crypto.x509 import to_pem

    folder, source = work.job.wanted.keysout, work.job.wanted.keysoutpass
    assert folder is not None
    password = None if source is None else anyio.from_thread.run(read_secret, source, "--keysoutpass")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from error
    facts, keys = [], []
    for pair in came.pairs:
        described = describe_certificate(pair.certificate)
        key, certificate = (folder / f"{described['serial_number']}.{kind}" for kind in ("key.pem", "pem"))
        write_file_atomically(key, key_to_pem(pair.key, password), mode=0o600)
        write_file_atomically(certificate, to_pem(pair.certificate, *pair.chain))
        facts.append((described["subject"], f"until {described['not_after']}: {key}"))
        keys.append({"certificate": described, "key": str(key), "certout": str(certificate)})
    if not came.is_complete:
        facts.append(("older keys", "the server has more than it gives at once"))
    values = {"command": "recover", "keys": keys, "complete": came.is_complete}
    return Result(f"recovered {counted(len(keys), 'key')}", facts, values)
