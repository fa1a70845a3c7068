"""Everything there is to say about messages: what they hold, what is wrong with them, how far they could be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.asn1.ber import decode_ber_message
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.inspection.describe import describe
from cmpkit.inspection.findings import DEEPEST, Finding, Severity, find_faults, from_client
from cmpkit.inspection.nodes import Node
from cmpkit.inspection.proofs import Evidence, Proof, check_proofs
from cmpkit.inspection.salvage import salvage
from cmpkit.inspection.sources import Source
from cmpkit.inspection.tlv import Element, scan
from cmpkit.inspection.transactions import answered_by, arrange
from cmpkit.tolerances import advice

__all__ = ["Inspection", "inspect", "prove"]


_ALL_OF_IT = "send one message in strict DER, all of it, with nothing before or after it"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What there is to say about one message.

    :param source: where it is from.
    :param message: the message; ``None`` if the octets are none.
    :param node: what it holds, as far as that could be read.
    :param findings: what is wrong with it.
    :param proofs: what came of checking its protection and other proofs, if they were checked.
    :param answers: the message among the others that it answers or continues.
    :param outline: the elements of octets that are no message.
    """

    source: Source
    message: PKIMessage | None
    node: Node
    findings: tuple[Finding, ...]
    proofs: tuple[Proof, ...] = ()
    answers: PKIMessage | None = None
    outline: tuple[Element, ...] = ()

    @property
    def faults(self) -> int:
        """How many findings are faults."""
        return sum(finding.severity is Severity.FAULT for finding in self.findings)


def inspect(sources: Iterable[Source], *, secrets: bool = False) -> tuple[Inspection, ...]:
    """Inspect messages; those of one transaction are held against each other. Nothing that a peer may send fails.

    :param secrets: whether the values of controls that are secrets are shown.
    """
    read = [(source, *_read(source)) for source in sources]
    places = _places([message for _, message, _ in read if message is not None])
    return tuple(
        _broken(source, error)
        if message is None
        else _inspection(source, message, error, places[id(message)], secrets=secrets)
        for source, message, error in read
    )


def _read(source: Source) -> tuple[PKIMessage | None, CMPError | None]:
    """The message; and why the octets are not it and nothing else."""
    try:
        return decode_message(source.octets, max_size=len(source.octets)), None
    except CMPError as error:
        fault = error
    elements = scan(source.octets, depth=0)
    ends = {len(source.octets), *(element.end for element in elements[:1])}
    for end in sorted(ends, reverse=True):
        with contextlib.suppress(CMPError):
            return decode_ber_message(source.octets[:end], max_size=end), fault
    return None, fault


class _Place(NamedTuple):
    """Where a message stands in its transaction: what it answers, and the nonces that its sender has used."""

    answers: PKIMessage | None
    used: frozenset[bytes | None]


def _places(messages: list[PKIMessage]) -> dict[int, _Place]:
    return {
        id(message): _Place(answered_by(transaction, number), _used_nonces(transaction[:number], message))
        for transaction in arrange(messages)
        for number, message in enumerate(transaction)
    }


def _used_nonces(before: Sequence[PKIMessage], message: PKIMessage) -> frozenset[bytes | None]:
    """Those of earlier messages of clients; the same octets may be sent again."""
    others = (other for other in before if other.digest != message.digest and from_client(other))
    # One that is nested has the nonce of the message in it (RFC 9483 section 5.2.2.1).
    return frozenset(other.header.sender_nonce for other in others if other.body.type is not BodyType.NESTED)


def _inspection(
    source: Source, message: PKIMessage, error: CMPError | None, place: _Place, *, secrets: bool
) -> Inspection:
    came = _of_the_source(source, error)
    found = find_faults(message, answer_to=place.answers, used_nonces=place.used)
    node = describe(message, secrets=secrets)
    return Inspection(source, message, node, (*came, *found), answers=place.answers)


def _of_the_source(source: Source, error: CMPError | None) -> tuple[Finding, ...]:
    """What is wrong before any message was read."""
    came = () if not source.fault else (Finding(Severity.FAULT, source.fault, change="capture or save it whole"),)
    if error is None:
        return came
    allow = advice(error.tolerance) if error.tolerance else ""
    detail = "; ".join(filter(None, (error.hint.removesuffix(f"; {allow}"), error.detail)))
    change = "; ".join(filter(None, (_ALL_OF_IT, allow)))
    unreadable = Finding(Severity.FAULT, detail, error.rule, change, error.fail_info, error.tolerance)
    return (*came, unreadable)


def _broken(source: Source, error: CMPError | None) -> Inspection:
    return Inspection(source, None, salvage(source.octets), _of_the_source(source, error), outline=scan(source.octets))


async def prove(inspections: Iterable[Inspection], evidence: Evidence) -> tuple[Inspection, ...]:
    """The same inspections with proofs checked; what does not fit is among the findings.

    Certificates that one message brings are known for all: later messages of a transaction may leave them out.
    """
    given = tuple(inspections)
    messages = [inside for one in given if one.message is not None for inside in _all_of(one.message)]
    brought = tuple(dict.fromkeys(der for message in messages for der in message.extra_certs))
    evidence = replace(evidence, known=(*evidence.known, *brought))
    return tuple([await _proven(one, evidence) for one in given])


def _all_of(message: PKIMessage, depth: int = DEEPEST) -> Iterator[PKIMessage]:
    """A message and those in it."""
    yield message
    for member in message.members if depth else ():
        if isinstance(member, PKIMessage):
            yield from _all_of(member, depth - 1)


async def _proven(one: Inspection, evidence: Evidence) -> Inspection:
    if one.message is None:
        return one
    proofs = await check_proofs(one.message, evidence, answers=one.answers)
    wrong = tuple(proof.finding for proof in proofs if proof.finding is not None)
    return replace(one, proofs=proofs, findings=(*wrong, *one.findings))
