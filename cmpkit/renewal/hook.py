"""The deploy hook: a shell command with the new files in its environment, bounded in time and in what it may say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from cmpkit.processes import run_process

__all__ = ["MAX_OUTPUT", "HookResult", "run_hook"]

MAX_OUTPUT = 4096
"""Octets of its output that are kept: the last ones."""


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
    ended = await run_process(
        ["/bin/sh", "-c", command],
        {**inherited, **environment},
        time_limit=time_limit,
        max_output=MAX_OUTPUT,
        joined=True,
    )
    return HookResult(ended.status, ended.output.decode(errors="replace"))
