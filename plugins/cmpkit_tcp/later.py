"""Answers that take time: the client gets a polling reference and comes back, maybe over another connection."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from cmpkit_tcp.framing import Framing, Later, Unit, UnitType

__all__ = ["Desk"]

_MOST_KEPT = 1000
_KEPT_SECONDS = 3600.0
_COME_BACK_SECONDS = 5


@dataclass(eq=False)
class _Job:
    started: float
    ready: anyio.Event = field(default_factory=anyio.Event)
    answer: Unit | None = None


class Desk:
    """Has requests answered, and keeps what is not ready in time.

    :param tasks: where the work is done: it goes on when a connection ends.
    :param patience: seconds after which a client is told to come back.
    """

    def __init__(self, tasks: TaskGroup, patience: float) -> None:
        self._tasks, self._patience = tasks, patience
        self._jobs: dict[bytes, _Job] = {}

    async def do(self, work: Callable[[], Awaitable[Unit]], framing: Framing) -> Unit:
        """The answer, or that the client should come back.

        :param work: makes the answer, and never raises.
        """
        job = _Job(time.monotonic())

        async def run() -> None:
            job.answer = await work()
            job.ready.set()

        self._tasks.start_soon(run)
        return await self._wait(job, framing)

    async def collect(self, reference: bytes, framing: Framing) -> Unit | None:
        """What is ready for a reference, or that the client should come back again; ``None`` for an unknown one."""
        job = self._jobs.pop(reference, None)
        return None if job is None else await self._wait(job, framing)

    async def _wait(self, job: _Job, framing: Framing) -> Unit:
        with anyio.move_on_after(self._patience):
            await job.ready.wait()
        if job.answer is not None:
            return job.answer
        self._forget()
        later = Later(secrets.token_bytes(4), int(time.time()) + _COME_BACK_SECONDS)
        self._jobs[later.reference] = job
        return Unit(framing, UnitType.POLL_REP, later.to_octets())

    def _forget(self) -> None:
        """Drop what nobody came for; the request can be sent again."""
        now = time.monotonic()
        old = [reference for reference, job in self._jobs.items() if now - job.started > _KEPT_SECONDS]
        crowd = list(self._jobs)[: max(0, len(self._jobs) - _MOST_KEPT + 1)]
        for reference in {*old, *crowd}:
            del self._jobs[reference]
