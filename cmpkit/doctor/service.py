"""What a server does: versions, information, its clock, and the rules that its answers break."""

from __future__ import annotations

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue
from cmpkit.doctor.probing import CA_CERTS, Exchange, Prober, Report
from cmpkit.enums import PVNO, PKIFailureInfo
from cmpkit.inspection.findings import Finding, Severity, find_faults
from cmpkit.parts import Check, Layer, Verdict

__all__ = ["examine_clock", "examine_credentials", "examine_information", "examine_rules", "examine_versions"]

_UNFIT = (
    PKIFailureInfo.BAD_ALG
    | PKIFailureInfo.BAD_MESSAGE_CHECK
    | PKIFailureInfo.BAD_TIME
    | PKIFailureInfo.CERT_REVOKED
    | PKIFailureInfo.WRONG_INTEGRITY
    | PKIFailureInfo.SIGNER_NOT_TRUSTED
    | PKIFailureInfo.NOT_AUTHORIZED
)
"""What is wrong with the credentials, rather than with the question."""
_MOST_SECONDS = 60


def examine_credentials(exchange: Exchange, prober: Prober, report: Report) -> None:
    """Whether the server takes the credentials."""
    if prober.credentials is None:
        advice = "give --ref and --secret, or --cert and --key, to see what the server does for who may ask"
        report(Check("credentials", Layer.OPERATION, Verdict.NOTE, "none given", advice))
    elif exchange.refusal is None:
        report(Check("credentials", Layer.OPERATION, Verdict.GOOD, f"accepted: genm gets {exchange.told}"))
    elif exchange.refusal.failures & _UNFIT:
        advice = "compare reference and secret, or certificate and key, with what the server knows; see its log"
        report(Check("credentials", Layer.OPERATION, Verdict.BAD, f"refused: {exchange.told}", advice))
    else:
        report(Check("credentials", Layer.OPERATION, Verdict.NOTE, f"genm gets {exchange.told}"))


async def examine_versions(prober: Prober, report: Report, *, protect: bool) -> None:
    """Which versions of the protocol (pvno) the server answers (RFC 9810 section 7).

    :param protect: whether to use the credentials, if there are any.
    """
    for pvno in (PVNO.CMP2000, PVNO.CMP2021):
        exchange = await prober.ask(CA_CERTS, pvno=pvno, protect=protect)
        report(_version(pvno, exchange))


def _version(pvno: PVNO, exchange: Exchange) -> Check:
    name = f"version {pvno}"
    if exchange.answer is None:
        return Check(name, Layer.OPERATION, Verdict.NOTE, exchange.told)
    came, refusal = exchange.answer.header.pvno, exchange.refusal
    if refusal is not None and refusal.failures & PKIFailureInfo.UNSUPPORTED_VERSION:
        return Check(name, Layer.OPERATION, Verdict.NOTE, f"not supported: {exchange.told}")
    if came != pvno:
        return Check(name, Layer.OPERATION, Verdict.NOTE, f"answered in version {came}: {exchange.told}")
    return Check(name, Layer.OPERATION, Verdict.GOOD, "answered")


_QUESTIONS = {
    "caCerts": (oids.CA_CERTS, oids.CA_CERTS),
    "currentCRL": (oids.CURRENT_CRL, oids.CURRENT_CRL),
    "rootCaCert": (oids.ROOT_CA_CERT, oids.ROOT_CA_KEY_UPDATE),
    "signKeyPairTypes": (oids.SIGN_KEY_PAIR_TYPES, oids.SIGN_KEY_PAIR_TYPES),
    "preferredSymmAlg": (oids.PREFERRED_SYMM_ALG, oids.PREFERRED_SYMM_ALG),
}
"""What may be asked for without a value, and the type of the answer (RFC 9810 section 5.3.19, RFC 9483 section 4.3).

Not certReqTemplate: the mock server of OpenSSL 3.5 and 3.6 crashes on it, and no question of ours may do harm.
"""


async def examine_information(prober: Prober, report: Report) -> None:
    """What the server tells, each asked for by a genm of its own (RFC 9483 section 4.3)."""
    for name, (asked, answered) in _QUESTIONS.items():
        exchange = await prober.ask(InfoTypeAndValue(asked))
        verdict, detail = _information(exchange, answered)
        report(Check(f"genm {name}", Layer.OPERATION, verdict, detail))


def _information(exchange: Exchange, answered: ObjectIdentifier) -> tuple[Verdict, str]:
    if exchange.items is None:
        return Verdict.NOTE, exchange.told
    found = {item.info_type: item for item in exchange.items}
    if answered in found:
        given = found[answered].info_value is not None
        return Verdict.GOOD, "answered" if given else "answered: there is nothing to give"
    if oids.UNSUPPORTED_OIDS in found:
        return Verdict.NOTE, "not supported"
    return Verdict.NOTE, "a genp without it"


def examine_clock(prober: Prober, report: Report) -> None:
    """How far the server's messageTime is from our time; servers refuse messages that are minutes off."""
    for exchange in reversed(prober.exchanges):
        time = None if exchange.answer is None else exchange.answer.header.time
        if time is None:
            continue
        ahead = (time - prober.options.clock()).total_seconds()
        if abs(ahead) <= _MOST_SECONDS:
            report(Check("clock", Layer.OPERATION, Verdict.GOOD, "within a minute of ours"))
        else:
            detail = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
            advice = "set the clocks right: messages that are minutes off are refused as badTime"
            report(Check("clock", Layer.OPERATION, Verdict.WARNING, detail, advice))
        return
    report(Check("clock", Layer.OPERATION, Verdict.NOTE, "answers have no messageTime"))


def examine_rules(prober: Prober, report: Report) -> None:
    """The rules that the answers break, each once: faults that clients refuse them for, then what is merely odd."""
    found: dict[tuple[str, str], Check] = {}
    answered = [exchange for exchange in prober.exchanges if exchange.usual and exchange.answer is not None]
    for exchange in answered:
        assert exchange.answer is not None
        for finding in find_faults(exchange.answer, answer_to=exchange.request):
            fault = finding.severity is Severity.FAULT and _counts(finding, exchange)
            detail = f"{exchange.answer.body.type.wire_name}: {finding.detail}"
            detail += f" ({finding.rule})" if finding.rule else ""
            verdict = Verdict.BAD if fault else Verdict.WARNING
            check = Check("rules", Layer.TRUST, verdict, detail, finding.change)
            found.setdefault((finding.detail, finding.rule), check)
    for check in sorted(found.values(), key=lambda check: check.verdict is not Verdict.BAD):
        report(check)
    if not found:
        report(Check("rules", Layer.TRUST, Verdict.GOOD, f"none is broken by the {len(answered)} answers"))


def _counts(finding: Finding, exchange: Exchange) -> bool:
    """Whether a client would refuse the answer: who asks without protection may get an answer without."""
    return exchange.request.protection is not None or finding.fail_info is not PKIFailureInfo.BAD_MESSAGE_CHECK
