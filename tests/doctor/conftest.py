"""CMP servers to be examined: a whole one behind HTTP, whose answers may be changed on their way."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from cmpkit_http.roads import HTTPServer
from operating import run

from cmpkit.config import load_configuration, open_parts
from cmpkit.config.running import build_server
from cmpkit.crypto.x509 import load_certificates
from cmpkit.parts import Answer, Peer, SharedSecret
from cmpkit.plugins import Plugins, load_plugins

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return load_plugins()


@dataclass
class Directory:
    """A CA's directory, with a device that has a secret."""

    path: Path
    plugins: Plugins

    @property
    def trust(self) -> tuple[bytes, ...]:
        return load_certificates((self.path / "trust.pem").read_bytes())

    @property
    def secret(self) -> SharedSecret:
        return SharedSecret("dev-42", SECRET)

    @asynccontextmanager
    async def serving(self, change: Callable[[bytes], bytes] = bytes) -> AsyncIterator[str]:
        """The URL of the server.

        :param change: makes another answer of each.
        """
        configuration = load_configuration(self.path / "cmpkit.toml", self.plugins)
        shutdown = anyio.Event()
        async with open_parts(configuration, self.plugins) as parts, anyio.create_task_group() as tasks:
            server = build_server(configuration.server, parts, self.plugins)

            async def handle(request: bytes, peer: Peer) -> Answer:
                answer = await server.handle(request, peer)
                return replace(answer, der=None if answer.der is None else change(answer.der))

            listen = "http://127.0.0.1:0/.well-known/cmp"
            serve = partial(HTTPServer().serve, listen, handle, max_message_size=1 << 20, shutdown=shutdown)
            yield await tasks.start(serve)
            shutdown.set()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    (directory / "secret").write_text(SECRET)
    run("init", directory / "ca", "--subject", "/O=Example/CN=Example CA")
    config = ("--config", directory / "ca" / "cmpkit.toml")
    run("secret", "add", "dev-42", "--secret", f"file:{directory / 'secret'}", *config)
    return directory / "ca"


@pytest.fixture
def ca(tmp_path: Path, made: Path, plugins: Plugins) -> Directory:
    shutil.copytree(made, tmp_path / "ca")
    return Directory(tmp_path / "ca", plugins)
