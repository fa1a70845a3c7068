"""Keys that the server generates, with OpenSSL on the other side: its client from 3.6 on, and its mock server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, make_server_directory, served

from cmpkit.crypto.key_packages import TOLERATE_BARE_KEY
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.options import ClientOptions
from cmpkit.errors import TrustError
from cmpkit.plugins import load_plugins
from cmpkit.tolerances import Side, peers

from .conftest import OpenSSL
from .mock_server import KEY_TYPES, MockPKI, mock_server
from .openssl_device import Device

FOR_OPENSSL = peers(Side.CLIENT)["openssl-3.6"]


def generating(directory: Path, *tolerances: str) -> Path:
    """The directory, with a profile that generates keys."""
    config = directory / "cmpkit.toml"
    text = config.read_text().replace(
        'key_usage = ["digitalSignature"]',
        'key_usage = ["digitalSignature", "keyAgreement", "keyEncipherment"]\nkey_generation = "central"',
    )
    names = ", ".join(f'"{name}"' for name in tolerances)
    config.write_text(text.replace("# tolerances = [", f"tolerances = [{names}] # ["))
    return directory


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = make_server_directory(tmp_path_factory.mktemp("server") / "ca")
    with served(generating(directory, TOLERATE_BARE_KEY)) as running:
        yield running


def is_pair(device: Device, name: str) -> bool:
    """Whether OpenSSL finds that key and certificate belong together."""
    shown = device.openssl.run("x509", "-in", device.folder / f"{name}.pem", "-noout", "-pubkey").stdout
    return shown == device.openssl.run("pkey", "-in", device.folder / f"{name}.key", "-pubout").stdout


def central(device: Device, name: str) -> tuple[object, ...]:
    files = ("-newkeyout", device.folder / f"{name}.key", "-certout", device.folder / f"{name}.pem")
    return ("-centralkeygen", *files, "-subject", f"/CN={device.name}")


@pytest.mark.parametrize("key_type", ["p256", "rsa2048"])
def test_openssl_gets_a_key_by_secret_and_by_certificate(
    any_openssl: OpenSSL, server: Served, tmp_path: Path, *, key_type: str
) -> None:
    device = Device(any_openssl, server, tmp_path, f"central-{key_type}", key_type)
    secret = server.add_secret(device.name, "--uses", 2)
    device.cmp("ir", *device.by_secret(secret), *central(device, "first"), "-recipient", "/CN=unknown")
    assert is_pair(device, "first")
    key = device.make_key("own")
    own = ("-newkey", key, "-subject", f"/CN={device.name}", "-certout", device.folder / "own.pem")
    device.cmp("ir", *device.by_secret(secret), *own, "-recipient", "/CN=unknown")
    device.cmp("cr", *device.by("own"), *central(device, "further"))
    assert is_pair(device, "further")
    assert device.verify("further")


def test_openssl_is_refused_where_it_is_not_tolerated(any_openssl: OpenSSL, tmp_path: Path) -> None:
    with served(generating(make_server_directory(tmp_path / "ca"), "hmac-sha1")) as strict:
        device = Device(any_openssl, strict, tmp_path, "dev-42", "p256")
        secret = strict.add_secret(device.name)
        done = device.cmp("ir", *device.by_secret(secret), *central(device, "x"), "-recipient", "/CN=u", check=False)
        assert done.returncode != 0
        assert "badCertTemplate" in done.stdout + done.stderr
    assert TOLERATE_BARE_KEY in strict.text()


@pytest.fixture(params=["p256", "rsa2048"])
def mock_pki(request: pytest.FixtureRequest, any_openssl: OpenSSL, tmp_path: Path) -> MockPKI:
    """As for other tests with the mock server, but its server may hand over keys, and devices receive them."""
    (tmp_path / "req.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    extensions = {
        "ca": "basicConstraints=critical,CA:true",
        "server": "extendedKeyUsage=cmcCA,cmKGA",
        "device": "keyUsage=digitalSignature,keyAgreement,keyEncipherment",
        "given": "keyUsage=digitalSignature",
    }
    for name, extension in extensions.items():
        issuer = () if name == "ca" else ("-CA", tmp_path / "ca.pem", "-CAkey", tmp_path / "ca.key")
        kind = KEY_TYPES[request.param if name == "device" else "p256"]
        any_openssl.run(
            *("req", "-x509", "-nodes", "-days", "30", "-newkey", *kind, "-config", tmp_path / "req.cnf"),
            *("-subj", f"/O=Mock/CN={name}", "-addext", extension, *issuer),
            *("-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"),
        )
    return MockPKI(tmp_path)


async def test_client_takes_a_key_from_the_mock_server(any_openssl: OpenSSL, mock_pki: MockPKI) -> None:
    plugins = load_plugins()
    credentials, trust = mock_pki.credentials("device", plugins), [mock_pki.certificate("ca")]
    with contextlib.ExitStack() as stack:
        given = ("-rsp_key", mock_pki.folder / "given.key")
        url = stack.enter_context(mock_server(any_openssl, mock_pki, *given, by="certificate"))
        options = ClientOptions(tolerances=FOR_OPENSSL)
        async with Client(url, credentials=credentials, trust=trust, options=options, plugins=plugins) as client:
            enrolled = await client.certify("CN=given,O=Mock", CentralKey())
        assert enrolled.key is not None
        assert enrolled.key.public_key_info == certificate_public_key_info(mock_pki.certificate("given"))
        assert enrolled.key.to_pkcs8() == mock_pki.key("given", plugins).to_pkcs8()
        async with Client(url, credentials=credentials, trust=trust, plugins=plugins) as strict:
            with pytest.raises(TrustError, match=TOLERATE_BARE_KEY):
                await strict.certify("CN=given,O=Mock", CentralKey())
