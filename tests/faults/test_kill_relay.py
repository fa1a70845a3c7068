"""A registration authority that passes messages on dies (SIGKILL), and comes back: the CA issues once."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from forking import run_forked
from served import Served, cmpkit, free_port, served, start
from served_authority import certify_authority, make_authority_directory, make_ca_directory

from cmpkit.endpoints.checkpoints import Checkpoint


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make_ca_directory(tmp_path_factory.mktemp("made") / "ca")) as running:
        yield running


@pytest.fixture(scope="module")
def certified(ca: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify_authority(tmp_path_factory.mktemp("certified") / "ra", ca)


TERMS = {
    "reprotect": 'check_after = "1s"',
    "nest": 'check_after = "1s"',
    # The device is told to come again while the batch waits for others, so that the answer is kept for it.
    "batch": 'check_after = "1s"\ntimeout = "1s"\nbatch_time = "2s"',
}


@pytest.mark.parametrize(
    "how",
    [
        (Checkpoint.RELAY_RECORDED, 1, "asyncio", "reprotect"),
        (Checkpoint.RELAY_SENT, 1, "trio", "reprotect"),
        (Checkpoint.BEFORE_COMMIT, 1, "asyncio", "reprotect"),
        (Checkpoint.AFTER_COMMIT, 1, "trio", "reprotect"),
        (Checkpoint.RELAY_RECORDED, 2, "trio", "reprotect"),
        (Checkpoint.RELAY_SENT, 2, "asyncio", "reprotect"),
        (Checkpoint.RELAY_SENT, 2, "trio", "nest"),
        (Checkpoint.RELAY_ANSWERED, 1, "asyncio", "batch"),
    ],
    ids=lambda how: f"{how[0].name.lower()}-{how[1]}-{how[3]}",
)
def test_the_device_gets_the_one_certificate(
    ca: Served, certified: Path, tmp_path: Path, how: tuple[Checkpoint, int, str, str]
) -> None:
    point, number, backend, forward = how
    directory = make_authority_directory(
        tmp_path / "ra", certified, ca.url, trust=ca.trust, port=free_port(), forward=forward
    )
    config = directory / "cmpkit.toml"
    config.write_text(config.read_text().replace("[[upstream]]\n", f"[[upstream]]\n{TERMS[forward]}\n"))
    doomed = start(directory, "--backend", backend, killed_at=(point.value, number))
    name = f"dev-{point.name.lower()}-{number}-{forward}"
    try:
        (tmp_path / "secret").write_text(doomed.add_secret(name))
        if forward != "reprotect":
            # Messages go as they came, so that the CA has to know the secret, too.
            ca.add_secret(name, "--secret", f"file:{tmp_path / 'secret'}", "--profile", "device")
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
        found = json.loads(cmpkit("cert", "list", "--config", ca.config, "--json"))
        (certificate,) = [one for one in found if name in one["subject"]]
        assert certificate["state"] == "valid"
