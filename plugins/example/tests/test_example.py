"""The plugin is found, and its parts keep their contracts."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from cmpkit_example.expiry import CAExpiry, CAExpiryInfo
from cmpkit_example.journal import Journal
from cmpkit_example.queue import QueueClients, QueueOptions, QueueServer, _Inbox, _Queue
from cmpkit_example.secrets_file import TOMLSecretsFactory
from cmpkit_example.unix import UnixClients, UnixServer

from cmpkit.asn1 import to_tlv
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, TransportError
from cmpkit.parts import (
    Answer,
    Authenticated,
    ClientTransport,
    Credential,
    Event,
    Handler,
    InfoContext,
    OpenContext,
    Peer,
    ProtectionKind,
    SharedSecret,
    TransportOptions,
)
from cmpkit.plugins import Plugins
from cmpkit.testing import (
    VirtualClock,
    check_factory,
    check_info_type,
    check_observer,
    check_secret_source,
    check_transport,
)


def test_the_plugin_is_found_by_its_entry_point(plugins: Plugins) -> None:
    (found,) = [plugin for plugin in plugins.loaded if plugin.name == "example"]
    assert found.distribution.startswith("cmpkit-example ")
    assert sorted(found.parts) == [
        "client transport queue",
        "client transport unix",
        "info type 2.999.1.1",
        "observer cmpkit_example.journal.Journal",
        "secret source toml",
        "server transport queue",
        "server transport unix",
    ]


# docs: info type


@pytest.fixture
def info_context(issuer: Any, clock: VirtualClock) -> InfoContext:
    sender = Authenticated("dev-42", Credential(ProtectionKind.MAC, "mac:00"))
    return InfoContext(issuer, sender, clock())


async def test_the_info_type_keeps_the_contract(info_context: InfoContext) -> None:
    answer = await check_info_type(CAExpiryInfo(), info_context)
    assert answer.parse(CAExpiry).remaining == 10 * 86_400


# docs: end


async def test_the_info_type_knows_no_certificate_above_the_root(info_context: InfoContext) -> None:
    one = to_tlv(bytes.fromhex("020101"))
    with pytest.raises(CMPError, match="certificate 1 of a chain of 1") as caught:
        await CAExpiryInfo().answer(one, info_context)
    assert caught.value.fail_info == PKIFailureInfo.ADD_INFO_NOT_AVAILABLE


def test_the_observer_keeps_the_contract() -> None:
    check_observer(Journal())


def test_the_observer_writes_texts_and_numbers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cmpkit_example.journal")
    check_observer(Journal())
    caplog.clear()
    Journal().observe(Event("issued", b"\x01\x02", {"serial": "1f", "message": object()}))
    (line,) = caplog.messages
    assert json.loads(line) == {"event": "issued", "transaction_id": "0102", "serial": "1f"}


SECRETS = """
[dev-42]
secret = "correct horse battery staple"
subject = "CN=dev-42,O=Example"
expires = 2027-01-01T00:00:00Z
"""


def write(directory: Path, text: str, mode: int = 0o600) -> None:
    path = directory / "secrets.toml"
    path.write_text(text)
    path.chmod(mode)


async def test_the_secret_source_keeps_the_contract(context: OpenContext) -> None:
    write(context.directory, SECRETS)
    source = await check_factory(TOMLSecretsFactory(), {"path": "secrets.toml"}, context)
    known = SharedSecret("dev-42", "correct horse battery staple")
    await check_secret_source(source, known, unknown=b"dev-43")


@pytest.mark.parametrize(
    ("text", "mode", "fault"),
    [
        (SECRETS, 0o640, "others may read"),
        ("[dev-42", 0o600, "is not TOML"),
        ('dev-42 = "hush"', 0o600, r"\[dev-42\]: secret and subject must be there"),
        ('[dev-42]\nsecret = "hush"', 0o600, "secret and subject must be there"),
        ('[dev-42]\nsecret = "hush"\nsubject = 1', 0o600, r"\[dev-42\] subject: must be a text"),
        (SECRETS.replace("00Z", "00"), 0o600, r"\[dev-42\] expires: .* a time with its zone"),
        (SECRETS.replace("CN=", ""), 0o600, "not a distinguished name"),
    ],
)
async def test_a_file_that_is_wrong_is_refused_without_its_secrets(
    context: OpenContext, text: str, mode: int, fault: str
) -> None:
    write(context.directory, text, mode)
    with pytest.raises(ConfigurationError, match=fault) as caught:
        await TOMLSecretsFactory().open({"path": "secrets.toml"}, context)
    assert "hush" not in str(caught.value)


async def test_a_file_that_is_not_there_is_named(context: OpenContext) -> None:
    with pytest.raises(ConfigurationError, match=r"other\.toml cannot be read"):
        await TOMLSecretsFactory().open({"path": "other.toml"}, context)


# docs: transports


async def test_the_road_keeps_the_contract(directory: Path) -> None:
    address, nowhere = f"unix://{directory}/cmp.sock", f"unix://{directory}/nobody.sock"
    await check_transport(UnixServer(), address, clients=UnixClients(), nowhere=nowhere)
    assert not (directory / "cmp.sock").exists()


async def test_the_store_and_forward_road_keeps_the_contract(directory: Path) -> None:
    server = QueueServer().configured({"poll": 0.02}, directory)
    address, nowhere = f"queue://{directory}/cmp.db", f"queue://{directory}/nobody.db"
    options = TransportOptions(own={"poll": "0.02"})
    await check_transport(server, address, clients=QueueClients(), nowhere=nowhere, options=options, servers=2)


# docs: end


def connect(url: str) -> ClientTransport:
    return UnixClients().open(url, TransportOptions(timeout=10))


@asynccontextmanager
async def serving(directory: Path, handler: Handler) -> AsyncIterator[str]:
    """A server for a handler; where it listens."""
    shutdown = anyio.Event()

    async def serve(*, task_status: Any) -> None:
        url = f"unix://{directory}/cmp.sock"
        await UnixServer().serve(url, handler, max_message_size=100_000, shutdown=shutdown, task_status=task_status)

    async with anyio.create_task_group() as tasks:
        yield await tasks.start(serve)
        shutdown.set()


async def echo(message: bytes, peer: Peer) -> Answer:
    return Answer(message)


async def test_only_the_owner_may_use_the_socket(directory: Path) -> None:
    async with serving(directory, echo):
        assert (directory / "cmp.sock").stat().st_mode & 0o777 == 0o600


async def test_a_peer_that_leaves_in_the_middle_does_no_harm(directory: Path) -> None:
    async with serving(directory, echo) as url:
        async with await anyio.connect_unix(directory / "cmp.sock") as stream:
            await stream.send(b"\x00\x00\x00\x09half")
        assert await connect(url).exchange(b"whole") == b"whole"


async def test_an_answer_that_is_too_large_is_refused(directory: Path) -> None:
    async with serving(directory, echo) as url:
        client = UnixClients().open(url, TransportOptions(max_response_size=4))
        assert await client.exchange(b"four") == b"four"
        with pytest.raises(TransportError, match="too large"):
            await client.exchange(b"five!")


async def test_silence_ends_when_the_time_is_over(directory: Path) -> None:
    async def hang(message: bytes, peer: Peer) -> Answer:
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as tasks, serving(directory, hang) as url:
        client = UnixClients().open(url, TransportOptions(timeout=0.05))
        with pytest.raises(TransportError, match=r"no answer within 0\.05 s") as caught:
            await client.exchange(b"hello")
        assert caught.value.retryable
        tasks.cancel_scope.cancel()


async def test_a_place_where_nothing_can_listen_is_named(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        await UnixServer().serve(
            f"unix://{directory}/missing/cmp.sock",
            echo,
            max_message_size=1,
            shutdown=anyio.Event(),
            task_status=anyio.TASK_STATUS_IGNORED,
        )


@pytest.mark.parametrize("url", ["unix:", "unix://host/path", "unix:relative", "unix:///path?query", "http:///path"])
def test_a_url_that_names_no_socket_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="names no socket"):
        UnixServer().check(url)


@pytest.mark.parametrize("url", ["queue:", "queue://host/path", "queue:relative", "queue:///path?query"])
def test_a_url_that_names_no_queue_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="names no queue"):
        QueueServer().check(url)


async def test_a_queue_that_cannot_be_opened_may_be_later(directory: Path) -> None:
    client = QueueClients().open(f"queue://{directory}/missing/cmp.db", TransportOptions())
    with pytest.raises(TransportError, match="cannot be used") as caught:
        await client.send(b"hello")
    assert caught.value.retryable


async def test_the_claim_of_a_server_that_is_gone_is_found_again(directory: Path) -> None:
    url = f"queue://{directory}/cmp.db"
    client = QueueClients().open(url, TransportOptions(own={"poll": "0.02"}))
    await client.send(b"hello")
    gone = _Inbox(_Queue.at(url), QueueOptions(), 100)
    claimed = await gone.claim()
    with anyio.move_on_after(0.1):
        await _Inbox(_Queue.at(url), QueueOptions(poll=0.02), 100).claim()
        pytest.fail("it was claimed twice")
    found = await _Inbox(_Queue.at(url), QueueOptions(stale=timedelta(microseconds=1)), 100).claim()
    assert found.octets == claimed.octets == b"hello"
