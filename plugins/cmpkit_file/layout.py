"""What is in a drop-directory, and how files get there: whole or not at all, and never over another one.

::

    in/      requests, put there by clients
    work/    requests that a server works on, in a folder for each server (cmpkit_file.claims)
    out/     answers, each named like its request
    done/    requests that were answered
    failed/  what was put aside, each with NAME.reason.txt beside it

A message is written under a name that begins with a dot, forced to the medium and renamed: what has a proper name is
whole. Names say something to people only; nothing is read from them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cmpkit.asn1 import decode_message
from cmpkit.errors import CMPError, TransportError

__all__ = ["REASON_SUFFIX", "SUFFIX", "DropDirectory", "clear_errors", "new_name", "read_regular", "shown"]

SUFFIX = ".pki"
"""Of messages (RFC 9483 section 6.4.1)."""
REASON_SUFFIX = ".reason.txt"
"""Of the text beside what was put aside."""
_FILE_MODE, _DIRECTORY_MODE = 0o640, 0o770
_REFUSED = {
    errno.ENOSPC: ("there is no space left", "make space; nothing was lost, it is tried again"),
    errno.EDQUOT: ("the quota is used up", "make space; nothing was lost, it is tried again"),
    errno.EROFS: ("it is on a medium that can only be read", "mount it for writing"),
    errno.ENOENT: ("it is not there", "is the medium mounted, and the path right?"),
    errno.ENOTDIR: ("it is no directory", "is the path right?"),
    errno.EACCES: ("access is denied", "whoever runs this needs to read and write there"),
    errno.EPERM: ("access is denied", "whoever runs this needs to read and write there"),
}


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a directory into a TransportError that says what to do; it may pass by itself.

    :raises TransportError: for each OSError in the block.
    """
    try:
        yield
    except OSError as error:
        said, hint = _REFUSED.get(error.errno or 0, (error.strerror or str(error), ""))
        raise TransportError(f"the drop-directory {path}: {said}", hint=hint, retryable=True) from error


@dataclass(frozen=True, slots=True)
class DropDirectory:
    """A drop-directory and the folders in it."""

    root: Path

    @property
    def requests(self) -> Path:
        """Where clients put requests."""
        return self.root / "in"

    @property
    def answers(self) -> Path:
        """Where answers are."""
        return self.root / "out"

    @property
    def work(self) -> Path:
        """Where the folders of servers are."""
        return self.root / "work"

    @property
    def done(self) -> Path:
        """Requests that were answered."""
        return self.root / "done"

    @property
    def failed(self) -> Path:
        """What was put aside."""
        return self.root / "failed"

    def make(self, *folders: Path) -> None:
        """Make those folders in it that are missing; it has to be there itself, since a medium may be missing.

        :raises TransportError: if it is not there, or they cannot be made.
        """
        with clear_errors(self.root):
            os.stat(self.root / ".")
            for folder in folders:
                folder.mkdir(_DIRECTORY_MODE, exist_ok=True)

    def put(self, folder: Path, name: str, octets: bytes) -> Path:
        """Write a file; it is whole and on the medium when this returns. Where there is the same file, nothing is done.

        :param name: of the file; if another file has it, a number is added.
        :raises TransportError: if it cannot be written; then nothing of it is left.
        """
        with clear_errors(self.root):
            partial = folder / f".{secrets.token_hex(8)}.tmp"
            try:
                _write(partial, octets)
                target = _rename_to_free_name(partial, folder, name, same=octets)
                _force_directory(folder)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    partial.unlink()
            return target

    def move(self, path: Path, folder: Path, name: str) -> Path:
        """Move a file, whatever it is, to a folder, under a name that is free there.

        :raises FileNotFoundError: if there is no such file any more.
        :raises TransportError: if it cannot be moved.
        """
        try:
            with clear_errors(self.root):
                target = _rename_to_free_name(path, folder, name)
                _force_directory(folder)
                _force_directory(path.parent)
                return target
        except TransportError as error:
            if isinstance(error.__cause__, FileNotFoundError) and not os.path.lexists(path):
                raise error.__cause__ from None
            raise

    def put_aside(self, path: Path, name: str, reason: str) -> None:
        """Move something to ``failed``, with the reason beside it.

        The reason is written first: nothing may lie there without one.

        :raises FileNotFoundError: if it is not there any more.
        :raises TransportError: if it cannot be put there.
        """
        os.lstat(path)
        name = _free_name(self.failed, name)
        self.put(self.failed, name + REASON_SUFFIX, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {reason}\n".encode())
        self.move(path, self.failed, name)


def new_name(message: bytes) -> str:
    """A name for a new message that tells people what it is: time, transactionID, body."""
    about = "message"
    with contextlib.suppress(CMPError):
        read = decode_message(message)
        about = f"{(read.header.transaction_id or b'').hex()[:32]}-{read.body.type.wire_name}"
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(4)}-{about}{SUFFIX}"


def shown(name: str) -> str:
    """A name that strangers chose, without what a terminal or a log would act on."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in name)


def read_regular(path: Path, most: int) -> bytes:
    """The octets of a regular file.

    :param most: octets that are read at most.
    :raises ValueError: if it is no regular file, or larger, saying so.
    :raises OSError: if it is not there, or cannot be read.
    """
    # A pipe would block, and a link lead elsewhere.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink() or error.errno in (errno.ELOOP, errno.ENXIO):
            raise ValueError("it is a link, or another thing that is no regular file") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > most:
        os.close(descriptor)
        size = f"it has {status.st_size} octets, {most} are read at most"
        raise ValueError(size if stat.S_ISREG(status.st_mode) else "it is no regular file")
    with open(descriptor, "rb") as file:
        octets = file.read(most + 1)
    if len(octets) > most:
        raise ValueError(f"it has more than {most} octets")
    return octets


def _write(path: Path, octets: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    with open(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(descriptor)


def _rename_to_free_name(path: Path, folder: Path, name: str, *, same: bytes | None = None) -> Path:
    """Give a file the name, or the name with a number if there is another file of that name.

    :param same: the octets of the file: if they are under the name already, the file is left where it is.
    """
    for candidate in _names(name):
        target = folder / candidate
        if same is not None and _has(target, same):
            return target
        try:
            # Unlike a rename, a link never replaces what is there; not every medium has links.
            os.link(path, target, follow_symlinks=False)
        except FileExistsError:
            # It is the same file if a process died before it came to remove the old name.
            if not os.path.samestat(os.lstat(target), os.lstat(path)):
                continue
        except FileNotFoundError:
            raise
        except OSError:
            if os.path.lexists(target):
                continue
            os.rename(path, target)
            return target
        os.unlink(path)
        return target
    raise AssertionError


def _free_name(folder: Path, name: str) -> str:
    return next(candidate for candidate in _names(name) if not os.path.lexists(folder / candidate))


def _names(name: str) -> Iterator[str]:
    yield name
    stem, suffix = (name.removesuffix(SUFFIX), SUFFIX) if name.endswith(SUFFIX) else (name, "")
    number = 1
    while True:
        yield f"{stem}.{number}{suffix}"
        number += 1


def _has(path: Path, octets: bytes) -> bool:
    try:
        return read_regular(path, len(octets)) == octets
    except (OSError, ValueError):
        return False


def _force_directory(path: Path) -> None:
    """See that what was renamed there stays so if the power fails."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot; they write directories at once.
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
