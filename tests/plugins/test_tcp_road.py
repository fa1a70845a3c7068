"""The road over TCP keeps its contract, in both framings, and what is wrong is answered as the documents say."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketListener, SocketStream, TaskStatus
from cmpkit_tcp.framing import Unit
from cmpkit_tcp.later import Desk
from cmpkit_tcp.roads import TCPClients, TCPServer

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Answer, Disposition, Handler, Peer, TransportOptions
from cmpkit.testing import check_transport

HERE = "tcp://127.0.0.1:0"


@pytest.mark.parametrize("framing", ["version-10", "rfc2510"])
async def test_it_keeps_the_contract(framing: str, unused_port: int) -> None:
    options = TransportOptions(own={"framing": framing})
    nowhere = f"tcp://127.0.0.1:{unused_port}"
    await check_transport(TCPServer(), HERE, clients=TCPClients(), nowhere=nowhere, options=options)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def echo(message: bytes, peer: Peer) -> Answer:
    return Answer(b"echo " + message)


@asynccontextmanager
async def served(handler: Handler = echo, **settings: Any) -> AsyncIterator[str]:
    server = TCPServer().configured(settings, Path())
    shutdown = anyio.Event()

    async def serve(*, task_status: TaskStatus[str]) -> None:
        await server.serve(HERE, handler, max_message_size=1000, shutdown=shutdown, task_status=task_status)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            yield await tasks.start(serve)
            shutdown.set()


async def connected(address: str) -> SocketStream:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return await anyio.connect_tcp(host, int(port))


async def all_of(stream: SocketStream) -> bytes:
    """Everything until the server closes."""
    octets = b""
    try:
        while True:
            octets += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return octets


async def exactly(stream: SocketStream, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        octets += await stream.receive(count - len(octets))
    return octets


class TestFaults:
    """The table of faults: what is out of step ends the connection."""

    @pytest.mark.parametrize(
        ("sent", "answer"),
        [
            ("00000000 00", ""),
            ("7fffffff 00 3000", ""),
            ("00000002 0a", "0102"),
            ("7fffffff 0a", "0102"),
            ("00000005 0b 00 00 3000", "0101"),
        ],
    )
    async def test_an_impossible_length_or_version_ends_the_connection(self, sent: str, answer: str) -> None:
        async with served() as address, await connected(address) as stream:
            await stream.send(bytes.fromhex(sent))
            came = await all_of(stream)
        if answer:
            assert came[4:9].hex() == f"0a0106{answer}"
        else:
            assert came == b""

    async def test_who_sends_too_much_sees_why_it_is_not_taken(self) -> None:
        async with served() as address:
            client = TCPClients().open(address, TransportOptions())
            with pytest.raises(TransportError, match="5000003 octets; 3 to 1003 are read"):
                await client.exchange(bytes(5_000_000))
            await client.aclose()

    @pytest.mark.parametrize(
        ("sent", "answer"),
        [
            ("00000003 07 3000", "06"),
            ("00000003 05 3000", "06"),
            ("00000005 02 0a0b0c0d", "06"),
            ("00000005 0a 00 07 3000", "0a0006 0103"),
            ("00000005 0a 00 05 3000", "0a0006 0103"),
            ("00000007 0a 00 02 0a0b0c0d", "0a0006 0104"),
        ],
    )
    async def test_what_is_unknown_is_an_error_after_which_the_connection_goes_on(self, sent: str, answer: str) -> None:
        async with served() as address, await connected(address) as stream:
            for _ in range(2):
                await stream.send(bytes.fromhex(sent))
                length = int.from_bytes(await exactly(stream, 4))
                assert (await exactly(stream, length)).startswith(bytes.fromhex(answer))
            await stream.send(bytes.fromhex("00000002 00 2a"))
            assert await exactly(stream, 11) == bytes.fromhex("00000007 05") + b"echo *"

    async def test_a_unit_that_ends_in_the_middle_is_not_handled(self) -> None:
        handled: list[bytes] = []

        async def remember(message: bytes, peer: Peer) -> Answer:
            handled.append(message)
            return Answer(message)

        async with served(remember) as address:
            stream = await connected(address)
            await stream.send(bytes.fromhex("00000010 00 3000"))
            await stream.send_eof()
            assert await all_of(stream) == b""
            await stream.aclose()
        assert handled == []

    @pytest.mark.parametrize(
        ("disposition", "first", "second"),
        [
            (Disposition.NOTHING_MORE, "0000000203 00", "000000040a0003 00"),
            (Disposition.STORED, "0000000203 00", "000000040a0003 00"),
        ],
    )
    async def test_where_there_is_no_answer_there_is_nothing_more(
        self, disposition: Disposition, first: str, second: str
    ) -> None:
        async def handler(message: bytes, peer: Peer) -> Answer:
            return Answer(None, disposition)

        async with served(handler) as address, await connected(address) as stream:
            for sent, expected in (("00000002 00 2a", first), ("00000004 0a 00 00 2a", second)):
                await stream.send(bytes.fromhex(sent))
                octets = bytes.fromhex(expected)
                assert await exactly(stream, len(octets)) == octets

    async def test_the_wish_to_close_is_granted(self) -> None:
        async with served() as address, await connected(address) as stream:
            await stream.send(bytes.fromhex("00000004 0a 01 00 2a"))
            assert await all_of(stream) == bytes.fromhex("00000009 0a 01 05") + b"echo *"


class TestBounds:
    async def test_silence_ends_a_connection(self) -> None:
        async with served(idle_timeout="1s") as address, await connected(address) as stream:
            assert await all_of(stream) == b""

    async def test_a_slow_unit_ends_a_connection(self) -> None:
        async with served(unit_timeout="1s") as address, await connected(address) as stream:
            await stream.send(b"\0")
            assert await all_of(stream) == b""

    async def test_one_connection_too_many_is_closed(self) -> None:
        async with served(max_connections=1) as address, await connected(address) as first:
            await first.send(bytes.fromhex("00000002 00 2a"))
            await exactly(first, 11)
            async with await connected(address) as second:
                assert await all_of(second) == b""
            await first.send(bytes.fromhex("00000002 00 2a"))
            await exactly(first, 11)

    async def test_a_connection_that_cannot_be_taken_ends_nothing(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("cmpkit_tcp.serving._PAUSE_SECONDS", 0.01)
        serve, failures = SocketListener.serve, [OSError(errno.EMFILE, "Too many open files")]

        async def full_at_first(listener: SocketListener, *arguments: Any) -> None:
            if failures:
                raise failures.pop()
            await serve(listener, *arguments)

        monkeypatch.setattr(SocketListener, "serve", full_at_first)
        async with served() as address, await connected(address) as stream:
            await stream.send(bytes.fromhex("00000002 00 2a"))
            await exactly(stream, 11)
        assert "Too many open files" in caplog.text


class TestPolling:
    """Below CMP: the server asks its client to come back."""

    @pytest.mark.parametrize("framing", ["version-10", "rfc2510"])
    async def test_what_takes_long_is_fetched_later(self, framing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cmpkit_tcp.later._COME_BACK_SECONDS", 0)
        release, polled = anyio.Event(), anyio.Event()
        collect = Desk.collect
        calls: list[bytes] = []

        async def polls(desk: Desk, *arguments: Any) -> Unit | None:
            polled.set()
            return await collect(desk, *arguments)

        monkeypatch.setattr(Desk, "collect", polls)

        async def slow(message: bytes, peer: Peer) -> Answer:
            calls.append(message)
            await release.wait()
            return Answer(b"at last")

        async with served(slow, patience="1s") as address:
            client = TCPClients().open(address, TransportOptions(own={"framing": framing}))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(_expect, client, b"at last"))
                await polled.wait()
                release.set()
            await client.aclose()
        assert calls == [b"request"]

    async def test_a_part_is_followed_by_the_rest(self) -> None:
        reference = bytes.fromhex("0a0b0c0d00000000")
        await self._talk([(4, reference + b"part"), (5, b"rest")], b"rest", [b"\0request", b"\x02" + reference[:4]])

    async def test_a_part_without_a_rest_is_the_answer(self) -> None:
        reference = bytes.fromhex("0a0b0c0d00000000")
        await self._talk([(4, reference + b"part"), (3, b"\0")], b"part", [b"\0request", b"\x02" + reference[:4]])

    async def _talk(self, script: list[tuple[int, bytes]], expected: bytes, sent: list[bytes]) -> None:
        """A server that says what the script says, to a client in the first form."""
        came: list[bytes] = []

        async def serve(stream: SocketStream) -> None:
            async with stream:
                for number, value in script:
                    length = int.from_bytes(await exactly(stream, 4))
                    came.append(await exactly(stream, length))
                    await stream.send((len(value) + 1).to_bytes(4) + bytes([number]) + value)

        async with server_of(serve) as address:
            client = TCPClients().open(address, TransportOptions(timeout=10, own={"framing": "rfc2510"}))
            await _expect(client, expected)
            await client.aclose()
        assert came == sent


async def _expect(client: Any, answer: bytes) -> None:
    assert await client.exchange(b"request") == answer


@asynccontextmanager
async def server_of(serve: Callable[[SocketStream], Any]) -> AsyncIterator[str]:
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        yield f"tcp://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


class TestClients:
    async def test_a_connection_that_was_closed_meanwhile_is_made_anew(self) -> None:
        async with served(idle_timeout="1s") as address:
            client = TCPClients().open(address, TransportOptions())
            assert await client.exchange(b"1") == b"echo 1"
            kept = client._kept
            assert kept is not None
            await kept.wait()
            assert await client.exchange(b"2") == b"echo 2"
            await client.aclose()

    @pytest.mark.parametrize(
        ("octets", "said"),
        [
            (b"", "without an answer"),
            (b"HTTP/1.1 400 Bad Request\r\n", "no CMP over TCP"),
            (bytes.fromhex("00000009 00"), "no CMP over TCP"),
            (bytes.fromhex("00000003 02 0000"), "only clients send"),
            (bytes.fromhex("00000003 01 0000"), "not whole"),
            (bytes.fromhex("00000003 06") + b"no", "refused: no"),
            (bytes.fromhex("7fffffff 05"), "no CMP over TCP"),
        ],
    )
    async def test_what_is_no_answer_is_named(self, octets: bytes, said: str) -> None:
        async def serve(stream: SocketStream) -> None:
            async with stream:
                await stream.receive()
                if octets:
                    await stream.send(octets)

        async with server_of(serve) as address:
            client = TCPClients().open(address, TransportOptions(timeout=10))
            with pytest.raises(TransportError, match=said):
                await client.exchange(b"request")
            await client.aclose()

    async def test_a_server_that_says_nothing_is_not_waited_for_any_longer(self) -> None:
        async def serve(stream: SocketStream) -> None:
            async with stream:
                await anyio.sleep_forever()

        async with server_of(serve) as address:
            client = TCPClients().open(address, TransportOptions(timeout=0.2))
            with pytest.raises(TransportError, match=r"no answer within 0\.2 s"):
                await client.exchange(b"request")
            await client.aclose()

    @pytest.mark.parametrize(
        ("disposition", "expected"),
        [(Disposition.STORED, Disposition.STORED), (Disposition.UNAVAILABLE, Disposition.UNAVAILABLE)],
    )
    async def test_announcements_are_taken_or_put_off(self, disposition: Disposition, expected: Disposition) -> None:
        async def handler(message: bytes, peer: Peer) -> Answer:
            return Answer(None, disposition)

        async with served(handler) as address:
            client = TCPClients().open(address, TransportOptions())
            assert await client.announce(b"announcement") is expected
            await client.aclose()

    async def test_an_announcement_that_is_refused_is_an_error(self) -> None:
        async def handler(message: bytes, peer: Peer) -> Answer:
            return Answer(None, Disposition.REFUSED)

        async with served(handler) as address:
            client = TCPClients().open(address, TransportOptions())
            with pytest.raises(TransportError, match="not believed"):
                await client.announce(b"announcement")
            await client.aclose()


class TestAddresses:
    @pytest.mark.parametrize(
        "url", ["tcp:", "tcp://", "tcp://h/path", "tcp://h?x=1", "tcp://h:99999", "tcp://u@h", "http://h"]
    )
    def test_what_is_no_address_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError):
            TCPServer().check(url)
        with pytest.raises(ConfigurationError):
            TCPClients().open(url, TransportOptions())

    def test_the_port_is_829(self) -> None:
        assert TCPClients().open("tcp://ca.example", TransportOptions())._address.port == 829

    def test_keys_of_tls_are_for_tcps_alone(self) -> None:
        with pytest.raises(ConfigurationError, match="tls_cert"):
            TCPServer().configured({"tls_cert": "x.pem"}, Path()).check("tcp://127.0.0.1")
        with pytest.raises(ConfigurationError, match="tls_cert: is missing"):
            TCPServer().configured({}, Path()).check("tcps://127.0.0.1")
        with pytest.raises(ConfigurationError, match="tls_trusted"):
            TCPClients().open("tcp://h", TransportOptions(tls_trusted="x.pem"))

    async def test_a_port_that_is_taken_is_named(self) -> None:
        async with served() as address:
            with pytest.raises(ConfigurationError, match="cannot listen"):
                await TCPServer().serve(
                    *(address, echo),
                    max_message_size=1,
                    shutdown=anyio.Event(),
                    task_status=anyio.TASK_STATUS_IGNORED,
                )
