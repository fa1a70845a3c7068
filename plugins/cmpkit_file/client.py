"""The client's side of a drop-directory; see :class:`cmpkit.parts.ForwardingTransport`."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import anyio
from anyio import to_thread

from cmpkit.errors import TransportError
from cmpkit.parts import Disposition, Wanted
from cmpkit_file.layout import SUFFIX, DropDirectory, clear_errors, new_name, read_regular
from cmpkit_file.options import FileClientOptions
from cmpkit_file.watching import watching

__all__ = ["FileClient"]


class FileClient:
    """Puts requests into ``in``, finds answers in ``out``.

    :param max_response_size: octets; larger files are passed over.
    """

    def __init__(self, place: DropDirectory, options: FileClientOptions, *, max_response_size: int) -> None:
        self._place, self._options, self._max_response_size = place, options, max_response_size
        self._received: dict[bytes, Path] = {}
        self._closed = False

    async def send(self, message: bytes) -> None:
        """Write a message; it is whole and on the medium when this returns.

        :raises TransportError: if the directory is not there or cannot be written, saying why.
        """
        self._insist_on_being_open()
        await to_thread.run_sync(self._send, message)

    def _send(self, message: bytes) -> None:
        self._place.make(self._place.requests, self._place.answers)
        self._place.put(self._place.requests, new_name(message), message)

    async def announce(self, message: bytes) -> Disposition:
        """Write an announcement; it needs not be sent again."""
        await self.send(message)
        return Disposition.STORED

    async def receive(self, wanted: Wanted) -> bytes:
        """Wait for an answer that is wanted; it stays where it is.

        :raises TransportError: if the directory is not there or cannot be read.
        """
        self._insist_on_being_open()
        seen: set[tuple[str, int]] = set()
        await to_thread.run_sync(self._place.make, self._place.requests, self._place.answers)
        found = await self._look(wanted, seen)
        if found is not None:
            return found
        async with watching(self._place.answers, self._options.watch) as changes:
            while found is None:
                changed = changes.following()
                found = await self._look(wanted, seen)
                if found is None:
                    with anyio.move_on_after(self._options.poll_interval.total_seconds()):
                        await changed.wait()
                    self._insist_on_being_open()
        return found

    async def done(self, message: bytes) -> None:
        """Remove an answer.

        :raises TransportError: if it cannot be removed.
        """
        await to_thread.run_sync(self._remove, message)

    async def aclose(self) -> None:
        """Send and receive nothing more; what is in the directory stays there."""
        self._closed = True

    async def _look(self, wanted: Wanted, seen: set[tuple[str, int]]) -> bytes | None:
        """An answer that is wanted, if there is one, among those that were not seen before."""
        for name, changed in await to_thread.run_sync(self._names):
            if (name, changed) in seen:
                continue
            seen.add((name, changed))
            path = self._place.answers / name
            message = await to_thread.run_sync(self._read, path)
            if message is not None and await wanted(message):
                self._received[hashlib.sha256(message).digest()] = path
                return message
        return None

    def _names(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        with clear_errors(self._place.root), os.scandir(self._place.answers) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        found.append((entry.name, entry.stat(follow_symlinks=False).st_ctime_ns))
        return sorted(found)

    def _read(self, path: Path) -> bytes | None:
        try:
            return read_regular(path, self._max_response_size)
        except (OSError, ValueError):
            return None

    def _remove(self, message: bytes) -> None:
        path = self._received.pop(hashlib.sha256(message).digest(), None)
        places = [self._place.answers / name for name, _ in self._names()] if path is None else [path]
        with clear_errors(self._place.root):
            for place in places:
                if self._read(place) == message:
                    place.unlink(missing_ok=True)

    def _insist_on_being_open(self) -> None:
        if self._closed:
            raise TransportError("this transport is closed")
