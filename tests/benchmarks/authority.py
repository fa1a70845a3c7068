"""What an enrolment costs a registration authority, against the CA: ``nox -s bench -- --ra`` (docs/performance.md)."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from factory import make_factory
from figures import Series
from over_road import measure_over
from served import CONFIGURATION, make_directory, plugins_with_policy, put_policy, serving

from cmpkit.ca.operator import OPERATOR
from cmpkit.ca.profiles import load_profile
from cmpkit.config import load_configuration
from cmpkit.config.opening import open_parts
from cmpkit.config.ra_setup import initialise_ra
from cmpkit.crypto.keys import generate_key, key_to_pem
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import to_pem
from cmpkit.enums import BodyType
from cmpkit.parts import CertificateRequest, CertificateState, Issued, UnitOfWork
from cmpkit.plugins import Plugins

__all__ = ["AuthorityReport", "measure_authority"]

_PROFILE = "ra"
_FORWARDS = ("unchanged", "nest")


@dataclass(frozen=True, slots=True)
class AuthorityReport:
    """What was measured.

    :param figures: of the CA that answers directly, ``ca``, and of authorities by how they forward.
    """

    figures: dict[str, Series]

    def as_json(self) -> dict[str, object]:
        """For machines: microseconds of the best round of each, and their ratios to the CA."""
        ca = self.figures["ca"].best
        return {
            **{f"{name}_cpu_us": round(series.best, 1) for name, series in self.figures.items()},
            **{f"{name}_per_ca": round(series.best / ca, 2) for name, series in self.figures.items()},
            "python": platform.python_version(),
            "cmpkit": version("cmpkit"),
        }

    def as_text(self) -> str:
        """For people."""
        ca = self.figures["ca"].best
        lines = [f"{'CPU per enrolment, microseconds':56}{'best':>8}{'median':>8}{'x CA':>9}"]
        titles = {"ca": "CA, directly"} | {name: f"RA, forward = {name}" for name in _FORWARDS}
        lines += [
            f"{titles[name]:56}{series.best:8.0f}{series.median:8.0f}{series.best / ca:9.2f}"
            for name, series in self.figures.items()
        ]
        return "\n".join(lines)


async def measure_authority(folder: Path, *, rounds: int, per_round: int, clients: int) -> AuthorityReport:
    """Measure a CA, and registration authorities before that CA; they take turns."""
    plugins = plugins_with_policy()
    factory = await make_factory(plugins)
    ca = folder / "ca"
    make_directory(ca, factory.root)
    await _certify_authority(ca, folder, plugins)
    with ExitStack() as served:
        servers = {"ca": served.enter_context(serving(ca))}
        ra = folder / "authority"
        await initialise_ra(
            ra,
            upstream=servers["ca"][0],
            trusted=ca / "trust.pem",
            certificate=folder / "ra.pem",
            key=folder / "ra.key",
            listen=["http://127.0.0.1:0"],
            plugins=plugins,
            now=datetime.now(UTC),
        )
        put_policy(ra, factory.root)
        text = (ra / CONFIGURATION).read_text()
        for forward in _FORWARDS:
            (ra / f"{forward}.toml").write_text(text.replace('forward = "reprotect"', f'forward = "{forward}"'))
            servers[forward] = served.enter_context(serving(ra, f"{forward}.toml"))
        return AuthorityReport(
            await measure_over(servers, factory, rounds=rounds, per_round=per_round, clients=clients)
        )


async def _certify_authority(ca: Path, folder: Path, plugins: Plugins) -> None:
    """The certificate of a registration authority, from the CA, with its key."""
    key = generate_key("p256", plugins)
    profile = load_profile(_PROFILE, {"extended_key_usage": ["cmcRA"], "special": True}, plugins)
    configuration = load_configuration(ca / CONFIGURATION, plugins)
    request = CertificateRequest(BodyType.P10CR, -1, key.public_key_info, parse_name("CN=RA"), profile=_PROFILE)
    known = {**configuration.profiles, _PROFILE: profile}
    async with open_parts(replace(configuration, profiles=known), plugins) as parts:
        now = datetime.now(UTC)
        issued = await parts.issuer.issue(request, OPERATOR, idempotency_key="ra", now=now)
        if not isinstance(issued, Issued):
            raise RuntimeError(f"the CA did not certify the registration authority: {issued!r}")
        record = replace(issued.certificate, state=CertificateState.VALID)
        await parts.store.commit(UnitOfWork(certificates=(record,)))
        (folder / "ra.pem").write_bytes(to_pem(record.der, *parts.authority))
        (folder / "ra.key").write_bytes(key_to_pem(key))
