"""Other programs, bounded in time and in what they may say."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, STDOUT

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

__all__ = ["Ended", "run_process"]

_LINGERING = 0.5
"""Seconds that are waited for the output of what a program leaves behind in the background."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    :param status: its exit status, negative for a signal; ``None`` if its time was over.
    :param output: what it wrote to standard output, the end of it.
    :param errors: what it wrote to standard error, the end of it; empty if both are one.
    :param is_whole: whether ``output`` is all that it wrote there.
    """

    status: int | None
    output: bytes
    errors: bytes = b""
    is_whole: bool = True


async def run_process(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    time_limit: timedelta,
    max_output: int,
    standard_input: bytes = b"",
    directory: Path | None = None,
    joined: bool = False,
) -> Ended:
    """Run a program; if its time is over, or the caller is cancelled, it and its children are killed.

    :param arguments: the program and what it gets; no shell sees them.
    :param environment: all that it gets.
    :param max_output: octets that are kept of each of its outputs.
    :param directory: where it runs; ``None`` is that of this process.
    :param joined: whether standard error is one with standard output.
    :raises OSError: if it cannot be started.
    """
    output, errors = _Kept(max_output), _Kept(max_output)
    async with await anyio.open_process(
        arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT if joined else PIPE,
        cwd=directory,
        env=environment,
        start_new_session=True,
    ) as process:
        status: int | None = None
        try:
            async with anyio.create_task_group() as streams:
                assert process.stdin is not None
                streams.start_soon(_feed, process.stdin, standard_input)
                for stream, kept in ((process.stdout, output), (process.stderr, errors)):
                    if stream is not None:
                        streams.start_soon(kept.read, stream)
                with anyio.move_on_after(time_limit.total_seconds()):
                    status = await process.wait()
                    streams.cancel_scope.deadline = anyio.current_time() + _LINGERING
                if status is None:
                    streams.cancel_scope.cancel()
        finally:
            if status is None:
                _kill(process)
    return Ended(status, bytes(output.octets), bytes(errors.octets), output.is_whole)


class _Kept:
    """The end of what comes from a stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.octets = bytearray()
        self.is_whole = True

    async def read(self, stream: ByteReceiveStream) -> None:
        async for chunk in stream:
            self.octets += chunk
            if len(self.octets) > self._most:
                self.is_whole = False
                del self.octets[: -self._most]


async def _feed(stream: ByteSendStream, octets: bytes) -> None:
    # A program need not read what it gets.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stream.send(octets)
    await stream.aclose()


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
