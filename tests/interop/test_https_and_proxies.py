"""HTTPS with certificates on both sides, and HTTP proxies: OpenSSL's client here, and cmpkit's through tinyproxy."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from operating import run
from served import Served, free_port, make_server_directory, served
from tls_servers import Files

from .conftest import OpenSSL
from .openssl_device import Device


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """TLS certificates of clients, from a CA that has nothing to do with CMP."""
    return Files(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, clients: Files
) -> Iterator[Served]:
    """A server whose certificate its own CA issues, and which wants certificates of clients."""
    with running(tmp_path_factory.mktemp("server") / "ca", clients, request.param) as made:
        yield made


@contextlib.contextmanager
def running(directory: Path, clients: Files, backend: str) -> Iterator[Served]:
    make_server_directory(directory, scheme="https")
    config = directory / "cmpkit.toml"
    text = config.read_text().replace("# tls_client =", "tls_client =")
    config.write_text(text.replace('# tls_trusted = "trust.pem"', f'tls_trusted = "{clients.root}"'))
    with served(directory, "--backend", backend) as made:
        yield made


def openssl_tls(server: Served, clients: Files) -> tuple[object, ...]:
    client = ("-tls_cert", clients.client_cert, "-tls_key", clients.client_key)
    return ("-tls_used", "-tls_trusted", server.trust, *client)


def cmpkit_tls(server: Served, clients: Files) -> tuple[object, ...]:
    return ("--tls-trusted", server.trust, "--tls-cert", clients.client_cert, "--tls-key", clients.client_key)


class TestOpenSSL:
    def test_a_device_lives_from_ir_to_rr(
        self, openssl: OpenSSL, server: Served, clients: Files, tmp_path: Path
    ) -> None:
        name = f"dev-{openssl.version}"
        Device(openssl, server, tmp_path, name, "p256", way=openssl_tls(server, clients)).live()

    def test_nothing_is_answered_without_a_certificate_for_tls(
        self, openssl: OpenSSL, server: Served, clients: Files, tmp_path: Path
    ) -> None:
        way = openssl_tls(server, clients)
        for given, said in ((way, "received ERROR"), (way[:3], "certificate required")):
            device = Device(openssl, server, tmp_path, "nobody", "p256", way=given)
            done = device.cmp("genm", *device.by_secret("wrong"), "-infotype", "signKeyPairTypes", check=False)
            assert done.returncode != 0
            assert said in done.stdout + done.stderr


@dataclass
class Proxy:
    """A tinyproxy that runs.

    :param record: its log.
    """

    url: str
    record: Path

    def carried(self) -> str:
        """What it was asked for since it was asked here last."""
        text = self.record.read_text()
        self.record.write_text("")
        return "\n".join(line for line in text.splitlines() if "Request (file descriptor" in line)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    program = shutil.which("tinyproxy")
    if program is None:
        pytest.fail("install tinyproxy")
    folder = tmp_path_factory.mktemp("proxy")
    port, record, config = free_port(), folder / "log", folder / "tinyproxy.conf"
    lines = (f"Port {port}", "Listen 127.0.0.1", "Allow 127.0.0.1", "Timeout 60", "LogLevel Connect")
    config.write_text("\n".join((*lines, f'LogFile "{record}"', "")))
    process = subprocess.Popen([program, "-d", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield Proxy(f"http://127.0.0.1:{port}", record)
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=10):
            return


@pytest.fixture(scope="module", params=["http", "https"])
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, clients: Files) -> Iterator[Served]:
    """A server that is asked through the proxy."""
    directory = tmp_path_factory.mktemp("far") / "ca"
    if request.param == "https":
        with running(directory, clients, "asyncio") as made:
            yield made
    else:
        with served(make_server_directory(directory)) as made:
            yield made


def method(server: Served) -> str:
    return "CONNECT" if server.url.startswith("https:") else "POST"


class TestProxy:
    def test_openssl_goes_through_it(
        self, openssl: OpenSSL, far: Served, proxy: Proxy, clients: Files, tmp_path: Path
    ) -> None:
        # Tinyproxy closes a connection that OpenSSL, by the answer, takes for one that is kept.
        way = openssl_tls(far, clients) if method(far) == "CONNECT" else ("-keep_alive", 0)
        way += ("-proxy", proxy.url, "-no_proxy", "nowhere.example")
        device = Device(openssl, far, tmp_path, f"dev-{openssl.version}", "p256", way=way)
        secret = far.add_secret(device.name)
        device.make_key("new")
        device.cmp(
            *("ir", *device.by_secret(secret), "-newkey", tmp_path / "new.key", "-subject", f"/CN={device.name}"),
            *("-certout", tmp_path / "new.pem"),
        )
        assert device.verify("new")
        assert f": {method(far)} " in proxy.carried()

    def test_cmpkit_goes_through_it_unless_it_is_told_not_to(
        self, far: Served, proxy: Proxy, clients: Files, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_text(far.add_secret("dev-42", "--uses", 3))
        tls = cmpkit_tls(far, clients) if method(far) == "CONNECT" else ()
        credentials = ("--ref", "dev-42", "--secret", f"file:{tmp_path / 'secret'}", "--trusted", far.trust)

        def enrol(name: str, *options: object, env: dict[str, str] | None = None) -> str:
            files = ("--newkey", tmp_path / f"{name}.key", "--certout", tmp_path / f"{name}.pem")
            run("enroll", far.url, *credentials, *tls, "--subject", "CN=dev-42", *files, *options, env=env)
            return proxy.carried()

        assert f": {method(far)} " in enrol("by-option", "--proxy", proxy.url)
        variable = "HTTPS_PROXY" if tls else "HTTP_PROXY"
        assert f": {method(far)} " in enrol("by-environment", env={variable: proxy.url})
        assert enrol("direct", "--no-proxy", "127.0.0.1", env={variable: proxy.url}) == ""
        assert (tmp_path / "direct.pem").exists()
