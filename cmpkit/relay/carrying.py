"""How messages get to an upstream and answers back: over a road that brings them, or one that carries both apart."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.errors import CMPError, TransportError
from cmpkit.parts import ClientTransport, ForwardingTransport
from cmpkit.relay.flights import Flight

__all__ = ["Carrying", "DirectCarrying", "Office", "PostalCarrying", "pause_after"]

_log = logging.getLogger("cmpkit.relay")
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_LARGEST_POWER: Final = 16
_MOST_DOUBTED: Final = 10_000


class Office(Protocol):
    """Who has messages carried, and takes their answers."""

    def wanted(self, transaction_id: bytes) -> tuple[Flight, ...]:
        """The messages with that transactionID that wait for an answer."""

    def is_over(self, flight: Flight) -> bool:
        """Whether nothing is to be waited for any more."""

    async def check(self, flight: Flight, octets: bytes) -> PKIMessage:
        """The answer to a message, if these octets are one.

        :raises CMPError: naming what is not to be believed.
        """

    async def land(self, flight: Flight, answer: PKIMessage, *, keep: bool = False) -> None:
        """Take an answer; see :meth:`cmpkit.relay.courier.Courier.land`."""

    async def note_sent(self, flight: Flight) -> None:
        """Write down that a message was handed over to a store-and-forward road."""


class Carrying(Protocol):
    """Carries messages over one kind of road."""

    def start(self, flight: Flight, tasks: TaskGroup) -> None:
        """Carry a message, until its answer has landed or it is over."""

    async def run(self) -> None:
        """Do what is to be done for all messages together, until cancelled."""


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures, one at least."""
    return min(_FIRST_PAUSE * 2.0 ** min(failures - 1, _LARGEST_POWER), _LONGEST_PAUSE)


class DirectCarrying:
    """Over a road on which the answer comes back where the message goes. What fails is sent again as it is.

    :param upstream: its name.
    :param at_once: how many messages are on the road at once.
    """

    def __init__(
        self,
        road: ClientTransport,
        office: Office,
        *,
        upstream: str,
        at_once: int,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._road, self._office, self._upstream, self._sleep = road, office, upstream, sleep
        self._slots = anyio.Semaphore(at_once, fast_acquire=True)

    def start(self, flight: Flight, tasks: TaskGroup) -> None:
        """See :meth:`Carrying.start`."""
        tasks.start_soon(self._carry, flight)

    async def run(self) -> None:
        """Each message has its own task."""

    async def _carry(self, flight: Flight) -> None:
        failures = 0
        while not self._office.is_over(flight):
            try:
                async with self._slots:
                    octets = await self._road.exchange(flight.relayed.outgoing)
                answer = await self._office.check(flight, octets)
                await self._office.land(flight, answer)
                return
            except CMPError as error:
                reason = str(error)
            except Exception as error:
                _log.exception("upstream %s: a message failed", self._upstream)
                reason = repr(error)
            failures += 1
            pause = pause_after(failures)
            name = flight.relayed.transaction_id.hex()
            _log.warning("upstream %s, transaction %s: %s; again in %g s", self._upstream, name, reason, pause)
            await self._sleep(pause)


class PostalCarrying:
    """Over a store-and-forward road: what is sent is not sent again, and anybody may have put there what comes.

    One task looks for all answers, so that the road is looked at by one at a time.

    :param upstream: its name.
    """

    def __init__(
        self,
        road: ForwardingTransport,
        office: Office,
        *,
        upstream: str,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._road, self._office, self._upstream, self._sleep = road, office, upstream, sleep
        self._doubted: set[bytes] = set()

    def start(self, flight: Flight, tasks: TaskGroup) -> None:
        """See :meth:`Carrying.start`."""
        if not flight.relayed.is_sent:
            tasks.start_soon(self._send, flight)

    async def _send(self, flight: Flight) -> None:
        failures = 0
        while not self._office.is_over(flight):
            try:
                await self._road.send(flight.relayed.outgoing)
                await self._office.note_sent(flight)
                return
            except CMPError as error:
                failures += 1
                _log.warning("upstream %s: %s; sending again in %g s", self._upstream, error, pause_after(failures))
                await self._sleep(pause_after(failures))

    async def run(self) -> None:
        """Look for answers."""
        failures = 0
        while True:
            try:
                octets = await self._road.receive(self._is_wanted)
                await self._take(octets)
                failures = 0
            except TimeoutError:
                await self._sleep(_LONGEST_PAUSE)
            except CMPError as error:
                failures += 1
                _log.warning("upstream %s: %s; looking again in %g s", self._upstream, error, pause_after(failures))
                await self._sleep(pause_after(failures))

    def _fitting(self, octets: bytes) -> tuple[Flight, ...]:
        """The messages that these octets may answer."""
        try:
            header = decode_message(octets).header
        except CMPError:
            return ()
        waiting = self._office.wanted(header.transaction_id or b"")
        return tuple(one for one in waiting if header.recip_nonce is None or header.recip_nonce in one.nonces)

    async def _is_wanted(self, octets: bytes) -> bool:
        return _digest(octets) not in self._doubted and bool(self._fitting(octets))

    async def _take(self, octets: bytes) -> None:
        """Take an answer off the road once what follows from it is kept."""
        taken = False
        for flight in self._fitting(octets):
            try:
                answer = await self._office.check(flight, octets)
                await self._office.land(flight, answer, keep=True)
                taken = True
            except CMPError as error:
                _log.warning("upstream %s: an answer that came is not believed: %s", self._upstream, error)
        if taken:
            try:
                await self._road.done(octets)
            except TransportError as error:
                _log.warning("an answer stays where it is, although it is read: %s", error)
        if len(self._doubted) >= _MOST_DOUBTED:
            self._doubted.clear()
        # One that was read and stays there is not wanted again either.
        self._doubted.add(_digest(octets))


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
