"""A registration authority that asks on behalf of others dies (SIGKILL), and comes back: the CA issues once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from forking import run_forked
from served import Served, cmpkit, free_port, served, start
from served_authority import certify_authority, make_authority_directory, make_ca_directory

from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.checkpoints import Checkpoint

CONFIGURATION = """
[store]
url = "sqlite:///cmpkit.db"
sealing_key_file = "keys/store.key"

[signer]
certificate = "ra.pem"
key = "file:keys/ra.key.pem"

[[listen]]
url = "http://127.0.0.1:{port}/.well-known/cmp"

[issuer]
kind = "cmp"
url = "{url}"
authority = "authority.pem"
certificate = "ra.pem"
key = "file:keys/ra.key.pem"

[profiles.device]
"""


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make_ca_directory(tmp_path_factory.mktemp("made") / "ca")) as running:
        yield running


@pytest.fixture(scope="module")
def certified(ca: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify_authority(tmp_path_factory.mktemp("certified") / "ra", ca)


@pytest.mark.parametrize(
    ("killed_at", "backend"),
    [
        ((Checkpoint.REQUEST_SAVED, 1), "asyncio"),
        ((Checkpoint.ANSWER_RECEIVED, 1), "trio"),
        ((Checkpoint.BEFORE_COMMIT, 2), "asyncio"),
    ],
)
def test_the_device_gets_the_one_certificate(
    ca: Served, certified: Path, tmp_path: Path, killed_at: tuple[Checkpoint, int], backend: str
) -> None:
    point, number = killed_at
    directory = make_authority_directory(tmp_path / "ra", certified, ca.url, trust=ca.trust)
    (directory / "authority.pem").write_bytes((ca.directory / "issuing.pem").read_bytes())
    (directory / "cmpkit.toml").write_text(CONFIGURATION.format(port=free_port(), url=ca.url))
    doomed = start(directory, "--backend", backend, killed_at=(point.value, number))
    name = f"dev-{point.name.lower()}-{number}"
    try:
        (tmp_path / "secret").write_text(doomed.add_secret(name))
        arguments = [
            *("enroll", doomed.url, "--ref", name, "--secret", f"file:{tmp_path / 'secret'}"),
            *("--subject", f"CN={name}", "--trusted", str(ca.trust)),
            *("--newkey", str(tmp_path / "key.pem"), "--certout", str(tmp_path / "cert.pem")),
        ]
        results = []
        client = threading.Thread(target=lambda: results.append(run_forked(arguments)))
        client.start()
        assert doomed.process.wait(30) == -signal.SIGKILL
    finally:
        doomed.end()
    with served(directory, "--backend", backend) as survivor:
        client.join(40)
        (done,) = results
        assert done.returncode == 0, done.stderr + survivor.text()
        serial = f"{serial_number(tmp_path / 'cert.pem'):x}"
        for server in (survivor, ca):
            (line,) = [line for line in listed(server) if name in line]
            assert serial in line
            assert "valid" in line


def listed(server: Served) -> list[str]:
    return cmpkit("cert", "list", "--config", server.config).splitlines()


def serial_number(path: Path) -> int:
    return x509.load_der_x509_certificate(load_certificates(path.read_bytes())[0]).serial_number
