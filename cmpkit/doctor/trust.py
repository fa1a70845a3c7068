"""Whether a client with these options believes an answer and, if not, which option would make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cmpkit.asn1 import PKIMessage, distinguished_name
from cmpkit.crypto.names import format_name
from cmpkit.crypto.protection import find_protection
from cmpkit.crypto.x509 import fingerprint
from cmpkit.doctor.algorithms import describe_algorithm
from cmpkit.doctor.probing import Exchange, Prober, Report
from cmpkit.doctor.settings import slashed_name
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.signer import find_signer
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.errors import CMPError
from cmpkit.parts import Check, Layer, ProtectionKind, Verdict
from cmpkit.plugins import Plugins
from cmpkit.tolerances import Leniency

__all__ = ["examine_trust"]


@dataclass(frozen=True, slots=True)
class _Remedy:
    """A change of options under which an answer would be believed."""

    verifier: AnswerVerifier
    tolerances: frozenset[str]
    advice: str
    cmpkit: tuple[str, ...]
    openssl: tuple[str, ...] = ()


async def examine_trust(exchange: Exchange, prober: Prober, verifier: AnswerVerifier, report: Report) -> None:
    """Report what an answer is protected by, and whether it is to be believed."""
    assert exchange.answer is not None
    message = exchange.answer
    report(_protection(message, prober.plugins))
    unchecked = _unchecked(message, prober.plugins, verifier)
    if unchecked:
        report(Check("trust", Layer.TRUST, Verdict.NOTE, "not checked", unchecked))
        return
    error, authentic = await _judge(message, prober, verifier, prober.options.tolerances)
    if error is not None:
        report(await _explain(error, message, prober, verifier))
    elif authentic:
        report(Check("trust", Layer.TRUST, Verdict.GOOD, "the answer is authentic, and from who may give it"))
    else:
        detail = "the refusal is not authentic; it is taken because unprotected errors are allowed"
        report(Check("trust", Layer.TRUST, Verdict.WARNING, detail, "it may be forged"))


async def _judge(
    message: PKIMessage, prober: Prober, verifier: AnswerVerifier, tolerances: frozenset[str]
) -> tuple[CMPError | None, bool]:
    """Why a client would not believe the answer, and whether it is authentic."""
    own = prober.credentials
    known = (*message.extra_certs, *prober.options.untrusted)
    issuers = (own.certificate,) if isinstance(own, SigningCredentials) else ()
    now, leniency = prober.options.clock(), Leniency(tolerances)
    try:
        return None, await verifier.verify(message, known=known, issuers=issuers, now=now, leniency=leniency)
    except CMPError as error:
        return error, False


async def _explain(error: CMPError, message: PKIMessage, prober: Prober, verifier: AnswerVerifier) -> Check:
    detail = f"{error.detail} ({error.rule})" if error.rule else error.detail
    for remedy in _remedies(error, message, verifier, prober.options.tolerances):
        left, _ = await _judge(message, prober, remedy.verifier, remedy.tolerances)
        if left is None:
            return Check(
                *("trust", Layer.TRUST, Verdict.BAD, detail, remedy.advice),
                cmpkit=remedy.cmpkit,
                openssl=remedy.openssl,
            )
    return Check("trust", Layer.TRUST, Verdict.BAD, detail, error.hint)


def _protection(message: PKIMessage, plugins: Plugins) -> Check:
    algorithm = message.header.protection_alg
    if algorithm is None or message.protection is None:
        return Check("protection", Layer.TRUST, Verdict.NOTE, f"the {message.body.type.wire_name} is not protected")
    detail = f"answers are protected by {describe_algorithm(algorithm)}"
    if _is_mac(message, plugins) is False:
        sender = distinguished_name(message.header.sender)
        detail += f", signed by {format_name(sender)}" if sender is not None else ""
    return Check("protection", Layer.TRUST, Verdict.GOOD, detail)


def _is_mac(message: PKIMessage, plugins: Plugins) -> bool | None:
    """Whether a message is protected by a MAC; ``None`` if its protection is not known here."""
    assert message.header.protection_alg is not None
    try:
        return find_protection(plugins, message.header.protection_alg.algorithm).kind is ProtectionKind.MAC
    except CMPError:
        return None


def _unchecked(message: PKIMessage, plugins: Plugins, verifier: AnswerVerifier) -> str:
    """What is needed to check the protection; empty if it can be checked, or fails without more ado."""
    if message.protection is None or message.header.protection_alg is None:
        return "" if verifier.credentials is not None else "an answer to somebody unknown: nothing was to be proven"
    mac = _is_mac(message, plugins)
    if mac and verifier.credentials is None:
        return "the answer is protected by a shared secret: give it with --ref and --secret"
    if mac is False and not verifier.anchors and verifier.pinned is None:
        return "give the trust anchor of the server with --trusted, or its certificate with --srvcert"
    return ""


def _remedies(
    error: CMPError, message: PKIMessage, verifier: AnswerVerifier, tolerances: frozenset[str]
) -> Iterator[_Remedy]:
    """What may be tried, the mildest first."""
    name = error.tolerance
    if message.protection is None:
        advice = "have the server protect its errors, or take them as they are; they may be forged"
        words = ("--unprotected-errors",), ("-unprotected_errors",)
        yield _Remedy(verifier, tolerances | {"unprotected-errors"}, advice, *words)
        return
    if name and name != "unprotected-errors":
        advice = f"have the server corrected, or accept what it does: {name}"
        yield _Remedy(verifier, tolerances | {name}, advice, ("--tolerate", name))
    sender = distinguished_name(message.header.sender)
    if sender is not None:
        advice = f"if {format_name(sender)} is the right server, name it"
        naming = replace(verifier, expected_sender=sender)
        yield _Remedy(
            naming,
            tolerances,
            advice,
            ("--expect-sender", format_name(sender)),
            ("-expect_sender", slashed_name(sender)),
        )
    try:
        signer = find_signer(message)
    except CMPError:
        return
    advice = (
        "give the trust anchor above the server's certificate; or pin that certificate, if its operator confirms "
        f"the SHA-256 {fingerprint(signer).hex()}"
    )
    pinning = replace(verifier, pinned=signer, expected_sender=None)
    yield _Remedy(pinning, tolerances, advice, ("--trusted", "FILE"), ("-trusted", "FILE"))
