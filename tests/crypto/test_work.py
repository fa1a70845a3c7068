"""Key derivations run beside the event loop, two at once."""

from __future__ import annotations

import threading

import anyio
import anyio.lowlevel

from cmpkit.crypto.work import run_derivation


async def test_a_derivation_runs_in_another_thread_and_gives_its_result() -> None:
    assert await run_derivation(lambda number: (number + 1, threading.get_ident()), 41) != (42, threading.get_ident())
    assert await run_derivation(lambda a, b: a + b, 40, 2) == 42


async def test_at_most_two_derivations_run_at_once() -> None:
    lock, running, most = threading.Lock(), 0, 0
    both, release = threading.Barrier(2), threading.Event()

    def derive(first: bool) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if first:
            both.wait(10)
            release.wait(10)
        with lock:
            running -= 1

    async with anyio.create_task_group() as group:
        for first in (True, True, False, False):
            group.start_soon(run_derivation, derive, first)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        release.set()
    assert most == 2
    assert running == 0
