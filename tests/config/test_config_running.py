from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from cmpkit.config import Configuration, load_configuration, open_parts, open_store, serve
from cmpkit.config.running import build_server
from cmpkit.config.tables import ServerTable
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.options import ClientOptions
from cmpkit.engine.nesting import NestingLimits
from cmpkit.errors import ConfigurationError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import Grant, Handler, SecretRecord, SharedSecret
from cmpkit.plugins import Plugins, load_plugins

Write = Callable[..., Path]
SECRET = SharedSecret("dev-42", b"a secret of more than sixteen octets")


async def add_secret(configuration: Configuration, plugins: Plugins) -> None:
    async with open_store(configuration, plugins) as store:
        await store.add_secret(SecretRecord(SECRET, Grant(parse_name("CN=dev-42"), "device")))


async def test_a_client_enrols_from_the_server_of_a_configuration(
    configuration: Configuration, plugins: Plugins
) -> None:
    # The server needs nothing of the root but its certificate.
    shutil.rmtree(configuration.directory / "root")
    await add_secret(configuration, plugins)
    shutdown = anyio.Event()
    async with anyio.create_task_group() as task_group:
        (url,) = await task_group.start(partial(serve, configuration, plugins, shutdown=shutdown))
        trust = load_certificates((configuration.directory / "trust.pem").read_bytes())
        async with Client(
            url, credentials=SECRET, trust=trust, plugins=plugins, options=ClientOptions(total_timeout=20)
        ) as client:
            enrolled = await client.enroll(subject="CN=dev-42", key=generate_key("p256", plugins))
        shutdown.set()
    async with open_store(configuration, plugins) as store:
        assert enrolled.certificate in [record.der for record in await store.certificates()]


class Road:
    """A server transport that tells what it was told."""

    name = "road"
    schemes = ("road",)
    delayed = False

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.ended: list[str] = []

    def check(self, url: str) -> None:
        """Every address is good."""

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        if "closed" in url:
            raise ConfigurationError(f"cannot listen on {url}: the road is closed")
        self.told[url] = max_message_size
        task_status.started(f"{url}/open")
        try:
            await shutdown.wait()
        finally:
            self.ended.append(url)

    @hookimpl
    def cmpkit_server_transports(self) -> list[Road]:
        return [self]


async def test_every_address_is_served_and_ends_with_the_server(write: Write) -> None:
    road = Road()
    plugins = load_plugins([("road", road)])
    path = write(
        ("http://127.0.0.1:0/.well-known/cmp", "road://one"),
        ("# max_message_size = 1048576", "max_message_size = 4096"),
        more='[[listen]]\nurl = "road://two"\n',
    )
    shutdown = anyio.Event()
    async with anyio.create_task_group() as task_group:
        serving = partial(serve, load_configuration(path, plugins), plugins, shutdown=shutdown)
        assert await task_group.start(serving) == ("road://one/open", "road://two/open")
        assert road.told == {"road://one": 4096, "road://two": 4096}
        assert road.ended == []
        shutdown.set()
    assert sorted(road.ended) == ["road://one", "road://two"]


async def test_an_address_that_cannot_be_used_ends_the_others_and_is_named(write: Write) -> None:
    road = Road()
    plugins = load_plugins([("road", road)])
    path = write(("http://127.0.0.1:0/.well-known/cmp", "road://one"), more='[[listen]]\nurl = "road://closed"\n')
    with pytest.raises(ConfigurationError, match="the road is closed"):
        await serve(load_configuration(path, plugins), plugins, shutdown=anyio.Event())
    assert road.ended == ["road://one"]


async def test_a_port_that_is_taken_is_named(write: Write, plugins: Plugins) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration = load_configuration(write(("127.0.0.1:0", f"127.0.0.1:{port}")), plugins)
        with pytest.raises(ConfigurationError, match=f"cannot listen on http://127.0.0.1:{port}/"):
            await serve(configuration, plugins, shutdown=anyio.Event())


async def test_the_server_behaves_as_its_table_says(configuration: Configuration, plugins: Plugins) -> None:
    table = ServerTable(
        tolerances=("hmac-sha1",),
        peer="3gpp",
        implicit_confirm=False,
        confirm_wait_time="1m",
        pending_time="2h",
        max_message_size=2048,
        max_nested=7,
        max_nesting=2,
        message_time_window="off",
        answer_retention="1d",
        housekeeping_interval="2s",
    )
    async with open_parts(configuration, plugins) as parts:
        server = build_server(table, parts, plugins)
    settings, responder = server.settings, server.settings.responder
    assert server.verifier.tolerances == {"hmac-sha1", "missing-sender-kid"}
    assert (responder.implicit_confirm, responder.confirm_wait_time) == (False, timedelta(minutes=1))
    assert responder.pending_time == timedelta(hours=2)
    assert responder.ca_pubs == parts.ca_pubs
    assert (settings.max_message_size, settings.message_time_window) == (2048, None)
    assert settings.nesting == NestingLimits(depth=2, count=7)
    assert (settings.answer_retention, settings.housekeeping_interval) == (timedelta(days=1), timedelta(seconds=2))


async def test_registration_authorities_are_known_to_the_verifier(write: Write, plugins: Plugins) -> None:
    path = write(("[server]\n", '[server]\nregistration_authorities = ["ra.pem"]\n'))
    ra = load_certificates((path.parent / "signer.pem").read_bytes())[0]
    (path.parent / "ra.pem").write_bytes(ra)
    configuration = load_configuration(path, plugins)
    async with open_parts(configuration, plugins) as parts:
        assert build_server(configuration.server, parts, plugins).verifier.registration_authorities == (ra,)


async def test_signers_are_judged_by_the_ca_and_by_who_is_trusted_besides(write: Write, plugins: Plugins) -> None:
    path = write(
        ('# trusted = ["other-root.pem"]', 'trusted = ["signer.pem"]'),
        ('# intermediates = ["other-ca.pem"]', 'intermediates = ["signer.pem"]'),
    )
    configuration = load_configuration(path, plugins)
    async with open_parts(configuration, plugins) as parts:
        verifier = build_server(configuration.server, parts, plugins).verifier
    issuing, root = parts.authority
    assert verifier.issuer_certificates == (issuing,)
    assert verifier.anchors == (root, *parts.trusted)
    assert verifier.intermediates == (issuing, root, *parts.intermediates)
    assert len(parts.trusted) == len(parts.intermediates) == 3
