"""A message as a tree of named values, from which text and JSON are made: what one says, the other says too."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Form", "Node", "Scalar", "leaves", "plain"]

Scalar: TypeAlias = str | int | bool | None


class Form(enum.Enum):
    """How the parts of a node belong together."""

    LEAF = "leaf"
    """No parts, a value."""
    OCTETS = "octets"
    """No parts, octets in hexadecimal."""
    FIELDS = "fields"
    """Named fields."""
    LIST = "list"
    """Elements."""
    CHOICE = "choice"
    """The one alternative that is there."""
    TYPED = "typed"
    """Fields, the first of which says what the others are."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a message.

    :param name: its ASN.1 name; that of an element in a list is its number.
    :param value: a leaf's value.
    :param meaning: what the value is called: the name of a number, of an object identifier, of bits.
    :param parts: the nodes in it.
    :param fault: why it could not be read.
    :param detail: whether people want to see it only if they ask for everything.
    """

    name: str
    form: Form = Form.FIELDS
    value: Scalar = None
    meaning: str = ""
    parts: tuple[Node, ...] = ()
    fault: str = ""
    detail: bool = False

    def part(self, name: str) -> Node | None:
        """The part of that name, or ``None``."""
        return next((part for part in self.parts if part.name == name), None)


def plain(node: Node) -> Any:
    """The value of a node for JSON: fields are objects, lists arrays, octets hexadecimal text.

    A value with a meaning is an object of ``value`` and ``name``; what could not be read has ``fault`` and ``value``.
    """
    if node.form in (Form.LEAF, Form.OCTETS):
        shown: dict[str, Any] = {"value": node.value}
        if node.meaning:
            shown["name"] = node.meaning
        if node.fault:
            shown["fault"] = node.fault
        return node.value if len(shown) == 1 else shown
    if node.form is Form.LIST and not node.fault:
        return [plain(part) for part in node.parts]
    fields = {part.name: plain(part) for part in node.parts}
    return {"fault": node.fault, **fields} if node.fault else fields


def leaves(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every leaf of a node with its path: ``header.senderNonce``, ``generalInfo[implicitConfirm].infoValue``."""
    if node.form in (Form.LEAF, Form.OCTETS) or not node.parts:
        yield path, node
        return
    for part, key in zip(node.parts, _keys(node), strict=True):
        yield from leaves(part, f"{path}{key}" if not path or key.startswith("[") else f"{path}.{key}")


def _keys(node: Node) -> list[str]:
    """How the parts of a node are called in a path: elements of a list by their type, if no other has the same."""
    if node.form is not Form.LIST:
        return [part.name for part in node.parts]
    types = [_type_of(part) for part in node.parts]
    return [
        f"[{kind}]" if kind and types.count(kind) == 1 else f"[{part.name}]"
        for part, kind in zip(node.parts, types, strict=True)
    ]


def _type_of(node: Node) -> str:
    if node.form is not Form.TYPED:
        return ""
    return node.parts[0].meaning or str(node.parts[0].value)
