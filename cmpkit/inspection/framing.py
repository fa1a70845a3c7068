"""Messages out of a stream: the two TCP framings of port 829, and HTTP bodies.

RFC 2510 section 5.2 (length, flag) and draft-ietf-pkix-cmp-transport-protocols (length, version 10, flags, type).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Framed", "looks_framed", "read_frames"]

_LENGTH = 4
_SECOND_FORM = 10
_FIRST_TYPES = ("pkiMsg", "pollRep", "pollReq", "negPollRep", "partialMsgRep", "finalMsgRep", "errorMsgRep")
_SECOND_TYPES = {0: "pkiReq", 1: "pollRep", 2: "pollReq", 3: "finRep", 5: "pkiRep", 6: "errorMsgRep"}
_SKIPPED = {"partialMsgRep": 8}
_WITH_MESSAGE = frozenset({"pkiMsg", "partialMsgRep", "finalMsgRep", "pkiReq", "pkiRep"})


@dataclass(frozen=True, slots=True)
class Framed:
    """One unit of a stream.

    :param kind: its name: ``pkiMsg``, ``pkiRep``; for HTTP ``POST /path`` or ``200``.
    :param octets: the message in it, as far as it is there; empty if it has none.
    :param end: where the unit ends in the stream, in octets.
    :param fault: what is wrong with the unit; empty if nothing is.
    """

    kind: str
    octets: bytes
    end: int
    fault: str = ""


def looks_framed(stream: bytes) -> bool:
    """Whether a stream begins as TCP framing of CMP does: a length, then a known flag or version."""
    if len(stream) < _LENGTH + 1:
        return False
    length, selector = int.from_bytes(stream[:_LENGTH], "big"), stream[_LENGTH]
    if not 1 <= length <= 1 << 24:
        return False
    if selector == _SECOND_FORM:
        return length >= 3 and len(stream) > _LENGTH + 2 and stream[_LENGTH + 2] in _SECOND_TYPES
    return selector < len(_FIRST_TYPES)


def read_frames(stream: bytes) -> Iterator[Framed]:
    """The units of a stream in either framing; the last one may be cut off."""
    position = 0
    while position < len(stream):
        unit = _read_frame(stream, position)
        yield unit
        if unit.fault:
            return
        position = unit.end


def _read_frame(stream: bytes, position: int) -> Framed:
    head = stream[position : position + _LENGTH + 3]
    if len(head) < _LENGTH + 1:
        return Framed("", b"", len(stream), "the stream ends in the head of a unit")
    length, start = int.from_bytes(head[:_LENGTH], "big"), position + _LENGTH
    end = start + length
    second = head[_LENGTH] == _SECOND_FORM
    kind = _kind(head, second=second)
    if not kind:
        return Framed("", b"", len(stream), f"a unit begins with {head.hex()}, which is neither TCP framing of CMP")
    content = start + (3 if second else 1) + _SKIPPED.get(kind, 0)
    octets = stream[content:end] if kind in _WITH_MESSAGE else b""
    if end > len(stream):
        return Framed(kind, octets, len(stream), f"the stream ends {end - len(stream)} octets before its {kind}")
    return Framed(kind, octets, end)


def _kind(head: bytes, *, second: bool) -> str:
    if second:
        return _SECOND_TYPES.get(head[_LENGTH + 2], "") if len(head) == _LENGTH + 3 else ""
    return _FIRST_TYPES[head[_LENGTH]] if head[_LENGTH] < len(_FIRST_TYPES) else ""
