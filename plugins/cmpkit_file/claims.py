"""Who works on which request: each server has a folder of its own in ``work``, and moves there what it claims.

A rename succeeds for one of several servers only. A server holds a lock on ``NAME.lock`` as long as it lives, which the
system releases when the process dies, however it dies: then another server takes over what is in its folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import secrets
from pathlib import Path

from cmpkit.errors import TransportError
from cmpkit_file.layout import SUFFIX, DropDirectory, clear_errors, shown

__all__ = ["Claims", "claimed_name"]

_log = logging.getLogger("cmpkit.road")
_LOCK_SUFFIX = ".lock"
_LONGEST_NAME = 200
"""Octets of a name that are kept; what is put before and after it has to fit in, too."""
_NOT_MOVED = (errno.EACCES, errno.EPERM, errno.EBUSY)


class Claims:
    """The claims of one server. Everything here blocks, and is for one thread at a time.

    :param locks: whether servers lock their folders; without locks, everything in ``work`` is taken over at once.
    :raises TransportError: if the folder cannot be made or locked.
    """

    def __init__(self, place: DropDirectory, *, locks: bool) -> None:
        self._place = place
        self._name = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._folder = place.work / self._name
        self._lock = self._make_lock() if locks else None
        self._immovable: set[str] = set()
        with clear_errors(place.root):
            # Only now: a folder whose lock is not held belongs to nobody.
            self._folder.mkdir()

    def claim(self, name: str) -> Path | None:
        """Claim what has that name in ``in``; ``None`` if it is gone, or is a thing that cannot be moved.

        :returns: where it is now.
        :raises TransportError: if nothing can be moved; for good if the medium is not the one that it was.
        """
        target = self._folder / f"{secrets.token_hex(4)}.{_shortened(name)}"
        with clear_errors(self._place.root):
            try:
                os.rename(self._place.requests / name, target)
            except FileNotFoundError:
                if not os.path.isdir(self._place.requests):
                    raise
                if not os.path.isdir(self._folder):
                    raise TransportError(f"the drop-directory {self._place.root} is another one now") from None
                return None
            except OSError as error:
                if error.errno not in _NOT_MOVED or not self._can_move():
                    raise
                self._leave(name, error)
                return None
        return target

    def _can_move(self) -> bool:
        return all(os.access(folder, os.W_OK | os.X_OK) for folder in (self._place.requests, self._folder))

    def _leave(self, name: str, error: OSError) -> None:
        if name not in self._immovable:
            self._immovable.add(name)
            _log.warning("%s: %s stays there: %s", self._place.requests, shown(name), error.strerror)

    def put_back(self, path: Path) -> None:
        """Give up a claim.

        :raises TransportError: if it cannot be moved.
        """
        with contextlib.suppress(FileNotFoundError):
            self._place.move(path, self._place.requests, claimed_name(path))

    def take_over(self) -> None:
        """Put back what servers had claimed that are gone. What cannot be put back stays there, and is told of.

        :raises TransportError: if ``work`` cannot be looked at.
        """
        with clear_errors(self._place.root):
            folders = [entry for entry in os.scandir(self._place.work) if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            if folder.name == self._name:
                continue
            try:
                self._take_over(Path(folder.path))
            except TransportError as error:
                _log.warning("what is in %s cannot be put back: %s", shown(folder.path), error)

    def close(self) -> None:
        """Give up everything: what is still claimed is for the next server."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()
            if self._lock is not None:
                self._lock_path(self._name).unlink()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _lock_path(self, name: str) -> Path:
        return self._place.work / (name + _LOCK_SUFFIX)

    def _make_lock(self) -> int:
        with clear_errors(self._place.root):
            path = self._lock_path(self._name)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise TransportError(
                f"the drop-directory {self._place.root}: files cannot be locked there: {error.strerror}",
                hint="set locks = false in [[listen]] if this is the only server of that directory",
            ) from error
        return descriptor

    def _take_over(self, folder: Path) -> None:
        lock = self._lock_path(folder.name)
        descriptor = None
        try:
            if self._lock is not None and (descriptor := _lock_of_the_dead(lock)) is None:
                return
            with clear_errors(self._place.root):
                found = sorted(folder.iterdir()) if folder.is_dir() else []
            for path in found:
                self.put_back(path)
            with contextlib.suppress(OSError):
                folder.rmdir()
                lock.unlink()
        finally:
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)


def claimed_name(path: Path) -> str:
    """The name that a claimed file had."""
    return path.name.partition(".")[2]


def _shortened(name: str) -> str:
    octets = os.fsencode(name)
    if len(octets) <= _LONGEST_NAME:
        return name
    return octets[:_LONGEST_NAME].decode(errors="ignore") + (SUFFIX if name.endswith(SUFFIX) else "")


def _lock_of_the_dead(lock: Path) -> int | None:
    """The lock of a server that is gone, held; -1 if it has none any more; ``None`` if the server lives."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
