"""``kill -9`` while the keys of a CA are replaced: it goes on as before, and the same command finishes the work."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from forking import run_forked
from served import cmpkit, make_server_directory

from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.checkpoints import Checkpoint

KILLS = [(Checkpoint.KEYS_WRITTEN, 1), (Checkpoint.BEFORE_CONFIGURATION, 1), (Checkpoint.BEFORE_CONFIGURATION, 2)]


@pytest.mark.parametrize(("point", "number"), KILLS, ids=["keys-written", "before-prepared", "before-switched"])
def test_a_rollover_that_was_killed_leaves_a_ca_and_can_be_repeated(
    tmp_path: Path, point: Checkpoint, number: int
) -> None:
    config = make_server_directory(tmp_path / "ca") / "cmpkit.toml"
    killed = run_forked(["ca", "rollover", "--config", config], killed_at=(point.value, number))
    assert killed.returncode == -signal.SIGKILL
    cmpkit("serve", "--check", "--config", config)
    assert json.loads(cmpkit("crl", "--config", config, "--json"))["issuer"] == "CN=Example CA,O=Example"
    cmpkit("ca", "rollover", "--config", config)
    cmpkit("serve", "--check", "--config", config)
    assert json.loads(cmpkit("crl", "--config", config, "--json"))["issuer"] == "CN=Example CA 2,O=Example"
    assert len(load_certificates((config.parent / "trust.pem").read_bytes())) == 2
    signers = [row["subject"] for row in json.loads(cmpkit("cert", "list", "--config", config, "--json"))]
    assert signers.count("CN=Example CA 2 CMP,O=Example") == 1
