"""The archive of a bundle: a ZIP file whose members are stored as they are, read with bounds that hold before the work.

Nothing is ever unpacked to a file system: members are octets with names.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cmpkit.crypto.keys import write_file_atomically
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError

__all__ = ["Archive", "read_archive", "write_archive"]

MAX_SIZE = 64 << 20
"""Octets of an archive."""
MAX_MEMBERS = 10_010
_MAX_DIRECTORY_SIZE = MAX_MEMBERS * 256
_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE, _LOCATOR_SIGNATURE, _LOCATOR_SIZE = b"PK\x05\x06", b"PK\x06\x07", 20
_ENCRYPTED = 0x1
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What the library raises for archives that are damaged, or made to harm."""


class Archive:
    """The members of an archive, by name.

    :param octets: the whole archive.
    :raises CMPError: if it is no such archive, or more than is read.
    """

    def __init__(self, octets: bytes) -> None:
        _check_end(octets)
        try:
            self._file = zipfile.ZipFile(io.BytesIO(octets))
        except _UNREADABLE as error:
            raise _refused(f"it is damaged: {error}") from error
        found = self._file.infolist()
        if sum(info.compress_size for info in found) > len(octets):
            raise _refused("its members overlap")
        self._counts = Counter(info.filename for info in found)
        self._members = {info.filename: info for info in found}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the members, as they are written there."""
        return tuple(self._members)

    def read(self, name: str, most: int) -> bytes:
        """The octets of a member.

        :param most: octets that are read at most.
        :raises CMPError: saying what is the matter with it.
        """
        info = self._members.get(name)
        if info is None:
            raise _refused("it is missing")
        if self._counts[name] > 1:
            raise _refused("it is there twice")
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or info.is_dir():
            raise _refused("it is no regular file")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise _refused("it is compressed, which no message in a bundle is")
        if info.flag_bits & _ENCRYPTED:
            raise _refused("it is encrypted")
        if info.file_size > most:
            raise _refused(f"it has {info.file_size} octets, {most} are read at most")
        try:
            with self._file.open(info) as member:
                return member.read(most)
        except _UNREADABLE as error:
            raise _refused(f"it is damaged: {error}") from error


def _check_end(octets: bytes) -> None:
    """Whether the archive ends as ours do, with a directory that may be read: its size is known before the work."""
    start = len(octets) - _END.size
    if start < 0 or not octets.startswith(_END_SIGNATURE, start):
        raise _refused("it is no bundle, or not whole")
    _, disk, first_disk, here, members, directory_size, _, _ = _END.unpack_from(octets, start)
    if disk or first_disk or here != members or octets.startswith(_LOCATOR_SIGNATURE, max(0, start - _LOCATOR_SIZE)):
        raise _refused("it is a kind of archive that no bundle is")
    if members > MAX_MEMBERS or directory_size > _MAX_DIRECTORY_SIZE:
        raise _refused(f"it has {members} members, {MAX_MEMBERS} are read at most")


def read_archive(path: Path) -> Archive:
    """The archive in a file.

    :raises ConfigurationError: if the file cannot be read.
    :raises CMPError: if it is no such archive, or more than is read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SIZE:
            raise _refused(f"it is no regular file of at most {MAX_SIZE} octets")
        with path.open("rb") as file:
            octets = file.read(MAX_SIZE)
    except OSError as error:
        raise ConfigurationError(f"it cannot be read: {error.strerror}") from error
    return Archive(octets)


def write_archive(path: Path, members: Mapping[str, bytes], *, written: datetime) -> None:
    """Write an archive, so that at any time the old or the new one is there, whole.

    :param written: the time that its members get.
    :raises ConfigurationError: if it cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, octets in members.items():
            info = zipfile.ZipInfo(name, written.timetuple()[:6])
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, octets)
    write_file_atomically(path, buffer.getvalue())


def _refused(detail: str) -> CMPError:
    return CMPError(detail, PKIFailureInfo.BAD_DATA_FORMAT)
