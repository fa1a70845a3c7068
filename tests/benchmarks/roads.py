"""What an enrolment costs over each road, against HTTP: ``nox -s bench -- --roads`` (docs/performance.md)."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from factory import make_factory
from figures import Series
from over_road import measure_over
from served import CONFIGURATION, listen_elsewhere, make_directory, plugins_with_policy, serving

__all__ = ["RoadsReport", "measure_roads"]

# Whose the certificate is does not matter here, the clients do not look.
_HTTPS = 'url = "https://127.0.0.1:0"\ntls_cert = "signer.pem"\ntls_key = "keys/signer.key.pem"'


@dataclass(frozen=True, slots=True)
class RoadsReport:
    """What was measured.

    :param figures: by road; that of HTTP is what the others are compared with.
    """

    figures: dict[str, Series]

    def as_json(self) -> dict[str, object]:
        """For machines: microseconds of the best round of each road, and their ratios to HTTP."""
        http = self.figures["http"].best
        return {
            **{f"{name}_cpu_us": round(series.best, 1) for name, series in self.figures.items()},
            **{f"{name}_per_http": round(series.best / http, 2) for name, series in self.figures.items()},
            "python": platform.python_version(),
            "cmpkit": version("cmpkit"),
        }

    def as_text(self) -> str:
        """For people."""
        http = self.figures["http"].best
        lines = [f"{'CPU per enrolment, microseconds':56}{'best':>8}{'median':>8}{'x HTTP':>9}"]
        lines += [
            f"{name:56}{series.best:8.0f}{series.median:8.0f}{series.best / http:9.2f}"
            for name, series in self.figures.items()
        ]
        return "\n".join(lines)


async def measure_roads(directory: Path, *, rounds: int, per_round: int, clients: int) -> RoadsReport:
    """Measure a server for each road; all have one store, and take turns."""
    factory = await make_factory(plugins_with_policy())
    make_directory(directory, factory.root)
    spool = directory / "spool"
    spool.mkdir()
    configurations = {
        "http": CONFIGURATION,
        "tcp": listen_elsewhere(directory, "tcp.toml", 'url = "tcp://127.0.0.1:0"'),
        "https": listen_elsewhere(directory, "https.toml", _HTTPS),
        "file": listen_elsewhere(directory, "file.toml", f'url = "{spool.as_uri()}"'),
    }
    with ExitStack() as served:
        servers = {name: served.enter_context(serving(directory, path)) for name, path in configurations.items()}
        return RoadsReport(await measure_over(servers, factory, rounds=rounds, per_round=per_round, clients=clients))
