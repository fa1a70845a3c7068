"""The HTTP server on real sockets: uvicorn on asyncio, Hypercorn on trio."""

from __future__ import annotations

import importlib
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import anyio
import cmpkit_http
import httpx
import pytest
import uvicorn
import uvicorn.server
from anyio.abc import SocketStream, TaskStatus
from cmpkit_http import limits, roads
from cmpkit_http.roads import HTTPClients, HTTPServer

from cmpkit.errors import ConfigurationError
from cmpkit.parts import Answer, Handler, Peer, TransportOptions
from cmpkit.plugins import Plugins
from cmpkit.testing.transports import check_client_transport, check_server_transport

LIMIT = 100_000


async def echo(message: bytes, peer: Peer) -> Answer:
    return Answer(b"answer to " + message)


@asynccontextmanager
async def serving(
    handler: Handler = echo, *, url: str = "http://127.0.0.1:0", shutdown: anyio.Event | None = None
) -> AsyncIterator[str]:
    """A server with that handler, until the block ends or the event is set."""
    shutdown = shutdown or anyio.Event()
    async with anyio.create_task_group() as task_group:

        async def serve(*, task_status: TaskStatus[str]) -> None:
            await HTTPServer().serve(url, handler, max_message_size=LIMIT, shutdown=shutdown, task_status=task_status)

        with anyio.fail_after(10):
            address: str = await task_group.start(serve)
        yield address
        shutdown.set()


async def connect(url: str) -> SocketStream:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return await anyio.connect_tcp(parts.hostname, parts.port)


async def read_answer(stream: SocketStream) -> tuple[int, dict[str, str], bytes]:
    """One HTTP answer with a Content-Length."""
    received = b""
    with anyio.fail_after(10):
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        while len(body) < int(headers["content-length"]):
            body += await stream.receive()
    return int(lines[0].split()[1]), headers, body


async def is_closed(stream: SocketStream) -> bool:
    """Whether the peer has closed; waits for it."""
    with anyio.fail_after(10):
        try:
            while True:
                await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True


def post(body: bytes, *, path: str = "/cmp", length: int | None = None) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


async def test_server_keeps_the_contract() -> None:
    def connect_to(url: str) -> Any:
        return HTTPClients().open(url, TransportOptions(timeout=10))

    await check_server_transport(HTTPServer(), "http://127.0.0.1:0", connect=connect_to)


async def test_client_keeps_the_contract() -> None:
    @asynccontextmanager
    async def open_transport_to(handler: Handler) -> AsyncIterator[Any]:
        async with serving(handler) as url:
            client = HTTPClients().open(url, TransportOptions(timeout=10))
            yield client
            await client.aclose()

    await check_client_transport(open_transport_to)


@pytest.mark.parametrize(
    ("listen", "reported"),
    [
        ("http://127.0.0.1:0", "http://127.0.0.1:{port}/.well-known/cmp"),
        ("http://127.0.0.1:0/", "http://127.0.0.1:{port}/.well-known/cmp"),
        ("http://127.0.0.1:0/pkix", "http://127.0.0.1:{port}/pkix"),
        ("http://localhost:0/pkix", "http://localhost:{port}/pkix"),
    ],
)
async def test_the_address_of_clients_is_reported(listen: str, reported: str) -> None:
    async with serving(url=listen) as url, httpx.AsyncClient(trust_env=False) as client:
        port = urlsplit(url).port
        assert port
        assert url == reported.format(port=port)
        for path in (urlsplit(url).path, "/cmp", "/.well-known/cmp/p/ca/initialization"):
            answer = await client.post(
                f"http://127.0.0.1:{port}{path}", content=b"x", headers={"content-type": "application/pkixcmp"}
            )
            assert (answer.status_code, answer.content) == (200, b"answer to x")


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_an_ipv6_address_is_served_where_there_is_one() -> None:
    if not has_ipv6_loopback():
        with pytest.raises(ConfigurationError):
            await refused("http://[::1]:0")
        return
    async with serving(url="http://[::1]:0/cmp") as url, httpx.AsyncClient(trust_env=False) as client:
        assert url.startswith("http://[::1]:")
        answer = await client.post(url, content=b"x", headers={"content-type": "application/pkixcmp"})
        assert answer.content == b"answer to x"


async def refused(url: str) -> None:
    try:
        async with serving(url=url):
            pass
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def test_a_busy_port_is_named() -> None:
    async with serving() as url:
        with pytest.raises(ConfigurationError, match=f"cannot listen on {url}.*in use") as caught:
            await refused(url)
    assert "choose another port" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://", "names no host"),
        ("http://:8080/cmp", "names no host"),
        ("http://127.0.0.1:99999", "out of range"),
        ("http://127.0.0.1:0/cmp?x=1", "has no meaning here"),
        ("http://user:word@127.0.0.1:0/cmp", "has no meaning here"),
        ("http://127.0.0.1:0/c%6dp", "plain ASCII"),
        ("http://name.invalid:0", "cannot be resolved"),
        ("http://192.0.2.1:0", "cannot listen on http://192.0.2.1:0: "),
        (f"http://{'a' * 70}.example:0", "cannot listen on"),
        (f"http://{'ü' * 70}.example:0", "cannot listen on"),
    ],
)
async def test_an_address_that_cannot_be_used_is_named(url: str, cause: str) -> None:
    with pytest.raises(ConfigurationError, match=cause) as caught:
        await refused(url)
    assert caught.value.hint or "%-escapes" in caught.value.detail
    assert "word" not in str(caught.value)


async def test_a_port_without_privilege_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(ConfigurationError, match=re.escape("http://127.0.0.1:80: Permission denied")) as caught:
        await refused("http://127.0.0.1:80")
    assert "CAP_NET_BIND_SERVICE" in caught.value.hint


async def test_addresses_of_a_host_that_this_machine_lacks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*arguments: object, **options: object) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("192.0.2.1", 0)), (*kind, ("127.0.0.1", 0)), (*kind, ("127.0.0.2", 0))]

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)
    async with serving(url="http://ra.example:0") as url:
        port = urlsplit(url).port
        async with await connect(f"http://127.0.0.1:{port}") as stream:
            await stream.send(post(b"x"))
            assert (await read_answer(stream))[0] == 200


async def test_no_socket_stays_open_if_one_address_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as url:
        busy = urlsplit(url).port

        async def getaddrinfo(*arguments: object, **options: object) -> list[Any]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, ("127.0.0.2", busy)), (*kind, ("127.0.0.1", busy))]

        monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)
        with pytest.raises(ConfigurationError, match="in use"):
            await refused(f"http://ra.example:{busy}")
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.2", busy)) != 0


def test_the_plugin_brings_its_parts() -> None:
    plugins = Plugins()
    plugins.add(cmpkit_http, "http")
    assert plugins.client_transport("http://x") is plugins.client_transport("https://x")
    assert plugins.server_transport("http://x").name == "http"
    assert plugins.server_transport("https://x") is plugins.server_transport("http://x")


async def test_a_missing_server_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")

    monkeypatch.setattr(roads.importlib, "import_module", import_module)
    with pytest.raises(ConfigurationError, match="needs uvicorn") as caught:
        await refused("http://127.0.0.1:0")
    assert "cmpkit[server]" in caught.value.hint


async def test_answers_have_a_date_and_no_server_name() -> None:
    async with serving() as url, await connect(url) as stream:
        await stream.send(post(b"x"))
        status, headers, body = await read_answer(stream)
    assert (status, body) == (200, b"answer to x")
    assert set(headers) == {"content-type", "content-length", "cache-control", "date"}


async def test_the_handler_learns_the_address_and_path_of_the_client() -> None:
    peers: list[Peer] = []

    async def handler(message: bytes, peer: Peer) -> Answer:
        peers.append(peer)
        return Answer(b"x")

    async with serving(handler) as url, await connect(url) as stream:
        await stream.send(post(b"x", path="/cmp/p/ca%201/revocation"))
        await read_answer(stream)
    assert peers == [Peer("http", "127.0.0.1", label="ca 1", operation="revocation")]


async def test_a_connection_carries_many_messages_in_several_pieces() -> None:
    async with serving() as url, await connect(url) as stream:
        for number in range(5):
            request = post(b"number %d" % number)
            for piece in (request[:10], request[10:-3], request[-3:]):
                await stream.send(piece)
            assert (await read_answer(stream))[2] == b"answer to number %d" % number


async def test_a_kept_connection_ends_with_its_last_answer_at_shutdown() -> None:
    called, go_on, shutdown = anyio.Event(), anyio.Event(), anyio.Event()

    async def handler(message: bytes, peer: Peer) -> Answer:
        called.set()
        await go_on.wait()
        return Answer(message)

    async with serving(handler, shutdown=shutdown) as url, await connect(url) as stream:
        await stream.send(post(b"x").replace(b"Host: x", b"Host: x\r\nConnection: keep-alive"))
        with anyio.fail_after(10):
            await called.wait()
        shutdown.set()
        await anyio.sleep(0.2)
        go_on.set()
        assert (await read_answer(stream))[2] == b"x"
        assert await is_closed(stream)


async def test_a_connection_of_http_1_0_ends_with_the_answer_unless_it_is_to_be_kept() -> None:
    async with serving() as url, await connect(url) as stream:
        await stream.send(post(b"x").replace(b"HTTP/1.1", b"HTTP/1.0"))
        _, headers, body = await read_answer(stream)
        # HTTP/1.0 closes unless it says otherwise, and older releases of uvicorn say nothing.
        assert (headers.get("connection", "close"), body) == ("close", b"answer to x")
        assert await is_closed(stream)


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as url, await connect(url) as stream:
        await stream.send(post(b"a" * 100) + post(b"b" * 100) + post(b"c" * 100))
        received = b""
        with anyio.fail_after(10):
            while received.count(b"answer to") < 3:
                received += await stream.receive()
        assert received.index(b"to aaa") < received.index(b"to bbb") < received.index(b"to ccc")


async def test_a_chunked_message_is_read() -> None:
    async with serving() as url, await connect(url) as stream:
        head = (
            b"POST /cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await stream.send(head + b"3\r\none\r\n")
        await stream.send(b"3\r\ntwo\r\n0\r\n\r\n")
        assert (await read_answer(stream))[2] == b"answer to onetwo"


async def test_a_declared_length_over_the_limit_is_refused_unread_and_the_connection_closed() -> None:
    async with serving() as url, await connect(url) as stream:
        await stream.send(post(b"", length=LIMIT + 1))
        status, headers, _ = await read_answer(stream)
        assert (status, headers["connection"]) == (413, "close")
        assert await is_closed(stream)


async def test_a_client_that_sends_a_huge_body_still_reads_why_it_is_refused() -> None:
    async with serving() as url, httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.post(url, content=bytes(5 << 20), headers={"content-type": "application/pkixcmp"})
        assert answer.status_code == 413


async def test_an_endless_chunked_body_is_stopped_at_the_limit() -> None:
    calls: list[bytes] = []

    async def handler(message: bytes, peer: Peer) -> Answer:
        calls.append(message)
        return Answer(b"x")

    async with serving(handler) as url, await connect(url) as stream:
        head = (
            b"POST /cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await stream.send(head)
        statuses: list[int] = []

        async def send_for_ever() -> None:
            chunk = b"4000\r\n" + bytes(0x4000) + b"\r\n"
            try:
                while True:
                    await stream.send(chunk)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass

        with anyio.fail_after(10):
            async with anyio.create_task_group() as task_group:
                task_group.start_soon(send_for_ever)
                statuses.append((await read_answer(stream))[0])
        assert statuses == [413]
    assert not calls


async def test_half_a_message_is_not_processed_and_the_server_goes_on() -> None:
    calls: list[bytes] = []

    async def handler(message: bytes, peer: Peer) -> Answer:
        calls.append(message)
        return Answer(b"x")

    async with serving(handler) as url:
        async with await connect(url) as stream:
            await stream.send(post(b"half", length=1000))
        async with await connect(url) as stream:
            await stream.send(b"\x30\x82garbage, no HTTP\r\n\r\n")
            assert await is_closed(stream)
        async with await connect(url) as stream:
            await stream.send(post(b"whole"))
            assert (await read_answer(stream))[0] == 200
    assert calls == [b"whole"]


async def test_a_client_that_leaves_before_its_answer_does_no_harm() -> None:
    called, go_on = anyio.Event(), anyio.Event()

    async def handler(message: bytes, peer: Peer) -> Answer:
        if message == b"wait":
            called.set()
            await go_on.wait()
        return Answer(message)

    async with serving(handler) as url:
        async with await connect(url) as stream:
            await stream.send(post(b"wait"))
            with anyio.fail_after(10):
                await called.wait()
        go_on.set()
        async with await connect(url) as stream:
            await stream.send(post(b"next"))
            assert (await read_answer(stream))[2] == b"next"


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server with short times; its backend modules are loaded anew, as they have taken the values."""
    for name, value in {"HEADER_SECONDS": 0.1, "KEEP_ALIVE_SECONDS": 0.1, "GRACE_SECONDS": 0.1}.items():
        monkeypatch.setattr(limits, name, value)
    backends = ("cmpkit_http.on_asyncio", "cmpkit_http.on_trio")
    for name in backends:
        sys.modules.pop(name, None)
    yield
    for name in backends:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("start", [b"", b"POST /cmp HTTP/1.1\r\nHost: x\r\n"])
async def test_a_header_that_does_not_come_ends_the_connection(start: bytes) -> None:
    async with serving() as url, await connect(url) as stream:
        if start:
            await stream.send(start)
        assert await is_closed(stream)


@pytest.mark.usefixtures("short_limits")
async def test_a_second_header_that_does_not_come_whole_ends_the_connection() -> None:
    async with serving() as url, await connect(url) as stream:
        await stream.send(post(b"x"))
        await read_answer(stream)
        await stream.send(b"POST /cmp HT")
        assert await is_closed(stream)


async def test_a_header_without_end_is_stopped() -> None:
    async with serving() as url, await connect(url) as stream:
        await stream.send(b"POST /cmp HTTP/1.1\r\n")

        async def send_for_ever() -> None:
            while True:
                await stream.send(b"x: %s\r\n" % (b"y" * 1000))

        with anyio.fail_after(10), pytest.raises(anyio.BrokenResourceError):
            await send_for_ever()


@pytest.mark.usefixtures("short_limits")
async def test_what_does_not_end_in_time_is_cancelled_at_shutdown() -> None:
    called, ended = anyio.Event(), anyio.Event()

    async def handler(message: bytes, peer: Peer) -> Answer:
        called.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    shutdown = anyio.Event()
    with anyio.fail_after(10):
        async with serving(handler, shutdown=shutdown) as url, await connect(url) as stream:
            await stream.send(post(b"x"))
            await called.wait()
            shutdown.set()
            await ended.wait()


async def test_a_cancelled_server_cancels_its_handlers_and_closes_its_port() -> None:
    called, ended = anyio.Event(), anyio.Event()

    async def handler(message: bytes, peer: Peer) -> Answer:
        called.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    with anyio.fail_after(3):
        async with anyio.create_task_group() as task_group:

            async def serve(*, task_status: TaskStatus[str]) -> None:
                await HTTPServer().serve(
                    "http://127.0.0.1:0",
                    handler,
                    max_message_size=LIMIT,
                    shutdown=anyio.Event(),
                    task_status=task_status,
                )

            url = await task_group.start(serve)
            stream = await connect(url)
            await stream.send(post(b"x"))
            await called.wait()
            task_group.cancel_scope.cancel()
    assert ended.is_set()
    await stream.aclose()
    with pytest.raises(OSError, match=r"refused|failed"):
        await connect(url)


async def test_signal_handlers_are_left_alone() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serving():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


ASYNCIO_ONLY = pytest.mark.parametrize("anyio_backend", ["asyncio"], scope="session")


class RecordingSocket:
    def __init__(self, *, closed: bool = False) -> None:
        self.options: list[tuple[int, int, int]] = []
        self.closed = closed

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 80)

    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 4711)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if self.closed:
            raise OSError(9, "Bad file descriptor")
        self.options.append((level, option, value))


class RecordingTransport:
    """As much of an asyncio transport as a protocol sees of it."""

    def __init__(self, sock: RecordingSocket) -> None:
        self.sock = sock
        self.closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.sock if name == "socket" else default

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is to be written")


def make_protocol(module: ModuleType) -> Any:
    config = uvicorn.Config(echo, http=module.protocol_class(), ws="none", interface="asgi3", log_config=None)
    return module.protocol_class()(config=config, server_state=uvicorn.server.ServerState(), app_state={})


@pytest.fixture(params=["httptools", "h11"])
def asyncio_module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The asyncio side of the server, with and without httptools."""
    module = importlib.import_module("cmpkit_http.on_asyncio")
    if request.param == "h11":
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    return module


@ASYNCIO_ONLY
async def test_quick_acknowledgement_is_armed_on_connection_and_again_with_all_data(
    asyncio_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio_module, "_QUICKACK", 12)
    sock = RecordingSocket()
    protocol = make_protocol(asyncio_module)
    protocol.connection_made(RecordingTransport(sock))
    armed = (socket.IPPROTO_TCP, 12, 1)
    assert sock.options == [armed]
    for piece in (b"POST /cmp HTTP/1.1\r\nHost: x\r\n", b"Content-Type: application/pkixcmp\r\n"):
        protocol.data_received(piece)
    assert sock.options == [armed] * 3
    protocol.connection_lost(None)


@ASYNCIO_ONLY
@pytest.mark.parametrize("option", [12, None])
async def test_a_socket_that_knows_no_quick_acknowledgement_does_no_harm(
    asyncio_module: ModuleType, monkeypatch: pytest.MonkeyPatch, option: int | None
) -> None:
    monkeypatch.setattr(asyncio_module, "_QUICKACK", option)
    protocol = make_protocol(asyncio_module)
    protocol.connection_made(RecordingTransport(RecordingSocket(closed=True)))
    protocol.data_received(b"POST /cmp HTTP/1.1\r\n")
    protocol.connection_lost(None)


@ASYNCIO_ONLY
async def test_http_1_0_connections_are_kept_where_the_parser_can(asyncio_module: ModuleType) -> None:
    request = post(b"x").replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: x", b"Host: x\r\nConnection: keep-alive")
    kept = asyncio_module.find_spec("httptools") is not None
    async with serving() as url, await connect(url) as stream:
        for _ in range(3 if kept else 1):
            await stream.send(request)
            _, headers, body = await read_answer(stream)
            assert (headers["connection"], body) == ("keep-alive" if kept else "close", b"answer to x")
        if not kept:
            assert await is_closed(stream)


@ASYNCIO_ONLY
async def test_messages_are_served_with_either_parser(asyncio_module: ModuleType) -> None:
    used = "httptools" if asyncio_module.find_spec("httptools") else "h11"
    assert any(
        base.__module__ == f"uvicorn.protocols.http.{used}_impl" for base in asyncio_module.protocol_class().__mro__
    )
    async with serving() as url, await connect(url) as stream:
        await stream.send(post(b"x"))
        assert (await read_answer(stream))[2] == b"answer to x"


@ASYNCIO_ONLY
async def test_too_many_connections_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("cmpkit_http.on_asyncio"), "MAX_CONNECTIONS", 2)
    async with serving() as url, await connect(url) as first, await connect(url) as second:
        await first.send(post(b"x"))
        await second.send(post(b"x"))
        assert sorted([(await read_answer(first))[0], (await read_answer(second))[0]])[1] == 503
