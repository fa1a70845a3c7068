"""A Maildir on this machine, into which the local mail server delivers."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mailbox
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import anyio
from anyio import to_thread

from cmpkit.errors import TransportError
from cmpkit_mail.mailboxes import UnreadableMail

__all__ = ["MaildirMailbox"]

_LOCK = "cmpkit.lock"
_TRASHED = "T"
_OF_ONE_MAIL = (errno.ELOOP, errno.ENXIO, errno.EACCES)


class MaildirMailbox:
    """See :class:`~cmpkit_mail.mailboxes.Mailbox`. A key is the part of the file name that never changes.

    :param folders: Maildir++ folders in it for what is moved away; who names some is its only server.
    """

    def __init__(self, path: Path, *, interval: timedelta, folders: tuple[str, ...]) -> None:
        self._path, self._interval, self._folders = path, interval, folders
        self._lock: int | None = None
        self._turn = anyio.Lock()
        self._paths: dict[str, Path] = {}

    async def open(self) -> None:
        """Make the folders, and see that nobody else serves it."""
        await to_thread.run_sync(self._open)

    def _open(self) -> None:
        with self._clear_errors():
            if self._folders and self._lock is None:
                self._lock = self._make_lock()
            self._make_folders()

    def _make_folders(self) -> None:
        box = mailbox.Maildir(self._path, create=False)
        for folder in self._folders:
            box.add_folder(folder)

    def _make_lock(self) -> int:
        descriptor = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise TransportError(f"the Maildir {self._path} has a server already", retryable=True) from error
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    async def look(self) -> list[str]:
        """The keys of all mails, the oldest first."""
        async with self._turn:
            return await to_thread.run_sync(self._look)

    def _look(self) -> list[str]:
        found: list[tuple[int, str, Path]] = []
        with self._clear_errors():
            for part in ("new", "cur"):
                with os.scandir(self._path / part) as entries:
                    for entry in entries:
                        key, _, flags = entry.name.partition(":2,")
                        if key.startswith(".") or _TRASHED in flags:
                            continue
                        with contextlib.suppress(FileNotFoundError):
                            found.append((entry.stat(follow_symlinks=False).st_mtime_ns, key, Path(entry.path)))
        found.sort()
        self._paths = {key: path for _, key, path in found}
        return list(self._paths)

    async def likely(self, keys: Sequence[str]) -> list[str]:
        """All of them: to read them costs little here."""
        return list(keys)

    async def read(self, key: str, most: int) -> bytes | None:
        """A mail as it came; ``None`` if it is gone."""
        async with self._turn:
            return await to_thread.run_sync(self._read, key, most)

    def _read(self, key: str, most: int) -> bytes | None:
        path = self._find(key)
        if path is None:
            return None
        try:
            # A pipe would block, and a link lead elsewhere.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _OF_ONE_MAIL:
                raise UnreadableMail(f"it cannot be read: {error.strerror}") from error
            raise self._error(error) from error
        with self._clear_errors(), open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnreadableMail("it is no regular file")
            octets = file.read(most + 1)
        if len(octets) > most:
            raise UnreadableMail(f"it has more than {most} octets")
        return octets

    async def move(self, key: str, folder: str) -> None:
        """Move a mail to a folder."""
        async with self._turn:
            await to_thread.run_sync(self._move, key, folder)

    def _move(self, key: str, folder: str) -> None:
        path = self._find(key)
        if path is None:
            return
        target = self._path / f".{folder}" / "cur" / f"{key}:2,S"
        with self._clear_errors():
            try:
                os.rename(path, target)
            except FileNotFoundError:
                # Either the mail is gone, or the folder.
                if os.path.lexists(path):
                    self._make_folders()
                    os.rename(path, target)

    async def remove(self, key: str) -> None:
        """Remove a mail."""
        async with self._turn:
            await to_thread.run_sync(self._remove, key)

    def _remove(self, key: str) -> None:
        path = self._find(key)
        if path is not None:
            with self._clear_errors():
                path.unlink(missing_ok=True)

    async def wait(self) -> None:
        """Wait until it is time to look again."""
        await anyio.sleep(self._interval.total_seconds())

    async def aclose(self) -> None:
        """Let another server have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _find(self, key: str) -> Path | None:
        """Where a mail is; other programs rename what they have seen."""
        path = self._paths.get(key)
        if path is None or not os.path.lexists(path):
            self._look()
        return self._paths.get(key)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, mailbox.NoSuchMailboxError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> TransportError:
        said = (error.strerror if isinstance(error, OSError) else "") or "it is not there"
        hint = "is the path right, and may this user read and write there?"
        return TransportError(f"the Maildir {self._path}: {said}", hint=hint, retryable=True)
