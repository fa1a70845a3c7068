"""Whether MACs and signatures of a message fit, as far as what is at hand can tell."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cmpkit.asn1 import CertRepMessage, PKIMessage, encode, read_name
from cmpkit.crypto.later_proof import proof_method
from cmpkit.crypto.names import format_name
from cmpkit.crypto.pop import verify_p10, verify_popo
from cmpkit.crypto.protection import find_protection, verify_message
from cmpkit.crypto.x509 import cert_hash, outline
from cmpkit.endpoints.signer import find_signer, validate_signer, verify_signature
from cmpkit.engine.states import CRMF_REQUESTS
from cmpkit.enums import BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, fault_of
from cmpkit.inspection.findings import DEEPEST, Finding, place_inside
from cmpkit.parts import ProtectionKind, SharedSecret
from cmpkit.plugins import Plugins
from cmpkit.tolerances import Leniency

__all__ = ["Evidence", "Outcome", "Proof", "check_proofs"]

_ELSEWHERE: Mapping[ProofMethod | None, str] = {
    ProofMethod.ENCRYPTED_CERTIFICATE: "encrCert: the proof is the hash of the encrypted certificate, in certConf",
    ProofMethod.CHALLENGE_RESPONSE: "challengeResp: the proof is the number that is encrypted in popdecc, in popdecr",
    ProofMethod.AGREED_MAC: "agreeMAC: its key is known to the requester and the server only",
    ProofMethod.ENCRYPTED_KEY: "encryptedKey: the private key is in it, for the server alone",
    ProofMethod.DH_BASED_MAC: "DHBasedMac: its key is known to the requester and the server only",
}


class Outcome(enum.Enum):
    """What came of a check."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "not checked"


@dataclass(frozen=True, slots=True)
class Proof:
    """One MAC, signature or hash that was looked at.

    :param what: ``protection``, ``signer``, ``proof of possession``, ``certHash``.
    :param text: what came of it, or why it could not be checked.
    :param finding: what is wrong, if it is bad.
    :param where: the message inside the message that it is about, such as ``nested[0]``; empty for the message itself.
    """

    what: str
    outcome: Outcome
    text: str
    finding: Finding | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proofs are checked with.

    :param secret: the shared secret of the transaction.
    :param anchors: DER trust anchors for signers; without any, signers are not validated.
    :param known: DER certificates besides those of the message: later messages may leave theirs out.
    :param now: the time for signers whose message has none.
    """

    plugins: Plugins
    now: datetime
    secret: bytes | None = None
    anchors: Sequence[bytes] = ()
    known: Sequence[bytes] = ()


async def check_proofs(
    message: PKIMessage, evidence: Evidence, *, answers: PKIMessage | None = None
) -> tuple[Proof, ...]:
    """Check the protection of a message, its proofs of possession, and its certHash; then those of messages in it.

    :param answers: the message that it answers or continues.
    """
    return tuple([proof async for proof in _proofs(message, evidence, answers, DEEPEST)])


async def _proofs(
    message: PKIMessage, evidence: Evidence, answers: PKIMessage | None, depth: int
) -> AsyncIterator[Proof]:
    async for proof in _protection(message, evidence):
        yield proof
    async for proof in _possession(message, evidence):
        yield proof
    for proof in _cert_hashes(message, answers, evidence.plugins):
        yield proof
    for number, member in enumerate(message.members if depth else ()):
        if isinstance(member, PKIMessage):
            async for proof in _proofs(member, evidence, None, depth - 1):
                yield _inside(proof, number)


def _inside(proof: Proof, number: int) -> Proof:
    """A proof of a message that is inside another one."""
    where, finding = place_inside(number, proof.where), proof.finding
    return replace(proof, where=where, finding=None if finding is None else replace(finding, where=where))


def _unknown(what: str, why: str) -> Proof:
    return Proof(what, Outcome.UNKNOWN, why)


async def _checked(what: str, good: str, check: Awaitable[object]) -> Proof:
    """The proof of a check that raises what is wrong; what is not supported is not known."""
    try:
        await check
    except CMPError as error:
        if error.fail_info is PKIFailureInfo.BAD_ALG:
            return _unknown(what, error.detail)
        return Proof(what, Outcome.BAD, error.detail, Finding.of(error))
    return Proof(what, Outcome.GOOD, good)


async def _protection(message: PKIMessage, evidence: Evidence) -> AsyncIterator[Proof]:
    algorithm = message.header.protection_alg
    if algorithm is None or message.protection is None:
        return
    try:
        protection = find_protection(evidence.plugins, algorithm.algorithm)
    except CMPError as error:
        yield _unknown("protection", error.detail)
        return
    if protection.kind is ProtectionKind.SIGNATURE:
        async for proof in _signature(message, evidence):
            yield proof
    elif protection.kind is not ProtectionKind.MAC or evidence.secret is None:
        by_secret = protection.kind is ProtectionKind.MAC
        hint = "give the shared secret with --secret" if by_secret else f"it is by {protection.kind.value}"
        yield _unknown("protection", hint)
    else:
        secret = SharedSecret(message.header.sender_kid or b"", evidence.secret)
        check = verify_message(protection, message, secret, leniency=Leniency(frozenset(protection.tolerances)))
        yield await _checked("protection", "the MAC fits the secret", check)


async def _signature(message: PKIMessage, evidence: Evidence) -> AsyncIterator[Proof]:
    try:
        signer = find_signer(message, (*evidence.known, *evidence.anchors))
    except CMPError as error:
        yield _unknown("protection", error.detail)
        return
    name = format_name(read_name(outline(signer).subject_der))
    good = f"the signature fits the certificate of {name}"
    yield await _checked("protection", good, verify_signature(message, signer, evidence.plugins))
    if not evidence.anchors:
        yield _unknown("signer", "give trust anchors with --trusted")
        return

    async def validate() -> None:
        validate_signer(
            message,
            signer,
            known=evidence.known,
            anchors=evidence.anchors,
            now=message.header.time or evidence.now,
            plugins=evidence.plugins,
        )

    yield await _checked("signer", "its path leads to a trust anchor, at messageTime", validate())


async def _possession(message: PKIMessage, evidence: Evidence) -> AsyncIterator[Proof]:
    what, good = "proof of possession", "the signature fits the requested key"
    if message.body.type is BodyType.P10CR:
        request = message.body.content

        async def verify() -> None:
            verify_p10(request, evidence.plugins)

        yield await _checked(what, good, verify())
    if message.body.type not in CRMF_REQUESTS:
        return
    secret = None if evidence.secret is None else SharedSecret(message.header.sender_kid or b"", evidence.secret)
    for request in message.body.content:
        if request.popo is None or list(fault_of(lambda request: request.request, request)):
            continue
        if request.popo.tag == "ra_verified":
            yield _unknown(what, "raVerified: the sender vouches for the requester")
            continue
        why = "" if list(fault_of(proof_method, request)) else _ELSEWHERE.get(proof_method(request), "")
        if why:
            yield _unknown(what, why)
            continue
        check = verify_popo(
            request, sender=message.header.sender, plugins=evidence.plugins, ra_verified=True, secret=secret
        )
        yield await _checked(what, good, check)


def _cert_hashes(message: PKIMessage, answers: PKIMessage | None, plugins: Plugins) -> list[Proof]:
    """Whether a certConf has the hashes of the certificates that it confirms (R-092)."""
    if message.body.type is not BodyType.CERT_CONF or answers is None:
        return []
    if not isinstance(answers.body.content, CertRepMessage):
        return []
    issued = {
        response.cert_req_id: encode(response.certified_key_pair.cert_or_enc_cert.value)
        for response in answers.body.content.response
        if response.certified_key_pair is not None and response.certified_key_pair.cert_or_enc_cert.tag == "certificate"
    }
    found = []
    for status in message.body.content:
        if status.cert_req_id not in issued:
            continue
        try:
            expected = cert_hash(issued[status.cert_req_id], plugins, status.hash_alg)
        except CMPError as error:
            found.append(_unknown("certHash", error.detail))
            continue
        found.append(_hash_proof(same=status.cert_hash == expected))
    return found


def _hash_proof(*, same: bool) -> Proof:
    if same:
        return Proof("certHash", Outcome.GOOD, "it is that of the certificate that was issued")
    wrong = CMPError(
        "certHash is not that of the certificate that was issued",
        PKIFailureInfo.BAD_CERT_ID,
        rule="RFC 9810 section 5.3.18",
        hint="hash the whole DER certificate, by the hash of its signature or the one that hashAlg names",
    )
    return Proof("certHash", Outcome.BAD, wrong.detail, Finding.of(wrong))
