"""The HTTP client against servers that say what a test wants them to say."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from cmpkit_http.answers import HTTPAnswer, excerpt, shown
from cmpkit_http.client import is_direct
from cmpkit_http.failures import transport_errors
from cmpkit_http.roads import HTTPClients, warn_of_readers

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import AnnouncementTransport, ClientTransport, Disposition, TransportOptions


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Script:
    """A server that answers each request with the next of some prepared octets, and records requests."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            while self.answers:
                request = await read_request(stream)
                if request is None:
                    return
                self.requests.append(request)
                await stream.send(self.answers.pop(0))
            await stream.send_eof()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/cmp"


async def read_request(stream: SocketStream) -> bytes | None:
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length:
            body += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return None
    return head + b"\r\n\r\n" + body


@asynccontextmanager
async def scripted(*answers: bytes) -> AsyncIterator[Script]:
    script = Script(*answers)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        script.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(partial(listener.serve, script.handle))
            with anyio.fail_after(20):
                yield script
            task_group.cancel_scope.cancel()


@asynccontextmanager
async def client_of(url: str, **options: object) -> AsyncIterator[ClientTransport]:
    client = HTTPClients().open(url, TransportOptions(**options))  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.aclose()


def answer(
    status: str = "200 OK", body: bytes = b"\x30\x03cmp", kind: str | None = "application/pkixcmp", **headers: str
) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def error_from(*answers: bytes, **options: object) -> TransportError:
    async with scripted(*answers) as script, client_of(script.url, **options) as client:
        with pytest.raises(TransportError) as caught:
            await client.exchange(b"request")
    assert script.url in caught.value.detail
    return caught.value


async def test_a_message_is_posted_with_its_media_type() -> None:
    async with scripted(answer()) as script, client_of(script.url + "/p/ca%201?x=1") as client:
        assert await client.exchange(b"request") == b"\x30\x03cmp"
    head, _, body = script.requests[0].partition(b"\r\n\r\n")
    request_line, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert request_line == "POST /cmp/p/ca%201?x=1 HTTP/1.1"
    assert (headers["content-type"], headers["accept"]) == ("application/pkixcmp", "application/pkixcmp")
    assert headers["accept-encoding"] == "identity"
    assert body == b"request"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("201 Created", Disposition.STORED),
        ("200 OK", Disposition.STORED),
        ("202 Accepted", Disposition.UNAVAILABLE),
    ],
)
async def test_an_announcement_is_taken_without_an_answer(status: str, outcome: Disposition) -> None:
    async with scripted(answer(status, b"", None)) as script, client_of(script.url) as client:
        assert isinstance(client, AnnouncementTransport)
        assert await client.announce(b"news") is outcome
    assert script.requests[0].endswith(b"\r\n\r\nnews")


@pytest.mark.parametrize(
    "refusal", [answer("403 Forbidden", b"", None), answer("503 Service Unavailable", b"", None), answer("200 OK")]
)
async def test_an_announcement_that_is_not_taken_is_an_error(refusal: bytes) -> None:
    async with scripted(refusal) as script, client_of(script.url) as client:
        assert isinstance(client, AnnouncementTransport)
        with pytest.raises(TransportError, match="answered HTTP"):
            await client.announce(b"news")


@pytest.mark.parametrize("end", ["", "/"])
async def test_a_url_without_path_means_the_well_known_one(end: str) -> None:
    async with scripted(answer()) as script, client_of(f"http://127.0.0.1:{script.port}{end}") as client:
        await client.exchange(b"request")
    assert script.requests[0].startswith(b"POST /.well-known/cmp HTTP/1.1\r\n")


async def test_connections_are_used_again_once_the_server_has_shown_http_1_1() -> None:
    async with scripted(*[answer()] * 4) as script, client_of(script.url) as client:
        for _ in range(4):
            await client.exchange(b"request")
    assert script.connections == 2
    asked = [b"connection: close" in request.lower() for request in script.requests]
    assert asked == [True, False, False, False]


async def test_a_server_of_http_1_0_is_never_asked_to_keep_a_connection() -> None:
    old = answer(connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    async with scripted(*[old] * 3) as script, client_of(script.url) as client:
        for _ in range(3):
            await client.exchange(b"request")
    assert script.connections == 3
    assert all(b"connection: close" in request.lower() for request in script.requests)


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "400 Bad", "404 Not Found", "500 Error", "503 Busy"])
async def test_a_cmp_message_is_read_whatever_the_status(status: str) -> None:
    async with scripted(answer(status)) as script, client_of(script.url) as client:
        assert await client.exchange(b"request") == b"\x30\x03cmp"


@pytest.mark.parametrize("kind", ["application/pkixcmp; charset=UTF-8", "APPLICATION/PKIXCMP", "application/x-pkixcmp"])
async def test_parameters_and_older_media_types_are_tolerated(kind: str) -> None:
    async with scripted(answer(kind=kind)) as script, client_of(script.url) as client:
        assert await client.exchange(b"request") == b"\x30\x03cmp"


async def test_a_redirection_is_not_followed_but_shown() -> None:
    async with scripted(answer("307 Temporary Redirect", location="/pkix"), answer()) as script:
        async with client_of(script.url) as client:
            with pytest.raises(TransportError, match=f"307, Location: http://127.0.0.1:{script.port}/pkix") as caught:
                await client.exchange(b"request")
        assert len(script.requests) == 1
    assert "use it" in caught.value.hint


async def test_a_redirection_to_nowhere_is_named() -> None:
    assert "without a Location" in (await error_from(answer("302 Found"))).detail


async def test_a_location_that_is_no_url_is_named() -> None:
    assert (
        "Invalid URL in location header"
        in (await error_from(answer("302 Found", location="http://ra.example:x/"))).detail
    )


async def test_an_error_has_status_media_type_and_start_of_the_body() -> None:
    page = b"<html>\n <body>Not here, and nowhere else, and this goes on and on and on and on and on</body>"
    error = await error_from(answer("404 Not Found", page, "text/html; charset=utf-8"))
    assert "HTTP 404, media type text/html; charset=utf-8, body: " in error.detail
    assert '"<html> <body>Not here, and nowhere else,' in error.detail
    assert "on and on</body>" not in error.detail
    assert "/.well-known/cmp" in error.hint
    assert "web server or proxy" in error.hint
    assert not error.retryable


async def test_a_binary_body_is_shown_in_hexadecimal() -> None:
    assert (
        "body: 3082beef" in (await error_from(answer(body=b"\x30\x82\xbe\xef", kind="application/octet-stream"))).detail
    )


async def test_a_missing_media_type_is_named() -> None:
    error = await error_from(answer(kind=None))
    assert "media type none" in error.detail
    assert "application/pkixcmp" in error.hint


async def test_an_empty_answer_is_an_error() -> None:
    error = await error_from(answer(body=b""))
    assert "body: empty" in error.detail
    assert "no answer to this message" in error.hint


async def test_a_compressed_answer_is_not_read() -> None:
    assert "(gzip)" in (await error_from(answer(content_encoding="gzip"))).detail


@pytest.mark.parametrize(
    ("status", "retry_after", "retryable", "hint"),
    [
        ("503 Busy", "120", True, "Retry-After says 120"),
        ("429 Too Many", "120", True, "Retry-After says 120"),
        ("503 Busy", None, True, "try again later"),
        ("502 Bad Gateway", None, True, "the server failed"),
        ("500 Error", None, False, "the server failed"),
        ("400 Bad", None, False, "could not read"),
        ("401 Unauthorized", None, False, "tls_cert"),
        ("405 Not Allowed", None, False, "POST is not taken"),
        ("413 Too Large", None, False, "larger than the server reads"),
        ("415 Unsupported", None, False, "application/pkixcmp"),
        ("418 Teapot", None, False, "answers with media type"),
    ],
)
async def test_a_status_has_its_hint(status: str, retry_after: str | None, retryable: bool, hint: str) -> None:
    headers = {} if retry_after is None else {"retry_after": retry_after}
    error = await error_from(answer(status, b"no", "text/plain", **headers))
    assert error.retryable is retryable
    assert hint in error.hint


async def test_an_answer_over_the_limit_is_read_no_further() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nTransfer-Encoding: chunked\r\n\r\n"
    error = await error_from(head + (b"400\r\n" + bytes(1024) + b"\r\n") * 100, max_response_size=1000)
    assert "more than 1000 octets" in error.detail


async def test_the_transport_works_after_an_answer_over_the_limit() -> None:
    async with (
        scripted(answer(body=bytes(200_000)), answer(body=bytes(1000))) as script,
        client_of(script.url, max_response_size=1000) as client,
    ):
        with pytest.raises(TransportError):
            await client.exchange(b"one")
        assert await client.exchange(b"two") == bytes(1000)


@pytest.mark.parametrize("octets", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"])
async def test_a_connection_that_breaks_off_may_be_retried(octets: bytes) -> None:
    error = await error_from(octets)
    assert "broke off before an answer was whole" in error.detail
    assert error.retryable


async def test_what_is_no_http_is_named() -> None:
    error = await error_from(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    assert "broke off" in error.detail
    assert "https://" in error.hint


async def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/cmp"
        async with client_of(url, timeout=0.1) as client:
            with pytest.raises(TransportError, match=r"no whole answer from .* within 0.1 seconds") as caught:
                await client.exchange(b"request")
    assert caught.value.retryable


async def test_a_server_that_drips_does_not_get_more_time() -> None:
    async def drip(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: 1000\r\n\r\n")
            try:
                while True:
                    await stream.send(b"x")
                    await anyio.sleep(0.02)
            except anyio.BrokenResourceError:
                pass

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/cmp"
        async with anyio.create_task_group() as task_group, client_of(url, timeout=0.2) as client:
            task_group.start_soon(partial(listener.serve, drip))
            with anyio.fail_after(5), pytest.raises(TransportError, match=r"within 0.2 seconds"):
                await client.exchange(b"request")
            task_group.cancel_scope.cancel()


async def test_a_refused_connection_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/cmp"
        async with client_of(url) as client:
            with pytest.raises(TransportError, match=f"connection to {url} refused") as caught:
                await client.exchange(b"request")
    assert "is the server running" in caught.value.hint


async def test_an_unknown_host_is_named() -> None:
    async with client_of("http://name.invalid/cmp") as client:
        with pytest.raises(TransportError, match=r"the host of http://name.invalid/cmp cannot be resolved"):
            await client.exchange(b"request")


async def test_a_password_in_the_url_is_used_but_not_shown() -> None:
    async with scripted(answer("401 Unauthorized", b"no", "text/plain")) as script:
        async with client_of(script.url.replace("//", "//user:word@")) as client:
            with pytest.raises(TransportError) as caught:
                await client.exchange(b"request")
        assert b"Authorization: Basic dXNlcjp3b3Jk" in script.requests[0]
    assert "word" not in str(caught.value)
    assert "user" not in caught.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///cmp",
        "http://[::1/cmp",
        "http://ra.example:99999/cmp",
        "http://ra.example:x/",
        "http://ra.example:0",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="unusable URL"):
        HTTPClients().open(url, TransportOptions())


@pytest.mark.parametrize("proxy", ["nonsense", "gopher://proxy.example", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="the proxy cannot be used"):
        HTTPClients().open("http://ra.example", TransportOptions(proxy=proxy))


async def test_a_proxy_is_asked_for_the_whole_url() -> None:
    async with (
        scripted(answer()) as script,
        client_of("http://ra.example/cmp", proxy=f"http://127.0.0.1:{script.port}") as client,
    ):
        assert await client.exchange(b"request") == b"\x30\x03cmp"
    assert script.requests[0].startswith(b"POST http://ra.example/cmp HTTP/1.1\r\n")


async def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(answer()) as script:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{script.port}")
        async with client_of("http://ra.example/cmp") as client:
            assert await client.exchange(b"request") == b"\x30\x03cmp"


def exceptions_of_httpx() -> Iterator[type[Exception]]:
    for name in httpx.__all__:
        found = getattr(httpx, name)
        if isinstance(found, type) and issubclass(found, Exception):
            yield found


def make(kind: type[Exception]) -> Exception:
    if issubclass(kind, httpx.HTTPStatusError):
        request = httpx.Request("POST", "http://ra.example")
        return kind("said httpx", request=request, response=httpx.Response(500))
    if issubclass(kind, httpx.StreamError) and kind is not httpx.StreamError:
        return kind()
    return kind("said httpx")


@pytest.mark.parametrize("kind", [*exceptions_of_httpx(), OSError, TimeoutError, ConnectionResetError])
def test_no_foreign_exception_gets_out(kind: type[Exception]) -> None:
    with (
        pytest.raises(TransportError, match=r"http://ra.example/cmp") as caught,
        transport_errors("http://ra.example/cmp", 5),
    ):
        raise make(kind)
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, kind)


def test_exceptions_of_httpx_are_many() -> None:
    assert len(list(exceptions_of_httpx())) > 25


@pytest.mark.parametrize(
    ("kind", "said", "retryable"),
    [
        (httpx.ConnectTimeout, "no connection to", True),
        (httpx.ReadTimeout, "within 5 seconds", True),
        (TimeoutError, "within 5 seconds", True),
        (httpx.ProxyError, "the proxy gave no way", False),
        (httpx.ConnectError, "no connection to http://ra.example/cmp: said httpx", True),
        (httpx.ReadError, "broke off", True),
        (httpx.UnsupportedProtocol, "failed: said httpx", False),
    ],
)
def test_what_failed_is_said(kind: type[Exception], said: str, retryable: bool) -> None:
    with pytest.raises(TransportError, match=said) as caught, transport_errors("http://ra.example/cmp", 5):
        raise make(kind)
    assert caught.value.retryable is retryable
    assert not caught.value.tls


@pytest.mark.parametrize(("url", "hint"), [("http://ra.example", "https://"), ("https://ra.example", "--tls-cert")])
def test_a_broken_connection_has_a_hint_for_its_scheme(url: str, hint: str) -> None:
    with pytest.raises(TransportError) as caught, transport_errors(url, 5):
        raise httpx.ReadError("reset")
    assert hint in caught.value.hint


def test_causes_within_groups_are_found() -> None:
    attempts = ExceptionGroup("attempts", [OSError(113, "No route to host"), OSError(101, "Network is unreachable")])
    with pytest.raises(TransportError, match="No route to host"), transport_errors("http://ra.example/cmp", 5):
        raise httpx.ConnectError("all attempts failed") from attempts


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "empty"),
        (b"plain\r\n text", '"plain text"'),
        ("grüß".encode(), '"grüß"'),
        (b"\x00\x01", "0001"),
        (b"caf\xe9", "636166e9"),
        (b"x" * 65, f'"{"x" * 64}..."'),
        (b"x" * 63 + "ü".encode(), f'"{"x" * 63}..."'),
        (b"\xff" * 65, "ff" * 64 + "..."),
    ],
)
def test_an_excerpt_is_readable(body: bytes, text: str) -> None:
    assert excerpt(body) == text


def test_headers_are_shown_without_control_characters_and_cut() -> None:
    assert shown("a\x1b[31mb") == "a?[31mb"
    assert len(shown("x" * 1000)) == 200


def test_an_answer_is_cmp_only_with_a_final_status() -> None:
    assert not HTTPAnswer("http://ra.example", 304, "application/pkixcmp").is_cmp


@pytest.mark.parametrize("option", ["tls_trusted", "tls_cert", "tls_key", "tls_keypass", "tls_host"])
def test_options_about_tls_mean_nothing_to_plain_http(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option}: means nothing to the road http"):
        HTTPClients().open("http://ca.example", TransportOptions(**{option: "x"}))


@pytest.mark.parametrize(
    ("hosts", "direct"),
    [
        ("ca.example", True),
        ("other.example, CA.example", True),
        (".example", True),
        ("other.example ca.example", True),
        ("example", False),
        ("other.example", False),
        (None, False),
    ],
)
def test_hosts_may_be_reached_without_a_proxy(hosts: str | None, direct: bool) -> None:
    options = TransportOptions(proxy="http://proxy.example", no_proxy=hosts)
    assert is_direct(httpx.URL("http://ca.example/cmp"), options) is direct


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://ca.example/cmp", "plain HTTP to ca.example: "),
        ("http://192.0.2.1:8080/cmp", "plain HTTP to 192.0.2.1: "),
        ("http://[2001:db8::1]/cmp", "plain HTTP to 2001:db8::1: "),
        ("http://localhost/cmp", ""),
        ("http://ca.localhost/cmp", ""),
        ("http://127.1.2.3/cmp", ""),
        ("http://[::1]/cmp", ""),
        ("https://ca.example/cmp", ""),
    ],
)
async def test_plain_http_to_another_machine_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, url: str, warned: str
) -> None:
    warn_of_readers.cache_clear()
    for _ in range(2):
        await HTTPClients().open(url, TransportOptions()).aclose()
    told = [record.getMessage() for record in caplog.records if record.name == "cmpkit.http"]
    assert len(told) == bool(warned)
    assert "".join(told).startswith(warned)
