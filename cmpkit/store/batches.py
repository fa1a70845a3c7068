"""Work for a database that is asked for at the same time: what waits for a thread is done together when one is free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import sqlalchemy as sa

__all__ = ["Batches", "Job"]

T = TypeVar("T")

_MOST: Final = 64
"""How much is done together at most, so that nobody waits long for what others asked for."""


class Job(Generic[T]):
    """Something that is asked of a database.

    :param work: does it.
    """

    def __init__(self, work: Callable[[sa.Connection], T]) -> None:
        self.work = work
        self.turn = anyio.Event()
        """Set once it is done, or is to see to it itself."""
        self._outcome: tuple[T, None] | tuple[None, Exception] | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is an outcome."""
        return self._outcome is not None

    def succeed(self, result: T) -> None:
        """Note what came of it."""
        self._outcome = (result, None)

    def fail(self, error: Exception) -> None:
        """Note why it failed."""
        self._outcome = (None, error)

    def result(self) -> T:
        """What came of it; raises why it failed."""
        assert self._outcome is not None
        result, error = self._outcome
        if error is not None:
            raise error
        return result  # type: ignore[return-value]


class Batches:
    """Does what is asked for in worker threads, together with all that waits by then: one hop for all of it.

    Whoever finds a free thread sees to its own job and those that wait, then one of those that came meanwhile does.

    :param run: called in a thread with up to 64 jobs, for each of which it notes what came of it.
    :param threads: how many may be at work at once.
    """

    def __init__(self, run: Callable[[Sequence[Job[Any]]], None], *, threads: int) -> None:
        self._run = run
        self._free = threads
        self._threads = anyio.CapacityLimiter(threads)
        self._waiting: list[Job[Any]] = []

    async def do(self, work: Callable[[sa.Connection], T]) -> T:
        """What ``work`` returns; it is finished, also when the caller is cancelled meanwhile."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        job = Job(work)
        with anyio.CancelScope(shield=True):
            if self._free:
                self._free -= 1
            else:
                self._waiting.append(job)
                await job.turn.wait()
            if not job.is_done:
                await self._see_to(job)
        return job.result()

    async def _see_to(self, job: Job[Any]) -> None:
        jobs = [job, *self._waiting[: _MOST - 1]]
        del self._waiting[: _MOST - 1]
        try:
            await anyio.to_thread.run_sync(self._run, jobs, limiter=self._threads)
        finally:
            for one in jobs:
                one.turn.set()
            if self._waiting:
                self._waiting.pop(0).turn.set()
            else:
                self._free += 1
