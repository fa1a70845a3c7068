"""What is measured: CPU time, in rounds."""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from dataclasses import dataclass, field

__all__ = ["Series", "cpu_seconds"]


@dataclass(frozen=True, slots=True)
class Series:
    """CPU time per request of each round, in microseconds."""

    rounds: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """That of the least disturbed round."""
        return min(self.rounds)

    @property
    def median(self) -> float:
        """That of the usual round."""
        return statistics.median(self.rounds)

    def add(self, seconds: float, requests: int) -> None:
        """Note a round."""
        self.rounds.append(seconds * 1e6 / requests)


def cpu_seconds(process: int) -> float:
    """User and system time of all threads of a process so far, by its CPU clock (POSIX clock_getcpuclockid)."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(process, ctypes.byref(clock))
    if error:
        raise OSError(error, os.strerror(error))
    return time.clock_gettime(clock.value)
