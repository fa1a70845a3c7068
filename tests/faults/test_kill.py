"""``kill -9`` at each named point of server and client: nothing is lost, and nothing is issued twice."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from forking import run_forked
from served import Served, cmpkit, free_port, make_server_directory, served, start

from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.checkpoints import Checkpoint

ENROLMENT = [(point, number) for number in (1, 2) for point in ("request received", "before commit", "after commit")]
POINTS = {point.value.split(",")[0]: point.value for point in Checkpoint}


def issued(server: Served) -> list[dict[str, Any]]:
    """The certificates in the store, without those that the server itself uses."""
    found = json.loads(cmpkit("cert", "list", "--config", server.config, "--json"))
    return [certificate for certificate in found if certificate["profile"] != "cmp-signer"]


def client_arguments(folder: Path, url: str, trust: Path, *options: object) -> list[str]:
    return [
        *("enroll", url, "--ref", "dev", "--secret", f"file:{folder / 'secret'}", "--subject", "/CN=dev"),
        *("--newkey", str(folder / "dev.key"), "--trusted", str(trust), "--certout", str(folder / "dev.pem")),
        *("--state", str(folder / "state"), "--total-timeout", "30", *map(str, options)),
    ]


def saved_transactions(folder: Path) -> list[Path]:
    return sorted((folder / "state").glob("*.json"))


def assert_one_certificate(server: Served, folder: Path) -> None:
    """There is one, it is confirmed, and it is the one that the client has."""
    (certificate,) = issued(server)
    assert certificate["state"] == "valid"
    exported = folder / "exported.pem"
    cmpkit("cert", "export", certificate["serial_number"], "--config", server.config, "--out", exported)
    assert load_certificates((folder / "dev.pem").read_bytes()) == load_certificates(exported.read_bytes())
    assert saved_transactions(folder) == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
class TestServer:
    """The server dies in the middle of an enrolment and comes back; the client, which goes on asking, is served."""

    @pytest.mark.parametrize(("point", "number"), ENROLMENT, ids=lambda value: str(value).replace(" ", "-"))
    def test_the_client_ends_with_one_certificate(self, tmp_path: Path, backend: str, point: str, number: int) -> None:
        self.check(tmp_path, backend, (POINTS[point], number))

    def test_it_does_with_an_issuer_elsewhere_and_an_intent_committed(self, tmp_path: Path, backend: str) -> None:
        self.check(tmp_path, backend, (Checkpoint.INTENT_COMMITTED.value, 1), issuer="elsewhere")

    def check(self, folder: Path, backend: str, killed_at: tuple[str, int], issuer: str = "local") -> None:
        directory = make_server_directory(folder / "ca", free_port())
        config = directory / "other.toml"
        config.write_text((directory / "cmpkit.toml").read_text().replace('kind = "local"', f'kind = "{issuer}"'))
        doomed = start(directory, "--backend", backend, config=config, killed_at=killed_at)
        try:
            (folder / "secret").write_text(doomed.add_secret("dev"))
            results = []
            arguments = client_arguments(folder, doomed.url, doomed.trust)
            client = threading.Thread(target=lambda: results.append(run_forked(arguments)))
            client.start()
            assert doomed.process.wait(30) == -signal.SIGKILL
        finally:
            doomed.end()
        survivor = start(directory, "--backend", backend, config=config, killed_at=("never", 1))
        try:
            client.join(40)
            (done,) = results
            assert done.returncode == 0, done.stderr
            assert_one_certificate(survivor, folder)
            assert survivor.stop() == 0
        finally:
            survivor.end()


class TestClient:
    """The client dies; ``cmpkit resume``, or the same command again, goes on where it stopped."""

    KILLS = (
        (Checkpoint.REQUEST_SAVED, 1),
        (Checkpoint.ANSWER_RECEIVED, 1),
        (Checkpoint.CERTIFICATE_SAVED, 1),
        (Checkpoint.ANSWER_RECEIVED, 2),
        (Checkpoint.CONFIRMED, 1),
    )

    @pytest.mark.parametrize("how", ["resume", "again"])
    @pytest.mark.parametrize(("point", "number"), KILLS, ids=lambda value: getattr(value, "name", str(value)).lower())
    def test_what_was_begun_is_finished(self, tmp_path: Path, point: Checkpoint, number: int, how: str) -> None:
        with served(make_server_directory(tmp_path / "ca")) as server:
            (tmp_path / "secret").write_text(server.add_secret("dev"))
            arguments = client_arguments(tmp_path, server.url, server.trust)
            assert run_forked(arguments, killed_at=(point.value, number)).returncode == -signal.SIGKILL
            assert not (tmp_path / "dev.pem").exists()
            (saved,) = saved_transactions(tmp_path)
            done = run_forked(["resume", str(saved)] if how == "resume" else arguments)
            assert done.returncode == 0, done.stderr
            assert_one_certificate(server, tmp_path)

    def test_with_implicit_confirmation_too(self, tmp_path: Path) -> None:
        with served(make_server_directory(tmp_path / "ca")) as server:
            (tmp_path / "secret").write_text(server.add_secret("dev"))
            arguments = client_arguments(tmp_path, server.url, server.trust, "--implicit-confirm")
            assert run_forked(arguments, killed_at=(Checkpoint.ANSWER_RECEIVED.value, 1)).returncode == -signal.SIGKILL
            (saved,) = saved_transactions(tmp_path)
            assert run_forked(["resume", str(saved)]).returncode == 0
            assert_one_certificate(server, tmp_path)

    def test_the_saved_transaction_holds_no_secret(self, tmp_path: Path) -> None:
        with served(make_server_directory(tmp_path / "ca")) as server:
            secret = server.add_secret("dev")
            (tmp_path / "secret").write_text(secret)
            arguments = client_arguments(tmp_path, server.url, server.trust)
            run_forked(arguments, killed_at=(Checkpoint.CERTIFICATE_SAVED.value, 1))
            (saved,) = saved_transactions(tmp_path)
            assert secret not in saved.read_text()
            assert "PRIVATE KEY" not in saved.read_text()
