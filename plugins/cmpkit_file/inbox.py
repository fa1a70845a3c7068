"""The requests in a drop-directory, one by one; see :class:`cmpkit.transports.Inbox`."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
from anyio import to_thread

from cmpkit.errors import TransportError
from cmpkit.parts import Peer
from cmpkit.transports import Parcel
from cmpkit_file.claims import Claims, claimed_name
from cmpkit_file.layout import SUFFIX, DropDirectory, clear_errors, read_regular, shown
from cmpkit_file.options import FileServerOptions
from cmpkit_file.watching import Changes

__all__ = ["DirectoryInbox"]

_log = logging.getLogger("cmpkit.road")
_TAKE_OVER_SECONDS, _PRUNE_SECONDS = 5.0, 3600.0
_STALE_PARTIAL = timedelta(days=1)
_SEQUENCE = 0x30
_LONG_FORM = 0x80
_HEADER = 6
"""Octets of tag and length of the largest message that anybody reads."""


class DirectoryInbox:
    """What is in ``in``, oldest first.

    :param changes: of that folder.
    :param max_message_size: octets; larger files are put aside.
    """

    def __init__(
        self,
        place: DropDirectory,
        claims: Claims,
        changes: Changes,
        options: FileServerOptions,
        *,
        road: str,
        max_message_size: int,
    ) -> None:
        self._place, self._claims, self._changes, self._options = place, claims, changes, options
        self._road, self._max_message_size = road, max_message_size
        self._found: deque[str] = deque()
        self._taken_over = self._pruned = float("-inf")

    async def claim(self) -> Parcel:
        """Wait for a message and claim it."""
        while True:
            changed = self._changes.following()
            # Not to be cancelled in between, and followed by nothing that is: no claim is lost.
            parcel = await to_thread.run_sync(self._claim_next)
            if parcel is not None:
                return parcel
            with anyio.move_on_after(self._options.poll_interval.total_seconds()):
                await changed.wait()

    def _claim_next(self) -> FileParcel | None:
        now = time.monotonic()
        if now >= self._taken_over + _TAKE_OVER_SECONDS:
            self._claims.take_over()
            self._taken_over = now
        if now >= self._pruned + _PRUNE_SECONDS:
            _prune(self._place, self._options.keep)
            self._pruned = now
        if not self._found:
            self._found.extend(self._look())
        while self._found:
            parcel = self._claim(self._found.popleft())
            if parcel is not None:
                return parcel
        return None

    def _look(self) -> list[str]:
        """The names of what is there and whole, oldest first; what begins with a dot is being written."""
        found: list[tuple[int, str]] = []
        with clear_errors(self._place.root), os.scandir(self._place.requests) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if not self._may_grow(Path(entry.path), status):
                    found.append((status.st_mtime_ns, entry.name))
        return [name for _, name in sorted(found)]

    def _may_grow(self, path: Path, status: os.stat_result) -> bool:
        if not stat.S_ISREG(status.st_mode) or status.st_mtime + self._options.settle.total_seconds() <= time.time():
            return False
        return path.suffix != SUFFIX or _is_partial(path, status.st_size)

    def _claim(self, name: str) -> FileParcel | None:
        """Claim a file; ``None`` if another server did, or it was put aside."""
        path = self._claims.claim(name)
        if path is None:
            return None
        name = claimed_name(path)
        try:
            with clear_errors(self._place.root):
                octets = self._read(path, name)
        except TransportError:
            self._claims.put_back(path)
            raise
        if octets is None:
            return None
        return FileParcel(octets, Peer(self._road, shown(name)), path, self._place, self._claims)

    def _read(self, path: Path, name: str) -> bytes | None:
        """The octets of what was claimed; ``None`` if it is no request, and is put aside."""
        try:
            if not name.endswith(SUFFIX):
                raise ValueError(f"its name does not end with {SUFFIX} (RFC 9483 section 6.4.1)")
            return read_regular(path, self._max_message_size)
        except (PermissionError, ValueError) as error:
            self._place.put_aside(path, name, f"it was not read: {error}")
            return None


@dataclass(slots=True)
class FileParcel:
    """A claimed request; see :class:`cmpkit.transports.Parcel`."""

    octets: bytes
    peer: Peer
    path: Path
    place: DropDirectory
    claims: Claims

    async def answer(self, der: bytes) -> None:
        """Write it under the name of the request."""
        await to_thread.run_sync(self.place.put, self.place.answers, claimed_name(self.path), der)

    async def finish(self) -> None:
        """It is among those that are done."""
        await to_thread.run_sync(self._move_away)

    def _move_away(self) -> None:
        try:
            self.place.move(self.path, self.place.done, claimed_name(self.path))
        except FileNotFoundError:
            return

    async def quarantine(self, reason: str) -> None:
        """It is among those that failed."""
        await to_thread.run_sync(self._put_aside, reason)

    def _put_aside(self, reason: str) -> None:
        try:
            self.place.put_aside(self.path, claimed_name(self.path), reason)
        except FileNotFoundError:
            return

    async def put_back(self) -> None:
        """It is a request again."""
        await to_thread.run_sync(self.claims.put_back, self.path)


def _is_partial(path: Path, size: int) -> bool:
    """Whether the file is shorter than the DER element that it begins with."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return False
    if len(header) < 2:
        return header in (b"", bytes([_SEQUENCE]))
    if header[0] != _SEQUENCE:
        return False
    count = header[1] & ~_LONG_FORM
    if not header[1] & _LONG_FORM:
        return 2 + count > size
    return count <= _HEADER - 2 and 2 + count + int.from_bytes(header[2 : 2 + count]) > size


def _prune(place: DropDirectory, keep: timedelta) -> None:
    """Remove answers, and requests that were answered, that are older than ``keep``, and what never became a file.

    :raises TransportError: if a folder cannot be looked at.
    """
    for folder, age in ((place.answers, keep), (place.done, keep), (place.requests, _STALE_PARTIAL)):
        with clear_errors(place.root), os.scandir(folder) as entries:
            for entry in entries:
                if folder == place.requests and not (entry.name.startswith(".") and entry.name.endswith(".tmp")):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                    if time.time() - status.st_mtime > age.total_seconds() and not stat.S_ISDIR(status.st_mode):
                        os.unlink(entry.path)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    _log.warning("%s is old, and cannot be removed: %s", shown(entry.path), error.strerror)
