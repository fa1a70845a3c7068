"""OpenSSL's client, a registration authority that asks on its behalf, and a CA of cmpkit or OpenSSL's server above."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, served
from served_authority import certify_authority, make_authority_directory, make_ca_directory

from cmpkit.crypto.x509 import load_certificates

from .conftest import OpenSSL
from .mock_server import SECRET, MockPKI, make_pki, mock_server
from .openssl_device import Device

CONFIGURATION = """
[store]
url = "sqlite:///cmpkit.db"
sealing_key_file = "keys/store.key"

[signer]
certificate = "ra.pem"
key = "file:keys/ra.key.pem"

[[listen]]
url = "http://127.0.0.1:0/.well-known/cmp"

[issuer]
kind = "cmp"
url = "{url}"
authority = "authority.pem"
{credentials}

[profiles.device]
"""
OWN = 'certificate = "ra.pem"\nkey = "file:keys/ra.key.pem"'


def make_directory(
    directory: Path, certified: Path, url: str, *, trust: Path, authority: Path, credentials: str = OWN
) -> Path:
    """A registration authority that asks on behalf of others, in place of one that passes messages on."""
    make_authority_directory(directory, certified, url, trust=trust)
    (directory / "authority.pem").write_bytes(authority.read_bytes())
    (directory / "cmpkit.toml").write_text(CONFIGURATION.format(url=url, credentials=credentials))
    return directory


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make_ca_directory(tmp_path_factory.mktemp("made") / "ca")) as running:
        yield running


@pytest.fixture(scope="module")
def authority(ca: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("behalf")
    certified = certify_authority(folder / "certified", ca, "behalf")
    issuing = ca.directory / "issuing.pem"
    with served(make_directory(folder / "ra", certified, ca.url, trust=ca.trust, authority=issuing)) as running:
        yield running


@pytest.mark.rule("R-161")
def test_a_device_lives_behind_it(any_openssl: OpenSSL, ca: Served, authority: Served, tmp_path: Path) -> None:
    Device(any_openssl, authority, tmp_path, "dev-behalf", "p256", ca=ca).live()


@pytest.mark.rule("R-161")
@pytest.mark.parametrize("by", ["secret", "certificate"])
def test_openssl_issues_behind_it(any_openssl: OpenSSL, by: str, tmp_path: Path) -> None:
    pki = make_pki(any_openssl, tmp_path, "p256")
    with before_mock(any_openssl, pki, tmp_path, by) as device:
        secret = device.server.add_secret("given", "--any-subject", "--uses", "5")
        request = ("-newkey", pki.folder / "given.key", "-subject", "/O=Mock/CN=given")
        device.cmp("ir", *device.by_secret(secret), *request, "-certout", tmp_path / "got.pem")
    assert load_certificates((tmp_path / "got.pem").read_bytes())[0] == pki.certificate("given")


@contextlib.contextmanager
def before_mock(openssl: OpenSSL, pki: MockPKI, folder: Path, by: str) -> Iterator[Device]:
    """A device, an authority, and OpenSSL's server behind it, which always gives the same certificate."""
    certified = folder / "certified"
    certified.mkdir()
    for name, file in (("cert.pem", "device.pem"), ("chain.pem", "ca.pem"), ("key.pem", "device.key")):
        (certified / name).write_bytes((pki.folder / file).read_bytes())
    (folder / "secret").write_text(SECRET)
    credentials = (
        OWN
        if by == "certificate"
        else f'reference = "mock"\nsecret = "file:{folder / "secret"}"\ntolerances = ["hmac-sha1"]'
    )
    trust = pki.folder / "ca.pem"
    with mock_server(openssl, pki, "-accept_raverified", "-poll_count", "1", "-check_after", "1", by=by) as url:
        directory = make_directory(folder / "ra", certified, url, trust=trust, authority=trust, credentials=credentials)
        with served(directory) as authority:
            yield Device(openssl, authority, folder, "given", "p256")
