"""A directory as ``cmpkit init`` makes it, and its configuration file with changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from cmpkit.ca.setup import Initialised, initialise
from cmpkit.config import Configuration, load_configuration
from cmpkit.crypto.names import parse_name
from cmpkit.plugins import Plugins, load_plugins

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return load_plugins()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins) -> Initialised:
    """Made once; each test gets a copy."""

    async def make() -> Initialised:
        return await initialise(
            tmp_path_factory.mktemp("made") / "ca",
            listen=["http://127.0.0.1:0/.well-known/cmp"],
            subject=parse_name("CN=Example CA"),
            plugins=plugins,
            now=datetime.now(UTC),
        )

    return anyio.run(make)


@pytest.fixture
def write(tmp_path: Path, original: Initialised) -> Write:
    """Writes the configuration with parts of its text replaced, and more appended."""
    directory = tmp_path / "ca"
    shutil.copytree(original.directory, directory)
    path = directory / original.config.name

    def written(*changes: tuple[str, str], more: str = "") -> Path:
        text = path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text + more)
        return path

    return written


@pytest.fixture
def configuration(write: Write, plugins: Plugins) -> Configuration:
    return load_configuration(write(), plugins)
