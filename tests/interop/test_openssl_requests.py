"""What OpenSSL's client may say besides in a request: -profile, -geninfo, and -popo 0 from a registration authority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, make_server_directory, served

from cmpkit import oids
from cmpkit.asn1 import decode_message, parse_tlv

from .conftest import OpenSSL
from .openssl_device import Device

PROFILES = """
[profiles.authority]
key_usage = ["digitalSignature"]
extended_key_usage = ["cmcRA"]
special = true
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = make_server_directory(tmp_path_factory.mktemp("requests") / "ca")
    config = directory / "cmpkit.toml"
    config.write_text(config.read_text() + PROFILES)
    with served(directory) as running:
        yield running


def enroll(device: Device, name: str, *options: object, check: bool = True) -> str:
    new = (
        "-newkey",
        device.make_key(name),
        "-subject",
        f"/CN={device.name}",
        "-certout",
        device.folder / f"{name}.pem",
    )
    done = device.cmp(*options, *new, check=check)
    return done.stdout + done.stderr


def test_a_profile_and_other_general_information_come_with_the_request(
    any_openssl: OpenSSL, server: Served, tmp_path: Path
) -> None:
    device = Device(any_openssl, server, tmp_path, "dev-profile", "p256")
    secret = device.by_secret(server.add_secret(device.name))
    asked = ("ir", *secret, "-geninfo", "1.2.3.4:int:56789,1.2.3.5:str:hello", "-reqout", tmp_path / "ir.der")
    assert "notAuthorized" in enroll(device, "none", *asked, "-profile", "nothing", check=False)
    enroll(device, "new", *asked, "-profile", "device")
    assert device.verify("new")
    sent = decode_message((tmp_path / "ir.der").read_bytes()).header
    named = sent.info(oids.CERT_PROFILE)
    assert named is not None
    assert named.parse_list(str) == ["device"]
    others = [item for item in sent.general_info or () if item.info_type.dotted_string.startswith("1.2.3.")]
    assert [parse_tlv(item.info_value, kind) for item, kind in zip(others, (int, str), strict=True)] == [56789, "hello"]


def test_the_word_of_a_registration_authority_is_proof_enough(
    any_openssl: OpenSSL, server: Served, tmp_path: Path
) -> None:
    device = Device(any_openssl, server, tmp_path, "authority", "p256")
    secret = device.by_secret(server.add_secret(device.name, "--profile", "authority"))
    enroll(device, "own", "ir", *secret)
    enroll(device, "vouched", "cr", *device.by("own"), "-popo", 0, "-reqout", tmp_path / "cr.der")
    assert device.verify("vouched")
    (request,) = decode_message((tmp_path / "cr.der").read_bytes()).body.content
    assert request.popo.tag == "ra_verified"
