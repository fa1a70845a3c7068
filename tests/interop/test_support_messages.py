"""Support messages (RFC 9483 section 4.3) between cmpkit and each OpenSSL, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from rollover import DAY, Rollover
from served import Served, cmpkit, make_server_directory, served

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, AttributeTypeAndValue, CertTemplate, decode, decode_list, parse_tlv
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.options import ClientOptions
from cmpkit.plugins import load_plugins

from .conftest import OpenSSL
from .mock_server import MockPKI, make_pki, mock_server
from .openssl_device import Device

PROFILE = """[profiles.device]
key_types = ["p256", "rsa3072"]
subject = "CN={identity}, O=Example"
extended_key_usage = ["clientAuth"]
"""
CRL_URL = "http://crl.example/ca.crl"


def knows(openssl: OpenSSL) -> bool:
    """Whether this OpenSSL knows the questions of RFC 9483 besides caCerts."""
    return not openssl.version.startswith("3.0.")


@dataclass
class Site:
    """A server whose root CA has a new key."""

    server: Served
    rolled: Rollover
    secret: str


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = make_server_directory(tmp_path_factory.mktemp("support") / "ca")
    rolled = Rollover()
    rolled.write(directory)
    config = directory / "cmpkit.toml"
    text, _, _ = config.read_text().partition("[profiles.device]")
    for key in ("new_with_new", "new_with_old", "old_with_new", "crl_urls"):
        text = text.replace(f"# {key} = ", f"{key} = ")
    config.write_text(text + PROFILE)
    with served(directory, "--backend", request.param) as server:
        yield Site(server, rolled, server.add_secret("dev", "--uses", "unlimited"))


class TestOpenSSLAsks:
    @pytest.fixture
    def device(self, openssl: OpenSSL, site: Site, tmp_path: Path) -> Device:
        return Device(openssl, site.server, tmp_path, "dev", "p256")

    def ask(self, device: Device, site: Site, question: str, *options: object) -> str:
        """What OpenSSL says; an old version only prints the type of the answer, or does not know the question."""
        asked = ("-infotype", question, *options) if knows(device.openssl) else ("-infotype", question)
        done = device.cmp("genm", *device.by_secret(site.secret), *asked, check=False)
        said = done.stdout + done.stderr
        known = done.returncode == 0 or (not knows(device.openssl) and "unknown OID name in -infotype" in said)
        assert known, said
        return said

    def test_ca_certificates(self, device: Device, site: Site) -> None:
        path = device.folder / "cas.pem"
        said = self.ask(device, site, "caCerts", "-cacertsout", path)
        if knows(device.openssl):
            expected = load_certificates((site.server.directory / "issuing.pem").read_bytes())
            assert load_certificates(path.read_bytes())[0] == expected[0]
        else:
            assert "id-it-caCerts" in said

    def test_a_new_root_is_checked_and_written(self, device: Device, site: Site) -> None:
        files = {name: device.folder / f"{name}.pem" for name in ("newwithnew", "newwithold", "oldwithnew")}
        options = [part for name, path in files.items() for part in (f"-{name}", path)]
        old = site.server.directory / "old-root.pem"
        self.ask(device, site, "rootCaCert", "-oldwithold", old, *options)
        if knows(device.openssl):
            got = [load_certificates(path.read_bytes())[0] for path in files.values()]
            assert got == [site.rolled.new_with_new, site.rolled.new_with_old, site.rolled.old_with_new]

    def test_a_crl_comes_only_if_it_is_newer(self, device: Device, site: Site) -> None:
        folder = device.folder
        device.make_key("own")
        device.cmp(
            *("ir", *device.by_secret(site.secret), "-newkey", folder / "own.key"),
            *("-subject", "/O=Example/CN=dev", "-certout", folder / "own.pem"),
        )
        first, second = folder / "first.crl", folder / "second.crl"
        self.ask(device, site, "crlStatusList", "-crlcert", folder / "own.pem", "-crlout", first)
        said = self.ask(device, site, "crlStatusList", "-oldcrl", first, "-crlout", second)
        if knows(device.openssl):
            assert x509.load_der_x509_crl(first.read_bytes()).issuer.rfc4514_string() == "CN=Example CA,O=Example"
            assert "no CRL update available" in said
            assert not second.exists()

    def test_a_request_template_says_what_the_profile_gives(self, device: Device, site: Site) -> None:
        template, keys = device.folder / "template.der", device.folder / "keys.der"
        said = self.ask(device, site, "certReqTemplate", "-template", template, "-keyspec", keys, "-profile", "device")
        if knows(device.openssl):
            assert "Key algorithm: RSA 3072" in said
            assert "prime256v1" in said
            found = decode(CertTemplate, template.read_bytes())
            assert found.subject is not None
            assert found.subject.name.rfc4514_string() == "CN=dev,O=Example"
            curve, size = decode_list(AttributeTypeAndValue, keys.read_bytes())
            expected = AlgorithmIdentifier(oids.EC_PUBLIC_KEY, oids.SECP256R1)
            assert parse_tlv(curve.value, AlgorithmIdentifier) == expected
            assert parse_tlv(size.value, int) == 3072

    def test_both_clients_write_the_same_files(self, device: Device, site: Site) -> None:
        secret = device.folder / "secret"
        secret.write_text(site.secret)
        ours, theirs = device.folder / "ours.der", device.folder / "theirs.der"
        who = ("--ref", "dev", "--secret", f"file:{secret}", "--trusted", site.server.trust)
        state = ("--state", device.folder / "state")
        cmpkit("info", site.server.url, *who, *state, "certReqTemplate", "--template", ours)
        self.ask(device, site, "certReqTemplate", "-template", theirs)
        if knows(device.openssl):
            assert ours.read_bytes() == theirs.read_bytes()


@dataclass
class Mock:
    """What OpenSSL's mock server has to tell: the mock's CA is the root whose key is replaced."""

    pki: MockPKI
    rolled: Rollover
    crl: bytes

    @property
    def options(self) -> list[object]:
        named = {"crl": "ca.crl", "newwithnew": "new-with-new.pem", "newwithold": "new-with-old.pem"}
        named["oldwithnew"] = "old-with-new.pem"
        return [part for name, file in named.items() for part in (f"-rsp_{name}", self.pki.folder / file)]


@pytest.fixture(scope="module")
def mock(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> Mock:
    pki = make_pki(any_openssl, tmp_path_factory.mktemp("mock-support"), "p256")
    key: Any = load_pem_private_key((pki.folder / "ca.key").read_bytes(), None)
    subject, now = x509.load_der_x509_certificate(pki.certificate("ca")).subject, datetime.now(UTC)
    rolled = Rollover(now, subject=subject, old_key=key)
    rolled.write(pki.folder)
    crl = x509.CertificateRevocationListBuilder(subject, now, now + DAY).sign(key, hashes.SHA256())
    (pki.folder / "ca.crl").write_bytes(crl.public_bytes(Encoding.PEM))
    return Mock(pki, rolled, crl.public_bytes(Encoding.DER))


async def test_the_client_understands_what_openssl_answers(openssl: OpenSSL, mock: Mock) -> None:
    """But certReqTemplate: the mock servers of 3.5 and 3.6 crash when anybody asks for it."""
    pki, plugins, news = mock.pki, load_plugins(), mock.options if knows(openssl) else []
    with mock_server(openssl, pki, "-rsp_capubs", pki.folder / "ca.pem", *news, by="certificate") as url:
        async with Client(
            url,
            credentials=pki.credentials("device", plugins),
            trust=[pki.certificate("ca")],
            options=ClientOptions(total_timeout=20.0),
            plugins=plugins,
        ) as client:
            if not knows(openssl):
                # It sends back what it was asked.
                assert await client.ca_certificates() == ()
                return
            assert await client.ca_certificates() == (pki.certificate("ca"),)
            assert await client.root_update() == mock.rolled.update
            assert await client.crl_update(certificate=pki.certificate("device")) == mock.crl
            assert await client.crl_update(crl=mock.crl) is None
