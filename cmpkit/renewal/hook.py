"""The deploy hook: a shell command with the new files in its environment, bounded in time and in what it may say."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from subprocess import DEVNULL, PIPE, STDOUT

import anyio
from anyio.abc import ByteReceiveStream, Process

__all__ = ["MAX_OUTPUT", "HookResult", "run_hook"]

MAX_OUTPUT = 4096
"""Octets of its output that are kept: the last ones."""
_LINGERING = 0.5
"""Seconds that are waited for the output of what a hook leaves behind in the background."""


@dataclass(frozen=True, slots=True)
class HookResult:
    """How a hook ended.

    :param status: its exit status, negative for a signal; ``None`` if its time was over.
    :param output: what it wrote, the end of it.
    """

    status: int | None
    output: str

    @property
    def failure(self) -> str:
        """What went wrong, in words; empty if nothing did."""
        if self.status == 0:
            return ""
        ended = "took too long" if self.status is None else f"ended with status {self.status}"
        said = self.output.strip().rpartition("\n")[2]
        return f"the deploy hook {ended}{f': {said:.200}' if said else ''}"


async def run_hook(
    command: str, environment: Mapping[str, str], *, time_limit: timedelta, without: frozenset[str] = frozenset()
) -> HookResult:
    """Run a command by ``/bin/sh``; if its time is over, or the caller is cancelled, it and its children are killed.

    :param environment: added to that of this process.
    :param without: variables that are taken out: they hold secrets.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    output = bytearray()
    async with await anyio.open_process(
        ["/bin/sh", "-c", command],
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env={**inherited, **environment},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        status: int | None = None
        try:
            async with anyio.create_task_group() as readers:
                readers.start_soon(_read_end, process.stdout, output)
                with anyio.move_on_after(time_limit.total_seconds()):
                    status = await process.wait()
                    readers.cancel_scope.deadline = anyio.current_time() + _LINGERING
                if status is None:
                    readers.cancel_scope.cancel()
        finally:
            if status is None:
                _kill(process)
    return HookResult(status, output.decode(errors="replace"))


async def _read_end(stream: ByteReceiveStream, kept: bytearray) -> None:
    async for chunk in stream:
        kept += chunk
        del kept[:-MAX_OUTPUT]


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
