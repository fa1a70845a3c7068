"""CMP messages out of both directions of an HTTP connection (RFC 9811), chunked bodies and reused connections included.

Needs the extra ``inspect``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h11

from cmpkit.inspection.framing import Framed

__all__ = ["looks_like_http", "read_requests", "read_responses"]

_METHODS = (b"POST ", b"GET ", b"HEAD ", b"PUT ", b"OPTIONS ", b"PATCH ", b"DELETE ")
_MEDIA_TYPES = ("application/pkixcmp", "application/pkixcmp-poll", "application/x-pkixcmp")
_ANY_REQUEST = h11.Request(method="POST", target="/", headers=[("Host", "unknown")])
_STEP = 4096


def looks_like_http(stream: bytes) -> bool:
    """Whether a stream begins as an HTTP request or response does."""
    return stream.startswith((*_METHODS, b"HTTP/1."))


def read_requests(stream: bytes) -> Iterator[Framed]:
    """The CMP messages that a client posted."""
    yield from _read(stream, h11.SERVER)


def read_responses(stream: bytes) -> Iterator[Framed]:
    """The CMP messages that a server answered with."""
    yield from _read(stream, h11.CLIENT)


def _read(stream: bytes, role: Any) -> Iterator[Framed]:
    """One message after the other; each is read by a parser of its own, as the other direction is not there."""
    position = 0
    while position < len(stream):
        unit = _Unit(role)
        try:
            position = unit.read(stream, position)
        except h11.RemoteProtocolError as error:
            if unit.is_cmp:
                yield Framed(unit.kind, unit.body, len(stream), f"no HTTP: {error}")
            return
        if unit.is_cmp:
            yield Framed(unit.kind, unit.body, position, "" if unit.complete else "the stream ends in its body")
        if not unit.complete:
            return


class _Unit:
    """One request or response."""

    def __init__(self, role: Any) -> None:
        self._parser = h11.Connection(role)
        if role is h11.CLIENT:
            self._parser.send(_ANY_REQUEST)
            self._parser.send(h11.EndOfMessage())
        self.kind = ""
        self.body = b""
        self.media_type = ""
        self.complete = False

    @property
    def is_cmp(self) -> bool:
        """Whether the media type is one of CMP's."""
        return self.media_type in _MEDIA_TYPES

    def read(self, stream: bytes, position: int) -> int:
        """Read on from there; where the unit ends."""
        fed = position
        while not self.complete:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                if fed >= len(stream):
                    if self._ends_with_the_stream():
                        continue
                    return len(stream)
                self._parser.receive_data(stream[fed : fed + _STEP])
                fed += _STEP
            elif event is h11.PAUSED:
                return len(stream)
            else:
                self._take(event)
        trailing, _ = self._parser.trailing_data
        return min(fed, len(stream)) - len(trailing)

    def _ends_with_the_stream(self) -> bool:
        """A body without a length ends with the connection; what else is cut off there stays so."""
        if self._parser.their_state is not h11.SEND_BODY or self.complete:
            return False
        self._parser.receive_data(b"")
        try:
            self._take(self._parser.next_event())
        except h11.RemoteProtocolError:
            return False
        return self.complete

    def _take(self, event: Any) -> None:
        if isinstance(event, h11.Request):
            self.kind = f"{event.method.decode()} {event.target.decode('latin-1')}"
        elif isinstance(event, h11.Response):
            self.kind = str(event.status_code)
        elif isinstance(event, h11.Data):
            self.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self.complete = True
        if isinstance(event, h11.Request | h11.Response):
            value = dict(event.headers).get(b"content-type", b"")
            self.media_type = value.decode("latin-1").partition(";")[0].strip().lower()
