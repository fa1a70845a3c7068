"""An enrolment by mail while one server after the other dies, each at another point of its work."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from operating import run
from reader import put_tables
from served import cmpkit, start

from cmpkit.config import load_configuration, open_store
from cmpkit.parts import CertificateRecord
from cmpkit.plugins import load_plugins
from cmpkit.transports import CrashPoint

SECONDS = 50.0


def enrol_while_servers_die(
    directory: Path,
    addresses: tuple[str, str],
    *,
    keys: Mapping[str, Any],
    options: Mapping[str, Any],
    settled: Callable[[], bool],
) -> None:
    """Enrol by ir and certConf; one certificate is issued.

    :param addresses: of the server and of the client.
    :param keys: of the server; so ``options`` are the client's.
    :param settled: whether nothing is left to do for the last server: what another had answered and not finished is.
    """
    ca, device = addresses
    config = directory / "ca" / "cmpkit.toml"
    cmpkit("init", config.parent, "--subject", "CN=Example CA")
    table = "\n".join(f'{name} = "{value}"' for name, value in {"url": f"mailto:{ca}", **keys}.items())
    config.write_text(put_tables(config.read_text(), f"[[listen]]\n{table}\n"))
    secret = directory / "secret"
    secret.write_text(cmpkit("secret", "add", "dev-42", "--config", config))
    road = [f"--road-option={name}={value}" for name, value in {"sender": device, **options}.items()]
    dying = _Servers(config.parent)
    dying.start()
    try:
        run(
            *("enroll", f"mailto:{ca}", "--ref", "dev-42", "--secret", f"file:{secret}", "--subject", "CN=dev-42"),
            *("--newkey", directory / "key.pem", "--trusted", config.parent / "trust.pem"),
            *("--certout", directory / "certificate.pem", "--total-timeout", SECONDS, *road),
        )
        end = time.monotonic() + SECONDS
        while not settled() and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        dying.end()
    assert dying.deaths == [point.value for point in CrashPoint]
    assert dying.status == 0
    assert len(anyio.run(_issued, config)) == 1


class _Servers(threading.Thread):
    """Servers one after the other, and a last one that lives until the end.

    :ivar deaths: the points at which the others died.
    :ivar status: how the last one ended.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.deaths: list[str] = []
        self.status: int | None = None
        self._directory = directory
        self._ended = threading.Event()

    def run(self) -> None:
        for point in CrashPoint:
            server = start(self._directory, killed_at=(point.value, 1))
            try:
                if server.process.wait(SECONDS) == -signal.SIGKILL:
                    self.deaths.append(point.value)
            finally:
                server.end()
        last = start(self._directory)
        self._ended.wait(SECONDS)
        try:
            # What is in flight is finished.
            self.status = last.stop()
        finally:
            last.end()

    def end(self) -> None:
        """End the last one."""
        self._ended.set()
        self.join()


async def _issued(config: Path) -> list[CertificateRecord]:
    plugins = load_plugins()
    async with open_store(load_configuration(config, plugins), plugins) as store:
        return [record for record in await store.certificates() if record.profile != "cmp-signer"]
