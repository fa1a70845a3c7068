"""``cmpkit info revPassphrase`` and ``cmpkit revoke`` by it."""

from __future__ import annotations

import pytest
from device import Device
from operating import Operator

USAGE_STATUS, REFUSED_STATUS = 2, 6
PASSPHRASE = "what only my owner knows"


@pytest.fixture
def allowed(operator: Operator) -> Operator:
    """A server whose requesters may choose passphrases."""
    text = operator.config.read_text()
    operator.config.write_text(text.replace("[policy]\n", "[policy]\nrevocation_by_passphrase = true\n"))
    return operator


def choose(device: Device, *more: object, status: int = 0):
    device.path("revocation.secret").write_text(PASSPHRASE + "\n")
    source = f"file:{device.path('revocation.secret')}"
    named = ("--passphrase", source, "--passref", "my-revocation")
    return device.command("info", *device.by_secret(), "revPassphrase", *(more or named), status=status)


@pytest.mark.rule("R-140", "R-187")
def test_a_passphrase_is_chosen_and_revokes(device: Device, allowed: Operator) -> None:
    device.enroll()
    assert "kept" in choose(device).out
    by_passphrase = ("--ref", "my-revocation", "--secret", f"file:{device.path('revocation.secret')}")
    device.command("revoke", *by_passphrase, "--oldcert", device.path("dev-42.pem"))
    assert "revoked" in allowed.run("cert", "list", "--subject", "CN=dev-42").out


def test_a_server_that_does_not_allow_it_refuses(device: Device) -> None:
    assert "notAuthorized" in choose(device, status=REFUSED_STATUS).err


def test_both_the_passphrase_and_its_reference_are_needed(device: Device) -> None:
    assert "--passphrase SOURCE and --passref NAME" in choose(device, "--passref", "mine", status=USAGE_STATUS).err


def test_the_options_belong_to_their_question(device: Device) -> None:
    said = device.command("info", *device.by_secret(), "caCerts", "--passref", "mine", status=USAGE_STATUS).err
    assert "--passref belongs to the question revPassphrase" in said


def test_the_passphrase_is_never_on_the_command_line(device: Device) -> None:
    said = choose(device, "--passphrase", PASSPHRASE, "--passref", "mine", status=USAGE_STATUS)
    assert "never the secret itself" in said.err
    assert PASSPHRASE not in said.out + said.err
