"""OpenSSL's client against ``cmpkit serve``, in each version of it, from the first certificate to its revocation."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, cmpkit, make_server_directory, served

from .conftest import OpenSSL

PBM = ("-digest", "sha256", "-mac", "hmacWithSHA256")


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all clients, on each event loop."""
    directory = make_server_directory(tmp_path_factory.mktemp("server") / "ca")
    with served(directory, "--backend", request.param) as running:
        yield running


class Device:
    """One device with OpenSSL's client."""

    def __init__(self, openssl: OpenSSL, server: Served, folder: Path, name: str, key_type: str) -> None:
        self.openssl, self.server, self.folder, self.name = openssl, server, folder, name
        self.key_type = key_type
        self.serial = 0

    def make_key(self, name: str) -> Path:
        path = self.folder / f"{name}.key"
        kind = {"p256": ("EC", "ec_paramgen_curve:P-256"), "rsa2048": ("RSA", "rsa_keygen_bits:2048")}[self.key_type]
        self.openssl.run("genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1], "-out", path)
        return path

    def cmp(self, command: str, *options: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        host = self.server.url.removeprefix("http://").split("/")[0]
        where = ("-server", host, "-path", self.server.path, "-trusted", self.server.trust)
        return self.openssl.run("cmp", "-config", "", "-cmd", command, *where, *options, check=check)

    def by_secret(self, secret: str) -> tuple[object, ...]:
        return ("-ref", self.name, "-secret", f"pass:{secret}", *PBM)

    def by(self, certificate: str, key: str | None = None) -> tuple[object, ...]:
        """Protection by a certificate; the chain that came with it lies beside."""
        return (
            *("-cert", self.folder / f"{certificate}.pem", "-key", self.folder / f"{key or certificate}.key"),
            *("-untrusted", self.server.directory / "issuing.pem"),
        )

    def verify(self, certificate: str, *options: object) -> bool:
        """Whether OpenSSL finds a path from the certificate to the trust anchor."""
        done = self.openssl.run(
            *("verify", "-CAfile", self.server.trust, "-untrusted", self.server.directory / "issuing.pem"),
            *(*options, self.folder / f"{certificate}.pem"),
            check=False,
        )
        return done.returncode == 0

    def subject(self, certificate: str) -> str:
        path = self.folder / f"{certificate}.pem"
        return self.openssl.run("x509", "-in", path, "-noout", "-subject", "-nameopt", "RFC2253").stdout.strip()


@pytest.fixture(params=["p256", "rsa2048"])
def device(request: pytest.FixtureRequest, openssl: OpenSSL, server: Served, tmp_path: Path) -> Device:
    """A device under a name of its own, for all of them share a server."""
    return Device(openssl, server, tmp_path, f"dev-{tmp_path.name[-40:]}-{tmp_path.parent.name[-4:]}", request.param)


@pytest.mark.parametrize("confirm", [(), ("-implicit_confirm",)], ids=["confirmed", "implicitly-confirmed"])
def test_a_device_lives_from_ir_to_rr(device: Device, confirm: tuple[str, ...]) -> None:
    folder = device.folder
    subject = f"/CN={device.name}"
    secret = device.server.add_secret(device.name)

    device.make_key("first")
    chain = ("-chainout", folder / "chain.pem", "-cacertsout", folder / "capubs.pem")
    device.cmp(
        "ir",
        *device.by_secret(secret),
        *("-newkey", folder / "first.key", "-subject", subject, "-certout", folder / "first.pem"),
        *(*chain, *confirm),
    )
    assert device.verify("first")
    assert device.subject("first") == f"subject=CN={device.name}"

    device.make_key("second")
    device.cmp(
        *("kur", *device.by("first"), "-newkey", folder / "second.key", "-certout", folder / "second.pem", *confirm)
    )
    assert device.verify("second")
    assert device.subject("second") == f"subject=CN={device.name}"

    device.make_key("third")
    device.cmp(
        *("cr", *device.by("second"), "-newkey", folder / "third.key", "-subject", subject),
        *("-certout", folder / "third.pem", *confirm),
    )
    assert device.verify("third")

    device.make_key("fourth")
    device.openssl.run(
        *("req", "-new", "-config", _request_config(folder), "-key", folder / "fourth.key", "-subj", subject),
        *("-out", folder / "fourth.csr"),
    )
    device.cmp("p10cr", *device.by("third"), "-csr", folder / "fourth.csr", "-certout", folder / "fourth.pem", *confirm)
    assert device.verify("fourth")

    got = ("-infotype", "caCerts")
    if not device.openssl.version.startswith("3.0."):
        got += ("-cacertsout", folder / "told.pem")
    device.cmp("genm", *device.by("fourth"), *map(str, got))

    crl = folder / "crl.pem"
    cmpkit("crl", "--config", device.server.config, "--out", crl)
    assert device.verify("second", "-crl_check", "-CRLfile", crl)
    device.cmp("rr", *device.by("second"), "-oldcert", folder / "second.pem", "-revreason", 1)
    cmpkit("crl", "--config", device.server.config, "--out", crl)
    assert not device.verify("second", "-crl_check", "-CRLfile", crl)
    assert device.verify("third", "-crl_check", "-CRLfile", crl)
    refused = device.cmp(
        *("kur", *device.by("second"), "-newkey", folder / "first.key", "-certout", folder / "never.pem"), check=False
    )
    assert refused.returncode != 0
    assert "certRevoked" in refused.stdout + refused.stderr
    assert not (folder / "never.pem").exists()


def _request_config(folder: Path) -> Path:
    path = folder / "req.cnf"
    path.write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    return path


class TestRefusals:
    @pytest.fixture
    def device(self, openssl: OpenSSL, server: Served, tmp_path: Path) -> Device:
        return Device(openssl, server, tmp_path, f"r-{tmp_path.name[-40:]}-{tmp_path.parent.name[-4:]}", "p256")

    def enrol(self, device: Device, secret: str, *options: object, subject: str = "") -> str:
        """What OpenSSL says of a refusal."""
        device.make_key("new")
        certificate = device.folder / "new.pem"
        done = device.cmp(
            *("ir", "-ref", device.name, "-secret", f"pass:{secret}", "-newkey", device.folder / "new.key"),
            *("-subject", subject or f"/CN={device.name}", "-certout", certificate, *options),
            check=False,
        )
        assert done.returncode != 0
        assert not certificate.exists()
        return done.stderr + done.stdout

    def test_the_default_mac_is_refused_naming_the_option_on_both_sides(self, device: Device) -> None:
        secret = device.server.add_secret(device.name)
        said = self.enrol(device, secret)
        assert "badAlg" in said
        assert "-mac hmac-sha256" in said
        assert "-mac hmacWithSHA256" in said
        assert 'tolerances = ["hmac-sha1"]' in device.server.text()

    def test_a_wrong_secret_is_refused(self, device: Device) -> None:
        device.server.add_secret(device.name)
        assert "badMessageCheck" in self.enrol(device, "wrong", *PBM)

    def test_another_name_is_refused_and_the_use_is_kept(self, device: Device) -> None:
        secret = device.server.add_secret(device.name)
        self.enrol(device, secret, *PBM, subject="/CN=admin")
        key, out = device.folder / "new.key", device.folder / "new.pem"
        device.cmp(
            *("ir", *device.by_secret(secret), "-newkey", key, "-subject", f"/CN={device.name}", "-certout", out)
        )
        assert device.verify("new")

    def test_a_second_use_is_refused(self, device: Device) -> None:
        secret = device.server.add_secret(device.name)
        device.make_key("new")
        request = ("-newkey", device.folder / "new.key", "-subject", f"/CN={device.name}")
        device.cmp("ir", *device.by_secret(secret), *request, "-certout", device.folder / "one.pem")
        assert "notAuthorized" in self.enrol(device, secret, *PBM)


def test_hmac_sha1_is_accepted_where_it_is_tolerated(openssl: OpenSSL, tmp_path: Path) -> None:
    directory = make_server_directory(tmp_path / "ca")
    config = directory / "cmpkit.toml"
    config.write_text(config.read_text().replace("# tolerances =", "tolerances ="))
    with served(directory) as server:
        device = Device(openssl, server, tmp_path, "old-device", "p256")
        secret = server.add_secret("old-device")
        device.make_key("new")
        device.cmp(
            *("ir", "-ref", "old-device", "-secret", f"pass:{secret}", "-newkey", tmp_path / "new.key"),
            *("-subject", "/CN=old-device", "-certout", tmp_path / "new.pem"),
        )
        assert device.verify("new")
    assert "hmac-sha1" in server.text()


def test_several_messages_go_over_one_connection(openssl: OpenSSL, tmp_path: Path) -> None:
    directory = make_server_directory(tmp_path / "ca")
    with served(directory) as server:
        device = Device(openssl, server, tmp_path, "dev", "p256")
        secret = server.add_secret("dev")
        device.make_key("new")
        device.cmp(
            *("ir", *device.by_secret(secret), "-newkey", tmp_path / "new.key", "-subject", "/CN=dev"),
            *("-certout", tmp_path / "new.pem", "-keep_alive", 2),
        )
        assert device.verify("new")
