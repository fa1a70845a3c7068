"""What can be wrong with the octets of a message: one function for each fault, found by its name."""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.errors import CMPError
from cmpkit.testing.faults import flipped

__all__ = ["OCTET_FAULTS", "OctetFault"]

_LONG_FORM = 0x80

OctetFault: TypeAlias = Callable[[bytes, Random], bytes | None]
"""Gives the octets with their fault, or ``None`` where they cannot have it."""

OCTET_FAULTS: Final[dict[str, OctetFault]] = {}
"""The faults of octets by name."""


def _fault(function: OctetFault) -> OctetFault:
    OCTET_FAULTS[function.__name__.strip("_").replace("_", "-")] = function
    return function


def _split(octets: bytes) -> tuple[bytes, bytes] | None:
    """The length octets and the content of the outer SEQUENCE, or ``None`` if there is none."""
    if len(octets) < 2:
        return None
    count = 1 + (octets[1] & ~_LONG_FORM if octets[1] > _LONG_FORM else 0)
    return octets[1 : 1 + count], octets[1 + count :]


def _read(octets: bytes) -> PKIMessage | None:
    try:
        return decode_message(octets)
    except CMPError:
        return None


@_fault
def _flipped_bit(octets: bytes, random: Random) -> bytes | None:
    """One bit is changed, anywhere."""
    return flipped(octets, random)


@_fault
def _broken_protection(octets: bytes, random: Random) -> bytes | None:
    """One bit of the protection is changed (badMessageCheck)."""
    message = _read(octets)
    if message is None or message.protection is None:
        return None
    return message.with_protection(flipped(message.protection, random), message.extra_certs).raw


@_fault
def _no_extra_certs(octets: bytes, random: Random) -> bytes | None:
    """extraCerts are lost on the way, which no protection prevents."""
    message = _read(octets)
    if message is None or message.protection is None or not message.extra_certs:
        return None
    return message.with_protection(message.protection).raw


@_fault
def _truncated(octets: bytes, random: Random) -> bytes | None:
    """The message ends too early (badDataFormat)."""
    return octets[: random.randrange(1, len(octets))] if len(octets) > 1 else None


@_fault
def _trailing_octets(octets: bytes, random: Random) -> bytes | None:
    """Some octets follow the message (badDataFormat)."""
    return octets + random.randbytes(random.randrange(1, 17))


@_fault
def _ber_length(octets: bytes, random: Random) -> bytes | None:
    """The length of the message has more octets than it needs: BER, not DER."""
    parts = _split(octets)
    return None if parts is None else octets[:1] + b"\x84" + len(parts[1]).to_bytes(4) + parts[1]


@_fault
def _ber_indefinite(octets: bytes, random: Random) -> bytes | None:
    """The length of the message is indefinite: BER, not DER."""
    parts = _split(octets)
    return None if parts is None else octets[:1] + b"\x80" + parts[1] + b"\0\0"


@_fault
def _wrong_length(octets: bytes, random: Random) -> bytes | None:
    """The length of the message says more than there is (badDataFormat)."""
    parts = _split(octets)
    if parts is None:
        return None
    length = len(parts[1]) + random.randrange(1, 1 << 16)
    return octets[:1] + b"\x84" + length.to_bytes(4) + parts[1]


@_fault
def _wrong_tag(octets: bytes, random: Random) -> bytes | None:
    """The message is a SET (badDataFormat)."""
    return b"\x31" + octets[1:] if octets else None


@_fault
def _garbage(octets: bytes, random: Random) -> bytes | None:
    """Random octets, as many as the message has (badDataFormat)."""
    return random.randbytes(len(octets))


@_fault
def _text(octets: bytes, random: Random) -> bytes | None:
    """The message is base64 (badDataFormat)."""
    return base64.encodebytes(octets)


@_fault
def _empty(octets: bytes, random: Random) -> bytes | None:
    """No octets at all (badDataFormat)."""
    return b""
