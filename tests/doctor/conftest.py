"""A CMP server to be examined, and no proxy before it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from examined import Directory, make_directory

from cmpkit.plugins import Plugins, load_plugins


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return load_plugins()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_directory(tmp_path_factory.mktemp("made"))


@pytest.fixture
def ca(tmp_path: Path, made: Path, plugins: Plugins) -> Directory:
    shutil.copytree(made, tmp_path / "ca")
    return Directory(tmp_path / "ca", plugins)
