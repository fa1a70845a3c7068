"""Inspections told to people as lines and to machines as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cmpkit.inspection.comparing import Difference
from cmpkit.inspection.findings import Finding, Severity
from cmpkit.inspection.inspecting import Inspection
from cmpkit.inspection.nodes import Form, Node, plain
from cmpkit.inspection.proofs import Proof
from cmpkit.inspection.sequence import Diagram
from cmpkit.inspection.summary import protection_of
from cmpkit.inspection.text import node_lines, printable
from cmpkit.inspection.tlv import Element

__all__ = [
    "diagram_object",
    "difference_lines",
    "difference_objects",
    "inspection_lines",
    "inspection_object",
]

_INDENT = "  "
_MOST_ELEMENTS = 200


def inspection_lines(one: Inspection, *, full: bool = False) -> Iterator[str]:
    """One message for people.

    :param full: whether everything is shown at full length.
    """
    source = one.source
    what = "no message" if one.message is None else one.message.body.type.wire_name
    protection = "" if one.message is None else f", {protection_of(one.message)}"
    yield f"{printable(source.label)}: {what}, {len(source.octets)} octets{protection}"
    if source.sender:
        at = source.time.isoformat().replace("+00:00", "Z") if source.time else ""
        yield f"{_INDENT}{source.sender} -> {source.receiver}  {printable(source.road)}  {at}".rstrip()
    elif source.road:
        yield f"{_INDENT}{printable(source.road)}"
    for line in node_lines(one.node, full=full):
        yield f"{_INDENT}{line}"
    if one.outline:
        yield ""
        yield f"{_INDENT}elements, by offset"
        yield from _outline_lines(one.outline, full=full)
    yield ""
    yield from _proof_lines(one.proofs)
    yield from _finding_lines(one.findings)


def _outline_lines(outline: Sequence[Element], *, full: bool) -> Iterator[str]:
    """The skeleton; of a long one what is before the first fault, which is where reading broke."""
    elements = [found for element in outline for found in element.walk()]
    shown = elements if full else elements[:_MOST_ELEMENTS]
    for depth, element in shown:
        length = "indefinite length" if element.length is None else f"{element.length} octets"
        fault = f"  !! {element.fault}" if element.fault else ""
        yield f"{_INDENT * 2}{element.offset:6}  {_INDENT * depth}{element.tag}, {length}{fault}"
    if len(shown) < len(elements):
        yield f"{_INDENT * 2}... {len(elements) - len(shown)} more, see --full"


def _proof_lines(proofs: Sequence[Proof]) -> Iterator[str]:
    if proofs:
        yield f"{_INDENT}checks"
    for proof in proofs:
        where = f" in {proof.where}" if proof.where else ""
        yield f"{_INDENT * 2}{proof.outcome.value:11}  {proof.what}{where}: {printable(proof.text)}"


def _finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        yield f"{_INDENT}no rule is broken, as far as can be seen"
        return
    yield f"{_INDENT}findings"
    for finding in findings:
        names = ", ".join(finding.fail_info.wire_names)
        head = f"{finding.severity.value.upper()} {names}".strip() if finding.severity is Severity.FAULT else "note"
        rule = f" ({finding.rule})" if finding.rule else ""
        where = f" in {finding.where}" if finding.where else ""
        yield f"{_INDENT * 2}{head}{where}: {printable(finding.detail)}{rule}"
        if finding.change:
            yield f"{_INDENT * 4}change: {printable(finding.change)}"


def inspection_object(one: Inspection) -> dict[str, Any]:
    """One message for machines; complete, whatever is shown to people."""
    source, message = one.source, one.message
    shown: dict[str, Any] = {
        "source": source.label,
        "octets": len(source.octets),
        "readable": message is not None,
        "body": None if message is None else message.body.type.wire_name,
        "protected_by": None if message is None else protection_of(message),
    }
    if source.road:
        shown["road"] = source.road
    if source.sender:
        shown |= {"sender": source.sender, "receiver": source.receiver}
        shown["time"] = source.time.isoformat().replace("+00:00", "Z") if source.time else None
    shown["message"] = plain(one.node)
    if message is None:
        shown["elements"] = [_element_object(element) for element in one.outline]
        shown["hex"] = source.octets.hex()
    shown["checks"] = [
        {"what": proof.what, "where": proof.where, "outcome": proof.outcome.value, "text": proof.text}
        for proof in one.proofs
    ]
    shown["findings"] = [_finding_object(finding) for finding in one.findings]
    return shown


def _element_object(element: Element) -> dict[str, Any]:
    shown: dict[str, Any] = {"offset": element.offset, "tag": element.tag, "length": element.length}
    if element.fault:
        shown["fault"] = element.fault
    if element.children:
        shown["elements"] = [_element_object(child) for child in element.children]
    return shown


def _finding_object(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "where": finding.where,
        "fail_info": list(finding.fail_info.wire_names),
        "detail": finding.detail,
        "rule": finding.rule,
        "change": finding.change,
        "tolerance": finding.tolerance,
    }


def difference_lines(
    labels: tuple[str, str], differences: Sequence[Difference], *, full: bool = False
) -> Iterator[str]:
    """What differs between two messages, for people."""
    first, second = labels
    yield f"--- {printable(first)}"
    yield f"+++ {printable(second)}"
    if not differences:
        yield "the fields are the same"
    for difference in differences:
        yield printable(difference.path)
        for sign, node in (("-", difference.first), ("+", difference.second)):
            if node is not None:
                yield f"{_INDENT}{sign} {_value(node, full=full)}"


def _value(node: Node, *, full: bool) -> str:
    shown = list(node_lines(Node("", Form.FIELDS, parts=(Node("", node.form, node.value, node.meaning),)), full=full))
    return shown[0].strip() + (f" !! {printable(node.fault)}" if node.fault else "")


def difference_objects(labels: tuple[str, str], differences: Sequence[Difference]) -> dict[str, Any]:
    """What differs between two messages, for machines; what is not in one of them is absent."""
    found = []
    for difference in differences:
        shown: dict[str, Any] = {"path": difference.path}
        if difference.first is not None:
            shown["first"] = plain(difference.first)
        if difference.second is not None:
            shown["second"] = plain(difference.second)
        found.append(shown)
    return {"first": labels[0], "second": labels[1], "differences": found}


def diagram_object(diagram: Diagram) -> dict[str, Any]:
    """A transaction for machines."""
    return asdict(diagram)
