"""A directory that comes into being whole: built in a place of its own, then moved, the file that counts last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio
import anyio.to_thread

from cmpkit.crypto.keys import write_file_atomically, write_private_file
from cmpkit.errors import ConfigurationError

__all__ = ["build_directory", "is_started"]

_BUILDING = ".init"


def is_started(directory: Path) -> bool:
    """Whether there is anything already.

    :raises ConfigurationError: if it is not a directory, or cannot be looked into.
    """
    try:
        return directory.exists() and any(directory.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be used: {error.strerror}") from error


async def build_directory(
    directory: Path, files: Mapping[str, bytes], fill: Callable[[Path], Awaitable[None]], *, last: str
) -> None:
    """Make the directory, or fill one that is empty.

    Files in subdirectories are private: mode 0600, in directories of mode 0700.

    :param files: by their paths in the directory.
    :param fill: makes more in the place where the directory is built.
    :param last: the file without which the others mean nothing.
    :raises ConfigurationError: if it cannot be done; what was made is removed.
    """
    made = not await anyio.Path(directory).exists()
    building = await anyio.to_thread.run_sync(_start, directory)
    try:
        await anyio.to_thread.run_sync(_write, building, files)
        await fill(building)
        await anyio.to_thread.run_sync(_move, building, directory, last)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_discard, directory, made)
        if isinstance(error, OSError):
            raise ConfigurationError(f"{directory} cannot be made: {error.strerror}") from error
        raise


def _start(directory: Path) -> Path:
    building = directory / _BUILDING
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        building.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"{building} cannot be made: {error.strerror}") from error
    return building


def _write(building: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = building / name
        if path.parent == building:
            write_file_atomically(path, content)
        else:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_private_file(path, content)


def _move(building: Path, directory: Path, last: str) -> None:
    for path in sorted(building.iterdir(), key=lambda path: path.name == last):
        os.rename(path, directory / path.name)
    building.rmdir()


def _discard(directory: Path, itself: bool) -> None:
    """Remove everything in the directory: it was empty before.

    :param itself: whether the directory goes, too.
    """
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if itself:
        directory.rmdir()
