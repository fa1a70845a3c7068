"""``cmpkit revoke``: several certificates by one message, and by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from device import Device
from operating import Operator

from cmpkit.cli.revoke import read_serial
from cmpkit.errors import ConfigurationError


@pytest.fixture
def generous(tmp_path: Path, operator: Operator) -> Device:
    """A device whose secret may get several certificates, and revoke them."""
    text = operator.config.read_text()
    for key, value in (("max_requests", "5"), ("revocation_by_secret", "true")):
        (line,) = [line for line in text.splitlines() if line.startswith(f"# {key} =")]
        text = text.replace(line, f"{key} = {value}")
    operator.config.write_text(text)
    (tmp_path / "device").mkdir()
    device = Device.of(tmp_path / "device", operator.config)
    operator.run("secret", "add", "dev-42", "--uses", "3", "--secret", f"file:{device.path('dev-42.secret')}")
    return device


def enrol(device: Device, name: str) -> Path:
    files = ("--newkey", device.path(f"{name}.key"), "--certout", device.path(f"{name}.pem"))
    device.command("enroll", *device.by_secret(), "--subject", "CN=dev-42", *files)
    return device.path(f"{name}.pem")


def serial_of(certificate: Path) -> int:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number


def test_several_certificates_are_revoked_by_one_message(generous: Device) -> None:
    first, second = enrol(generous, "first"), enrol(generous, "second")
    done = generous.command("revoke", *generous.by_secret(), "--oldcert", first, "--oldcert", second, "--json")
    assert [one["serial_number"] for one in done.json["certificates"]] == [
        f"{serial_of(one):x}" for one in (first, second)
    ]


def test_those_that_cannot_be_revoked_are_named_and_the_others_are_done(generous: Device) -> None:
    first, second = enrol(generous, "first"), enrol(generous, "second")
    generous.command("revoke", *generous.by_secret(), "--oldcert", first)
    both = ("--oldcert", first, "--oldcert", second)
    refused = generous.command("revoke", *generous.by_secret(), *both, status=6)
    assert "certRevoked" in refused.err
    assert "1 of 2 certificates were done as asked" in refused.err
    again = generous.command("revoke", *generous.by_secret(), "--oldcert", second, status=6)
    assert "certRevoked" in again.err


def test_a_certificate_can_be_named_by_issuer_and_serial_number(generous: Device) -> None:
    first = enrol(generous, "first")
    issuer = x509.load_pem_x509_certificate(first.read_bytes()).issuer.rfc4514_string()
    named = ("--issuer", issuer, "--serial", hex(serial_of(first)))
    done = generous.command("revoke", *generous.by_secret(), *named, "--revreason", "superseded")
    assert f"revoked {serial_of(first):x} of {issuer}" in done.out
    other = generous.command("revoke", *generous.by_secret(), "--issuer", "CN=Other", *named[2:], status=6)
    assert "badCertId" in other.err


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--issuer", "CN=x"),
        ("--serial", "5"),
        ("--issuer", "CN=x", "--serial", "five"),
        ("--issuer", "CN=x", "--serial", "5", "--oldcert", "x.pem"),
    ],
)
def test_what_to_revoke_must_be_said_in_one_way(device: Device, options: tuple[str, ...]) -> None:
    refused = device.command("revoke", *device.by_secret(), *options, status=2)
    assert "--serial" in refused.err


@pytest.mark.parametrize(("text", "number"), [("31", 31), ("0x1f", 31), ("0X1F", 31), ("0", 0)])
def test_serial_numbers_are_decimal_or_hexadecimal(text: str, number: int) -> None:
    assert read_serial(text) == number


@pytest.mark.parametrize("text", ["", "-1", "1f", "0x", "five"])
def test_other_text_is_no_serial_number(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no serial number"):
        read_serial(text)
