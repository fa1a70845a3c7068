"""A CMP server behind HTTP in the process of the test, whose answers may be changed on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
from cmpkit_http.roads import HTTPServer
from operating import run

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.config import load_configuration, open_parts
from cmpkit.config.running import build_server
from cmpkit.crypto.x509 import load_certificates
from cmpkit.parts import Answer, Peer, SharedSecret
from cmpkit.plugins import Plugins

SECRET = "correct horse battery staple"
Change = Callable[[PKIMessage, PKIMessage], Awaitable[PKIMessage]]


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
    async def serving(self, change: Change | None = None, *, ahead: timedelta = timedelta()) -> AsyncIterator[str]:
        """The URL of the server.

        :param change: makes another answer of each, from the request and the answer.
        :param ahead: how far the clock of the server is ahead.
        """

        def clock() -> datetime:
            return datetime.now(UTC) + ahead

        configuration = load_configuration(self.path / "cmpkit.toml", self.plugins)
        shutdown = anyio.Event()
        async with open_parts(configuration, self.plugins, clock=clock) as parts, anyio.create_task_group() as tasks:
            server = build_server(configuration.server, parts, self.plugins, clock=clock)

            async def handle(request: bytes, peer: Peer) -> Answer:
                answer = await server.handle(request, peer)
                if change is None or answer.der is None:
                    return answer
                changed = await change(decode_message(request), decode_message(answer.der))
                return Answer(changed.raw)

            listen = "http://127.0.0.1:0/.well-known/cmp"
            serve = partial(HTTPServer().serve, listen, handle, max_message_size=1 << 20, shutdown=shutdown)
            yield await tasks.start(serve)
            shutdown.set()


def make_directory(directory: Path) -> Path:
    """A CA with a device that has a secret."""
    (directory / "secret").write_text(SECRET)
    listen = ("--listen", "http://127.0.0.1:0/.well-known/cmp")
    run("init", directory / "ca", "--subject", "/O=Example/CN=Example CA", *listen)
    config = ("--config", directory / "ca" / "cmpkit.toml")
    run("secret", "add", "dev-42", "--uses", 20, "--secret", f"file:{directory / 'secret'}", *config)
    return directory / "ca"
