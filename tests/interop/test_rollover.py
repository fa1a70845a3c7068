"""A CA whose root was replaced, as OpenSSL sees it: the new root by CMP, and every chain under either root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from served import Served, cmpkit, make_server_directory, served

from cmpkit.crypto.x509 import load_certificates, to_pem

from .conftest import OpenSSL
from .openssl_device import Device


@dataclass
class Site:
    """A server after the rollover, and what there was before.

    :param old: folder with a device's certificate and key, and the old root.
    """

    server: Served
    old: Path
    secret: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, any_openssl: OpenSSL) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("rollover")
    directory, old = make_server_directory(folder / "ca"), folder / "old"
    old.mkdir()
    shutil.copyfile(directory / "trust.pem", old / "root.pem")
    with served(directory) as server:
        secret = server.add_secret("old", "--uses", "unlimited")
        device = Device(any_openssl, server, old, "old", "p256")
        device.make_key("old")
        device.cmp(
            "ir",
            *device.by_secret(secret),
            *("-newkey", old / "old.key", "-subject", "/CN=old", "-certout", old / "old.pem"),
        )
    cmpkit("ca", "rollover", "--config", directory / "cmpkit.toml")
    with served(directory) as server:
        yield Site(server, old, secret)


class OldDevice(Device):
    """A device that has a certificate from before, and trusts the old root only."""

    def cmp(self, command: str, *options: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        host = self.server.url.removeprefix("http://").split("/")[0]
        where = ("-server", host, "-path", self.server.path, "-trusted", self.folder / "root.pem")
        return self.openssl.run("cmp", "-config", "", "-cmd", command, *where, *options, check=check)


@pytest.fixture
def device(openssl: OpenSSL, site: Site, tmp_path: Path) -> OldDevice:
    folder = tmp_path / "device"
    shutil.copytree(site.old, folder)
    return OldDevice(openssl, site.server, folder, "old", "p256")


def chains(device: OldDevice, certificate: str, root: Path, *between: Path) -> bool:
    """Whether OpenSSL finds a path. A root among the untrusted would be one that leads nowhere: it is left out."""
    untrusted = device.folder / "untrusted.pem"
    untrusted.write_bytes(to_pem(*(load_certificates(path.read_bytes())[0] for path in between)))
    path = device.folder / f"{certificate}.pem"
    return device.openssl.run("verify", "-CAfile", root, "-untrusted", untrusted, path, check=False).returncode == 0


def test_old_and_new_chains_verify_under_either_root(device: OldDevice, site: Site) -> None:
    ca, old_root = site.server.directory, device.folder / "root.pem"
    new = ca / "ca-2"
    new_root = new / "new-with-new.pem"
    device.make_key("new")
    device.cmp("kur", *device.by("old"), "-newkey", device.folder / "new.key", "-certout", device.folder / "new.pem")
    assert chains(device, "old", old_root, ca / "issuing.pem")
    assert chains(device, "old", new_root, ca / "issuing.pem", new / "old-with-new.pem")
    assert chains(device, "new", new_root, new / "issuing.pem")
    assert chains(device, "new", old_root, new / "issuing.pem", new / "new-with-old.pem")
    assert chains(device, "new", ca / "trust.pem", new / "issuing.pem")
    assert not chains(device, "new", old_root, new / "issuing.pem")


def test_each_generation_has_its_crls(device: OldDevice, site: Site) -> None:
    ca, folder, config = site.server.directory, device.folder, site.server.config
    device.make_key("new")
    device.cmp("kur", *device.by("old"), "-newkey", folder / "new.key", "-certout", folder / "new.pem")
    cmpkit("crl", "--config", config, "--out", folder / "2.crl")
    cmpkit("crl", "--config", config, "--issuer", "CN=Example CA,O=Example", "--out", folder / "1.crl")
    for name, root, issuing, *crls in (
        ("old", folder / "root.pem", ca / "issuing.pem", ca / "root.crl", folder / "1.crl"),
        ("new", ca / "ca-2/new-with-new.pem", ca / "ca-2/issuing.pem", ca / "ca-2/root-2.crl", folder / "2.crl"),
    ):
        lists = folder / f"{name}.crls"
        lists.write_bytes(b"".join(path.read_bytes() for path in crls))
        trust = ("-CAfile", root, "-untrusted", issuing, "-crl_check_all", "-CRLfile", lists)
        device.openssl.run("verify", *trust, folder / f"{name}.pem")


def test_the_old_certificate_can_be_revoked(device: OldDevice, site: Site) -> None:
    device.make_key("revoked")
    made = ("-newkey", device.folder / "revoked.key", "-certout", device.folder / "revoked.pem")
    device.cmp("ir", *device.by_secret(site.secret), *made, "-subject", "/CN=old")
    device.cmp("rr", *device.by("revoked"), "-oldcert", device.folder / "revoked.pem", "-revreason", 4)


def test_openssl_gets_and_believes_the_new_root(device: OldDevice, site: Site) -> None:
    if device.openssl.version.startswith("3.0."):
        device.cmp("genm", *device.by("old"), "-infotype", "caCerts")
        return
    root, new = device.folder / "root.pem", site.server.directory / "ca-2"
    got = {name: device.folder / f"{name}.pem" for name in ("newwithnew", "newwithold", "oldwithnew")}
    files = [part for name, path in got.items() for part in (f"-{name}", path)]
    device.cmp("genm", *device.by("old"), "-infotype", "rootCaCert", "-oldwithold", root, *files)
    for name, path in got.items():
        ours = new / f"{name[:3]}-with-{name[-3:]}.pem"
        assert load_certificates(path.read_bytes()) == load_certificates(ours.read_bytes())
