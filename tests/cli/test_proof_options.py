"""``--popo``: each way to prove possession of a key, from the command line to the certificate."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from cryptography import x509
from device import Device
from operating import Operator

from cmpkit.asn1 import POPOPrivKey, read_element
from cmpkit.enums import SubsequentMessage
from cmpkit.parts import CertificateState

PROFILES = """
[profiles.ra]
extended_key_usage = ["cmcRA"]
special = true
"""


@pytest.fixture(autouse=True)
def proving(operator: Operator) -> None:
    """The server's profile takes every proof."""
    text = operator.config.read_text()
    ways = (
        'key_usage = ["digitalSignature", "keyAgreement", "keyEncipherment"]\n'
        'proofs = ["signature", "encrCert", "challengeResp", "agreeMAC", "DHBasedMac"]'
    )
    operator.config.write_text(text.replace('key_usage = ["digitalSignature"]', ways) + PROFILES)


def wanted(device: Device, popo: int | None, key_type: str, *options: object) -> tuple[object, ...]:
    how = () if popo is None else ("--popo", popo)
    return (*device.wanted("new"), "--newkey-type", key_type, *how, *options)


def seen(device: Device) -> tuple[str, ...]:
    """The proof of the first request of the last transaction, from the outside in."""
    last = device.road.requests[-1].header.transaction_id
    opening = next(message for message in device.road.requests if message.header.transaction_id == last)
    popo = opening.body.content[0].popo
    if popo.tag in ("ra_verified", "signature"):
        return (popo.tag,)
    private = read_element(popo.value, POPOPrivKey)
    later = private.tag == "subsequent_message"
    return (popo.tag, SubsequentMessage(private.value).wire_name if later else private.tag)


@pytest.mark.parametrize(
    ("popo", "key_type", "proof"),
    [
        (None, "p256", ("signature",)),
        (None, "x25519", ("key_agreement", "encrCert")),
        (1, "p256", ("signature",)),
        (2, "p256", ("key_agreement", "encrCert")),
        (2, "rsa2048", ("key_encipherment", "encrCert")),
        (3, "x448", ("key_agreement", "challengeResp")),
        (3, "rsa2048", ("key_encipherment", "challengeResp")),
    ],
)
def test_each_number_is_a_way(device: Device, popo: int | None, key_type: str, proof: tuple[str, ...]) -> None:
    done = device.command("enroll", *device.by_secret(), *wanted(device, popo, key_type))
    assert "enrolled CN=dev-42" in done.out
    assert seen(device) == proof
    (record,) = anyio.run(device.issued)
    assert record.state is CertificateState.VALID
    assert x509.load_pem_x509_certificate(device.path("new.pem").read_bytes()).serial_number == record.serial_number


@pytest.mark.parametrize("popo", [2, 3])
def test_a_peer_of_old_is_asked_by_version_2(device: Device, operator: Operator, popo: int) -> None:
    text = operator.config.read_text()
    operator.config.write_text(text.replace("[server]", '[server]\ntolerances = ["legacy-encryption"]'))
    options = wanted(device, popo, "rsa2048", "--tolerate", "legacy-encryption")
    device.command("enroll", *device.by_secret(), *options)
    assert {message.header.pvno for message in device.road.requests} == {2}


def test_0_is_the_word_of_a_registration_authority(device: Device, operator: Operator) -> None:
    operator.run("secret", "add", "ra", "--profile", "ra", "--secret", f"file:{device.path('dev-42.secret')}")
    by_secret = ("--ref", "ra", "--secret", f"file:{device.path('dev-42.secret')}")
    files = ("--newkey", device.path("ra.key"), "--certout", device.path("ra.pem"))
    device.command("enroll", *by_secret, "--subject", "CN=ra", *files)
    again = ("--subject", "CN=ra", "--newkey", device.path("new.key"), "--certout", device.path("new.pem"))
    done = device.command("certify", *device.by_certificate("ra"), *again, "--popo", "0")
    assert "certified CN=ra" in done.out
    assert seen(device) == ("ra_verified",)
    refused = device.command("enroll", *device.by_secret(), *wanted(device, 0, "p256"), status=6)
    assert "badPOP" in refused.err


@pytest.fixture
def encryption(device: Device, operator: Operator) -> Path:
    """The server's certificate for key agreement, which came from itself."""
    folder = operator.config.parent
    operator.run("secret", "add", "encryption", "--secret", f"file:{device.path('dev-42.secret')}")
    by_secret = ("--ref", "encryption", "--secret", f"file:{device.path('dev-42.secret')}")
    files = ("--newkey", folder / "keys/encryption.key.pem", "--certout", folder / "encryption.pem")
    kind = ("--newkey-type", "x25519", "--subject", "CN=encryption")
    device.command("enroll", *by_secret, *files, *kind)
    table = '\n[encryption]\ncertificate = "encryption.pem"\nkey = "file:keys/encryption.key.pem"\n'
    operator.config.write_text(operator.config.read_text() + table)
    return folder / "encryption.pem"


@pytest.mark.parametrize(
    ("popo", "proof", "pvno"), [(4, ("key_agreement", "agree_mac"), 3), (5, ("signature",), 2)], ids=["4", "5"]
)
def test_4_and_5_agree_with_the_key_of_the_server(
    device: Device, encryption: Path, popo: int, proof: tuple[str, ...], pvno: int
) -> None:
    options = wanted(device, popo, "x25519", "--agree-with", encryption)
    done = device.command("enroll", *device.by_secret(), *options)
    assert "enrolled CN=dev-42" in done.out
    assert seen(device) == proof
    assert device.road.requests[-1].header.pvno == pvno


def test_a_key_of_another_kind_is_told_before_anything_is_sent(device: Device, encryption: Path) -> None:
    sent = len(device.road.requests)
    options = wanted(device, 4, "x448", "--agree-with", encryption)
    refused = device.command("enroll", *device.by_secret(), *options, status=2)
    assert "cannot agree on a secret with that of the server" in refused.err
    assert len(device.road.requests) == sent


@pytest.mark.parametrize(
    ("popo", "with_file", "said"),
    [
        (4, False, "--popo 4 needs --agree-with"),
        (5, False, "--popo 5 needs --agree-with"),
        (2, True, "--agree-with is for --popo 4 and 5"),
        (None, True, "--agree-with is for --popo 4 and 5"),
    ],
)
def test_options_that_do_not_go_together_are_named(
    device: Device, operator: Operator, popo: int | None, with_file: bool, said: str
) -> None:
    options = ("--agree-with", operator.config.parent / "issuing.pem") if with_file else ()
    refused = device.command("enroll", *device.by_secret(), *wanted(device, popo, "x25519", *options), status=2)
    assert said in refused.err
    assert not device.road.requests
