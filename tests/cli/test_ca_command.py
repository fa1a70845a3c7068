"""``cmpkit ca``: a CA gets a new root while its devices go on with the old one, and with each other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from device import Device
from operating import Operator

from cmpkit.crypto.x509 import load_certificates, to_pem

OLD, NEW = "CN=Example CA", "CN=Example CA 2"


def issuer(path: Path) -> str:
    return x509.load_pem_x509_certificate(path.read_bytes()).issuer.rfc4514_string()


@pytest.fixture
def old_root(device: Device) -> Path:
    """What the device trusts since before."""
    path = device.path("old-root.pem")
    shutil.copyfile(device.trusted, path)
    return path


@pytest.fixture
def enrolled(device: Device, old_root: Path) -> Device:
    """A device that enrolled before the rollover."""
    device.enroll()
    return device


def command(device: Device, name: str, trusted: Path, *arguments: object) -> str:
    return device.command(name, "--trusted", trusted, *arguments, trust=False).out


class TestAfterARollover:
    def test_whoever_enrolled_before_goes_on_under_the_old_root(
        self, enrolled: Device, operator: Operator, old_root: Path
    ) -> None:
        operator.run("ca", "rollover")
        old = enrolled.by_certificate()
        assert f"caCerts  {NEW}" in command(enrolled, "info", old_root, *old, "caCerts")
        new, certificate = enrolled.path("new.key"), enrolled.path("new.pem")
        command(enrolled, "update", old_root, *old, "--newkey", new, "--certout", certificate)
        assert issuer(certificate) == NEW
        command(enrolled, "revoke", old_root, *old, "--oldcert", enrolled.path("dev-42.pem"))
        asking = ("--cert", certificate, "--key", new, "crlStatusList")
        for about, name, count in (("dev-42.pem", OLD, 1), ("new.pem", NEW, 0)):
            said = command(enrolled, "info", old_root, *asking, "--crlcert", enrolled.path(about))
            assert f"crls  {name}, {count} revoked" in said

    def test_whoever_comes_new_is_believed_under_either_root(
        self, device: Device, operator: Operator, old_root: Path
    ) -> None:
        operator.run("ca", "rollover")
        command(device, "enroll", old_root, *device.by_secret(), *device.wanted())
        assert issuer(device.path("dev-42.pem")) == NEW
        new_root = device.path("new-root.pem")
        said = command(device, "info", old_root, *device.by_certificate(), "rootCaCert", "--newwithnew", new_root)
        assert "which the old root vouches for" in said
        assert "caCerts" in command(device, "info", new_root, *device.by_certificate(), "caCerts")

    def test_the_operator_finds_and_revokes_what_either_key_issued(self, enrolled: Device, operator: Operator) -> None:
        operator.run("ca", "rollover")
        serial = f"{x509.load_pem_x509_certificate(enrolled.path('dev-42.pem').read_bytes()).serial_number:x}"
        assert operator.run("cert", "show", serial, "--json").json["issuer"] == OLD
        operator.run("cert", "revoke", serial)
        listed = operator.run("crl", "--issuer", OLD, "--json").json
        assert [entry["serial_number"] for entry in listed["revoked"]] == [serial]
        assert operator.run("crl", "--json").json["issuer"] == NEW

    def test_a_crl_of_nobody_is_refused(self, operator: Operator) -> None:
        assert (
            f"the CA has no key by the name CN=Nobody; it has: {OLD}"
            in operator.run("crl", "--issuer", "CN=Nobody", status=2).err
        )


class TestSteps:
    def test_a_rollover_that_is_only_prepared_changes_no_issuer(
        self, device: Device, operator: Operator, old_root: Path
    ) -> None:
        said = operator.run("ca", "rollover", "--prepare").out
        assert "issues by the old key until: cmpkit ca switch" in said
        device.enroll()
        assert issuer(device.path("dev-42.pem")) == OLD
        command(
            device,
            "info",
            old_root,
            *(*device.by_certificate(), "rootCaCert", "--newwithnew", device.path("new-root.pem")),
        )
        new_root = load_certificates(device.path("new-root.pem").read_bytes())
        assert load_certificates(device.trusted.read_bytes()) == (*load_certificates(old_root.read_bytes()), *new_root)
        assert f"issues as {NEW}" in operator.run("ca", "switch").out

    def test_the_end_comes_when_nothing_from_the_old_key_is_valid(self, enrolled: Device, operator: Operator) -> None:
        operator.run("ca", "rollover")
        refused = operator.run("ca", "finish", status=2)
        assert f"certificates of {OLD} are valid until" in refused.err
        assert "keys/issuing.key.pem" in operator.run("ca", "finish", "--force").out
        assert len(load_certificates(enrolled.trusted.read_bytes())) == 1

    def test_machines_are_told_the_same(self, operator: Operator) -> None:
        told = operator.run("ca", "rollover", "--json").json
        (_, new_root) = x509.load_pem_x509_certificates((operator.directory / "trust.pem").read_bytes())
        assert told["sha256"] == new_root.fingerprint(SHA256()).hex()
        assert (told["issuing"], told["switched"]) == (NEW, True)
        assert Path(told["root"]).is_dir()
        assert set(operator.run("ca", "finish", "--json").json) == {"config", "keys"}


@pytest.mark.rule("R-183")
def test_whoever_missed_a_rollover_gets_to_the_present_root_by_the_one_between(
    enrolled: Device, operator: Operator, old_root: Path
) -> None:
    for _ in range(2):
        operator.run("ca", "rollover", "--again")
    trusted, by = enrolled.path("trusted.pem"), enrolled.by_certificate()
    shutil.copyfile(old_root, trusted)
    for number in (2, 3):
        folder = operator.directory / f"ca-{number}"
        last = enrolled.path("last.pem")
        last.write_bytes(to_pem(load_certificates(trusted.read_bytes())[-1]))
        given = ("rootCaCert", "--oldwithold", last, "--adopt", trusted)
        assert "which the old root vouches for" in command(enrolled, "info", old_root, *by, *given)
        assert load_certificates(trusted.read_bytes())[-1:] == load_certificates(
            (folder / "root/root.pem").read_bytes()
        )
    assert "caCerts  CN=Example CA 3" in command(enrolled, "info", trusted, *by, "caCerts")
