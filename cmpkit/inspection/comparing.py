"""Two messages compared, field by field."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cmpkit.inspection.nodes import Form, Node, leaves

__all__ = ["Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs.

    :param path: where it is: ``header.senderNonce``.
    :param first: what it is in the first message; ``None`` if it is not there.
    :param second: likewise in the second.
    """

    path: str
    first: Node | None
    second: Node | None


def compare(first: Node, second: Node) -> tuple[Difference, ...]:
    """The fields that differ, in the order of the first message, then those that only the second has."""
    kinds, second = _bodies(first, second)
    left, right = dict(leaves(first)), dict(leaves(second))
    paths = [*left, *(path for path in right if path not in left)]
    return kinds + tuple(
        Difference(path, left.get(path), right.get(path)) for path in paths if _differ(left.get(path), right.get(path))
    )


def _bodies(first: Node, second: Node) -> tuple[tuple[Difference, ...], Node]:
    """Whether the bodies are of different types, and the second message with its body under the name of the first's.

    An ir and a cr, or an ip and a kup, have the same fields.
    """
    ours, theirs = first.part("body"), second.part("body")
    if ours is None or theirs is None or not ours.parts or not theirs.parts:
        return (), second
    here, there = ours.parts[0], theirs.parts[0]
    if here.name == there.name:
        return (), second
    renamed = replace(theirs, parts=(replace(there, name=here.name),))
    parts = tuple(renamed if part is theirs else part for part in second.parts)
    kinds = Difference("body", Node("", Form.LEAF, here.name), Node("", Form.LEAF, there.name))
    return (kinds,), replace(second, parts=parts)


def _differ(first: Node | None, second: Node | None) -> bool:
    if first is None or second is None:
        return True
    return (first.value, first.meaning, first.fault) != (second.value, second.meaning, second.fault)
