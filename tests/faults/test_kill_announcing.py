"""A CA that is killed before a repository heard of a revocation tells it after its next start, over HTTP."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography import x509
from served import Served, cmpkit, free_port, make_server_directory, served, start

PATIENCE = 20.0


def listed(directory: Path) -> list[int]:
    """How many certificates each CRL that was kept lists."""
    return [len(x509.load_der_x509_crl(path.read_bytes())) for path in directory.glob("*.crl")]


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """The directory of a CA, beside that of the repository that it tells."""
    ca, repository = make_server_directory(tmp_path / "ca"), make_server_directory(tmp_path / "repository", free_port())
    listen = next(
        line for line in (repository / "cmpkit.toml").read_text().splitlines() if line.startswith('url = "http')
    )
    with (ca / "cmpkit.toml").open("a") as file:
        file.write(f"\n[[announce]]\n{listen}\n")
    with (repository / "cmpkit.toml").open("a") as file:
        file.write('\n[repository]\ndirectory = "kept"\ntrusted = ["../ca/trust.pem"]\n')
    return ca


def test_nothing_is_lost_when_the_ca_is_killed_while_nobody_listens(ca: Path, backend: str) -> None:
    doomed = start(ca, "--backend", backend)
    cmpkit("cert", "revoke", serial(ca), "--config", doomed.config)
    doomed.end()
    cmpkit("ca", "rollover", "--config", ca / "cmpkit.toml")
    kept = ca.parent / "repository" / "kept"
    with served(ca.parent / "repository", "--backend", backend) as repository, served(ca, "--backend", backend):
        wait_for(kept, repository)
        assert sorted(listed(kept)) == [0, 1]
        assert len(list(kept.glob("*.new-with-new.pem"))) == 1


def serial(ca: Path) -> str:
    (first, *_) = x509.load_pem_x509_certificates((ca / "signer.pem").read_bytes())
    return f"{first.serial_number:x}"


def wait_for(kept: Path, repository: Served) -> None:
    end = time.monotonic() + PATIENCE
    while len(list(kept.glob("*"))) < 5:
        assert time.monotonic() < end, repository.text()
        time.sleep(0.05)
