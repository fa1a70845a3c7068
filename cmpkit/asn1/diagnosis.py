"""What the first octets of something that is no PKIMessage say about it: a hint for people."""

from __future__ import annotations

__all__ = ["diagnose", "message_size", "tolerance_for"]

_SEQUENCE = 0x30
_INDEFINITE = 0x80
_NEEDS_DER = "CMP messages are DER (X.690 section 10), this is BER:"


def diagnose(octets: bytes) -> str:
    """The first thing that is wrong with the outermost element, or nothing if its frame is as it should be.

    :param octets: what could not be read as a message.
    """
    if octets.startswith(b"-----"):
        return "this is PEM, and a message is DER"
    if octets[:1] != b"\x30":
        return f"a PKIMessage begins with the octet {_SEQUENCE:02x}, this with {octets[:8].hex() or 'nothing'}"
    return _wrong_length(octets)


def _wrong_length(octets: bytes) -> str:
    if octets[1:2] == bytes((_INDEFINITE,)):
        return f"{_NEEDS_DER} its length is indefinite"
    length, start = _length(octets)
    if length is None:
        return "it is cut off in its first length"
    if start > 2 and (octets[2] == 0 or length < _INDEFINITE):
        return f"{_NEEDS_DER} its length is not in the shortest form"
    missing = start + length - len(octets)
    if missing > 0:
        return f"it is cut off: {missing} of {start + length} octets are missing"
    return f"{-missing} octets follow the message" if missing else ""


def tolerance_for(octets: bytes) -> str:
    """The name of the tolerance under which it may be read nevertheless, or nothing.

    :param octets: what could not be read as a message.
    """
    hint = diagnose(octets)
    if hint.startswith(_NEEDS_DER):
        return "ber"
    return "trailing-octets" if 0 < message_size(octets) < len(octets) else ""


def message_size(octets: bytes) -> int:
    """How many octets the outermost element has, or 0 if it is no SEQUENCE of a length that is known."""
    length, start = _length(octets)
    return start + length if octets[:1] == b"\x30" and length is not None and octets[1] != _INDEFINITE else 0


def _length(octets: bytes) -> tuple[int | None, int]:
    """The length that an element gives, and where its content begins; ``None`` if the octets end before that."""
    first = octets[1] if len(octets) > 1 else 0xFF
    if first < _INDEFINITE:
        return first, 2
    start = 2 + first - _INDEFINITE
    return (int.from_bytes(octets[2:start], "big") if len(octets) >= start else None), start
