"""A store-and-forward road that stays in memory, for tests and for endpoints within one process."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Disposition, Handler, Peer, TransportOptions, Wanted
from cmpkit.transports.forwarding import work_off
from cmpkit.transports.own_options import refuse_other_options

__all__ = ["MemoryPost"]

_SCHEME = "memory-post"


@dataclass
class _Place:
    """What is at one address.

    :param messages: for the server.
    :param answers: for clients.
    :param aside: messages that were put aside, each with the reason.
    """

    messages: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    aside: list[tuple[bytes, str]] = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def notice(self) -> None:
        """Wake everybody who waits for something to be there."""
        self.changed.set()
        self.changed = anyio.Event()


class MemoryPost:
    """Both parts of the road: clients open addresses ``memory-post:NAME``, servers serve them.

    What is sent stays at its address, whatever servers and clients come and go, as long as this object.
    """

    name = _SCHEME
    schemes: tuple[str, ...] = (_SCHEME,)
    delayed = True

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}

    def open(self, url: str, options: TransportOptions) -> MemoryPostClient:
        """A transport to an address; see :meth:`cmpkit.parts.ClientTransportFactory.open`."""
        refuse_other_options(options, url)
        return MemoryPostClient(self._place(url), options.max_response_size)

    def check(self, url: str) -> None:
        """Whether it is an address; see :meth:`cmpkit.parts.ServerTransport.check`."""
        self._place(url)

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """Handle what is at an address until ``shutdown``; see :meth:`cmpkit.parts.ServerTransport.serve`."""
        inbox = _MemoryInbox(self._place(url), url, max_message_size)
        task_status.started(url)
        await work_off(inbox, handler, shutdown=shutdown, road=self.name)

    def put_aside(self, url: str) -> tuple[tuple[bytes, str], ...]:
        """The messages at an address that were put aside, with the reasons."""
        return tuple(self._place(url).aside)

    def _place(self, url: str) -> _Place:
        scheme, _, name = url.partition(":")
        if scheme != _SCHEME or not name:
            raise ConfigurationError(f"{url!r} names no place", hint=f"write {_SCHEME}:NAME")
        return self._places.setdefault(name, _Place())


class MemoryPostClient:
    """See :class:`cmpkit.parts.ForwardingTransport`."""

    def __init__(self, place: _Place, max_response_size: int) -> None:
        self._place, self._max_response_size = place, max_response_size
        self._closed = False

    async def send(self, message: bytes) -> None:
        """Put a message there."""
        self._insist_on_being_open()
        await anyio.lowlevel.checkpoint()
        self._place.messages.append(message)
        self._place.notice()

    async def announce(self, message: bytes) -> Disposition:
        """Put an announcement there; it needs not be sent again."""
        await self.send(message)
        return Disposition.STORED

    async def receive(self, wanted: Wanted) -> bytes:
        """Wait for an answer that is wanted."""
        while True:
            self._insist_on_being_open()
            changed = self._place.changed
            for message in list(self._place.answers):
                if len(message) <= self._max_response_size and await wanted(message):
                    return message
            await changed.wait()

    async def done(self, message: bytes) -> None:
        """Take an answer away."""
        await anyio.lowlevel.checkpoint()
        if message in self._place.answers:
            self._place.answers.remove(message)

    async def aclose(self) -> None:
        """Send and receive nothing more."""
        self._closed = True

    def _insist_on_being_open(self) -> None:
        if self._closed:
            raise TransportError("this transport is closed")


class _MemoryInbox:
    """See :class:`cmpkit.transports.Inbox`."""

    def __init__(self, place: _Place, url: str, max_message_size: int) -> None:
        self._place, self._url, self._max_message_size = place, url, max_message_size

    async def claim(self) -> _MemoryParcel:
        while True:
            changed = self._place.changed
            while self._place.messages:
                message = self._place.messages.pop(0)
                if len(message) <= self._max_message_size:
                    return _MemoryParcel(self._place, message, Peer(_SCHEME, self._url))
                self._place.aside.append((message, f"it has {len(message)} octets"))
            await changed.wait()


@dataclass
class _MemoryParcel:
    """See :class:`cmpkit.transports.Parcel`."""

    place: _Place
    octets: bytes
    peer: Peer

    async def answer(self, der: bytes) -> None:
        self.place.answers.append(der)
        self.place.notice()

    async def finish(self) -> None:
        """It is nowhere any more."""

    async def quarantine(self, reason: str) -> None:
        self.place.aside.append((self.octets, reason))

    async def put_back(self) -> None:
        self.place.messages.append(self.octets)
        self.place.notice()
