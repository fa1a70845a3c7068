"""``doctor`` against servers that nobody here wrote, and ``openssl cmp`` with what it says to set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examined import SECRET as OWN_SECRET
from examined import make_directory
from served import Served, served
from tls_servers import Files, tls_server
from webs import closed_port, handler_for, web_server

from cmpkit.doctor import Diagnosis, Enrolment, diagnose
from cmpkit.endpoints.options import ClientOptions
from cmpkit.parts import Layer, SharedSecret, TransportOptions, Verdict
from cmpkit.plugins import Plugins, load_plugins

from .conftest import OpenSSL
from .mock_server import SECRET, MockPKI, make_pki, mock_server


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins()


@pytest.fixture(scope="module")
def pki(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> MockPKI:
    return make_pki(any_openssl, tmp_path_factory.mktemp("mock"), "p256")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``cmpkit serve``, which knows the secret of dev-42."""
    with served(make_directory(tmp_path_factory.mktemp("ca"))) as server:
        yield server


async def examine(url: str, plugins: Plugins, **given: Any) -> Diagnosis:
    options = {name: given.pop(name) for name in ("tolerances",) if name in given}
    road = TransportOptions(timeout=10.0)
    return await diagnose(url, plugins=plugins, options=ClientOptions(transport=road, **options), **given)


def said(diagnosis: Diagnosis, name: str) -> str:
    return next(check.detail for check in diagnosis.checks if check.name == name)


def failures(diagnosis: Diagnosis) -> list[tuple[str, Layer]]:
    return [(check.name, check.layer) for check in diagnosis.checks if check.verdict is Verdict.BAD]


async def test_five_servers_get_five_diagnoses(openssl, pki, plugins, server, tmp_path):
    """The same question everywhere; what is wrong is found at the layer where it is."""
    with mock_server(openssl, pki, by="certificate") as url:
        mock = await examine(url, plugins, trust=[pki.certificate("ca")])
    own = await examine(server.url, plugins)
    with web_server(handler_for(lambda path, body: (200, {"Content-Type": "text/html"}, b"<html>"))) as url:
        web = await examine(url, plugins)
    closed = await examine(f"http://127.0.0.1:{closed_port()}/cmp", plugins)
    with tls_server(Files(tmp_path).server_context("good")) as url:
        tls = await examine(url.replace("https:", "http:"), plugins)
    assert [failures(found) for found in (mock, own, web, closed, tls)] == [
        [],
        [],
        [("HTTP", Layer.ROAD)],
        [("connection", Layer.CONNECTION)],
        [("TLS", Layer.TLS)],
    ]
    assert "missing protection" in said(mock, "CMP")
    assert said(mock, "HTTP") == "HTTP/1.0 200, application/pkixcmp, no server header"
    assert said(mock, "path /.well-known/cmp").startswith("HTTP 404")
    assert "error wrongIntegrity" in said(own, "CMP")


class TestMockServer:
    async def test_by_secret_its_weak_mac_is_found_and_what_to_set(self, openssl, pki, plugins):
        given = {"credentials": SharedSecret("mock", SECRET), "trust": [pki.certificate("ca")]}
        with mock_server(openssl, pki) as url:
            strict = await examine(url, plugins, **given)
            tolerant = await examine(url, plugins, tolerances=frozenset({"hmac-sha1"}), **given)
        assert failures(strict) == [("trust", Layer.TRUST)]
        assert strict.settings is not None
        assert strict.settings.cmpkit == (url, "--tolerate", "hmac-sha1")
        assert tolerant.healthy, tolerant
        assert "hmac-SHA1, 500 iterations" in said(tolerant, "protection")
        assert said(tolerant, "MACs").startswith("accepted: hmac-sha256, hmac-sha512")
        assert said(tolerant, "MAC hmac-sha1") == "accepted"

    async def test_by_certificate_it_is_healthy(self, openssl, pki, plugins):
        with mock_server(openssl, pki, by="certificate") as url:
            credentials = pki.credentials("device", plugins)
            found = await examine(url, plugins, credentials=credentials, trust=[pki.certificate("ca")])
        assert found.healthy, found
        assert said(found, "credentials") == "accepted: genm gets genp"
        assert said(found, "version 2") == "answered"

    async def test_an_enrolment_works_with_the_key_that_it_has_a_certificate_for(self, openssl, pki, plugins):
        wanted = Enrolment("/O=Mock/CN=given", pki.key("given", plugins), revoke=True)
        with mock_server(openssl, pki, by="certificate") as url:
            credentials = pki.credentials("device", plugins)
            found = await examine(
                url, plugins, credentials=credentials, trust=[pki.certificate("ca")], enrolment=wanted
            )
        assert found.healthy, found
        assert said(found, "enrolment").startswith("ir, ip, certConf, pkiconf: certificate ")

    async def test_a_wrong_secret_is_found_by_the_answer_that_does_not_fit(self, openssl, pki, plugins):
        with mock_server(openssl, pki) as url:
            wrong = SharedSecret("mock", "wrong")
            found = await examine(url, plugins, credentials=wrong, tolerances=frozenset({"hmac-sha1"}))
        assert ("trust", Layer.TRUST) in failures(found)
        assert "does not fit the shared secret" in said(found, "trust")


async def test_openssl_gets_through_with_what_the_doctor_says(openssl, plugins, server, tmp_path: Path):
    secret = SharedSecret("dev-42", OWN_SECRET)
    found = await examine(server.url, plugins, credentials=secret)
    assert found.settings is not None
    (tmp_path / "secret").write_text(OWN_SECRET)
    openssl.run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "dev-42.key")
    openssl.run(
        *("cmp", "-config", "", *found.settings.openssl, "-cmd", "ir", "-trusted", server.trust),
        *("-ref", "dev-42", "-secret", f"file:{tmp_path / 'secret'}", "-subject", "/CN=dev-42"),
        *("-newkey", tmp_path / "dev-42.key", "-certout", tmp_path / "dev-42.pem"),
    )
    assert "CERTIFICATE" in (tmp_path / "dev-42.pem").read_text()
