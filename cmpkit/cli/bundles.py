"""What the commands of ``cmpkit offline`` share: options, bundles that are read, and what is wrong with some."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmpkit.cli.exits import ExitStatus, plain_error, report
from cmpkit.errors import CMPError, ConfigurationError

if TYPE_CHECKING:
    from cmpkit.engine.client_transaction import ClientTransaction
    from cmpkit.offline.bundle import Bundle
    from cmpkit.offline.manifest import Kind, Manifest
    from cmpkit.offline.signing import BundleSigner
    from cmpkit.plugins import Plugins

__all__ = [
    "PackingOptions",
    "Problems",
    "SignedBy",
    "bundle_signer",
    "describe_bundle",
    "offline_transactions",
    "read_bundles",
    "wrong_kind",
]

_PANEL = "The bundle"
_MOST_TOLD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingOptions:
    """How a bundle is written."""

    expires: Annotated[
        str,
        typer.Option(
            "--expires",
            metavar="TIME",
            help="Until when it is of use: a length of time or a date.",
            rich_help_panel=_PANEL,
        ),
    ] = "30d"
    sign_cert: Annotated[
        Path | None,
        typer.Option(
            "--sign-cert", metavar="FILE", help="Certificate of who signs the bundle.", rich_help_panel=_PANEL
        ),
    ] = None
    sign_key: Annotated[
        str | None, typer.Option("--sign-key", metavar="KEY", help="Its private key.", rich_help_panel=_PANEL)
    ] = None
    sign_keypass: Annotated[
        str | None,
        typer.Option(
            "--sign-keypass",
            metavar="file:PATH|env:NAME",
            help="Where the password of that key is.",
            rich_help_panel=_PANEL,
        ),
    ] = None


SignedBy = Annotated[
    list[Path] | None,
    typer.Option(
        "--signed-by",
        metavar="FILE",
        help="Take only bundles that the owner of this certificate signed; may be repeated.",
        rich_help_panel=_PANEL,
    ),
]


async def bundle_signer(options: PackingOptions, plugins: Plugins) -> BundleSigner | None:
    """Who signs the bundle, if somebody does.

    :raises ConfigurationError: naming the option that is missing, or what cannot be read.
    """
    from cmpkit.ca.sources import load_key, read_certificates
    from cmpkit.cli.jobs import key_uri
    from cmpkit.crypto.x509 import certificate_public_key_info
    from cmpkit.offline.signing import BundleSigner

    if options.sign_cert is None and options.sign_key is None:
        return None
    if options.sign_cert is None or options.sign_key is None:
        raise ConfigurationError("--sign-cert and --sign-key belong together", hint="give both, or neither")
    certificate = (await read_certificates(str(options.sign_cert), Path()))[0]
    key = await load_key(key_uri(options.sign_key), options.sign_keypass, Path(), plugins)
    if certificate_public_key_info(certificate) != key.public_key_info:
        raise ConfigurationError(f"the key of --sign-key is not that of the certificate in {options.sign_cert}")
    return BundleSigner(certificate, key)


@dataclass
class Problems:
    """What went wrong with some things while others went on."""

    found: list[tuple[str, CMPError]] = field(default_factory=list)
    _of_others: set[str] = field(default_factory=set)

    def add(self, about: str, error: CMPError) -> None:
        """Take note."""
        self.found.append((about, error))

    def leave_to_others(self, abouts: Iterable[str]) -> None:
        """What is the matter with these is told, and does not change the status."""
        self._of_others.update(abouts)

    def tell(self) -> ExitStatus:
        """Print them on standard error; the status to end with, that of the first."""
        from cmpkit.inspection.text import printable

        ordered = sorted(self.found, key=lambda problem: problem[0] in self._of_others)
        statuses = [report(error, about=printable(about)) for about, error in ordered[:_MOST_TOLD]]
        if len(ordered) > _MOST_TOLD:
            print(f"cmpkit: and {len(ordered) - _MOST_TOLD} more", file=sys.stderr)
        return statuses[0] if ordered and ordered[0][0] not in self._of_others else ExitStatus.DONE

    @property
    def values(self) -> list[dict[str, Any]]:
        """For machines."""
        return [{"about": about, **plain_error(error)} for about, error in self.found]


async def read_bundles(
    paths: Iterable[Path], plugins: Plugins, problems: Problems, *, signed_by: Sequence[Path] | None
) -> list[Bundle]:
    """The bundles that can be read; what is damaged goes to the problems, by its name, and spoils nothing else.

    :raises ConfigurationError: if a certificate cannot be read.
    """
    from anyio import to_thread

    from cmpkit.cli.preparing import read_all
    from cmpkit.offline.bundle import read_bundle

    signers = await read_all(signed_by)
    bundles = []
    for path in paths:
        try:
            bundle = await to_thread.run_sync(partial(read_bundle, path, plugins, signers=signers))
        except CMPError as error:
            problems.add(str(path), error)
            continue
        bundles.append(bundle)
        for name, fault in bundle.faults.items():
            problems.add(f"{path}: {name}", ConfigurationError(fault, hint="have the bundle written again"))
    return bundles


def wrong_kind(bundle: Bundle, kind: Kind) -> CMPError | None:
    """Why a bundle is none of a kind, or ``None`` if it is."""
    found = bundle.manifest.kind
    if found is kind:
        return None
    return ConfigurationError(f"it has {found.value}, not {kind.value}", hint="is it the right file?")


def offline_transactions(folder: Path) -> list[tuple[Path, ClientTransaction]]:
    """The transactions of a folder that commands of ``cmpkit offline make`` began, with their files."""
    from cmpkit.cli.jobs import job_of
    from cmpkit.endpoints.saving import TransactionFolder
    from cmpkit.offline.road import OFFLINE

    saved = TransactionFolder(folder)
    found = []
    for transaction in saved.all():
        try:
            if job_of(transaction).url == OFFLINE:
                found.append((saved.path(transaction), transaction))
        except ConfigurationError:
            continue  # A program began it, and goes on with it.
    return found


def describe_bundle(path: Path, manifest: Manifest) -> dict[str, Any]:
    """What machines are told of a bundle."""
    return {
        "bundle": str(path),
        "kind": manifest.kind.value,
        "series": manifest.series.hex(),
        "sequence": manifest.sequence,
        "created": manifest.created.isoformat(),
        "expires": manifest.expires.isoformat(),
        "expired": manifest.expires < datetime.now(UTC),
        "messages": len(manifest.entries),
    }
