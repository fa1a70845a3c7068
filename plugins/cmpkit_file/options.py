"""What can be set for this road."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

__all__ = ["FileClientOptions", "FileServerOptions", "Watch"]

Watch: TypeAlias = Literal["events", "poll"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileClientOptions:
    """Options of clients, ``--road-option NAME=VALUE``.

    :param watch: ``events`` has the system tell of changes; ``poll`` is for network and removable media.
    :param poll_interval: how often the directory is looked at, whatever the system tells.
    """

    watch: Watch = "events"
    poll_interval: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileServerOptions(FileClientOptions):
    """Keys of ``[[listen]]``.

    :param settle: how long a file that is not whole yet may grow before it is put aside: some programs do not write
        under another name first.
    :param keep: how long answers, and requests that were answered, stay; they are of use to nobody later.
    :param locks: whether servers lock what they work on, by which others learn that they are gone. Without locks a
        server must be the only one of the directory.
    """

    settle: timedelta = timedelta(seconds=10)
    keep: timedelta = timedelta(days=90)
    locks: bool = True
