"""How fast cmpkit is, and how near to what is possible: ``nox -s bench``; definitions are in docs/performance.md."""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import anyio
from authority import AuthorityReport, measure_authority
from factory import make_factory
from figures import Series
from in_process import measure_in_process
from openssl_mock import find_openssl
from over_road import measure_over
from roads import RoadsReport, measure_roads
from served import make_directory, plugins_with_policy, serving

CLIENTS = 16
TITLES = {
    "floor": "floor: 3 verifications, 2 signatures",
    "engine": "engine and parts, without store and transport",
    "engine_sqlite": "the same with durable SQLite",
    "http_cpu": f"HTTP, ir and certConf, durable SQLite, {CLIENTS} clients",
}


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured: rounds, and requests in each, in the process and over HTTP."""

    rounds: int
    per_round: int
    http_rounds: int
    per_http_round: int


QUICK = Extent(150, 10, 3, 96)
FULL = Extent(200, 10, 8, 320)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured.

    :param figures: cmpkit's, by name.
    :param mocks: those of OpenSSL's mock server, by its version.
    """

    figures: dict[str, Series]
    mocks: dict[str, Series]

    @property
    def mock(self) -> tuple[str, Series] | None:
        """The fastest of OpenSSL's mock servers: version and figure."""
        return min(self.mocks.items(), key=lambda item: item[1].best, default=None)

    def as_json(self) -> dict[str, object]:
        """For machines: microseconds of the best round of each, and the ratios of these."""
        best = {name: series.best for name, series in self.figures.items()}
        mock_version, mock = self.mock or (None, None)
        return {
            **{f"{name}_us": round(value, 1) for name, value in best.items()},
            "openssl_mock_cpu_us": mock and round(mock.best, 1),
            **{f"{name}_median_us": round(series.median, 1) for name, series in self.figures.items()},
            "openssl_mock_cpu_median_us": mock and round(mock.median, 1),
            "engine_per_floor": round(best["engine"] / best["floor"], 2),
            "engine_sqlite_per_floor": round(best["engine_sqlite"] / best["floor"], 2),
            "http_per_mock": mock and round(best["http_cpu"] / mock.best, 2),
            "openssl_version": mock_version,
            "openssl_mocks_us": {name: round(series.best, 1) for name, series in self.mocks.items()},
            "python": platform.python_version(),
            "cryptography": version("cryptography"),
            "cmpkit": version("cmpkit"),
        }

    def as_text(self) -> str:
        """For people."""
        floor = self.figures["floor"].best
        rows = [(TITLES[name], series) for name, series in self.figures.items()]
        rows += [(f"OpenSSL {name}'s mock, ir and certConf", series) for name, series in self.mocks.items()]
        lines = [f"{'CPU per enrolment, microseconds':56}{'best':>8}{'median':>8}{'x floor':>9}"]
        lines += [f"{title:56}{row.best:8.0f}{row.median:8.0f}{row.best / floor:9.2f}" for title, row in rows]
        if self.mock is None:
            lines.append("no openssl was found on PATH or in CMPKIT_OPENSSL_PEERS: its mock server was not measured")
        else:
            lines.append(
                f"HTTP per mock of OpenSSL {self.mock[0]}: {self.figures['http_cpu'].best / self.mock[1].best:.2f}"
            )
        return "\n".join(lines)


async def measure(directory: Path, extent: Extent) -> Report:
    """Measure everything, one after the other."""
    factory = await make_factory(plugins_with_policy())
    make_directory(directory, factory.root)
    figures = await measure_in_process(directory, factory, rounds=extent.rounds, per_round=extent.per_round)
    counts = {"rounds": extent.http_rounds, "per_round": extent.per_http_round}
    with serving(directory) as server:
        figures |= await measure_over({"http_cpu": server}, factory, clients=CLIENTS, **counts)
    mocks = {}
    for openssl in find_openssl():
        with openssl.serving(directory) as server:
            # It serves one client at a time.
            mocks |= await measure_over({openssl.version: server}, factory, clients=1, **counts)
    return Report(figures, mocks)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under 40 s")
    parser.add_argument("--roads", action="store_true", help="measure each road against HTTP, in place of all else")
    parser.add_argument("--ra", action="store_true", help="measure registration authorities against the CA, likewise")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file, too")
    arguments = parser.parse_args()
    extent = QUICK if arguments.quick else FULL
    report: Report | RoadsReport | AuthorityReport
    counts = {"rounds": extent.http_rounds, "per_round": extent.per_http_round}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "ca"
        if arguments.ra:
            report = anyio.run(partial(measure_authority, Path(folder), clients=CLIENTS, **counts))
        elif arguments.roads:
            report = anyio.run(partial(measure_roads, directory, clients=CLIENTS, **counts))
        else:
            report = anyio.run(measure, directory, extent)
    print(report.as_text())
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")


if __name__ == "__main__":
    main()
