"""CMP over TCP in TLS, with certificates on both sides."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from cmpkit_tcp.roads import TCPClients, TCPServer
from tls_servers import Files

from cmpkit.errors import TransportError
from cmpkit.parts import Answer, Peer, TransportOptions


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    made = Files(tmp_path_factory.mktemp("tls"))
    for which in made.servers:
        made.server_context(which)
    return made


async def who(message: bytes, peer: Peer) -> Answer:
    return Answer(peer.tls_certificate or b"nobody")


@asynccontextmanager
async def served(files: Files, which: str = "good", **settings: Any) -> AsyncIterator[str]:
    server = TCPServer().configured({"tls_cert": str(files.directory / f"{which}.pem"), **settings}, Path())
    shutdown = anyio.Event()

    async def serve(*, task_status: TaskStatus[str]) -> None:
        await server.serve(
            *("tcps://127.0.0.1:0", who), max_message_size=1000, shutdown=shutdown, task_status=task_status
        )

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            yield await tasks.start(serve)
            shutdown.set()


async def ask(address: str, **options: Any) -> bytes:
    client = TCPClients().open(address, TransportOptions(timeout=10, **options))
    try:
        return await client.exchange(b"who am I?")
    finally:
        await client.aclose()


async def test_a_trusted_server_is_talked_to(files: Files) -> None:
    async with served(files) as address:
        assert await ask(address, tls_trusted=files.root) == b"nobody"


async def test_the_certificate_of_a_client_reaches_the_endpoint(files: Files) -> None:
    pem = await anyio.Path(files.client_cert).read_text()
    async with served(files, tls_trusted=files.root, tls_client="required") as address:
        came = await ask(address, tls_trusted=files.root, tls_cert=files.client_cert, tls_key=files.client_key)
    assert ssl.DER_cert_to_PEM_cert(came) == pem


async def test_a_client_without_a_certificate_is_refused_where_one_is_required(files: Files) -> None:
    async with served(files, tls_trusted=files.root, tls_client="required") as address:
        with pytest.raises(TransportError):
            await ask(address, tls_trusted=files.root)


@pytest.mark.parametrize(
    ("which", "options", "said"),
    [
        ("good", {"tls_trusted": "other_root"}, "TLS failed"),
        ("expired", {"tls_trusted": "root"}, "expired"),
        ("named", {"tls_trusted": "root"}, "127.0.0.1"),
    ],
)
async def test_a_server_that_is_not_trusted_is_refused(
    files: Files, which: str, options: dict[str, str], said: str
) -> None:
    given = {name: getattr(files, value) for name, value in options.items()}
    async with served(files, which) as address:
        with pytest.raises(TransportError, match=said) as caught:
            await ask(address, **given)
    assert caught.value.tls


async def test_a_server_may_have_another_name_than_the_address(files: Files) -> None:
    async with served(files, "named") as address:
        assert await ask(address, tls_trusted=files.root, tls_host="ra.example") == b"nobody"
