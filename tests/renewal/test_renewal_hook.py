"""The command that is run when there is a new certificate."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from cmpkit.renewal.hook import MAX_OUTPUT, run_hook

LONG = timedelta(seconds=20)
HOLDING = "exec 9> {}; sleep 60 & echo waiting; wait"


@dataclass
class Pipe:
    """A named pipe that processes inherit open."""

    path: Path
    reader: int

    def wait_until_nobody_holds_it(self) -> None:
        os.set_blocking(self.reader, True)
        assert os.read(self.reader, 1) == b""


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = Pipe(path, os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    yield pipe
    os.close(pipe.reader)


async def test_its_status_and_output_are_known() -> None:
    result = await run_hook("echo $X; echo bad >&2; exit 3", {"X": "1"}, time_limit=LONG)
    assert (result.status, result.output) == (3, "1\nbad\n")
    assert result.failure == "the deploy hook ended with status 3: bad"


async def test_success_is_no_failure() -> None:
    assert (await run_hook("true", {}, time_limit=LONG)).failure == ""


async def test_a_signal_is_told() -> None:
    result = await run_hook("kill -TERM $$", {}, time_limit=LONG)
    assert result.status == -signal.SIGTERM
    assert "status -15" in result.failure


async def test_only_the_end_of_its_output_is_kept() -> None:
    result = await run_hook("yes 0123456789 | head -c 300000; echo end", {}, time_limit=LONG)
    assert len(result.output) == MAX_OUTPUT
    assert result.output.endswith("end\n")


async def test_one_that_takes_too_long_is_killed_with_its_children(pipe: Pipe) -> None:
    result = await run_hook(HOLDING.format(pipe.path), {}, time_limit=timedelta(seconds=0.5))
    assert result.status is None
    assert result.failure == "the deploy hook took too long: waiting"
    await anyio.to_thread.run_sync(pipe.wait_until_nobody_holds_it)


async def test_one_that_is_cancelled_is_killed_with_its_children(pipe: Pipe) -> None:
    with anyio.move_on_after(0.5) as scope:
        await run_hook(HOLDING.format(pipe.path), {}, time_limit=LONG)
    assert scope.cancelled_caught
    await anyio.to_thread.run_sync(pipe.wait_until_nobody_holds_it)


async def test_what_it_leaves_in_the_background_is_not_waited_for() -> None:
    with anyio.fail_after(5):
        result = await run_hook("sleep 8 & echo started", {}, time_limit=LONG)
    assert (result.status, result.output) == (0, "started\n")


async def test_variables_can_be_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIDDEN", "secret")
    result = await run_hook("env", {}, time_limit=LONG, without=frozenset({"HIDDEN"}))
    assert "secret" not in result.output
