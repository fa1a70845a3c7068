"""The skeleton of octets that are no message: tags and lengths with their offsets, as far as they go (X.690 section 8).

BER and DER, well formed or not: nothing here fails. What cannot be followed is said in :attr:`Element.fault`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MAX_DEPTH", "MAX_ELEMENTS", "Element", "scan", "tag_name"]

MAX_DEPTH = 64
"""Levels that are looked into."""
MAX_ELEMENTS = 20_000
"""Elements of one message that are looked at."""

_CLASSES = ("", "APPLICATION ", "", "PRIVATE ")
_CONTEXT = 2
_UNIVERSAL = {
    0: "end-of-contents",
    1: "BOOLEAN",
    2: "INTEGER",
    3: "BIT STRING",
    4: "OCTET STRING",
    5: "NULL",
    6: "OBJECT IDENTIFIER",
    7: "ObjectDescriptor",
    10: "ENUMERATED",
    12: "UTF8String",
    16: "SEQUENCE",
    17: "SET",
    18: "NumericString",
    19: "PrintableString",
    20: "TeletexString",
    22: "IA5String",
    23: "UTCTime",
    24: "GeneralizedTime",
    26: "VisibleString",
    27: "GeneralString",
    28: "UniversalString",
    30: "BMPString",
}
_CONSTRUCTED = 0x20
_LONG = 0x80
_HIGH_TAG = 0x1F


@dataclass(frozen=True, slots=True)
class Element:
    """One element.

    :param offset: where its tag begins, from the start of the octets.
    :param tag: its tag, as text.
    :param start: where its content begins.
    :param length: octets of content that it claims; ``None`` for the indefinite form.
    :param end: where the content ends that is there.
    :param children: the elements in it, if it is constructed.
    :param fault: why it, or what follows it, cannot be followed; empty if it can.
    """

    offset: int
    tag: str
    start: int
    length: int | None
    end: int
    children: tuple[Element, ...] = ()
    fault: str = ""

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Element]]:
        """This element and those in it, each with its depth."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


def tag_name(identifier: int, number: int) -> str:
    """The tag as ASN.1 has it: ``SEQUENCE``, ``[3]``.

    :param identifier: the first octet.
    :param number: the tag number.
    """
    tag_class = identifier >> 6
    if tag_class == 0:
        return _UNIVERSAL.get(number, f"UNIVERSAL {number}")
    return f"[{_CLASSES[tag_class]}{number}]"


def scan(octets: bytes, *, depth: int = MAX_DEPTH) -> tuple[Element, ...]:
    """The elements of the octets, one after the other, with those in them.

    :param depth: levels that are looked into.
    """
    scanner = _Scanner(octets, depth)
    elements, _ = scanner.elements(0, len(octets), 0)
    return elements


class _Scanner:
    def __init__(self, octets: bytes, depth: int) -> None:
        self._octets = octets
        self._deepest = depth
        self._count = 0

    def elements(
        self, position: int, limit: int, depth: int, *, until_end_of_contents: bool = False
    ) -> tuple[tuple[Element, ...], int]:
        """The elements between two offsets, and where they end."""
        found: list[Element] = []
        while position < limit:
            element = self._element(position, limit, depth)
            found.append(element)
            position = max(element.end, position + 1)
            if until_end_of_contents and element.tag == _UNIVERSAL[0] and element.length == 0:
                return tuple(found[:-1]), position
            if _stops(element):
                return tuple(found), limit
        return tuple(found), position

    def _element(self, offset: int, limit: int, depth: int) -> Element:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            return Element(
                offset, "?", offset, None, limit, fault=f"more than {MAX_ELEMENTS} elements: the rest is cut"
            )
        identifier, number, position = self._tag(offset, limit)
        if position is None:
            return Element(offset, "?", limit, None, limit, fault="it is cut off in its tag")
        tag = tag_name(identifier, number)
        length, start, fault = self._length(position, limit)
        if start is None:
            return Element(offset, tag, limit, None, limit, fault=fault)
        if length is None:
            if not identifier & _CONSTRUCTED:
                return Element(offset, tag, start, None, limit, fault="an indefinite length without constructed form")
            return self._indefinite(offset, tag, start, limit, depth)
        end = min(start + length, limit)
        if start + length > limit:
            fault = f"it claims {length} octets, {limit - start} are there"
        children: tuple[Element, ...] = ()
        if identifier & _CONSTRUCTED and depth < self._deepest:
            children, _ = self.elements(start, end, depth + 1)
        return Element(offset, tag, start, length, end, children, fault)

    def _indefinite(self, offset: int, tag: str, start: int, limit: int, depth: int) -> Element:
        if depth >= self._deepest:
            return Element(offset, tag, start, None, limit, fault=f"more than {self._deepest} levels")
        children, end = self.elements(start, limit, depth + 1, until_end_of_contents=True)
        return Element(offset, tag, start, None, end, children, "its length is indefinite, which DER does not allow")

    def _tag(self, offset: int, limit: int) -> tuple[int, int, int | None]:
        identifier = self._octets[offset]
        number, position = identifier & _HIGH_TAG, offset + 1
        if number != _HIGH_TAG:
            return identifier, number, position
        number = 0
        while position < limit:
            octet = self._octets[position]
            number, position = (number << 7 | octet & 0x7F) & 0xFFFFFFFF, position + 1
            if octet < _LONG:
                return identifier, number, position
        return identifier, number, None

    def _length(self, position: int, limit: int) -> tuple[int | None, int | None, str]:
        """Length, where the content begins, and what is wrong; a start of ``None`` if it cannot be read."""
        if position >= limit:
            return None, None, "it is cut off before its length"
        first = self._octets[position]
        position += 1
        if first < _LONG:
            return first, position, ""
        if first == _LONG:
            return None, position, ""
        size = first - _LONG
        if position + size > limit:
            return None, None, "it is cut off in its length"
        length = int.from_bytes(self._octets[position : position + size], "big")
        shortest = length >= _LONG and self._octets[position] != 0
        return length, position + size, "" if shortest else "its length is not in the shortest form, as DER demands"


def _stops(element: Element) -> bool:
    """Whether nothing after the element can be found: its end is not where it says."""
    return (
        element.tag == "?"
        or (element.length is None and not element.children and element.fault != "")
        or (element.length is not None and element.start + element.length > element.end)
    )
