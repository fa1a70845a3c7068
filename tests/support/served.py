"""``cmpkit serve`` as an operator runs it: a directory, a process, and its commands."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forking import Forked
from operating import run


def cmpkit(*arguments: object) -> str:
    """What a command of cmpkit prints; it must succeed. In this process: starting Python takes longer than most."""
    return run(*arguments).out


@dataclass
class Served:
    """A running server."""

    directory: Path
    process: Forked
    url: str = ""
    log: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

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

    def stop(self) -> int:
        """Tell it to end; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(5)

    def end(self) -> None:
        """End it in any case, and everything that belongs to it."""
        self.process.kill()
        self.process.wait()
        if self.reader is not None:
            self.reader.join(5)
        self.process.close()

    def text(self) -> str:
        """What the server wrote to standard error so far."""
        return "".join(self.log)


def make_server_directory(directory: Path, port: int = 0, *, key_type: str = "p256", scheme: str = "http") -> Path:
    """What ``cmpkit init`` makes.

    :param port: to listen on; 0 is a different one at each start.
    """
    listen = f"{scheme}://127.0.0.1:{port}/.well-known/cmp"
    cmpkit("init", directory, "--subject", "/O=Example/CN=Example CA", "--listen", listen, "--key-type", key_type)
    return directory


def free_port() -> int:
    """A port that nobody listens on, for a server that comes back under the same address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def start(
    directory: Path, *options: object, config: Path | None = None, killed_at: tuple[str, int] | None = None
) -> Served:
    """Start a server, and wait until it listens.

    :param config: a configuration file other than that of the directory.
    :param killed_at: the checkpoint at which it dies, and at which passing of it.
    """
    process = Forked(["serve", "--config", config or directory / "cmpkit.toml", *options], killed_at=killed_at)
    server = Served(directory, process)
    server.reader = threading.Thread(target=server.log.extend, args=(process.stderr,), daemon=True)
    server.reader.start()
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        server.end()
        pytest.fail(f"the server did not start: {line}{server.text()}")
    server.url = line.removeprefix("listening on ").strip()
    return server


@contextlib.contextmanager
def served(directory: Path, *options: object) -> Iterator[Served]:
    """A server until the block ends; it must end by itself when it is told to."""
    server = start(directory, *options)
    try:
        yield server
        assert server.stop() == 0, server.text()
    finally:
        server.end()
