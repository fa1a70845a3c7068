"""Each layer below CMP: what is wrong there is said there, and nothing above it is asked."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable

import anyio
import pytest
from tls_servers import Files, TLSServer, tls_server
from webs import Respond, Response, closed_port, handler_for, silent_server, web_server

from cmpkit.doctor import Diagnosis, diagnose
from cmpkit.endpoints.options import ClientOptions
from cmpkit.errors import ConfigurationError
from cmpkit.parts import Check, Layer, TransportOptions, Verdict
from cmpkit.plugins import Plugins
from cmpkit.transports import reaching

CMP = {"Content-Type": "application/pkixcmp"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def examine(plugins: Plugins) -> Callable[..., object]:
    async def examine(url: str, *, total_timeout: float = 20.0, step: float = 5.0, **road: object) -> Diagnosis:
        options = ClientOptions(total_timeout=total_timeout, transport=TransportOptions(timeout=step, **road))
        return await diagnose(url, plugins=plugins, options=options)

    return examine


def check(diagnosis: Diagnosis, name: str) -> Check:
    return next(check for check in diagnosis.checks if check.name == name)


def failure(diagnosis: Diagnosis) -> tuple[Layer, str]:
    """Where it fails, once and as the last thing that counts."""
    assert diagnosis.failure is not None
    assert not diagnosis.healthy
    assert [check.verdict for check in diagnosis.checks].count(Verdict.BAD) == 1
    return diagnosis.failure.layer, f"{diagnosis.failure.detail} {diagnosis.failure.advice}"


class TestNameAndConnection:
    async def test_a_name_that_does_not_exist(self, examine):
        diagnosis = await examine("http://nowhere.invalid/cmp")
        layer, said = failure(diagnosis)
        assert layer is Layer.NAME
        assert "nowhere.invalid cannot be resolved" in said
        assert len(diagnosis.checks) == 1
        assert diagnosis.settings is None

    async def test_a_name_that_does(self, examine):
        diagnosis = await examine(f"http://localhost:{closed_port()}/cmp")
        assert "127.0.0.1" in check(diagnosis, "name").detail

    async def test_a_network_that_cannot_be_reached(self, examine, monkeypatch):
        async def fail(*_: object) -> None:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

        monkeypatch.setattr(reaching.anyio, "connect_tcp", fail)
        layer, said = failure(await examine("http://192.0.2.1/cmp"))
        assert layer is Layer.CONNECTION
        assert "192.0.2.1 port 80: Network is unreachable" in said

    async def test_a_host_that_drops_packets(self, examine, monkeypatch):
        monkeypatch.setattr(reaching.anyio, "connect_tcp", lambda *_: anyio.sleep_forever())
        layer, said = failure(await examine("http://192.0.2.1/cmp", step=0.1))
        assert layer is Layer.CONNECTION
        assert "no connection within 0.1 s" in said

    async def test_a_closed_port(self, examine):
        layer, said = failure(await examine(f"http://127.0.0.1:{closed_port()}/cmp"))
        assert layer is Layer.CONNECTION
        assert "connection refused" in said

    async def test_a_server_that_says_nothing(self, examine):
        with silent_server() as url:
            layer, said = failure(await examine(f"{url}/cmp", step=0.3))
        assert layer is Layer.ROAD
        assert "within 0.3 seconds" in said

    async def test_the_time_for_it_all_is_bounded(self, examine):
        with silent_server() as url:
            diagnosis = await examine(f"{url}/cmp", step=60.0, total_timeout=0.3)
        assert not diagnosis.complete
        assert not diagnosis.healthy
        assert diagnosis.failure is None

    async def test_a_proxy_is_reached_in_place_of_the_server(self, examine):
        port = closed_port()
        diagnosis = await examine("http://ra.example/cmp", proxy=f"http://127.0.0.1:{port}")
        assert failure(diagnosis)[0] is Layer.CONNECTION
        assert check(diagnosis, "connection").detail.startswith(f"127.0.0.1 port {port}")

    async def test_a_proxy_of_the_environment_too(self, examine, monkeypatch):
        port = closed_port()
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
        diagnosis = await examine("http://ra.example/cmp")
        assert check(diagnosis, "proxy").detail.startswith(f"by the proxy http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert "proxy" not in {check.name for check in (await examine(f"http://127.0.0.1:{port}/cmp")).checks}


class TestAddresses:
    @pytest.mark.parametrize("url", ["coap://ra.example/cmp", "ra.example/cmp", "http://"])
    async def test_an_address_without_a_road_is_refused_with_those_that_there_are(self, examine, url):
        with pytest.raises(ConfigurationError) as caught:
            await examine(url)
        assert "http" in str(caught.value)

    async def test_a_password_in_the_address_is_not_shown(self, examine):
        with web_server(handler_for(always(404, {}, b""))) as url:
            diagnosis = await examine(url.replace("://", "://user:hush@") + "/cmp")
        assert "hush" not in str(diagnosis)
        assert diagnosis.url == f"{url}/cmp"


def always(status: int, headers: dict[str, str], body: bytes) -> Respond:
    def respond(path: str, request: bytes) -> Response:
        return status, headers, body

    return respond


class TestTLS:
    async def test_a_tls_port_that_is_spoken_to_in_plain(self, examine, files):
        with tls_server(files.server_context("good")) as url:
            layer, said = failure(await examine(url.replace("https:", "http:")))
        assert layer is Layer.TLS
        assert "speaks TLS (TLS 1.3)" in said
        assert f"write https://: {url}" in said

    async def test_a_port_that_explains_itself_in_plain(self, examine, files):
        """As nginx does: the plain request gets a page, though the port is for TLS."""
        page = handler_for(always(400, {"Content-Type": "text/html"}, b"<html>this is HTTPS"))

        class Both(TLSServer):
            def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
                if request.recv(1, socket.MSG_PEEK) == b"\x16":
                    super().finish_request(request, client_address)
                else:
                    page(request, client_address, self)

        with tls_server(files.server_context("good"), server=Both) as url:
            layer, said = failure(await examine(url.replace("https:", "http:")))
        assert layer is Layer.TLS
        assert "write https://" in said

    async def test_a_plain_port_that_is_spoken_to_in_tls(self, examine):
        with web_server(handler_for(always(200, {}, b""))) as url:
            layer, said = failure(await examine(url.replace("http:", "https:") + "/cmp"))
        assert layer is Layer.TLS
        assert "speaks plain HTTP, not TLS" in said
        assert "write http://" in said

    async def test_a_port_that_ends_the_handshake(self, examine):
        with silent_server() as url:
            layer, said = failure(await examine(url.replace("http:", "https:") + "/cmp", step=0.3))
        assert layer is Layer.TLS
        assert "within 0.3 seconds" in said

    async def test_what_was_agreed_on_is_told(self, examine, files):
        with tls_server(files.server_context("good"), handler_for(always(404, {}, b""))) as url:
            diagnosis = await examine(url, tls_trusted=files.root)
        assert check(diagnosis, "TLS").detail.startswith("TLS 1.3, TLS_")
        assert check(diagnosis, "TLS versions").detail == "TLS 1.2, TLS 1.3"
        certificate = check(diagnosis, "certificate")
        assert certificate.detail.startswith("CN=127.0.0.1 by CN=Root, until ")
        assert certificate.verdict is Verdict.WARNING
        assert "it ends in 0 days" in certificate.advice
        assert failure(diagnosis)[0] is Layer.ROAD

    async def test_a_version_that_is_missing_is_told(self, examine, files):
        context = files.server_context("good")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with tls_server(context) as url:
            diagnosis = await examine(url, tls_trusted=files.root)
        assert check(diagnosis, "TLS versions").detail == "TLS 1.2; not TLS 1.3"

    @pytest.mark.parametrize(
        ("server", "said"), [("expired", "has expired"), ("named", "--tls-host"), ("good", "--tls-trusted")]
    )
    async def test_a_certificate_that_is_not_trusted_is_shown(self, examine, files, server, said):
        trusted = files.other_root if server == "good" else files.root
        with tls_server(files.server_context(server)) as url:
            diagnosis = await examine(url, tls_trusted=trusted)
        layer, told = failure(diagnosis)
        assert layer is Layer.TLS
        assert said in told
        assert "by CN=Root, until" in told
        assert diagnosis.failure is not None
        assert diagnosis.failure.cmpkit == ("--tls-trusted", "FILE")

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_a_client_certificate_that_is_wanted(self, examine, files, version):
        context = files.server_context("good")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(files.root)
        context.maximum_version = version
        with tls_server(context) as url:
            layer, said = failure(await examine(url, tls_trusted=files.root))
        assert layer is Layer.TLS
        assert "--tls-cert" in said


class TestHTTP:
    async def test_a_plain_web_server(self, examine):
        page = always(200, {"Content-Type": "text/html"}, b"<html>welcome")
        with web_server(handler_for(page)) as url:
            diagnosis = await examine(url)
        layer, said = failure(diagnosis)
        assert layer is Layer.ROAD
        assert "HTTP 200, media type text/html" in said
        assert "page of a web server" in said
        assert {check.name for check in diagnosis.checks} >= {"path /.well-known/cmp", "path /cmp", "path /pkix/"}

    async def test_a_redirection_is_named_and_not_followed(self, examine):
        asked = []

        def respond(path: str, request: bytes) -> Response:
            asked.append(path)
            return 307, {"Location": "http://127.0.0.1:1/elsewhere"}, b""

        with web_server(handler_for(respond)) as url:
            layer, said = failure(await examine(f"{url}/cmp"))
        assert layer is Layer.ROAD
        assert "Location: http://127.0.0.1:1/elsewhere" in said
        assert "redirections are not followed" in said
        assert sorted(asked) == ["/.well-known/cmp", "/cmp", "/pkix/"]

    async def test_octets_that_are_no_message(self, examine):
        with web_server(handler_for(always(200, CMP, b"\x30\x03\x02\x01"))) as url:
            diagnosis = await examine(f"{url}/cmp")
        layer, said = failure(diagnosis)
        assert layer is Layer.CMP
        assert "it begins 30030201" in said
        assert check(diagnosis, "path /pkix/").detail == "no CMP message"

    async def test_a_message_under_another_media_type(self, examine):
        page = {"Content-Type": "application/octet-stream"}
        with web_server(handler_for(lambda path, request: (200, page, request))) as url:
            layer, said = failure(await examine(f"{url}/cmp"))
        assert layer is Layer.ROAD
        assert "a CMP message, under the wrong media type" in said
        assert "application/pkixcmp, with status 200" in said

    async def test_a_media_type_of_older_servers(self, examine):
        old = {"Content-Type": "application/x-pkixcmp"}
        with web_server(handler_for(lambda path, request: (200, old, request))) as url:
            diagnosis = await examine(f"{url}/cmp")
        assert check(diagnosis, "HTTP").verdict is Verdict.WARNING
        assert "application/x-pkixcmp" in check(diagnosis, "HTTP").detail

    async def test_an_echo_is_no_cmp_server(self, examine):
        with web_server(handler_for(lambda path, request: (200, CMP, request))) as url:
            layer, said = failure(await examine(f"{url}/cmp"))
        assert layer is Layer.CMP
        assert "a genm without protection gets genm" in said

    async def test_a_path_that_brings_nothing_is_told_in_its_place(self, examine):
        def respond(path: str, request: bytes) -> Response:
            return 404, {} if path == "/cmp" else {"Content-Length": "10"}, b""

        with web_server(handler_for(respond)) as url:
            diagnosis = await examine(f"{url}/cmp")
        assert failure(diagnosis)[0] is Layer.ROAD
        assert "broke off" in check(diagnosis, "path /pkix/").detail

    async def test_an_empty_answer(self, examine):
        with web_server(handler_for(always(200, CMP, b""))) as url:
            layer, said = failure(await examine(f"{url}/cmp"))
        assert layer is Layer.ROAD
        assert "no answer to this message" in said

    async def test_a_connection_that_breaks_off(self, examine):
        headers = {**CMP, "Content-Length": "10"}
        with web_server(handler_for(always(200, headers, b""))) as url:
            layer, said = failure(await examine(f"{url}/cmp"))
        assert layer is Layer.ROAD
        assert said
