"""Protections in words, and the MACs that a server accepts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Null, PBMAC1Params, PBMParameter
from cmpkit.doctor.probing import CA_CERTS, Prober, Report
from cmpkit.errors import CMPError
from cmpkit.inspection.names import object_name
from cmpkit.parts import Check, Layer, Verdict
from cmpkit.plugins import Plugins

__all__ = ["describe_algorithm", "examine_macs"]

_ASKED = ("hmac-sha256", "hmac-sha512", "hmac-sha3-256", "aes256-gmac", "kmac256", "pbmac1-hmac-sha256")
"""One MAC of each family; a server that has one mostly has its sisters."""


def describe_algorithm(algorithm: AlgorithmIdentifier) -> str:
    """A protectionAlg for people: its name and, for a MAC, the algorithms inside."""
    name = _name(algorithm)
    try:
        if algorithm.algorithm == oids.PASSWORD_BASED_MAC:
            pbm = algorithm.parse(PBMParameter)
            return f"{name} ({_name(pbm.owf)}, {_name(pbm.mac)}, {pbm.iteration_count} iterations)"
        if algorithm.algorithm == oids.PBMAC1:
            return f"{name} ({_name(algorithm.parse(PBMAC1Params).message_auth_scheme)})"
    except CMPError:
        return f"{name}, with parameters that cannot be read"
    return name


def _name(algorithm: AlgorithmIdentifier) -> str:
    return object_name(algorithm.algorithm) or algorithm.algorithm.dotted_string


async def examine_macs(prober: Prober, report: Report) -> None:
    """Which MACs the server takes from who has the shared secret."""
    taken: list[str] = []
    refused: list[str] = []
    for name, algorithm in _macs(prober.plugins):
        exchange = await prober.ask(CA_CERTS, like=algorithm)
        (refused if exchange.items is None else taken).append(name)
    detail = (", ".join(taken) or "none") + (f"; refused: {', '.join(refused)}" if refused else "")
    by_sha1 = await prober.ask(CA_CERTS, like=_sha1())
    known = not taken or taken[0] == _ASKED[0] or prober.options.mac is not None
    choice = () if known else ("--mac", taken[0])
    verdict = Verdict.GOOD if taken else Verdict.WARNING
    report(Check("MACs", Layer.OPERATION, verdict, f"accepted: {detail}", cmpkit=choice))
    if by_sha1.items is None:
        advice = "openssl cmp makes such MACs unless it is told otherwise"
        mac = ("-mac", "hmacWithSHA256")
        report(Check("MAC hmac-sha1", Layer.OPERATION, Verdict.GOOD, "refused", advice, openssl=mac))
    else:
        advice = "the server should refuse MACs with SHA-1 (RFC 9481 section 6); openssl cmp makes them by default"
        report(Check("MAC hmac-sha1", Layer.OPERATION, Verdict.WARNING, "accepted", advice))


def _macs(plugins: Plugins) -> Iterator[tuple[str, AlgorithmIdentifier]]:
    for part in plugins.all("protection"):
        for name in getattr(part, "macs", ()):
            if name in _ASKED:
                yield name, part.new_algorithm(name, secrets.token_bytes)


def _sha1() -> AlgorithmIdentifier:
    """What OpenSSL's client makes by default."""
    params = PBMParameter(
        salt=secrets.token_bytes(16),
        owf=AlgorithmIdentifier(oids.SHA256),
        iteration_count=500,
        mac=AlgorithmIdentifier(oids.HMAC_SHA1, Null()),
    )
    return AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, params)
