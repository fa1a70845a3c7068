"""``--crl``, ``--ocsp`` and ``--crl-download``: client commands that look whether certificates are revoked."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from device import Device
from operating import Operator

from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.errors import TransportError


def serial(operator: Operator, file: str) -> str:
    return f"{x509.load_pem_x509_certificate((operator.directory / file).read_bytes()).serial_number:x}"


class Status:
    """What the CA says of certificates, in files."""

    def __init__(self, operator: Operator, folder: Path) -> None:
        self.operator, self.crl, self.root = operator, folder / "ca.crl", operator.directory / "root.crl"
        self.tell()

    def tell(self) -> None:
        self.operator.run("crl", "--out", self.crl)

    def revoke_signer(self) -> None:
        self.operator.run("cert", "revoke", serial(self.operator, "signer.pem"), "--revreason", "superseded")
        self.tell()

    @property
    def options(self) -> tuple[object, ...]:
        return ("--crl", self.crl, "--crl", self.root)


@pytest.fixture
def status(operator: Operator, tmp_path: Path) -> Status:
    return Status(operator, tmp_path)


def commands(device: Device) -> dict[str, tuple[object, ...]]:
    """Each command under the certificate that the device has."""
    own, out = device.by_certificate(), ("--certout", device.path("new.pem"))
    new = ("--newkey", device.path("new.key"), *out)
    return {
        "certify": (*own, "--subject", "CN=dev-42", *new),
        "update": (*own, *new),
        "p10": (*own, "--csr", device.path("x.csr"), *out),
        "info": (*own, "caCerts"),
        "revoke": (*own, "--oldcert", device.path("dev-42.pem")),
    }


def test_each_command_ends_with_status_5_where_the_signer_of_the_answer_is_revoked(
    device: Device, status: Status
) -> None:
    device.enroll(*status.options)
    device.path("x.csr").write_bytes(
        anyio.run(build_p10, parse_name("CN=dev-42"), generate_key("p256", device.plugins))
    )
    wanted = commands(device)
    for command in wanted.keys() - {"revoke"}:
        assert "is revoked" not in device.command(command, *wanted[command], *status.options).err
    status.revoke_signer()
    # Without the options nobody looks.
    device.command("info", *wanted["info"])
    for command, arguments in wanted.items():
        said = device.command(command, *arguments, *status.options, status=5).err
        assert "the certificate 'CN=Example CA CMP' is revoked since" in said, command
        assert "(superseded), says the CRL" in said
        assert "rule: RFC 5280 section 6.3" in said


class TestOwnCertificate:
    def test_one_of_which_nothing_is_known_waits_for_who_knows(self, device: Device, status: Status) -> None:
        """Under a shared secret no certificate protects the answers; the new one is looked at all the same."""
        failed = device.enroll("--crl", status.root, status=5).err
        assert "whether the certificate 'CN=dev-42' is revoked is not known: no CRL of its issuer is given" in failed
        assert not device.path("dev-42.pem").exists()
        (saved,) = device.saved
        device.run("resume", saved, "--secret", f"file:{device.path('dev-42.secret')}", *status.options)
        assert device.path("dev-42.pem").exists()
        assert not device.saved

    def test_a_transaction_finds_the_files_from_another_directory(
        self, device: Device, status: Status, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        relative = [os.path.relpath(path) for path in (status.crl, status.root)]
        device.road.faults = [TransportError("no way")]
        device.enroll("--crl", relative[0], "--crl", relative[1], status=3)
        monkeypatch.chdir(device.home)
        device.run("resume", *device.saved)
        assert device.path("dev-42.pem").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--crl", "none.crl"), "none.crl cannot be read"),
        (("--crl", __file__), f"{__file__}: no CRL"),
        (("--ocsp", "test://ocsp"), "test://ocsp: nothing can be fetched there"),
        (("--crl", "test://ca.crl"), "test://ca.crl: nothing can be fetched there"),
    ],
)
def test_a_source_that_is_none_is_named(device: Device, options: tuple[str, ...], said: str) -> None:
    assert said in device.enroll(*options, status=2).err


def test_crl_download_asks_where_the_certificates_say(device: Device) -> None:
    """These say nothing: what there is to fetch is in the tests of the parts."""
    assert (
        "whether the certificate 'CN=Example CA' is revoked is not known"
        in device.enroll("--crl-download", status=5).err
    )


def test_renewal_looks_too(device: Device, status: Status) -> None:
    folder = device.home / "renewal"
    arguments = ("renew", "add", "dev", "test://server", "--state", folder, "--trusted", device.trusted)
    device.run(*arguments, *device.by_secret(), "--crl", os.path.relpath(status.crl), "--crl", status.root)
    assert f'crl = ["{status.crl}", "{status.root}"]' in (folder / "dev.toml").read_text()
    device.run("renew", "--state", folder)
    status.revoke_signer()
    failed = device.run("renew", "--state", folder, "--force", status=5)
    assert "dev: the certificate 'CN=Example CA CMP' is revoked since" in failed.err


def test_doctor_says_that_the_signer_is_revoked_and_what_it_was_asked_with(device: Device, status: Status) -> None:
    device.enroll()
    status.revoke_signer()
    told = device.run(
        "doctor", "test://server", *device.by_certificate(), "--trusted", device.trusted, *status.options, status=5
    )
    assert "the certificate 'CN=Example CA CMP' is revoked since" in told.out
    assert "--crl FILE" in told.out
