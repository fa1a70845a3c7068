"""OpenSSL's client against ``cmpkit serve``, in each version of it, from the first certificate to its revocation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, make_server_directory, served

from .conftest import OpenSSL
from .openssl_device import PBM, Device


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all clients, on each event loop."""
    directory = make_server_directory(tmp_path_factory.mktemp("server") / "ca")
    with served(directory, "--backend", request.param) as running:
        yield running


@pytest.fixture(params=["p256", "rsa2048"])
def device(request: pytest.FixtureRequest, openssl: OpenSSL, server: Served, tmp_path: Path) -> Device:
    """A device under a name of its own, for all of them share a server."""
    return Device(openssl, server, tmp_path, f"dev-{tmp_path.name[-40:]}-{tmp_path.parent.name[-4:]}", request.param)


@pytest.mark.parametrize("confirm", [(), ("-implicit_confirm",)], ids=["confirmed", "implicitly-confirmed"])
@pytest.mark.rule("R-012")
def test_a_device_lives_from_ir_to_rr(device: Device, confirm: tuple[str, ...]) -> None:
    device.live(*confirm)


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

    @pytest.mark.rule("R-012")
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
