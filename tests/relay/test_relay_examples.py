"""The examples of registration authorities, as they stand but for ports and pauses, between a device and a CA."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from operating import run
from served import Served, cmpkit, free_port, served, start
from served_authority import certify_authority, change, make_authority_directory, make_ca_directory

EXAMPLES = Path(__file__).parents[2] / "examples" / "registration-authority"
MAX_LINES = 40
CA_PORT, OWN_PORT = "8829", "8830"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make_ca_directory(tmp_path_factory.mktemp("made") / "ca")) as running:
        yield running


@pytest.fixture(scope="module")
def certified(ca: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify_authority(tmp_path_factory.mktemp("enrolled") / "ra", ca)


def make(folder: Path, example: str, certified: Path, ca: Served, *changes: tuple[str, str], port: int = 0) -> Path:
    """The directory of an example in which ``init-ra`` made everything but the configuration."""
    directory = make_authority_directory(folder / "ra", certified, ca.url, trust=ca.trust)
    text = (EXAMPLES / f"{example}.toml").read_text().replace(OWN_PORT, str(port))
    for old, new in ((CA_PORT, str(re.findall(r":(\d+)/", ca.url)[0])), *changes):
        text = text.replace(old, new)
    (directory / "cmpkit.toml").write_text(text)
    for program in EXAMPLES.glob("*.py"):
        shutil.copy(program, directory)
    return directory


def request(authority: Served, ca: Served, folder: Path, name: str, secret: str) -> list[object]:
    """What a device enrols with."""
    (folder / f"{name}.secret").write_text(secret)
    return [
        *("enroll", authority.url, "--ref", name, "--secret", f"file:{folder / f'{name}.secret'}"),
        *("--subject", f"CN={name}", "--newkey", folder / f"{name}.key", "--trusted", ca.trust),
        *("--certout", folder / f"{name}.pem"),
    ]


def subject(folder: Path, name: str) -> str:
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()).subject.rfc4514_string()


@pytest.mark.parametrize("example", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_it_is_short(example: Path) -> None:
    assert example.suffix in (".toml", ".py")
    assert len(example.read_text().splitlines()) < MAX_LINES


def test_a_device_gateway(ca: Served, certified: Path, tmp_path: Path) -> None:
    with served(make(tmp_path, "device-gateway", certified, ca)) as gateway:
        cmpkit(*request(gateway, ca, tmp_path, "gate-1", gateway.add_secret("gate-1")))
        assert subject(tmp_path, "gate-1") == "CN=gate-1"
        cmpkit(
            *("update", gateway.url, "--cert", tmp_path / "gate-1.pem", "--key", tmp_path / "gate-1.key"),
            *("--newkey", tmp_path / "next.key", "--trusted", ca.trust, "--certout", tmp_path / "next.pem"),
        )
        assert subject(tmp_path, "next") == "CN=gate-1"


def test_batching(ca: Served, certified: Path, tmp_path: Path) -> None:
    with served(make(tmp_path, "batching", certified, ca, ('batch_time = "5s"', 'batch_time = "1s"'))) as authority:
        secret = ca.add_secret("batch-1", "--profile", "device")
        cmpkit(*request(authority, ca, tmp_path, "batch-1", secret), "--implicit-confirm")
        assert subject(tmp_path, "batch-1") == "CN=batch-1"


def test_an_inventory(ca: Served, certified: Path, tmp_path: Path) -> None:
    directory = make(tmp_path, "inventory", certified, ca)
    (directory / "inventory.csv").write_text("serial,owner\nline-7,Welding\n")
    with served(directory) as authority:
        cmpkit(*request(authority, ca, tmp_path, "line-7", authority.add_secret("line-7")))
        assert subject(tmp_path, "line-7") == "CN=line-7,OU=Welding"
        refused = run(*request(authority, ca, tmp_path, "line-8", authority.add_secret("line-8")), status=6)
        assert "unknown device" in refused.err


def test_an_air_gap_with_a_restart_before_the_ca_is_there(certified: Path, ca: Served, tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    port = free_port()
    directory = make(tmp_path, "air-gap", certified, ca, ('"1h"  # how', '"1s"  # how'), port=port)
    offline = shutil.copytree(ca.directory, tmp_path / "ca")
    change(offline / "cmpkit.toml", '[[listen]]\nurl = "file:../stick"\ncheck_after = "1s"\n')
    authority = start(directory)
    try:
        secret = authority.add_secret("far-1")
        enrol = request(authority, ca, tmp_path, "far-1", secret)
        waiting = run(*enrol, "--total-timeout", 3, "--state", tmp_path / "saved", status=7)
        (saved,) = (tmp_path / "saved").glob("*.json")
        assert str(saved) in waiting.err
        assert list((tmp_path / "stick" / "in").iterdir())
    finally:
        authority.end()
    with served(directory), served(offline):
        run("resume", saved, "--total-timeout", 60)
    assert subject(tmp_path, "far-1") == "CN=far-1"
