"""Bundles of a device: everything that waits to be carried, written anew from its saved transactions."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from anyio import to_thread

from cmpkit.crypto.keys import write_file_atomically
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.states import ClientState
from cmpkit.errors import ConfigurationError
from cmpkit.offline.bundle import Bundle, digest_of, name_of, write_bundle
from cmpkit.offline.manifest import Entry, Kind, Manifest
from cmpkit.offline.signing import BundleSigner
from cmpkit.plugins import Plugins

__all__ = ["Ledger", "answers_for", "locked", "new_series", "pack", "waiting_messages"]

_FILE = "bundles.ledger"
_FORMAT = 1
_SERIES_SIZE = 16


def new_series() -> bytes:
    """What a sender of bundles is known by."""
    return secrets.token_bytes(_SERIES_SIZE)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a folder of transactions remembers of its bundles.

    :param series: of all bundles that are packed from it.
    :param sequence: of the last one; 0 before the first.
    :param seen: the highest number of each series that was accepted there.
    """

    series: bytes = field(default_factory=new_series)
    sequence: int = 0
    seen: Mapping[bytes, int] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Ledger:
        """The ledger of a folder, a new one if there is none.

        :raises ConfigurationError: if it cannot be read.
        """
        path = folder / _FILE
        try:
            plain = json.loads(path.read_bytes())
            if plain["format"] != _FORMAT:
                raise ValueError("another version of cmpkit wrote it")
            seen = {bytes.fromhex(series): int(number) for series, number in plain["seen"].items()}
            return cls(bytes.fromhex(plain["series"]), int(plain["sequence"]), seen)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error}", hint="remove it: bundles from here are then a new series"
            ) from error

    def save(self, folder: Path) -> None:
        """Write it; it is on the disk when this returns.

        :raises ConfigurationError: if it cannot be written.
        """
        plain = {
            "format": _FORMAT,
            "series": self.series.hex(),
            "sequence": self.sequence,
            "seen": {series.hex(): number for series, number in self.seen.items()},
        }
        write_file_atomically(folder / _FILE, json.dumps(plain).encode(), mode=0o600)

    def having_seen(self, series: bytes, sequence: int) -> Ledger:
        """The ledger after a bundle of another series was accepted."""
        return replace(self, seen={**self.seen, series: max(sequence, self.seen.get(series, 0))})


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from packing the same folder meanwhile: they wait.

    :raises ConfigurationError: if the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def waiting_messages(transactions: Iterable[ClientTransaction]) -> tuple[bytes, ...]:
    """The messages that are still to be answered."""
    return tuple(one.message for one in transactions if one.message and one.state is not ClientState.DONE)


def answers_for(transaction: ClientTransaction, bundles: Iterable[Bundle]) -> tuple[bytes, ...]:
    """What has come for a transaction: what the bundles give as answers to its last message, and nothing earlier.

    Whether they are to be believed is for the client to judge.
    """
    if transaction.state is ClientState.DONE:
        return ()
    asked = digest_of(transaction.message)
    return tuple(octets for bundle in bundles for entry, octets in bundle.messages.items() if entry.answers == asked)


async def pack(
    path: Path,
    messages: Iterable[bytes],
    folder: Path,
    plugins: Plugins,
    *,
    now: datetime,
    expires: datetime,
    signer: BundleSigner | None = None,
) -> Manifest:
    """Write a bundle of requests, the next one in the series of a folder.

    :param path: of the bundle; what is there is replaced.
    :param messages: everything that waits there.
    :param folder: of the transactions, which keeps the ledger.
    :param expires: until when the bundle is of use.
    :raises ConfigurationError: if something cannot be written.
    """
    ledger = await to_thread.run_sync(Ledger.load, folder)
    ledger = replace(ledger, sequence=ledger.sequence + 1)
    found = {
        Entry(name=name_of(octets, number), size=len(octets), digest=digest_of(octets)): octets
        for number, octets in enumerate(messages, start=1)
    }
    manifest = Manifest(
        kind=Kind.REQUESTS,
        series=ledger.series,
        sequence=ledger.sequence,
        created=now.replace(microsecond=0),
        expires=expires.replace(microsecond=0),
        entries=tuple(found),
    )
    # The number is used up first: no two bundles may have the same.
    await to_thread.run_sync(ledger.save, folder)
    await write_bundle(path, manifest, found, plugins, signer=signer, now=now)
    return manifest
