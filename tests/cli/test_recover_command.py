"""``cmpkit recover``: archived keys, in a folder, whatever happens on the way."""

from __future__ import annotations

import stat

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from device import Device, KilledError
from operating import Operator

from cmpkit.crypto.enveloping import password
from cmpkit.endpoints.checkpoints import Checkpoint


@pytest.fixture(autouse=True)
def _quick_derivations(monkeypatch: pytest.MonkeyPatch) -> None:
    """How slow a password is tried is not what these tests are about."""
    monkeypatch.setattr(password, "_OWN_ITERATIONS", 1000)


@pytest.fixture(autouse=True)
def archiving(operator: Operator, device: Device) -> None:
    """The server's profile archives what it generates, and the device lost a key."""
    lines = (
        'key_usage = ["digitalSignature", "keyAgreement"]\nkey_generation = "central"\narchive = "always"\n'
        'recovery = ["secret", "certificate"]'
    )
    text = operator.config.read_text()
    operator.config.write_text(text.replace('key_usage = ["digitalSignature"]', lines))
    key, certificate = device.path("lost.key"), device.path("lost.pem")
    options = ("--subject", "CN=dev-42", "--centralkeygen", "--newkeyout", key, "--certout", certificate)
    device.command("enroll", *device.by_secret(), *options)
    secret = operator.run("secret", "add", "again", "--subject", "CN=dev-42").out
    device.path("again.secret").write_text(secret)


def again(device: Device) -> tuple[object, ...]:
    """A secret that the operator made for the recovery."""
    return ("--ref", "again", "--secret", f"file:{device.path('again.secret')}")


def wanted(device: Device) -> tuple[object, ...]:
    return ("--enckey", device.path("opener.key"), "--keysout", device.path("back"))


def check_keys(device: Device, password: bytes | None = None) -> None:
    """The lost key is there, for its owner alone, with its certificate."""
    (path,) = device.path("back").glob("*.key.pem")
    lost = load_pem_private_key(device.path("lost.key").read_bytes(), None)
    assert load_pem_private_key(path.read_bytes(), password).public_key() == lost.public_key()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    certificate = path.with_name(path.name.replace(".key.pem", ".pem"))
    assert certificate.read_bytes().startswith(device.path("lost.pem").read_bytes())


def test_lost_key_comes_back(device: Device) -> None:
    done = device.command("recover", *again(device), *wanted(device))
    assert done.out.startswith("recovered 1 key\n")
    check_keys(device)
    assert not device.saved


def test_keys_may_be_encrypted_and_the_result_told_to_machines(device: Device) -> None:
    options = ("--keysoutpass", "env:PASSWORD", "--json")
    done = device.command("recover", *again(device), *wanted(device), *options, env={"PASSWORD": "sesame"})
    (one,) = done.json["keys"]
    assert done.json["complete"] is True
    assert one["certificate"]["subject"] == "CN=dev-42"
    check_keys(device, b"sesame")


def test_secret_needs_a_key_to_encrypt_to(device: Device) -> None:
    refused = device.command("recover", *again(device), "--keysout", device.path("back"), status=2)
    assert "--enckey" in refused.err


@pytest.mark.parametrize("folder", ["lost.key", "none/back"], ids=["a file", "in no folder"])
def test_folder_that_cannot_be_is_refused_before_anything_is_asked(device: Device, folder: str) -> None:
    device.road.requests.clear()
    options = ("--enckey", device.path("opener.key"), "--keysout", device.path(folder))
    assert "is no directory" in device.command("recover", *again(device), *options, status=2).err
    assert not device.road.requests


def test_folder_that_vanishes_meanwhile_loses_no_key(device: Device) -> None:
    home = device.path("gone")
    home.mkdir()

    def vanish(answer: bytes) -> bytes:
        home.rmdir()
        return answer

    device.road.faults = [vanish]
    options = ("--enckey", device.path("opener.key"), "--keysout", home / "back")
    assert "cannot be made" in device.command("recover", *again(device), *options, status=2).err
    home.mkdir()
    (saved,) = device.saved
    device.run("resume", saved)
    assert list((home / "back").glob("*.key.pem"))


def test_refusal_leaves_nothing_behind(device: Device) -> None:
    options = ("--subject", "CN=somebody else")
    refused = device.command("recover", *again(device), *wanted(device), *options, status=6)
    assert "notAuthorized" in refused.err
    assert not device.path("back").exists()
    assert not device.saved


@pytest.mark.parametrize("point", [Checkpoint.REQUEST_SAVED, Checkpoint.ANSWER_RECEIVED, Checkpoint.CONFIRMED])
def test_recovery_goes_on_after_a_kill(device: Device, point: Checkpoint) -> None:
    device.watcher.at[point.value] = KilledError()
    with pytest.raises(KilledError):
        device.command("recover", *again(device), *wanted(device))
    (saved,) = device.saved
    device.run("resume", saved)
    check_keys(device)
    assert not device.saved


def archives_on_request(device: Device) -> None:
    """The profile keeps a key only where that is wanted."""
    config = device.road.config
    config.write_text(config.read_text().replace('archive = "always"', 'archive = "requested"'))


def newest_key(device: Device) -> bytes:
    """What comes back, the newest of them, which is named by its certificate."""
    device.command("recover", *again(device), *wanted(device))
    keys = [path.read_bytes() for path in device.path("back").glob("*.key.pem")]
    lost = device.path("lost.key").read_bytes()
    (key,) = [key for key in keys if key != lost]
    return key


@pytest.mark.parametrize("by", ["secret", "certificate"])
def test_key_that_is_made_here_is_archived_where_that_is_wanted(device: Device, operator: Operator, by: str) -> None:
    archives_on_request(device)
    secret = operator.run("secret", "add", "more", "--subject", "CN=dev-42", "--uses", "9").out
    device.path("more.secret").write_text(secret)
    who: tuple[object, ...] = ("--ref", "more", "--secret", f"file:{device.path('more.secret')}")
    if by == "certificate":
        options = ("--centralkeygen", "--newkeyout", device.path("server.key"), "--certout", device.path("server.pem"))
        device.command("enroll", *who, "--subject", "CN=dev-42", *options)
        table = f'[encryption]\ncertificate = "{device.path("server.pem")}"\nkey = "file:{device.path("server.key")}"\n'
        config = device.road.config
        refused = device.command("certify", *device.by_certificate("lost"), *own(device), status=2)
        assert "no certificate to encrypt a key to" in refused.err
        config.write_text(config.read_text() + table)
        who = device.by_certificate("lost")
    device.command("certify", *who, *own(device))
    made = load_pem_private_key(device.path("own.key").read_bytes(), None)
    assert load_pem_private_key(newest_key(device), None).public_key() == made.public_key()


def own(device: Device) -> tuple[object, ...]:
    """A key that is made here, and archived."""
    made = ("--newkey", device.path("own.key"), "--certout", device.path("own.pem"))
    return ("--subject", "CN=dev-42", *made, "--archive")


def test_generated_key_is_archived_where_that_is_wanted(device: Device, operator: Operator) -> None:
    archives_on_request(device)
    options = ("--centralkeygen", "--newkeyout", device.path("own.key"), "--certout", device.path("own.pem"))
    device.command("certify", *device.by_certificate("lost"), "--subject", "CN=dev-42", "--archive", *options)
    made = load_pem_private_key(device.path("own.key").read_bytes(), None)
    assert load_pem_private_key(newest_key(device), None).public_key() == made.public_key()
