"""Nodes as text for people: one line a value, aligned, long octets shortened."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from cmpkit.inspection.nodes import Form, Node

__all__ = ["node_lines", "printable"]

_INDENT = "  "
_SHORT_OCTETS = 32
_WIDEST_NAME = 28
_LONGEST_LIST = 100
_LONGEST_TEXT = 400


def printable(text: str) -> str:
    """Text of strangers without what a terminal would act on: control and formatting characters are escaped."""
    return "".join(
        character if unicodedata.category(character)[0] != "C" else ascii(character)[1:-1] for character in text
    )


def node_lines(node: Node, *, full: bool = False) -> Iterator[str]:
    """The parts of a node as lines.

    :param full: whether octets are shown whole, and details too.
    """
    yield from _Writer(full).parts(node, "")


class _Writer:
    def __init__(self, full: bool) -> None:
        self._full = full

    def parts(self, node: Node, indent: str) -> Iterator[str]:
        parts = [part for part in node.parts if self._full or not part.detail]
        names = [f"[{part.name}]" if node.form is Form.LIST else part.name for part in parts]
        width = min(max((len(name) for name in names), default=0), _WIDEST_NAME)
        for name, part in zip(names, parts, strict=True):
            yield from self._named(name.ljust(width), part, indent)

    def _named(self, name: str, node: Node, indent: str) -> Iterator[str]:
        head, rest = self._head(node)
        yield f"{indent}{name}  {head}".rstrip()
        if node.fault:
            yield f"{indent}{_INDENT}!! {printable(node.fault)}"
        if rest is not None:
            yield from self.parts(rest, indent + _INDENT)

    def _head(self, node: Node) -> tuple[str, Node | None]:
        """What is shown beside the name, and the node whose parts are shown below it."""
        if node.form in (Form.LEAF, Form.OCTETS):
            return self._leaf(node), None
        if node.form is Form.LIST and (line := self._line_of_leaves(node)) is not None:
            return line, None
        if node.form is Form.CHOICE and len(node.parts) == 1:
            return self._with_value(node.parts[0].name, node.parts[0])
        if node.form is Form.TYPED and node.parts:
            return self._typed(node)
        return "", node

    def _with_value(self, head: str, value: Node) -> tuple[str, Node | None]:
        shown, rest = self._head(value)
        fault = f" !! {printable(value.fault)}" if value.fault else ""
        return (f"{head}: {shown}" if shown else head) + fault, rest

    def _typed(self, node: Node) -> tuple[str, Node | None]:
        kind, *others = node.parts
        head = self._leaf(kind)
        if any(part.name == "critical" and part.value is True for part in others):
            head += " critical"
        values = [part for part in others if part.name != "critical"]
        if len(values) == 1:
            return self._with_value(head, values[0])
        return head, Node(node.name, Form.FIELDS, parts=tuple(values)) if values else None

    def _line_of_leaves(self, node: Node) -> str | None:
        """All of a list in one line, if that is short."""
        if not node.parts:
            return "(empty)"
        if node.meaning or any(map(self._needs_lines, node.parts)):
            return None
        line = "; ".join(self._head(part)[0] for part in node.parts)
        return line if len(line) <= _LONGEST_LIST else None

    def _needs_lines(self, node: Node) -> bool:
        return node.form in (Form.TYPED, Form.FIELDS) or node.fault != "" or self._head(node)[1] is not None

    def _leaf(self, node: Node) -> str:
        if node.form is Form.OCTETS:
            return self._octets(node)
        if node.value is None or node.value == "":
            return node.meaning
        text = str(node.value).upper() if isinstance(node.value, bool) else printable(str(node.value))
        if not self._full and len(text) > _LONGEST_TEXT:
            text = f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"
        return f"{printable(node.meaning)} ({text})" if node.meaning else text

    def _octets(self, node: Node) -> str:
        digits = str(node.value)
        count = len(digits) // 2
        shown = digits
        if not self._full and count > _SHORT_OCTETS:
            shown = f"{digits[:_SHORT_OCTETS]}… ({count} octets)"
        return f"{shown} {printable(node.meaning)}".strip() if node.meaning else shown or "(no octets)"
