"""``cmpkit serve`` as an operator runs it: a directory, a process, and its commands."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmpkit.cli import app


def cmpkit(*arguments: object) -> str:
    """What a command of cmpkit prints; it must succeed. In this process: starting Python takes longer than most."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exit_code:
        pytest.fail(f"cmpkit {' '.join(map(str, arguments))}: {done.exit_code}\n{done.output}")
    return done.stdout


@dataclass
class Served:
    """A running server."""

    directory: Path
    process: subprocess.Popen[str]
    url: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.directory / "cmpkit.toml"

    @property
    def trust(self) -> Path:
        return self.directory / "trust.pem"

    @property
    def path(self) -> str:
        """What follows the port in the URL, for ``openssl cmp -path``."""
        return "/" + self.url.split("/", 3)[3]

    def add_secret(self, reference: str, *options: object) -> str:
        return cmpkit("secret", "add", reference, "--config", self.config, *options).strip()

    def text(self) -> str:
        """What the server wrote to standard error so far."""
        return "".join(self.log)


def make_server_directory(directory: Path) -> Path:
    cmpkit("init", directory, "--subject", "/O=Example/CN=Example CA", "--listen", "http://127.0.0.1:0/.well-known/cmp")
    return directory


@contextlib.contextmanager
def served(directory: Path, *options: object) -> Iterator[Served]:
    """A server until the block ends; it must end by itself when it is told to."""
    command = [sys.executable, "-m", "cmpkit.cli", "serve", "--config", directory / "cmpkit.toml", *options]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    server = Served(directory, process)
    assert process.stdout is not None
    assert process.stderr is not None
    errors = process.stderr
    reader = threading.Thread(target=lambda: server.log.extend(errors), daemon=True)
    reader.start()
    try:
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            process.wait(10)
            reader.join(5)
            pytest.fail(f"the server did not start: {line}{server.text()}")
        server.url = line.removeprefix("listening on ").strip()
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0, server.text()
    finally:
        process.kill()
        process.wait()
        reader.join(5)
        process.stdout.close()
        errors.close()
