"""A bundle: one archive with a manifest and the messages that it names, each of them whole or refused by its name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from anyio import to_thread

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.errors import CMPError
from cmpkit.offline.archive import Archive, read_archive, write_archive
from cmpkit.offline.manifest import (
    MAX_ENTRIES,
    MAX_MESSAGE_SIZE,
    Entry,
    Manifest,
    dump_manifest,
    load_manifest,
)
from cmpkit.offline.signing import MANIFEST, SIGNATURE, BundleSigner, check_signature, sign_manifest
from cmpkit.plugins import Plugins

__all__ = ["Bundle", "digest_of", "name_of", "read_bundle", "write_bundle"]

_MAX_MANIFEST_SIZE = 1024 + MAX_ENTRIES * 512
_MAX_SIGNATURE_SIZE = _MAX_MANIFEST_SIZE + (1 << 16)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was read of a bundle.

    :param path: of its file.
    :param messages: by their entries in the manifest; those that are damaged are not there.
    :param faults: what is the matter with a file in it, by its name.
    :param signer: DER of the certificate of who signed it; ``None`` if nobody was asked for, or did.
    """

    path: Path
    manifest: Manifest
    messages: Mapping[Entry, bytes] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    signer: bytes | None = None


def digest_of(message: bytes) -> bytes:
    """How a manifest names a message."""
    return hashlib.sha256(message).digest()


def name_of(message: bytes, number: int) -> str:
    """A name for a message in a bundle, which tells people what it is: number, body, transactionID."""
    try:
        read: PKIMessage = decode_message(message)
    except CMPError:
        return f"messages/{number:05}.pki"
    about = f"{read.body.type.wire_name}-{(read.header.transaction_id or b'').hex()[:32]}"
    return f"messages/{number:05}-{re.sub(r'[^A-Za-z0-9-]', '', about)}.pki"


def read_bundle(path: Path, plugins: Plugins, *, signers: Sequence[bytes] = ()) -> Bundle:
    """Read a bundle. One damaged message does not spoil the others.

    :param signers: DER of certificates; if there are any, one of them must have signed the bundle.
    :raises CMPError: if the bundle as a whole is not to be read, saying why.
    """
    archive = read_archive(path)
    manifest, signer = _manifest(archive, plugins, signers)
    messages: dict[Entry, bytes] = {}
    faults: dict[str, str] = {}
    for entry in manifest.entries:
        try:
            messages[entry] = _message(archive, entry)
        except CMPError as error:
            faults[entry.name] = error.detail
    named = {MANIFEST, SIGNATURE, *(entry.name for entry in manifest.entries)}
    faults |= {name: "the manifest does not name it" for name in archive.names if name not in named}
    return Bundle(path, manifest, messages, faults, signer)


def _manifest(archive: Archive, plugins: Plugins, signers: Sequence[bytes]) -> tuple[Manifest, bytes | None]:
    try:
        octets = archive.read(MANIFEST, _MAX_MANIFEST_SIZE)
    except CMPError as error:
        error.detail = f"{MANIFEST}: {error.detail}"
        raise
    signer = None
    if signers:
        signature = archive.read(SIGNATURE, _MAX_SIGNATURE_SIZE) if SIGNATURE in archive.names else b""
        signer = check_signature(signature, octets, signers, plugins)
    return load_manifest(octets), signer


def _message(archive: Archive, entry: Entry) -> bytes:
    octets = archive.read(entry.name, MAX_MESSAGE_SIZE)
    if len(octets) != entry.size or digest_of(octets) != entry.digest:
        raise CMPError("it is not the message that the manifest names: its digest differs")
    return octets


async def write_bundle(
    path: Path,
    manifest: Manifest,
    messages: Mapping[Entry, bytes],
    plugins: Plugins,
    *,
    signer: BundleSigner | None = None,
    now: datetime,
) -> None:
    """Write a bundle, so that at any time the old or the new one is there, whole.

    :param messages: one for each entry of the manifest.
    :param signer: who signs it; ``None`` leaves it without signature.
    :raises ConfigurationError: if it cannot be written.
    """
    octets = dump_manifest(manifest)
    members = {MANIFEST: octets}
    if signer is not None:
        members[SIGNATURE] = await sign_manifest(octets, signer, plugins)
    members |= {entry.name: messages[entry] for entry in manifest.entries}
    await to_thread.run_sync(partial(write_archive, path, members, written=now))
