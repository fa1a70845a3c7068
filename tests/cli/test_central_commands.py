"""``--centralkeygen``: the key that the server generates, in its file, whatever happens on the way."""

from __future__ import annotations

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from device import Device, KilledError
from operating import Operator

from cmpkit.crypto.enveloping import password
from cmpkit.endpoints.checkpoints import Checkpoint
from cmpkit.enums import BodyType


@pytest.fixture(autouse=True)
def _quick_derivations(monkeypatch: pytest.MonkeyPatch) -> None:
    """How slow a password is tried is not what these tests are about."""
    monkeypatch.setattr(password, "_OWN_ITERATIONS", 1000)


@pytest.fixture(autouse=True)
def generating(operator: Operator) -> None:
    """The server's profile generates keys."""
    text = operator.config.read_text()
    usages = 'key_usage = ["digitalSignature", "keyAgreement"]\nkey_generation = "central"'
    operator.config.write_text(text.replace('key_usage = ["digitalSignature"]', usages))


def wanted(device: Device, name: str = "dev-42") -> tuple[object, ...]:
    return (
        *("--subject", "CN=dev-42", "--centralkeygen", "--newkeyout", device.path(f"{name}.key")),
        *("--certout", device.path(f"{name}.pem")),
    )


def check_fit(device: Device, name: str = "dev-42", password: bytes | None = None) -> None:
    """The key in the file is that of the certificate, and nobody else's to read."""
    path = device.path(f"{name}.key")
    key = load_pem_private_key(path.read_bytes(), password)
    certificate = x509.load_pem_x509_certificate(device.path(f"{name}.pem").read_bytes())
    assert key.public_key() == certificate.public_key()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_key_that_comes_is_in_its_file(device: Device) -> None:
    done = device.command("enroll", *device.by_secret(), *wanted(device))
    check_fit(device)
    assert f"{device.path('dev-42.key')} (new)" in done.out
    assert not device.saved
    (ir, _) = device.road.requests
    (asked,) = ir.body.content
    assert (ir.header.pvno, asked.popo, asked.request.cert_template.public_key) == (3, None, None)


def test_type_and_password_of_the_key_can_be_chosen(device: Device) -> None:
    options = ("--newkey-type", "p384", "--newkeypass", "env:PASSWORD")
    device.command("enroll", *device.by_secret(), *wanted(device), *options, env={"PASSWORD": "sesame"})
    assert b"ENCRYPTED" in device.path("dev-42.key").read_bytes()
    check_fit(device, password=b"sesame")


def test_further_key_comes_for_a_certificate(device: Device) -> None:
    device.command("enroll", *device.by_secret(), *wanted(device))
    device.command("certify", *device.by_certificate(), *wanted(device, "more"))
    check_fit(device, "more")


def test_file_that_exists_is_not_overwritten(device: Device) -> None:
    device.path("dev-42.key").write_text("precious")
    refused = device.command("enroll", *device.by_secret(), *wanted(device), status=2)
    assert "is not overwritten" in refused.err
    assert device.path("dev-42.key").read_text() == "precious"
    assert not device.road.requests


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--centralkeygen",), "--centralkeygen needs --newkeyout"),
        (("--centralkeygen", "--newkeyout", "new.key", "--newkey", "own.key"), "--centralkeygen needs --newkeyout"),
        (("--newkeyout", "new.key"), "--newkeyout needs --centralkeygen"),
        ((), "--newkey missing"),
    ],
)
def test_options_that_do_not_go_together_are_named(device: Device, options: tuple[str, ...], said: str) -> None:
    out = device.path("dev-42.pem")
    refused = device.command(
        "enroll", *device.by_secret(), "--subject", "CN=dev-42", "--certout", out, *options, status=2
    )
    assert said in refused.err
    assert not device.road.requests


@pytest.mark.parametrize("point", [Checkpoint.CERTIFICATE_SAVED, Checkpoint.CONFIRMED])
def test_key_is_there_after_a_kill_and_the_command_goes_on(device: Device, point: Checkpoint) -> None:
    device.watcher.at[point.value] = KilledError()
    with pytest.raises(KilledError):
        device.command("enroll", *device.by_secret(), *wanted(device))
    kept = device.path("dev-42.key").read_bytes()
    device.command("enroll", *device.by_secret(), *wanted(device))
    assert device.path("dev-42.key").read_bytes() == kept
    check_fit(device)


def test_key_that_cannot_be_written_is_written_on_resuming(device: Device) -> None:
    blocked = device.path("dev-42.key")

    def block(answer: bytes) -> bytes:
        blocked.write_text("in the way")
        return answer

    device.road.faults.append(block)
    stopped = device.command("enroll", *device.by_secret(), *wanted(device), status=2)
    assert "no private key can be read" in stopped.err
    assert [request.body.type for request in device.road.requests] == [BodyType.IR]
    blocked.unlink()
    (saved,) = device.saved
    device.run("resume", saved)
    check_fit(device)


def test_other_key_in_the_way_stays(device: Device) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def block(answer: bytes) -> bytes:
        device.path("dev-42.key").write_bytes(other)
        return answer

    device.road.faults.append(block)
    stopped = device.command("enroll", *device.by_secret(), *wanted(device), status=2)
    assert "has another key than the one that came" in stopped.err
    assert device.path("dev-42.key").read_bytes() == other
