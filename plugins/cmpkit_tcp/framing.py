"""Units of CMP over TCP, to octets and back. Sans I/O.

First form (RFC 2510 section 5.2)::

    length(4) flag(1) value(length - 1)

Second form (draft-ietf-pkix-cmp-transport-protocols, "version 10")::

    length(4) version(1) = 10 flags(1) type(1) value(length - 3)

Both are in network byte order; what the first form calls flag is the type of the second, with the same numbers. The
fifth octet tells them apart: types are less than 10.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, replace

__all__ = [
    "CLOSE_FLAG",
    "PREFIX_SIZE",
    "ErrorType",
    "Framing",
    "FramingError",
    "Later",
    "Prefix",
    "Unit",
    "UnitType",
    "error_unit",
]

PREFIX_SIZE = 5
"""Octets that say which form a unit has, and how long it is."""
CLOSE_FLAG = 0x01
"""Whoever sets it wants the connection closed after this exchange."""
_VERSION = 10
_RELATIVE = 10**8
"""Smaller times are taken for seconds from now: the second form does not say which is meant."""


class Framing(enum.Enum):
    """A form of units."""

    RFC_2510 = "rfc2510"
    VERSION_10 = "version-10"


class UnitType(enum.IntEnum):
    """What a unit holds, by the names of the first form."""

    MESSAGE = 0
    """pkiMsg, pkiReq: a request."""
    POLL_REP = 1
    """Nothing is ready: poll later."""
    POLL_REQ = 2
    NOTHING = 3
    """negPollRep, finRep: there is nothing to send, or no more."""
    PARTIAL = 4
    """partialMsgRep: a message, and poll for more. The second form has none."""
    REPLY = 5
    """finalMsgRep, pkiRep: the answer."""
    ERROR = 6


_TYPES = {
    Framing.RFC_2510: frozenset(UnitType),
    Framing.VERSION_10: frozenset(UnitType) - {UnitType.PARTIAL},
}


class ErrorType(enum.IntEnum):
    """What the second form has for errors; the first has the text alone."""

    VERSION_NOT_SUPPORTED = 0x0101
    GENERAL_CLIENT_ERROR = 0x0102
    INVALID_MESSAGE_TYPE = 0x0103
    INVALID_POLL_ID = 0x0104
    GENERAL_SERVER_ERROR = 0x0201


class FramingError(ValueError):
    """Octets that are no unit.

    :param framing: the form in which to say so.
    :param error_type: what kind of error that is.
    :param in_step: whether the next unit begins after this one; otherwise the connection is of no use any more.
    """

    def __init__(
        self,
        text: str,
        framing: Framing,
        error_type: ErrorType = ErrorType.GENERAL_CLIENT_ERROR,
        *,
        in_step: bool = False,
    ) -> None:
        super().__init__(text)
        self.framing, self.error_type, self.in_step = framing, error_type, in_step


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first five octets of a unit.

    :param rest: octets that follow.
    """

    framing: Framing
    last: int
    rest: int

    @classmethod
    def read(cls, octets: bytes, most: int) -> Prefix:
        """Read them.

        :param octets: :data:`PREFIX_SIZE` of them.
        :param most: octets that a value may have.
        :raises FramingError: if no unit begins so; nothing was read of it then.
        """
        length, last = struct.unpack(">IB", octets)
        if last > _VERSION:
            raise FramingError(
                f"version {last} of the framing is not spoken, {_VERSION} is",
                Framing.VERSION_10,
                ErrorType.VERSION_NOT_SUPPORTED,
            )
        framing, header = (Framing.VERSION_10, 3) if last == _VERSION else (Framing.RFC_2510, 1)
        if not header <= length <= header + most:
            raise FramingError(f"a unit of {length} octets; {header} to {header + most} are read", framing)
        return cls(framing, last, length - 1)


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit.

    :param value: what is in it, as octets.
    :param close: whether the connection is to be closed after this exchange; the first form cannot say so.
    """

    framing: Framing
    type: UnitType
    value: bytes
    close: bool = False

    @classmethod
    def read(cls, prefix: Prefix, rest: bytes) -> Unit:
        """Read a unit.

        :raises FramingError: if its type is unknown; the next unit can be read.
        """
        number, close, value = prefix.last, False, rest
        if prefix.framing is Framing.VERSION_10:
            number, close, value = rest[1], bool(rest[0] & CLOSE_FLAG), rest[2:]
        if number not in _TYPES[prefix.framing]:
            raise FramingError(
                f"the type {number} of a unit is unknown", prefix.framing, ErrorType.INVALID_MESSAGE_TYPE, in_step=True
            )
        return cls(prefix.framing, UnitType(number), value, close)

    def to_octets(self) -> bytes:
        """The unit, as it is sent."""
        if self.framing is Framing.RFC_2510:
            return struct.pack(">IB", len(self.value) + 1, self.type) + self.value
        return struct.pack(">IBBB", len(self.value) + 3, _VERSION, self.close, self.type) + self.value

    def closing(self, close: bool) -> Unit:
        """The unit, with the wish to close the connection or without it."""
        return replace(self, close=close)

    @property
    def text(self) -> str:
        """The text of an error, without characters that could do something to a terminal."""
        octets = self.value[4:] if self.framing is Framing.VERSION_10 else self.value
        text = octets.decode("utf-8", "replace")
        return "".join(character if character.isprintable() else "�" for character in text)[:500]

    @property
    def error_type(self) -> int | None:
        """The type of an error, which the first form has not."""
        if self.framing is Framing.RFC_2510 or len(self.value) < 2:
            return None
        return int.from_bytes(self.value[:2])


@dataclass(frozen=True, slots=True)
class Later:
    """A polling reference and when to come back.

    :param reference: chosen by the server.
    :param at: seconds since 1970, UTC.
    """

    reference: bytes
    at: int

    @classmethod
    def read(cls, value: bytes, now: float) -> tuple[Later, bytes]:
        """Read it, and what follows.

        :param now: seconds since 1970.
        :raises ValueError: if it is not whole.
        """
        if len(value) < 8:
            raise ValueError("a polling reference and a time have 8 octets")
        at = int.from_bytes(value[4:8])
        return cls(value[:4], at if at >= _RELATIVE else int(now) + at), value[8:]

    def to_octets(self) -> bytes:
        """Reference and time, as they are sent."""
        return self.reference + self.at.to_bytes(4)


def error_unit(framing: Framing, error_type: ErrorType, text: str) -> Unit:
    """An error as a unit."""
    octets = text.encode()[:1000]
    if framing is Framing.VERSION_10:
        octets = struct.pack(">HH", error_type, len(octets)) + octets
    return Unit(framing, UnitType.ERROR, octets)
