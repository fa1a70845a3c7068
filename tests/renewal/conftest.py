"""A server whose certificates live for a minute, made once, and a device that keeps one of them valid."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from device import SECRET, Device
from operating import Operator, run
from renewing import Renewing

from cmpkit.testing import VirtualClock


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "ca"
    run("init", directory, "--listen", "http://127.0.0.1:0/.well-known/cmp", "--subject", "CN=Example CA")
    config = directory / "cmpkit.toml"
    config.write_text(config.read_text().replace('validity = "365d"', 'validity = "60s"'))
    secret = ("--secret", "env:SECRET", "--uses", "unlimited")
    Operator(config).run("secret", "add", "dev-42", *secret, env={"SECRET": SECRET})
    return directory


@pytest.fixture
def renewing(tmp_path: Path, initialised: Path) -> Renewing:
    shutil.copytree(initialised, tmp_path / "ca")
    (tmp_path / "device").mkdir()
    device = Device.of(tmp_path / "device", tmp_path / "ca" / "cmpkit.toml")
    # The certificates of the server are as old as the fixture.
    clock = VirtualClock(datetime.now(UTC))
    device.road.time = clock
    return Renewing(device, clock)
