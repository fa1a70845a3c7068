"""``kill -9`` in the midst of a renewal: the next run finishes it, and nothing is asked for twice.

tests/renewal has more points, at which an exception does what SIGKILL does here.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from forking import run_forked
from served import cmpkit, make_server_directory, served

from cmpkit.endpoints.checkpoints import Checkpoint

POINTS = (
    Checkpoint.CERTIFICATE_SAVED,
    Checkpoint.VERSION_WRITTEN,
    Checkpoint.VERSION_IN_USE,
)


def killed_at(point: Checkpoint, *arguments: object) -> None:
    ended = run_forked(arguments, killed_at=(point.value, 1))
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def pair_in_use(current: Path) -> x509.Certificate:
    """The certificate, whose key is beside it."""
    certificate = x509.load_pem_x509_certificate((current / "cert.pem").read_bytes())
    key = serialization.load_pem_private_key((current / "key.pem").read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    return certificate


def test_a_renewal_is_finished_wherever_it_was_killed(tmp_path: Path) -> None:
    """One certificate, renewed once for each point; the server has issued as many, and each was confirmed."""
    with served(make_server_directory(tmp_path / "ca")) as server:
        folder, ran = tmp_path / "renewal", tmp_path / "ran"
        (tmp_path / "secret").write_text(server.add_secret("dev"))
        secret = ("--ref", "dev", "--secret", f"file:{tmp_path / 'secret'}", "--subject", "CN=dev")
        hook = ("--deploy-hook", f'cat "$CMPKIT_CERTIFICATE" > {ran}')
        cmpkit("renew", "add", "dev", server.url, "--state", folder, "--trusted", server.trust, *secret, *hook)
        cmpkit("renew", "--state", folder)
        serials = [pair_in_use(folder / "dev" / "current").serial_number]
        for point in POINTS:
            killed_at(point, "renew", "--state", folder, "--force")
            pair_in_use(folder / "dev" / "current")
            cmpkit("renew", "--state", folder)
            serials.append(pair_in_use(folder / "dev" / "current").serial_number)
            assert ran.read_bytes() == (folder / "dev" / "current" / "cert.pem").read_bytes()
            assert sorted(path.name for path in (folder / "dev").iterdir()) == [
                *("current", "lock", "state.json", "transactions", "versions")
            ], point
        issued = json.loads(cmpkit("cert", "list", "--config", server.config, "--json"))
        mine = [certificate for certificate in issued if certificate["profile"] != "cmp-signer"]
        assert {int(certificate["serial_number"], 16) for certificate in mine} == set(serials)
        assert len(serials) == len(POINTS) + 1
        assert {certificate["state"] for certificate in mine} == {"valid"}


@pytest.mark.parametrize("name", [".state.json.x", ".dev.toml.x"])
def test_a_half_written_file_is_not_taken_for_a_whole_one(tmp_path: Path, name: str) -> None:
    """What a killed process leaves beside the file that it was writing."""
    folder = tmp_path / "renewal"
    (folder / "dev").mkdir(parents=True)
    (folder / name).write_text("{")
    (folder / "dev" / name).write_text("{")
    assert json.loads(cmpkit("renew", "list", "--state", folder, "--json")) == []
