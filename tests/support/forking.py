"""Commands of cmpkit in processes of their own, forked where all is imported: Python starts slowly."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

SERVER = Path(__file__).with_name("forkserver.py")
COMMAND = Path(__file__).with_name("forked_command.py")


@functools.cache
def _server() -> socket.socket:
    """Where orders go to; the process behind it ends when this one does."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, SERVER, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


class Forked:
    """``cmpkit ARGUMENT...`` in a process of its own; what :class:`subprocess.Popen` has that tests use.

    :param killed_at: the checkpoint at which it dies, and at which passing of it.
    :param stderr: ``subprocess.STDOUT`` for one stream of both.
    :param directory: the current one of the process.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        *,
        killed_at: tuple[str, int] | None = None,
        stderr: int = subprocess.PIPE,
        directory: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.args = ["cmpkit", *map(str, arguments)]
        self.returncode: int | None = None
        order = {
            "arguments": self.args[1:],
            "killed_at": killed_at,
            "directory": str(directory or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
        }
        out, their_out = os.pipe()
        err, their_err = os.pipe() if stderr == subprocess.PIPE else (None, os.dup(their_out))
        self.stdout: IO[str] = os.fdopen(out)
        self.stderr: IO[str] | None = None if err is None else os.fdopen(err)
        nothing = os.open(os.devnull, os.O_RDONLY)
        self._channel, theirs = socket.socketpair()
        handed_over = [nothing, their_out, their_err, theirs.detach()]
        try:
            self._channel.sendall(json.dumps(order).encode() + b"\n")
            socket.send_fds(_server(), [b"!"], handed_over)
        finally:
            for descriptor in handed_over:
                os.close(descriptor)
        self.pid = self._told()

    def _told(self) -> int:
        """The next line of the fork server."""
        line = b""
        while not line.endswith(b"\n"):
            octet = self._channel.recv(1)
            assert octet, "the fork server has ended"
            line += octet
        return int(line)

    def wait(self, timeout: float | None = None) -> int:
        """How it ended: a status, or minus the number of a signal.

        :raises TimeoutExpired: it has not ended after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._channel], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = self._told()
            self._channel.close()
        return self.returncode

    def poll(self) -> int | None:
        """The same, or ``None`` while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, sent: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sent)

    def kill(self) -> None:
        """End it as a power failure would."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """The rest of what it writes until it ends.

        :raises TimeoutExpired: it has not ended after so many seconds.
        """
        streams = [stream for stream in (self.stdout, self.stderr) if stream is not None and not stream.closed]
        with ThreadPoolExecutor(2) as readers:
            reading = [readers.submit(stream.read) for stream in streams]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            texts = [one.result() for one in reading]
        self.close()
        return texts[0] if texts else "", texts[1] if len(texts) > 1 else ""

    def close(self) -> None:
        """Close its streams."""
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def shell(text: str, directory: Path) -> subprocess.Popen[str]:
    """A shell in which ``cmpkit`` is forked, too; one stream for all that it prints."""
    server = _server().fileno()
    return subprocess.Popen(
        ["bash", "-c", f'cmpkit() {{ {shlex.quote(sys.executable)} -IS {shlex.quote(str(COMMAND))} "$@"; }}\n{text}'],
        cwd=directory,
        env={**os.environ, "CMPKIT_FORK_SERVER": str(server)},
        pass_fds=[server],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_forked(
    arguments: Sequence[object], *, killed_at: tuple[str, int] | None = None, timeout: float = 50
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = Forked(arguments, killed_at=killed_at)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)
