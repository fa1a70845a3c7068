"""Octets in BER that mean what some DER means."""

from __future__ import annotations

from collections.abc import Callable

from cmpkit.asn1.codec import der_wrap

CONSTRUCTED = 0x20


def read_elements(octets: bytes) -> list[tuple[int, bytes]]:
    """Tags, of one octet, and contents of elements in DER, one after the other."""
    elements, position = [], 0
    while position < len(octets):
        tag, length, start = octets[position], octets[position + 1], position + 2
        if length >= 0x80:
            start += length - 0x80
            length = int.from_bytes(octets[position + 2 : start], "big")
        elements.append((tag, octets[start : start + length]))
        position = start + length
    return elements


def indefinite(der: bytes) -> bytes:
    """Every constructed element with an indefinite length."""
    return _rewrite(der, lambda tag, content: bytes((tag, 0x80)) + content + b"\0\0", der_wrap)


def long_lengths(der: bytes) -> bytes:
    """Every length in four octets."""

    def write(tag: int, content: bytes) -> bytes:
        return bytes((tag, 0x84)) + len(content).to_bytes(4, "big") + content

    return _rewrite(der, write, write)


def _rewrite(der: bytes, constructed: Callable[[int, bytes], bytes], primitive: Callable[[int, bytes], bytes]) -> bytes:
    parts = []
    for tag, content in read_elements(der):
        if tag & CONSTRUCTED:
            parts.append(constructed(tag, _rewrite(content, constructed, primitive)))
        else:
            parts.append(primitive(tag, content))
    return b"".join(parts)


def replace_once(der: bytes, old: bytes, new: bytes) -> bytes:
    """A message with indefinite lengths and another form of one primitive element, whatever its length.

    :param der: the message.
    :param old: the element, of which there is one.
    :param new: its other form.
    """
    octets = indefinite(der)
    assert octets.count(old) == 1
    return octets.replace(old, new)
