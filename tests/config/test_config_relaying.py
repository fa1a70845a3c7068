"""The server of a configuration passes messages on, and everything that its upstreams name is looked at before."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest

from cmpkit.config import check_configuration, load_configuration, open_issuer, open_store, serve
from cmpkit.config.changing import read_own_ca
from cmpkit.config.offline import offline_server
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.options import ClientOptions
from cmpkit.errors import ConfigurationError, PeerRefusal
from cmpkit.parts import Grant, SecretRecord, SharedSecret
from cmpkit.plugins import Plugins

Write = Callable[..., Path]
SECRET = SharedSecret("dev-42", b"a secret of more than sixteen octets")
UPSTREAM = """
[[upstream]]
name = "ca"
url = "{url}"
trusted = ["trust.pem"]
"""


def authority(ca: Path, url: str, more: str = "") -> Path:
    """The configuration of a registration authority, in a copy of the directory of the CA."""
    directory = ca.parent.with_name("ra")
    shutil.copytree(ca.parent, directory)
    path = directory / ca.name
    text = path.read_text()
    for table in ("issuer", "ocsp", "publication"):
        text = re.sub(rf"(?ms)^\[{table}\]\n.*?^(?=\[)", "", text)
    path.write_text(text + UPSTREAM.format(url=url) + more)
    return path


async def add_secret(path: Path, plugins: Plugins) -> None:
    async with open_store(load_configuration(path, plugins), plugins) as store:
        await store.add_secret(SecretRecord(SECRET, Grant(parse_name("CN=dev-42"), "device")))


@asynccontextmanager
async def serving(path: Path, plugins: Plugins) -> AsyncIterator[str]:
    """Its address."""
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        (url,) = await tasks.start(partial(serve, load_configuration(path, plugins), plugins, shutdown=shutdown))
        yield url
        shutdown.set()


def client(url: str, path: Path, plugins: Plugins) -> Client:
    trust, options = path.parent / "trust.pem", ClientOptions(total_timeout=20)
    return Client(url, credentials=SECRET, trust=trust, plugins=plugins, options=options)


@pytest.mark.rule("R-150", "R-162")
async def test_a_server_without_an_issuer_passes_messages_on(write: Write, plugins: Plugins) -> None:
    path = write()
    await add_secret(path, plugins)
    async with serving(path, plugins) as ca_url:
        ra = authority(path, ca_url)
        async with serving(ra, plugins) as url, client(url, path, plugins) as device:
            enrolled = await device.enroll(subject="CN=dev-42")
    async with open_store(load_configuration(path, plugins), plugins) as store:
        assert enrolled.certificate in [record.der for record in await store.certificates()]
    async with open_store(load_configuration(ra, plugins), plugins) as store:
        assert [entry.event for entry in await store.audit_entries()] == ["relayed"]


async def test_what_fits_no_route_is_refused_without_an_issuer(write: Write, plugins: Plugins) -> None:
    path = write()
    ra = authority(path, "http://127.0.0.1:1/cmp", '[[route]]\nto = "ca"\nbody = ["rr"]\n')
    await add_secret(ra, plugins)
    async with serving(ra, plugins) as url, client(url, path, plugins) as device:
        with pytest.raises(PeerRefusal, match="wrongAuthority"):
            await device.enroll(subject="CN=dev-42")


async def test_a_label_by_which_a_route_goes_names_no_profile(write: Write, plugins: Plugins) -> None:
    path = write()
    await add_secret(path, plugins)
    async with serving(path, plugins) as ca_url:
        ra = authority(path, ca_url, '[[route]]\nto = "ca"\npath = "lab"\n')
        async with serving(ra, plugins) as url:
            async with client(f"{url}/p/lab", path, plugins) as device:
                assert (await device.enroll(subject="CN=dev-42")).certificate
            async with client(url, path, plugins) as device:
                with pytest.raises(PeerRefusal, match="wrongAuthority"):
                    await device.enroll(subject="CN=dev-42")


async def test_messages_that_people_bring_are_passed_on(write: Write, plugins: Plugins) -> None:
    path = write()
    await add_secret(path, plugins)
    async with serving(path, plugins) as ca_url:
        ra = authority(path, ca_url)
        async with offline_server(ra, plugins) as answer:

            class Carried:
                async def exchange(self, request: bytes) -> bytes:
                    return await answer(request)

                async def aclose(self) -> None:
                    """Nothing is open."""

            trust, options = path.parent / "trust.pem", ClientOptions(total_timeout=20)
            async with Client(
                "memory:", credentials=SECRET, trust=trust, plugins=plugins, options=options, transport=Carried()
            ) as device:
                assert (await device.enroll(subject="CN=dev-42")).certificate


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ('certificate = "none.pem"\nkey = "file:none.key"', "[[upstream]] ca certificate: "),
        ('certificate = "signer.pem"\nkey = "file:keys/issuing.key.pem"', "[[upstream]] ca key: it is not the key of"),
        ('reference = "ra"\nsecret = "file:none"', "[[upstream]] ca secret: "),
        ('pinned = "none.pem"', "[[upstream]] ca pinned: "),
        ('trusted = ["none.pem"]', "[[upstream]] ca trusted: "),
    ],
)
async def test_what_an_upstream_names_is_looked_at(write: Write, plugins: Plugins, more: str, mistake: str) -> None:
    ra = authority(write(), "http://127.0.0.1:1/cmp", more)
    text = ra.read_text()
    if more.startswith("trusted"):
        ra.write_text(text.replace('trusted = ["trust.pem"]\ntrusted', "trusted"))
    with pytest.raises(ConfigurationError) as caught:
        await check_configuration(ra, plugins, now=datetime.now(UTC))
    assert mistake in str(caught.value)


async def test_the_certificate_for_an_upstream_must_be_valid_now(write: Write, plugins: Plugins) -> None:
    ra = authority(write(), "http://127.0.0.1:1/cmp", 'certificate = "signer.pem"\nkey = "file:keys/signer.key.pem"\n')
    await check_configuration(ra, plugins, now=datetime.now(UTC))
    with pytest.raises(ConfigurationError, match=r"\[\[upstream\]\] ca certificate: the certificate of .* is valid"):
        await check_configuration(ra, plugins, now=datetime(2070, 1, 1, tzinfo=UTC))


async def test_what_needs_an_issuer_says_so(write: Write, plugins: Plugins) -> None:
    ra = authority(write(), "http://127.0.0.1:1/cmp")
    with pytest.raises(ConfigurationError, match="this server issues nothing itself"):
        await read_own_ca(ra, plugins)
    with pytest.raises(ConfigurationError, match="this server issues nothing itself"):
        async with open_issuer(load_configuration(ra, plugins), plugins):
            """Not reached."""
