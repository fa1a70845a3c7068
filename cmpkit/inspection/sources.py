"""From files to messages: DER, one or several, PEM, base64, raw TCP framing, captured traffic."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.inspection.framing import looks_framed, read_frames
from cmpkit.inspection.tlv import scan

__all__ = ["MAX_FILE_SIZE", "MAX_MESSAGES_SIZE", "Source", "read_source"]

MAX_FILE_SIZE = 256 << 20
"""Octets that a capture may have."""
MAX_MESSAGES_SIZE = 16 << 20
"""Octets that another file may have."""

_PEM = re.compile(rb"-----BEGIN ([^\r\n]*?)-----(.*?)(?:-----END \1-----|\Z)", re.DOTALL)
_BASE64 = re.compile(rb"[A-Za-z0-9+/=_\-\s]+")
_SEQUENCE = 0x30


@dataclass(frozen=True, slots=True)
class Source:
    """The octets of one message, or of what should be one.

    :param label: where they are from, for people: ``req.der``, ``trace.pcap#3``.
    :param octets: as they came.
    :param fault: what was wrong on the way to them; empty if nothing was.
    :param road: how they went, if that is known: ``POST /.well-known/cmp``.
    :param sender: who sent them, if that is known: address and port.
    :param receiver: likewise.
    :param time: when, if that is known.
    """

    label: str
    octets: bytes
    fault: str = ""
    road: str = ""
    sender: str = ""
    receiver: str = ""
    time: datetime | None = None


def read_source(name: str, octets: bytes) -> tuple[Source, ...]:
    """The messages in a file; the kind of file is seen from its first octets.

    Octets that are of no such kind are one source, so that whoever looks at it can say what is wrong with them.

    :param name: of the file, for labels.
    :raises CMPError: badDataFormat for a capture that cannot be read, or has no CMP in it, and for a file too large.
    :raises ConfigurationError: if the library for captures is not installed.
    """
    if octets.startswith(_CAPTURES):
        return _from_capture(name, octets)
    if len(octets) > MAX_MESSAGES_SIZE:
        raise CMPError(f"{name} has more than {MAX_MESSAGES_SIZE} octets and is no capture", hint="is it a message?")
    if looks_framed(octets) and octets[:1] == b"\x00":
        return tuple(
            Source(f"{name}#{number}", unit.octets, unit.fault, unit.kind)
            for number, unit in enumerate(read_frames(octets), start=1)
            if unit.octets or unit.fault
        )
    found = tuple(_from_text(octets) if octets[:1] != bytes((_SEQUENCE,)) else _from_der(octets)) or (octets,)
    if len(found) == 1:
        return (Source(name, found[0]),)
    return tuple(Source(f"{name}#{number}", one) for number, one in enumerate(found, start=1))


_CAPTURES = (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a")


def _from_capture(name: str, octets: bytes) -> tuple[Source, ...]:
    try:
        from cmpkit.inspection.capture import read_capture  # noqa: PLC0415 - its libraries are an extra
    except ImportError as error:
        raise ConfigurationError(
            f"{name} is a capture of traffic, and {error.name} is not installed", hint="pip install 'cmpkit[inspect]'"
        ) from error
    found = tuple(
        Source(
            f"{name}#{number}",
            captured.unit.octets,
            captured.unit.fault,
            captured.unit.kind,
            captured.sender,
            captured.receiver,
            captured.time,
        )
        for number, captured in enumerate(read_capture(octets), start=1)
        if captured.unit.octets or captured.unit.fault
    )
    if not found:
        raise CMPError(
            f"{name} has no CMP over TCP or HTTP in it",
            hint="capture the port of the server whole: tcpdump -s 0 -w FILE; what TLS carries cannot be seen",
        )
    return found


def _from_der(octets: bytes) -> Iterator[bytes]:
    """Elements that follow each other; what follows the last and is no SEQUENCE stays with it."""
    start = 0
    for element in scan(octets, depth=0):
        follows = octets[element.end : element.end + 1]
        if element.fault or (follows and follows[0] != _SEQUENCE):
            break
        yield octets[start : element.end]
        start = element.end
    if start < len(octets):
        yield octets[start:]


def _from_text(octets: bytes) -> Iterator[bytes]:
    blocks = [_base64(_without_headers(body)) for _, body in _PEM.findall(octets)]
    if blocks:
        yield from (block for block in blocks if block is not None)
        return
    for part in re.split(rb"\r?\n\s*\r?\n", octets.strip()):
        block = _base64(part)
        if block is not None:
            yield from _from_der(block) if block[:1] == bytes((_SEQUENCE,)) else (block,)


def _without_headers(body: bytes) -> bytes:
    """The base64 of a PEM block; RFC 1421 had headers before it, which end in an empty line."""
    head, empty, rest = body.strip().partition(b"\n\n")
    return rest if empty and b":" in head else body


def _base64(text: bytes) -> bytes | None:
    if not _BASE64.fullmatch(text):
        return None
    packed = b"".join(text.split()).replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(packed.rstrip(b"=") + b"=" * (-len(packed.rstrip(b"=")) % 4), validate=True)
    except binascii.Error:
        return None
