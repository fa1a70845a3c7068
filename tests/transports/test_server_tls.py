"""TLS on each road that has it: who is trusted and let in, and certificates that change while the server runs."""

from __future__ import annotations

import logging
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskStatus
from cmpkit_http.roads import HTTPClients, HTTPServer
from cmpkit_tcp.roads import TCPClients, TCPServer
from tls_servers import Files, issue, pem

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Answer, Peer, TransportOptions, WantedCertificate
from cmpkit.testing import check_transport
from cmpkit.transports import Password


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    made = Files(tmp_path_factory.mktemp("tls"))
    for which in made.servers:
        made.server_context(which)
    return made


async def who(message: bytes, peer: Peer) -> Answer:
    return Answer(peer.tls_certificate or b"nobody")


@dataclass
class TLSRoad:
    """Both sides of a road with TLS."""

    server: Any
    clients: Any
    scheme: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:0"

    @asynccontextmanager
    async def served(self, **settings: Any) -> AsyncIterator[str]:
        server = self.server.configured({name: str(value) for name, value in settings.items()}, Path())
        server.check(self.url)
        shutdown = anyio.Event()

        async def serve(*, task_status: TaskStatus[str]) -> None:
            await server.serve(self.url, who, max_message_size=1000, shutdown=shutdown, task_status=task_status)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                yield await tasks.start(serve)
                shutdown.set()

    async def ask(self, address: str, **options: Any) -> bytes:
        client = self.clients.open(address, TransportOptions(timeout=10, **options))
        try:
            answer: bytes = await client.exchange(b"who am I?")
        finally:
            await client.aclose()
        return answer


@pytest.fixture(params=["https", "tcps"])
def road(request: pytest.FixtureRequest) -> TLSRoad:
    if request.param == "https":
        return TLSRoad(HTTPServer(), HTTPClients(), "https")
    return TLSRoad(TCPServer(), TCPClients(), "tcps")


def certificate_shown(address: str) -> bytes:
    """DER of what the server shows, whatever it is."""
    host, port = address.partition("://")[2].partition("/")[0].rsplit(":", 1)
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port)), timeout=10))


async def shown(address: str) -> bytes:
    return await anyio.to_thread.run_sync(certificate_shown, address)


def der_of(path: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(path).read_text().partition("-----BEGIN PRIVATE")[0])


async def test_the_road_keeps_the_contract(road: TLSRoad, files: Files) -> None:
    keys = {"tls_cert": "good.pem", "tls_trusted": "root.pem", "tls_client": "required"}
    server = road.server.configured(keys, files.directory)
    options = TransportOptions(timeout=10, tls_trusted=files.root, tls_cert=files.client_both)
    nowhere = f"{road.scheme}://127.0.0.1:1"
    await check_transport(server, road.url, clients=road.clients, nowhere=nowhere, options=options)


async def test_a_client_that_keeps_its_connection_does_not_keep_the_server(road: TLSRoad, files: Files) -> None:
    async with road.served(tls_cert=files.directory / "good.pem") as address:
        client = road.clients.open(address, TransportOptions(timeout=10, tls_trusted=files.root))
        for _ in range(2):
            await client.exchange(b"who am I?")
        begun = anyio.current_time()
    assert anyio.current_time() - begun < 2
    await client.aclose()


@pytest.mark.parametrize("demand", ["optional", "required"])
async def test_the_certificate_of_a_client_reaches_the_endpoint(road: TLSRoad, files: Files, demand: str) -> None:
    good = files.directory / "good.pem"
    async with road.served(tls_cert=good, tls_trusted=files.root, tls_client=demand) as address:
        asked = await road.ask(address, tls_trusted=files.root, tls_cert=files.client_cert, tls_key=files.client_key)
    assert asked == der_of(files.client_cert)


async def test_a_client_without_a_certificate_is_nobody_where_none_is_required(road: TLSRoad, files: Files) -> None:
    good = files.directory / "good.pem"
    async with road.served(tls_cert=good) as address:
        assert await road.ask(address, tls_trusted=files.root) == b"nobody"
    async with road.served(tls_cert=good, tls_trusted=files.root, tls_client="optional") as address:
        assert await road.ask(address, tls_trusted=files.root) == b"nobody"


async def test_a_client_is_refused_without_a_certificate_or_with_a_strange_one(
    road: TLSRoad, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cmpkit.tls")
    stranger = files.write("stranger.pem", b"".join(pem(issue("Client", issue("Another root", None)))))
    good = files.directory / "good.pem"
    async with road.served(tls_cert=good, tls_trusted=files.root, tls_client="required") as address:
        for certificate, said in ((None, "certificate required"), (stranger, "unknown ca")):
            with pytest.raises(TransportError, match=said):
                await road.ask(address, tls_trusted=files.root, tls_cert=certificate)
    told = [record.getMessage() for record in caplog.records if record.name == "cmpkit.tls"]
    assert [text.rpartition(": ")[2] for text in told] == [
        "PEER_DID_NOT_RETURN_A_CERTIFICATE",
        "CERTIFICATE_VERIFY_FAILED",
    ]


@pytest.mark.parametrize(
    ("which", "trusted", "said"),
    [("good", "other_root", "verify|local issuer"), ("expired", "root", "expired"), ("named", "root", "127.0.0.1")],
)
async def test_a_server_that_is_not_trusted_is_refused(
    road: TLSRoad, files: Files, which: str, trusted: str, said: str
) -> None:
    async with road.served(tls_cert=files.directory / f"{which}.pem") as address:
        with pytest.raises(TransportError, match=said) as caught:
            await road.ask(address, tls_trusted=getattr(files, trusted))
    assert caught.value.tls


async def test_a_server_may_have_another_name_than_the_address(road: TLSRoad, files: Files) -> None:
    async with road.served(tls_cert=files.directory / "named.pem") as address:
        assert await road.ask(address, tls_trusted=files.root, tls_host="ra.example") == b"nobody"


async def test_a_password_opens_the_key(road: TLSRoad, files: Files, tmp_path: Path) -> None:
    certificate, key = pem(files.servers["good"], password=b"a password")
    (tmp_path / "tls.pem").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    (tmp_path / "pass").write_text("a password\n")
    keys = {"tls_cert": tmp_path / "tls.pem", "tls_key": tmp_path / "tls.key"}
    async with road.served(**keys, tls_keypass=f"file:{tmp_path / 'pass'}") as address:
        assert await road.ask(address, tls_trusted=files.root) == b"nobody"
    with pytest.raises(ConfigurationError, match="tls_cert and tls_key: "):
        async with road.served(**keys):
            pass


async def test_old_versions_of_tls_are_not_spoken(road: TLSRoad, files: Files) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.root)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with road.served(tls_cert=files.directory / "good.pem") as address:
        port = int(address.partition("://")[2].partition("/")[0].rsplit(":", 1)[1])
        with pytest.raises((ssl.SSLError, anyio.BrokenResourceError), match=r"(?i)version|^$"):
            await anyio.connect_tcp("127.0.0.1", port, ssl_context=context)


class TestReloading:
    async def test_the_next_connection_gets_a_new_certificate(
        self, road: TLSRoad, files: Files, tmp_path: Path
    ) -> None:
        place = tmp_path / "tls.pem"
        shutil.copy(files.directory / "good.pem", place)
        async with road.served(tls_cert=place) as address:
            assert await shown(address) == der_of(str(files.directory / "good.pem"))
            shutil.copy(files.directory / "named.pem", place)
            assert await shown(address) == der_of(str(files.directory / "named.pem"))
            assert await road.ask(address, tls_trusted=files.root, tls_host="ra.example") == b"nobody"

    async def test_what_cannot_be_used_is_told_once_and_the_old_one_stays(
        self, road: TLSRoad, files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        certificate, key = pem(files.servers["good"])
        other_certificate, other_key = pem(files.servers["named"])
        (tmp_path / "tls.pem").write_bytes(certificate)
        (tmp_path / "tls.key").write_bytes(key)
        async with road.served(tls_cert=tmp_path / "tls.pem", tls_key=tmp_path / "tls.key") as address:
            (tmp_path / "tls.key").write_bytes(other_key)
            for _ in range(2):
                assert await shown(address) == ssl.PEM_cert_to_DER_cert(certificate.decode())
            (record,) = [one for one in caplog.records if one.name == "cmpkit.tls" and one.levelno == logging.ERROR]
            assert "tls.key cannot be used" in record.getMessage()
            (tmp_path / "tls.pem").write_bytes(other_certificate)
            assert await shown(address) == ssl.PEM_cert_to_DER_cert(other_certificate.decode())
            (tmp_path / "tls.pem").unlink()
            assert await shown(address) == ssl.PEM_cert_to_DER_cert(other_certificate.decode())

    async def test_trust_anchors_for_clients_are_read_anew_too(
        self, road: TLSRoad, files: Files, tmp_path: Path
    ) -> None:
        place = tmp_path / "clients.pem"
        shutil.copy(files.root, place)
        client = {"tls_trusted": files.root, "tls_cert": files.client_both}
        good = files.directory / "good.pem"
        async with road.served(tls_cert=good, tls_trusted=place, tls_client="required") as address:
            assert await road.ask(address, **client) == der_of(files.client_cert)
            shutil.copy(files.other_root, place)
            with pytest.raises(TransportError):
                await road.ask(address, **client)


class TestKeys:
    @pytest.mark.parametrize(
        ("keys", "said"),
        [
            ({}, "tls_cert: is missing"),
            ({"tls_cert": "nowhere.pem"}, "tls_cert: nowhere.pem cannot be used: No such file"),
            ({"tls_cert": "good.pem", "tls_client": "required"}, "tls_trusted and tls_client belong together"),
            ({"tls_cert": "good.pem", "tls_trusted": "root.pem"}, "tls_trusted and tls_client belong together"),
            ({"tls_cert": "good.pem", "tls_trusted": "no.pem", "tls_client": "optional"}, "tls_trusted: no.pem"),
            ({"tls_cert": "good.pem", "tls_client": "perhaps"}, "tls_client: one of none, optional, required"),
            ({"tls_cert": "good.pem", "tls_names": ["ra.example"]}, "tls_names: means nothing without tls_profile"),
            ({"tls_cert": "new.pem", "tls_profile": "tls"}, "tls_key: is missing"),
            ({"tls_cert": "new.pem", "tls_key": "new.pem", "tls_profile": "tls"}, "tls_key: is missing"),
        ],
    )
    def test_a_mistake_is_named(
        self, road: TLSRoad, files: Files, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], said: str
    ) -> None:
        monkeypatch.chdir(files.directory)
        with pytest.raises(ConfigurationError, match=said):
            road.server.configured(keys, Path()).check(road.url)

    def test_they_mean_nothing_without_tls(self, road: TLSRoad, files: Files) -> None:
        server = road.server.configured({"tls_cert": files.client_both}, Path())
        with pytest.raises(ConfigurationError, match="tls_cert: "):
            server.check(road.url.replace("s:", ":"))

    def test_a_certificate_of_the_ca_may_not_be_there_yet(self, road: TLSRoad, tmp_path: Path) -> None:
        keys = {"tls_cert": "tls.pem", "tls_key": "tls.key", "tls_profile": "tls"}
        server = road.server.configured({**keys, "tls_names": ["ra.example", "::1"]}, tmp_path)
        server.check(f"{road.scheme}://0.0.0.0:0")
        wanted = server.wanted_certificate(f"{road.scheme}://0.0.0.0:0")
        assert wanted == WantedCertificate("tls", ("ra.example", "::1"), tmp_path / "tls.pem", tmp_path / "tls.key")
        server = road.server.configured(keys, tmp_path)
        assert server.wanted_certificate(f"{road.scheme}://ra.example:0").names == ("ra.example",)
        with pytest.raises(ConfigurationError, match=r"tls_names: is missing: 0\.0\.0\.0"):
            server.check(f"{road.scheme}://0.0.0.0:0")

    def test_no_password_is_shown(self) -> None:
        wanted = WantedCertificate("tls", ("x",), Path("a"), Path("b"), b"hunter2")
        assert "hunter2" not in repr(wanted) + repr(Password(b"hunter2"))
