"""What `openssl cmp -popo` asks for: from 3.5 on, OpenSSL proves a key by reading its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, make_server_directory, served

from .conftest import OpenSSL
from .openssl_device import Device


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = make_server_directory(tmp_path_factory.mktemp("server") / "ca")
    config = directory / "cmpkit.toml"
    text = config.read_text().replace(
        'key_usage = ["digitalSignature"]',
        'key_usage = ["digitalSignature", "keyAgreement", "keyEncipherment"]\nproofs = ["signature", "encrCert"]',
    )
    config.write_text(text.replace("# tolerances = [", 'tolerances = ["openssl-encrypted-cert"] # ['))
    with served(directory) as running:
        yield running


def enroll(device: Device, popo: int, *, check: bool = True) -> str:
    secret = device.server.add_secret(device.name)
    device.make_key("new")
    done = device.cmp(
        *("ir", *device.by_secret(secret), "-newkey", device.folder / "new.key", "-subject", f"/CN={device.name}"),
        *("-popo", popo, "-implicit_confirm", "-certout", device.folder / "new.pem"),
        check=check,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("key_type", ["p256", "rsa2048"])
@pytest.mark.parametrize("popo", [1, 2])
def test_openssl_proves_its_key(
    any_openssl: OpenSSL, server: Served, tmp_path: Path, *, key_type: str, popo: int
) -> None:
    device = Device(any_openssl, server, tmp_path, f"{key_type}-{popo}", key_type)
    said = enroll(device, popo)
    assert device.verify("new")
    # The certConf is the proof: implicit confirmation is granted for signatures only.
    assert ("sending CERTCONF" in said) == (popo == 2)


def test_the_word_of_a_device_is_no_proof(any_openssl: OpenSSL, server: Served, tmp_path: Path) -> None:
    device = Device(any_openssl, server, tmp_path, "alone", "p256")
    assert "badPOP" in enroll(device, 0, check=False)
