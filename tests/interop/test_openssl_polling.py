"""Waiting with OpenSSL: its clients wait for a person at ``cmpkit serve``, ours for its server in each operation."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, cmpkit, make_server_directory, served

from cmpkit import oids
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.options import ClientOptions
from cmpkit.parts import Event
from cmpkit.plugins import Plugins, load_plugins

from .conftest import OpenSSL
from .mock_server import MockPKI, make_pki, mock_server
from .openssl_device import Device


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all clients; every request at it waits for a person."""
    directory = make_server_directory(tmp_path_factory.mktemp("manual") / "ca")
    config = directory / "cmpkit.toml"
    text = config.read_text().replace('approval = "none"', 'approval = "manual"')
    config.write_text(text.replace('# check_after = "60s"', 'check_after = "1s"'))
    with served(directory) as running:
        yield running


class TestClients:
    """OpenSSL asks, a person answers."""

    @pytest.fixture
    def device(self, openssl: OpenSSL, server: Served, tmp_path: Path) -> Device:
        return Device(openssl, server, tmp_path, f"m-{openssl.version}-{tmp_path.name[-30:]}", "p256")

    def decide(self, device: Device, *decision: str) -> None:
        """Decide about the device's request as soon as there is one."""
        for _ in range(60):
            waiting = json.loads(cmpkit("request", "list", "--config", device.server.config, "--json"))
            mine = [request["id"] for request in waiting if request["identity"] == device.name]
            if mine:
                command, *options = decision
                cmpkit("request", command, mine[0], "--config", device.server.config, *options)
                return
            time.sleep(0.3)
        pytest.fail("there is no request")

    def wait(self, device: Device, command: str, *options: object, decision: tuple[str, ...] = ("approve",)) -> str:
        """What OpenSSL says while it waits for a decision."""
        done = []
        ask = threading.Thread(
            target=lambda: done.append(device.cmp(command, *options, "-total_timeout", 40, check=False))
        )
        ask.start()
        try:
            self.decide(device, *decision)
        finally:
            ask.join()
        return done[0].stdout + done[0].stderr

    def test_each_request_for_a_certificate_waits_until_it_is_approved(self, device: Device) -> None:
        folder, subject = device.folder, ("-subject", f"/CN={device.name}")
        device.make_key("first")
        secret = device.by_secret(device.server.add_secret(device.name))
        self.wait(
            device,
            *("ir", *secret, "-newkey", folder / "first.key", *subject, "-certout", folder / "first.pem"),
            *("-chainout", folder / "chain.pem"),
        )
        assert device.verify("first")
        device.make_key("second")
        self.wait(
            device,
            *("kur", *device.by("first"), "-newkey", folder / "second.key", "-certout", folder / "second.pem"),
        )
        assert device.verify("second")
        device.make_key("third")
        (folder / "req.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
        device.openssl.run(
            *(
                "req",
                "-new",
                "-config",
                folder / "req.cnf",
                "-key",
                folder / "third.key",
                "-subj",
                f"/CN={device.name}",
            ),
            *("-out", folder / "third.csr"),
        )
        self.wait(
            device,
            *("p10cr", *device.by("second"), "-csr", folder / "third.csr", "-certout", folder / "third.pem"),
            "-implicit_confirm",
        )
        assert device.verify("third")

    def test_a_rejection_is_told_with_failure_and_text(self, device: Device) -> None:
        device.make_key("new")
        secret = device.by_secret(device.server.add_secret(device.name))
        said = self.wait(
            device,
            *("ir", *secret, "-newkey", device.folder / "new.key", "-subject", f"/CN={device.name}"),
            *("-certout", device.folder / "new.pem"),
            decision=("reject", "--failure", "badCertTemplate", "--statusstring", "not this device"),
        )
        assert "badCertTemplate" in said
        assert "not this device" in said
        assert not (device.folder / "new.pem").exists()


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins()


@pytest.fixture(scope="module")
def pki(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> MockPKI:
    return make_pki(any_openssl, tmp_path_factory.mktemp("mock"), "p256")


async def ask(operation: str, client: Client, pki: MockPKI, plugins: Plugins) -> None:
    """The operation, as OpenSSL's server wants it."""
    key, subject = pki.key("given", plugins), "/O=Mock/CN=given"
    if operation == "ir":
        await client.enroll(subject, key)
    elif operation == "cr":
        await client.certify(subject, key)
    elif operation == "kur":
        await client.update(pki.credentials("given", plugins), key)
    elif operation == "p10cr":
        await client.request_p10(await build_p10(parse_name(subject), key))
    elif operation == "rr":
        await client.revoke(pki.certificate("given"))
    else:
        await client.info(oids.CA_CERTS)


@pytest.mark.parametrize("operation", ["ir", "cr", "kur", "p10cr", "rr", "genm"])
async def test_our_client_polls_in_each_operation(
    openssl: OpenSSL, pki: MockPKI, plugins: Plugins, operation: str
) -> None:
    said: list[str] = []

    class Talk:
        def observe(self, event: Event) -> None:
            if event.name in ("message-sent", "message-received"):
                said.append(event.details["message"].body.type.wire_name)

    with mock_server(openssl, pki, "-poll_count", 1, "-check_after", 0, by="certificate") as url:
        async with Client(
            url,
            credentials=pki.credentials("device", plugins),
            trust=[pki.certificate("ca")],
            options=ClientOptions(total_timeout=20.0),
            plugins=plugins,
            observers=[Talk()],
        ) as client:
            await ask(operation, client, pki, plugins)
    answer = {"ir": "ip", "kur": "kup", "rr": "rp", "genm": "genp"}.get(operation, "cp")
    # OpenSSL 3.0 lets only requests for certificates wait.
    old = openssl.version.startswith("3.0.")
    if operation in ("rr", "genm"):
        assert said == ([operation, answer] if old else [operation, "error", "pollReq", answer])
    else:
        confirmed = ["certConf", "pkiconf"] if old else ["certConf", "error", "pollReq", "pkiconf"]
        assert said == [operation, answer, "pollReq", answer, *confirmed]
