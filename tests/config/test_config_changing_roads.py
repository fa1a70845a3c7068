"""A transaction belongs to no road: each of its messages may take another one, to the same server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import pytest

from cmpkit.config import load_configuration, open_store, serve
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.client import Client
from cmpkit.parts import CertificateState, ClientTransport, Grant, SecretRecord, SharedSecret, TransportOptions
from cmpkit.plugins import Plugins
from cmpkit.transports import open_transport, with_answers

SECRET = SharedSecret("dev-42", b"a secret of more than sixteen octets")
SCHEMES = ("http", "tcp", "file")


class Changing:
    """A road that takes the next way with each message."""

    def __init__(self, ways: Sequence[ClientTransport]) -> None:
        self._ways = ways
        self._next = itertools.cycle(ways)

    async def exchange(self, request: bytes) -> bytes:
        return await next(self._next).exchange(request)

    async def aclose(self) -> None:
        for way in self._ways:
            await way.aclose()


@pytest.mark.parametrize("order", [SCHEMES, SCHEMES[1:] + SCHEMES[:1], SCHEMES[2:] + SCHEMES[:2]], ids="-".join)
async def test_each_message_may_take_another_road(
    write: Callable[..., Path], tmp_path: Path, plugins: Plugins, order: Sequence[str]
) -> None:
    (tmp_path / "spool").mkdir()
    tables = "".join(f'\n[[listen]]\nurl = "{url}"\n' for url in ("tcp://127.0.0.1:0", "file:../spool"))
    configuration = load_configuration(write(more=tables), plugins)
    async with open_store(configuration, plugins) as store:
        await store.add_secret(SecretRecord(SECRET, Grant(parse_name("CN=dev-42"), "device")))
    shutdown = anyio.Event()
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tasks:
            urls = await tasks.start(partial(serve, configuration, plugins, shutdown=shutdown))
            found = {url.partition(":")[0]: url for url in urls}
            ways = [with_answers(open_transport(plugins, found[scheme], TransportOptions())) for scheme in order]
            trust = load_certificates((configuration.directory / "trust.pem").read_bytes())
            async with Client("", credentials=SECRET, trust=trust, plugins=plugins, transport=Changing(ways)) as client:
                enrolled = await client.enroll("CN=dev-42")
                updated = await client.update(enrolled)
                await client.revoke(enrolled)
            shutdown.set()
    async with open_store(configuration, plugins) as store:
        states = {record.der: record.state for record in await store.certificates()}
    assert states[enrolled.certificate] is CertificateState.REVOKED
    assert states[updated.certificate] is CertificateState.VALID
