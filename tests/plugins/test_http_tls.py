"""TLS of the HTTP client: what is verified, and what is said when that fails."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from cmpkit_http.failures import transport_errors
from cmpkit_http.roads import HTTPClients
from tls_servers import Files, tls_server

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import TransportOptions
from cmpkit.transports import client_context


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


async def exchange(url: str, **options: str | float | None) -> bytes:
    client = HTTPClients().open(url, TransportOptions(**options))  # type: ignore[arg-type]
    try:
        return await client.exchange(b"request")
    finally:
        await client.aclose()


async def failure(url: str, **options: str | float | None) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await exchange(url, **options)
    assert url in caught.value.detail
    return caught.value


async def test_a_trusted_server_is_talked_to(files: Files) -> None:
    with tls_server(files.server_context("good")) as url:
        assert await exchange(url, tls_trusted=files.root) == b"unknown client"


@pytest.mark.parametrize("trusted", ["other", "system"])
async def test_an_unknown_ca_is_refused_and_the_option_named(files: Files, trusted: str) -> None:
    with tls_server(files.server_context("good")) as url:
        error = await failure(url, tls_trusted=files.other_root if trusted == "other" else None)
    assert error.tls
    assert "certificate" in error.detail
    assert "--tls-trusted" in error.hint


async def test_another_name_is_refused_and_the_option_named(files: Files) -> None:
    with tls_server(files.server_context("named")) as url:
        error = await failure(url, tls_trusted=files.root)
        assert error.tls
        assert "IP address mismatch" in error.detail
        assert "--tls-host" in error.hint
        other = await failure(url, tls_trusted=files.root, tls_host="other.example")
        assert "Hostname mismatch" in other.detail
        assert "--tls-host" in other.hint


async def test_the_expected_name_may_be_given(files: Files) -> None:
    with tls_server(files.server_context("named")) as url:
        assert await exchange(url, tls_trusted=files.root, tls_host="ra.example") == b"unknown client"


@pytest.mark.parametrize(("server", "said"), [("expired", "has expired"), ("future", "not yet valid")])
async def test_a_certificate_out_of_its_time_is_refused(files: Files, server: str, said: str) -> None:
    with tls_server(files.server_context(server)) as url:
        error = await failure(url, tls_trusted=files.root)
    assert error.tls
    assert said in error.detail
    assert "clock" in error.hint


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_shown_when_it_is_wanted(files: Files, version: ssl.TLSVersion) -> None:
    context = files.server_context("good")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(files.root)
    context.maximum_version = version
    with tls_server(context) as url:
        trusted = files.root
        both = {"tls_cert": files.client_cert, "tls_key": files.client_key}
        assert await exchange(url, tls_trusted=trusted, **both) == b"known client"
        assert await exchange(url, tls_trusted=trusted, tls_cert=files.client_both) == b"known client"
        error = await failure(url, tls_trusted=trusted)
    assert error.tls
    assert "--tls-cert" in error.hint


async def test_a_server_that_speaks_no_tls_is_named(files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_plainly() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                connection.settimeout(5)
                connection.recv(4096)

        thread = threading.Thread(target=answer_plainly)
        thread.start()
        error = await failure(f"https://127.0.0.1:{listener.getsockname()[1]}/cmp", tls_trusted=files.root)
        thread.join()
    assert error.tls
    assert "http://" in error.hint


@contextmanager
def connect_proxy(target: int) -> Iterator[str]:
    """A proxy that tunnels one connection, whatever host is asked for, to a local port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def tunnel() -> None:
            client, _ = listener.accept()
            with client, socket.create_connection(("127.0.0.1", target)) as server:
                while b"\r\n\r\n" not in client.recv(4096):
                    pass
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                ends = {client: server, server: client}
                while True:
                    for ready in select.select(list(ends), [], [], 10)[0]:
                        octets = ready.recv(65536)
                        if not octets:
                            return
                        ends[ready].sendall(octets)

        thread = threading.Thread(target=tunnel)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join()


async def test_the_expected_name_holds_through_a_proxy_too(files: Files) -> None:
    with tls_server(files.server_context("named")) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        with connect_proxy(port) as proxy:
            told = {"tls_trusted": files.root, "proxy": proxy, "tls_host": "ra.example"}
            assert await exchange("https://other.example/cmp", **told) == b"unknown client"
        with connect_proxy(port) as proxy:
            error = await failure("https://other.example/cmp", tls_trusted=files.root, proxy=proxy)
            assert "Hostname mismatch" in error.detail


def test_verification_is_never_off_and_old_versions_are_not_spoken(files: Files) -> None:
    for options in (
        TransportOptions(),
        TransportOptions(tls_trusted=files.root, tls_host="ra.example", tls_cert=files.client_both),
    ):
        context = client_context(options)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (lambda files: {"tls_trusted": "nowhere.pem"}, "tls_trusted: nowhere.pem cannot be used: No such file"),
        (lambda files: {"tls_trusted": files.client_key}, "tls_trusted: "),
        (lambda files: {"tls_cert": "nowhere.pem"}, "tls_cert: nowhere.pem"),
        (lambda files: {"tls_cert": files.client_cert}, "tls_cert: "),
        (lambda files: {"tls_key": files.client_key}, "without tls_cert"),
        (lambda files: {"tls_cert": files.root, "tls_key": files.client_key}, "tls_cert and tls_key: "),
        (lambda files: {"tls_cert": files.client_cert, "tls_key": files.locked_key}, "tls_cert and tls_key: "),
    ],
)
def test_files_that_cannot_be_used_are_named(
    files: Files, options: Callable[[Files], dict[str, str]], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        HTTPClients().open("https://ra.example", TransportOptions(**options(files)))  # type: ignore[arg-type]
    assert caught.value.hint


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "wants a client certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "wants another client certificate"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "wants another client certificate"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "may want a client certificate"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "share no TLS version"),
        ("UNSUPPORTED_PROTOCOL", "share no TLS version"),
        ("WRONG_VERSION_NUMBER", "plain HTTP"),
        ("INTERNAL_ERROR", "log of the server"),
    ],
)
def test_an_alert_has_its_hint(reason: str, hint: str) -> None:
    error = ssl.SSLError(1, f"[SSL: {reason}] said OpenSSL")
    error.reason = reason
    with pytest.raises(TransportError) as caught, transport_errors("https://ra.example", 5):
        raise error
    assert caught.value.tls
    assert hint in caught.value.hint


def test_any_other_failure_of_verification_is_told_as_openssl_tells_it() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 26, "unsupported certificate purpose"
    with pytest.raises(TransportError, match="unsupported certificate purpose"), transport_errors("https://x", 5):
        raise error
