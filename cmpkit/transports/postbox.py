"""What stands before a store-and-forward road at a client: it finds each message that came the one who waits for it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import anyio

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.errors import CMPError, TransportError
from cmpkit.parts import ClientTransport, ForwardingTransport, Road, Wanted

__all__ = ["Postbox", "answers_to", "with_answers"]

_log = logging.getLogger("cmpkit.road")
_LONGEST_PAUSE = 60.0


def answers_to(
    transaction_id: bytes, nonces: Collection[bytes], *, read: Callable[[bytes], Awaitable[PKIMessage]] | None = None
) -> Wanted:
    """Whether a message may be an answer: it has this transactionID, and repeats one of these nonces or none.

    :param nonces: senderNonces of the messages that it may answer.
    :param read: how messages are read, if not as strict DER; it raises CMPError for what is none.
    """

    async def wanted(octets: bytes) -> bool:
        try:
            header = (decode_message(octets) if read is None else await read(octets)).header
        except CMPError:
            return False
        return header.transaction_id == transaction_id and (header.recip_nonce is None or header.recip_nonce in nonces)

    return wanted


@dataclass(eq=False)
class _Waiter:
    wanted: Wanted
    found: bytes | None = None


class Postbox:
    """A store-and-forward road that many operations use at once, and that can stand in for one with answers.

    Whoever waits looks for everybody, so that the road is looked at by one task at a time.

    :param patience: seconds that :meth:`exchange` waits for an answer; ``None`` waits for ever.
    :param sleep: waits for some seconds after the road failed.
    """

    def __init__(
        self,
        road: ForwardingTransport,
        *,
        patience: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._road = road
        self._patience = patience
        self._sleep = sleep
        self._waiters: list[_Waiter] = []
        self._turn = anyio.Lock()
        self._look: anyio.CancelScope | None = None
        self._failures = 0

    async def send(self, message: bytes) -> None:
        """Hand a message over; see :meth:`cmpkit.parts.ForwardingTransport.send`."""
        await self._road.send(message)

    async def fetch(self, wanted: Wanted) -> bytes:
        """Wait until a message has come that is wanted; it stays on the road until :meth:`done`.

        A road that fails and may do better later is tried again, for ever.

        :raises TransportError: if the road fails for good.
        :raises TimeoutError: if nothing comes by waiting.
        """
        waiter = _Waiter(wanted)
        self._waiters.append(waiter)
        if self._look is not None:
            # What is wanted now may have been passed over already.
            self._look.cancel()
        try:
            while waiter.found is None:
                async with self._turn:
                    if waiter.found is None:
                        await self._look_for_all()
            return waiter.found
        finally:
            self._waiters.remove(waiter)

    async def _look_for_all(self) -> None:
        with anyio.CancelScope() as self._look:
            try:
                message = await self._road.receive(self._is_wanted)
            except TransportError as error:
                if not error.retryable:
                    raise
                await self._pause(error)
            else:
                self._failures = 0
                for waiter in self._waiters:
                    if waiter.found is None and await waiter.wanted(message):
                        waiter.found = message
        self._look = None

    async def _is_wanted(self, message: bytes) -> bool:
        for waiter in self._waiters:
            if waiter.found is None and await waiter.wanted(message):
                return True
        return False

    async def _pause(self, error: TransportError) -> None:
        pause = min(2.0**self._failures, _LONGEST_PAUSE)
        self._failures += 1
        _log.warning("%s; looking for answers again in %g s", error, pause)
        await self._sleep(pause)

    async def done(self, message: bytes) -> None:
        """Take a message off the road; see :meth:`cmpkit.parts.ForwardingTransport.done`."""
        await self._road.done(message)

    async def exchange(self, request: bytes) -> bytes:
        """Send a message, wait for its answer, and take that off the road.

        It makes a store-and-forward road one with answers, for who keeps nothing: what is waited for is lost with the
        process.

        :raises TransportError: if the road fails, no answer comes in time, or ``request`` is no CMP message, whose
            answer nobody could know.
        """
        try:
            header = decode_message(request).header
        except CMPError as error:
            raise TransportError(f"this is no CMP message, nobody would know its answer: {error}") from error
        await self.send(request)
        wanted = answers_to(header.transaction_id or b"", [header.sender_nonce or b""])
        try:
            with anyio.fail_after(self._patience):
                answer = await self.fetch(wanted)
                await self.done(answer)
                return answer
        except TimeoutError as error:
            within = "" if self._patience is None else f" within {self._patience:g} seconds"
            raise TransportError(
                f"the answer did not come{within}", hint="this road takes its time: wait longer"
            ) from error

    async def aclose(self) -> None:
        """Give up the road's resources."""
        await self._road.aclose()


def with_answers(
    road: Road, *, patience: float | None = None, sleep: Callable[[float], Awaitable[None]] = anyio.sleep
) -> ClientTransport:
    """A road that takes requests and gives their answers: the road itself, or a :class:`Postbox` before it.

    :param patience: as for the postbox; so is ``sleep``.
    """
    return Postbox(road, patience=patience, sleep=sleep) if isinstance(road, ForwardingTransport) else road
