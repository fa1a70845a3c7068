"""When something in a folder changes: told by the system, where it tells; besides, folders are looked at regularly."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from cmpkit.errors import TransportError
from cmpkit_file.options import Watch

__all__ = ["Changes", "watching"]

_log = logging.getLogger("cmpkit.road")
_STEP_MS, _DEBOUNCE_MS = 5, 100
_RUST_TIMEOUT_MS = 200
"""How long a cancelled watch may go on."""


class Changes:
    """What was noticed."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def following(self) -> anyio.Event:
        """What is set at the next change; ask for it before you look."""
        return self._event

    def notice(self) -> None:
        """Something changed."""
        self._event.set()
        self._event = anyio.Event()


@asynccontextmanager
async def watching(folder: Path, watch: Watch) -> AsyncIterator[Changes]:
    """Watch a folder until the block ends.

    :param watch: ``poll`` leaves it to who waits to look now and then: network file systems tell nothing.
    """
    changes, stop = Changes(), anyio.Event()
    if watch == "poll":
        yield changes
        return
    failure: TransportError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, folder, changes, stop)
        try:
            yield changes
        except TransportError as error:
            # Out of the task group it would come in an exception group.
            failure = error
        finally:
            stop.set()
    if failure is not None:
        raise failure


async def _watch(folder: Path, changes: Changes, stop: anyio.Event) -> None:
    try:
        from watchfiles import awatch  # noqa: PLC0415

        async for _ in awatch(
            folder,
            watch_filter=None,
            recursive=False,
            step=_STEP_MS,
            debounce=_DEBOUNCE_MS,
            rust_timeout=_RUST_TIMEOUT_MS,
            stop_event=stop,
        ):
            changes.notice()
    except (ImportError, OSError, RuntimeError) as error:
        _log.info("%s is looked at regularly, for it cannot be watched: %s", folder, error)
