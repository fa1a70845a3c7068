"""OpenSSL as witness for KMAC and GMAC, and what its client can and cannot do with MACs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cmpkit_mac.macs import read_mac
from cryptography.x509 import ObjectIdentifier
from served import Served, make_server_directory, served

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, GMACParameters, KMACwithSHAKE128Params, KMACwithSHAKE256Params

from .conftest import OpenSSL
from .openssl_device import Device

KMACS = [
    (oids.KMAC_WITH_SHAKE128, "KMAC128", KMACwithSHAKE128Params),
    (oids.KMAC_WITH_SHAKE256, "KMAC256", KMACwithSHAKE256Params),
]
GMACS = [(oids.AES128_GMAC, 16), (oids.AES192_GMAC, 24), (oids.AES256_GMAC, 32)]
SIZES = (0, 169, 5000)


def mac_of(openssl: OpenSSL, folder: Path, name: str, data: bytes, *options: str) -> bytes:
    path = folder / "data"
    path.write_bytes(data)
    arguments = [part for option in options for part in ("-macopt", option)]
    return bytes.fromhex(openssl.run("mac", *arguments, "-in", path, name).stdout)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", KMACS, ids=["KMAC128", "KMAC256"])
def test_kmac_is_that_of_openssl(openssl: OpenSSL, tmp_path: Path, which: Any, size: int) -> None:
    oid, name, kind = which
    key, data = os.urandom(32 + size % 100), os.urandom(size)
    length, custom = 16 + size % 49, b"" if size % 2 else b"custom"
    parameters = kind(kmac_output_length=8 * length, customization_string=custom)
    ours = read_mac(AlgorithmIdentifier(oid, parameters)).compute(key, data)
    options = [f"hexkey:{key.hex()}", f"size:{length}", *([f"custom:{custom.decode()}"] if custom else [])]
    assert mac_of(openssl, tmp_path, name, data, *options) == ours


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("oid", "key_size"), GMACS)
def test_gmac_is_that_of_openssl(
    openssl: OpenSSL, tmp_path: Path, oid: ObjectIdentifier, key_size: int, size: int
) -> None:
    key, data, nonce = os.urandom(key_size), os.urandom(size), os.urandom(12)
    ours = read_mac(AlgorithmIdentifier(oid, GMACParameters(nonce=nonce, length=16))).compute(key, data)
    options = (f"cipher:AES-{8 * key_size}-GCM", f"hexkey:{key.hex()}", f"hexiv:{nonce.hex()}")
    assert mac_of(openssl, tmp_path, "GMAC", data, *options) == ours


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make_server_directory(tmp_path_factory.mktemp("macs") / "ca")) as running:
        yield running


class TestClient:
    @pytest.fixture
    def device(self, openssl: OpenSSL, server: Served, tmp_path: Path) -> Device:
        return Device(openssl, server, tmp_path, f"mac-{tmp_path.parent.name[-4:]}-{tmp_path.name[-40:]}", "p256")

    def enrol(self, device: Device, digest: str, mac: str) -> str:
        """What OpenSSL says."""
        secret = device.server.add_secret(f"{device.name}-{mac}", "--subject", f"CN={device.name}")
        device.make_key("new")
        done = device.cmp(
            *("ir", "-ref", f"{device.name}-{mac}", "-secret", f"pass:{secret}", "-digest", digest, "-mac", mac),
            *("-newkey", device.folder / "new.key", "-subject", f"/CN={device.name}"),
            *("-certout", device.folder / f"{mac}.pem"),
            check=False,
        )
        return done.stdout + done.stderr

    def test_openssl_enrols_with_other_hashes(self, device: Device) -> None:
        macs = {"hmacWithSHA384": "sha3-256", "hmacWithSHA512": "sha512"}
        if not device.openssl.version.startswith("3.0."):
            macs["hmac-sha3-256"] = "sha256"
        for mac, digest in macs.items():
            said = self.enrol(device, digest, mac)
            assert device.verify(mac), said

    def test_openssl_has_no_other_kinds_of_mac_to_send(self, device: Device) -> None:
        """Should this fail one day, try those MACs with it."""
        for mac in ("KMAC128", "id-aes128-GCM", "PBMAC1"):
            assert "sending IR" not in self.enrol(device, "sha256", mac)
