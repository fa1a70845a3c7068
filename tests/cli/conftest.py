"""What ``cmpkit init`` makes, once; each test gets a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from device import Device
from operating import Operator, run


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "ca"
    run("init", directory, "--listen", "http://127.0.0.1:0/.well-known/cmp", "--subject", "CN=Example CA")
    return directory


@pytest.fixture
def operator(tmp_path: Path, initialised: Path) -> Operator:
    shutil.copytree(initialised, tmp_path / "ca")
    return Operator(tmp_path / "ca" / "cmpkit.toml")


@pytest.fixture
def device(tmp_path: Path, operator: Operator) -> Device:
    """A device whose secret the server knows."""
    (tmp_path / "device").mkdir()
    device = Device.of(tmp_path / "device", operator.config)
    operator.run("secret", "add", "dev-42", "--secret", f"file:{device.path('dev-42.secret')}")
    return device
