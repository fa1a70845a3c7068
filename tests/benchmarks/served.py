"""The server that is measured: what ``cmpkit init`` makes, with another policy and the trust anchor of the maker."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import device_policy

from cmpkit.config import load_configuration
from cmpkit.config.opening import open_parts
from cmpkit.config.running import build_server
from cmpkit.crypto.x509 import to_pem
from cmpkit.endpoints.server import Server
from cmpkit.parts import CertificateRecord, StoredAnswer, Transaction, UnitOfWork
from cmpkit.plugins import Plugins, load_plugins

__all__ = [
    "CONFIGURATION",
    "listen_elsewhere",
    "make_directory",
    "open_servers",
    "plugins_with_policy",
    "put_policy",
    "serving",
]

CONFIGURATION = "cmpkit.toml"
_CMPKIT = (sys.executable, "-m", "cmpkit.cli")
_READY = "listening on "


class NoStore:
    """Knows nothing and keeps nothing, so that the engine and the other parts are measured alone."""

    async def load(
        self, transaction_id: bytes, digest: bytes
    ) -> tuple[tuple[Transaction, ...], tuple[StoredAnswer, ...]]:
        return (), ()

    async def commit(self, unit: UnitOfWork) -> None:
        pass

    async def open_transactions(self) -> Mapping[str, int]:
        return {}

    async def certificate_by_fingerprint(self, fingerprint: bytes) -> CertificateRecord | None:
        return None


def plugins_with_policy() -> Plugins:
    """The plugins that are installed, and the benchmark's own."""
    return load_plugins([("benchmark", device_policy)])


def make_directory(directory: Path, trusted: bytes) -> None:
    """``cmpkit init``, then the policy and the trust anchor in its configuration.

    :param trusted: DER of the trust anchor.
    """
    subprocess.run([*_CMPKIT, "init", directory, "--listen", "http://127.0.0.1:0"], check=True, capture_output=True)
    put_policy(directory, trusted)


def put_policy(directory: Path, trusted: bytes) -> None:
    """The policy and the trust anchor, in the configuration of a directory.

    :param trusted: DER of the trust anchor.
    """
    (directory / "maker.pem").write_bytes(to_pem(trusted))
    text = (directory / CONFIGURATION).read_text()
    text, tables = re.subn(
        r"(?ms)^\[policy\]\n.*?(?=^\[(?!\[policy)|\Z)", f'[policy]\nkind = "{device_policy.KIND}"\n\n', text
    )
    text, headings = re.subn(r"(?m)^\[server\]$(\ntrusted = .*)?", '[server]\ntrusted = ["maker.pem"]', text)
    if (tables, headings) != (1, 1):
        raise RuntimeError(f"{directory / CONFIGURATION} is not as it was")
    (directory / CONFIGURATION).write_text(text)


@contextlib.asynccontextmanager
async def open_servers(directory: Path) -> AsyncIterator[dict[str, Server]]:
    """The server without a road, by the figure that it is for: without a store, and with its own."""
    plugins = plugins_with_policy()
    configuration = load_configuration(directory / CONFIGURATION, plugins)
    async with open_parts(configuration, plugins) as parts:
        stores = {"engine": NoStore(), "engine_sqlite": parts.store}
        yield {
            figure: build_server(configuration.server, replace(parts, store=store), plugins)
            for figure, store in stores.items()
        }


def listen_elsewhere(directory: Path, name: str, listen: str) -> str:
    """The name of a configuration like the other, but for the road.

    :param listen: the URL to listen on, in place of HTTP, and keys.
    """
    text = (directory / CONFIGURATION).read_text()
    text, found = re.subn(r'(?m)^url = "http://127\.0\.0\.1:0"$', lambda _: listen, text)
    if found != 1:
        raise RuntimeError(f"{directory / CONFIGURATION} is not as it was")
    (directory / name).write_text(text)
    return name


@contextlib.contextmanager
def serving(directory: Path, configuration: str = CONFIGURATION) -> Iterator[tuple[str, int]]:
    """URL and process ID of ``cmpkit serve``, which finds the policy as it finds every plugin."""
    installed = directory / "plugins" / "benchmark-1.dist-info"
    installed.mkdir(parents=True, exist_ok=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: benchmark\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[cmpkit]\nbenchmark = {device_policy.__name__}\n")
    here = str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, (str(installed.parent), here, os.environ.get("PYTHONPATH"))))
    command = [*_CMPKIT, "serve", "--config", str(directory / configuration), "--log-level", "warning"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line.startswith(_READY):
                raise RuntimeError(f"cmpkit serve did not start: {line!r}")
            yield line.removeprefix(_READY).strip(), server.pid
        finally:
            server.terminate()
