"""What `openssl cmp -popo` asks for: its signature, nothing, or to read its certificate.

From 3.5 on that may come as EnvelopedData. EncryptedValue, to an RSA key, is read by every version.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from served import Served, make_server_directory, served

from .conftest import OpenSSL
from .openssl_device import Device


def tolerating(directory: Path, name: str) -> AbstractContextManager[Served]:
    make_server_directory(directory)
    config = directory / "cmpkit.toml"
    text = config.read_text().replace(
        'key_usage = ["digitalSignature"]',
        'key_usage = ["digitalSignature", "keyAgreement", "keyEncipherment"]\nproofs = ["signature", "encrCert"]',
    )
    config.write_text(text.replace("# tolerances = [", f'tolerances = ["{name}"] # ['))
    return served(directory)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with tolerating(tmp_path_factory.mktemp("server") / "ca", "openssl-encrypted-cert") as running:
        yield running


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with tolerating(tmp_path_factory.mktemp("old") / "ca", "legacy-encryption") as running:
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


def test_every_openssl_reads_an_encrypted_value(openssl: OpenSSL, old_server: Served, tmp_path: Path) -> None:
    device = Device(openssl, old_server, tmp_path, f"old-{openssl.version}", "rsa2048")
    assert "sending CERTCONF" in enroll(device, 2)
    assert device.verify("new")


def test_a_proof_may_be_left_out_by_nobody(openssl: OpenSSL, server: Served, tmp_path: Path) -> None:
    """From 3.5 on, OpenSSL sends no key either then, to have one generated."""
    device = Device(openssl, server, tmp_path, f"none-{openssl.version}", "p256")
    said = enroll(device, -1, check=False)
    assert ("badPOP" in said) or ("POPO is disabled, which implies -centralkeygen" in said)


def test_the_word_of_a_device_is_no_proof(any_openssl: OpenSSL, server: Served, tmp_path: Path) -> None:
    device = Device(any_openssl, server, tmp_path, "alone", "p256")
    assert "badPOP" in enroll(device, 0, check=False)
