"""A transaction as a sequence diagram: who sent what to whom, what it said, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509

from cmpkit.asn1 import GeneralName, IA5String, PKIMessage
from cmpkit.crypto.names import format_name
from cmpkit.errors import CMPError
from cmpkit.inspection.findings import Severity, from_client
from cmpkit.inspection.inspecting import Inspection
from cmpkit.inspection.summary import protection_of, summarise
from cmpkit.inspection.text import printable
from cmpkit.inspection.transactions import arrange

__all__ = ["Diagram", "Step", "diagram_lines", "make_diagrams"]

_GAP = 4
_NARROWEST = 44
_WIDEST = 76


@dataclass(frozen=True, slots=True)
class Step:
    """One message of a transaction.

    :param title: its body: ``ir``.
    :param lines: what it says, what protects it, when it was sent.
    :param faults: what is wrong with it.
    :param to_server: which way it goes.
    :param label: which file it is from.
    """

    title: str
    lines: tuple[str, ...]
    faults: tuple[str, ...]
    to_server: bool
    label: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """One transaction.

    :param transaction_id: in hexadecimal; empty if it has none.
    :param client: the name of the end entity or registration authority.
    :param server: the name of the other side.
    """

    transaction_id: str
    client: str
    server: str
    steps: tuple[Step, ...]


def make_diagrams(inspections: Sequence[Inspection]) -> tuple[Diagram, ...]:
    """A diagram for each transaction among the messages; octets that are no message are in none."""
    by_message = {id(one.message): one for one in inspections if one.message is not None}
    messages = [one.message for one in inspections if one.message is not None]
    return tuple(_diagram([by_message[id(message)] for message in transaction]) for transaction in arrange(messages))


def _diagram(transaction: Sequence[Inspection]) -> Diagram:
    steps, number = [], ""
    names: dict[bool, list[str]] = {True: [], False: []}
    for one in transaction:
        assert one.message is not None
        header = one.message.header
        to_server = from_client(one.message, one.answers)
        names[to_server].insert(0, _name(header.sender))
        names[not to_server].append(_name(header.recipient))
        number = (header.transaction_id or b"").hex()
        steps.append(_step(one, one.message, to_server=to_server))
    client, server = (next(filter(None, names[side]), "") for side in (True, False))
    return Diagram(number, client or "client", server or "server", tuple(steps))


def _step(one: Inspection, message: PKIMessage, *, to_server: bool) -> Step:
    time = message.header.time
    lines = (*summarise(message), protection_of(message))
    if time is not None:
        lines = (*lines, time.isoformat().replace("+00:00", "Z"))
    faults = tuple(finding.detail for finding in one.findings if finding.severity is Severity.FAULT)
    shown = tuple(map(printable, lines))
    return Step(
        message.body.type.wire_name, shown, tuple(map(printable, faults)), to_server, printable(one.source.label)
    )


def _name(name: GeneralName) -> str:
    """A name in short; empty if it is none."""
    try:
        value: object = name.value
    except CMPError:
        return ""
    if isinstance(value, x509.Name):
        return printable(format_name(value))
    return printable(value.as_str()) if isinstance(value, IA5String) else name.tag


def diagram_lines(diagram: Diagram) -> Iterator[str]:
    """A diagram as text, arrows from side to side."""
    width = _width(diagram)
    yield f"transaction {diagram.transaction_id or 'without transactionID'}"
    yield ""
    left, right = diagram.client, diagram.server
    yield f"{left}{' ' * max(1, width + 2 - len(left) - len(right))}{right}"
    yield f"|{' ' * width}|"
    for number, step in enumerate(diagram.steps, start=1):
        yield from _step_lines(number, step, width)
    yield f"|{' ' * width}|"


def _width(diagram: Diagram) -> int:
    texts = [text for step in diagram.steps for text in (*step.lines, *step.faults, step.title)]
    longest = max((len(text) for text in (*texts, diagram.client + diagram.server)), default=0)
    return min(max(longest + 2 * _GAP, _NARROWEST), _WIDEST)


def _step_lines(number: int, step: Step, width: int) -> Iterator[str]:
    room = width - _GAP
    place = str.ljust if step.to_server else str.rjust
    texts = [f"{number} {step.title}", *step.lines, *(f"!! {fault}" for fault in step.faults)]
    for text in texts:
        for line in _wrapped(text, room):
            yield f"|  {place(line, room)}  |"
    arrow = f"{'-' * (width - 1)}>" if step.to_server else f"<{'-' * (width - 1)}"
    yield f"|{arrow}|  {step.label}".rstrip()


def _wrapped(text: str, room: int) -> list[str]:
    return [text[start : start + room] for start in range(0, len(text), room)] or [""]
