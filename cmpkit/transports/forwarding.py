"""What a server does on a store-and-forward road, whatever the road is: claim, handle, answer, finish."""

from __future__ import annotations

import enum
import itertools
import logging
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from cmpkit.errors import TransportError
from cmpkit.parts import Answer, Disposition, Handler, Peer

__all__ = ["CrashPoint", "Inbox", "Parcel", "work_off"]

_log = logging.getLogger("cmpkit.road")
MAX_HELD = 64
"""Messages that are claimed at once, those that wait to be tried again included."""
MAX_AT_WORK = 16
"""Messages that are handled at once."""
MOST_FAILURES = 5
"""A message with which the endpoint itself fails so often is put aside."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
_LARGEST_POWER = 16
GIVING_BACK_SECONDS = 2.0
_ASIDE = {
    Disposition.MALFORMED: "it is no CMP message",
    Disposition.TOO_LARGE: "it is larger than this endpoint reads",
    Disposition.REFUSED: "it is an announcement that is not believed, or not wanted",
}


class CrashPoint(enum.Enum):
    """How far a message has come; each is logged at level DEBUG, so that tests can end the process there."""

    CLAIMED = "claimed, before it is handled"
    HANDLED = "handled, before it is answered"
    ANSWERED = "answered, before it is finished"
    FINISHED = "finished"


class Parcel(Protocol):
    """A message that was claimed: nobody else has it until it is put back, or this process is gone.

    Each method may raise :class:`~cmpkit.errors.TransportError`; if it is retryable, it is called again later.
    """

    @property
    def octets(self) -> bytes:
        """The message, no larger than is permitted."""

    @property
    def peer(self) -> Peer:
        """Where it came from, with ``reply_to`` if the answer depends on that."""

    async def answer(self, der: bytes) -> None:
        """Send the answer; it is on its way, and survives this process, when this returns.

        After a crash it is sent again: another message with the same octets is no harm.
        """

    async def finish(self) -> None:
        """It is handled: it never comes out of the inbox again."""

    async def quarantine(self, reason: str) -> None:
        """Put it aside, with the reason beside it for people; it never comes out of the inbox again."""

    async def put_back(self) -> None:
        """Give up the claim: it comes out of the inbox again, here or elsewhere."""


class Inbox(Protocol):
    """Where the messages of a store-and-forward road arrive.

    What is no message for this endpoint (too large, no regular file, a bounce, an autoreply) it puts aside itself.
    """

    async def claim(self) -> Parcel:
        """Wait for a message and claim it: it cannot be claimed twice, also by other processes, until it is put back.

        The claims of a process that is gone are found again. May be cancelled; then nothing is claimed.

        :raises TransportError: if the inbox cannot be looked at; if it is retryable, this is called again later.
        """


async def work_off(inbox: Inbox, handler: Handler, *, shutdown: anyio.Event, road: str) -> None:
    """Handle everything that arrives, until ``shutdown`` is set; then finish what is in flight.

    A message is finished only after its answer is on its way, so it is handled again if the process dies in between;
    the endpoint then gives the same answer again. Where the endpoint cannot serve now (``UNAVAILABLE``), or the answer
    cannot be sent now, it is tried again, ever more rarely. What is no message, or cannot be answered for good, is put
    aside.

    :param road: the name of the road, for the log.
    :raises TransportError: if the inbox fails for good.
    """
    worker = _Worker(inbox, handler, road)
    async with anyio.create_task_group() as in_flight:
        async with anyio.create_task_group() as claiming:
            claiming.start_soon(worker.claim_all, in_flight, claiming.cancel_scope)
            await shutdown.wait()
            claiming.cancel_scope.cancel()
        worker.ending.set()
    if worker.failure is not None:
        raise worker.failure


class _Worker:
    """Sees to the messages of one inbox.

    :ivar ending: set when nothing is to be tried again any more.
    :ivar failure: why nothing can be claimed any more.
    """

    def __init__(self, inbox: Inbox, handler: Handler, road: str) -> None:
        self.ending = anyio.Event()
        self.failure: TransportError | None = None
        self._inbox, self._handler, self._road = inbox, handler, road
        self._held = anyio.Semaphore(MAX_HELD)
        self._at_work = anyio.CapacityLimiter(MAX_AT_WORK)

    async def claim_all(self, in_flight: TaskGroup, claiming: anyio.CancelScope) -> None:
        """Claim one message after the other, until cancelled or nothing can be claimed any more."""
        failures = 0
        while True:
            await self._held.acquire()
            parcel: Parcel | None = None
            try:
                parcel = await self._inbox.claim()
                failures = 0
                in_flight.start_soon(self._see_to, parcel)
            except TransportError as error:
                if not error.retryable:
                    # Raised here it would come out of the task group in an exception group.
                    self.failure = error
                    claiming.cancel()
                    return
                _log.warning("%s: its messages cannot be had now: %s", self._road, error)
                failures += 1
                await self._pause(failures)
            finally:
                if parcel is None:
                    self._held.release()

    async def _see_to(self, parcel: Parcel) -> None:
        at_its_end = False
        try:
            _reach(CrashPoint.CLAIMED, parcel)
            at_its_end = await self._bring_to_its_end(parcel)
        finally:
            self._held.release()
            if not at_its_end:
                await self._give_back(parcel)

    async def _bring_to_its_end(self, parcel: Parcel) -> bool:
        """Whether nothing is left to do with it; otherwise it is for another process, or another time."""
        answer: Answer | None = None
        failures = 0
        for attempt in itertools.count(1):
            try:
                answer = answer or await self._ask(parcel)
                if answer is not None:
                    await self._conclude(parcel, answer)
                    return True
            except TransportError as error:
                _log.warning("%s: a message from %s: %s", self._road, _origin(parcel), error)
                if not error.retryable:
                    return await self._put_aside(parcel, f"its answer cannot be sent: {error.detail}")
            except Exception as error:
                _log.exception("%s: a message from %s cannot be handled", self._road, _origin(parcel))
                failures += 1
                if failures == MOST_FAILURES:
                    return await self._put_aside(parcel, f"the endpoint fails with it, see its log: {error!r}")
            if await self._pause(attempt):
                return False
        raise AssertionError

    async def _ask(self, parcel: Parcel) -> Answer | None:
        """What the endpoint says; ``None`` if it cannot serve now."""
        async with self._at_work:
            answer = await self._handler(parcel.octets, parcel.peer)
        if answer.disposition is Disposition.UNAVAILABLE:
            _log.warning("%s: a message from %s cannot be answered now", self._road, _origin(parcel))
            return None
        _reach(CrashPoint.HANDLED, parcel)
        return answer

    async def _conclude(self, parcel: Parcel, answer: Answer) -> None:
        if answer.der is not None:
            await parcel.answer(answer.der)
            _reach(CrashPoint.ANSWERED, parcel)
        reason = _ASIDE.get(answer.disposition)
        await (parcel.finish() if reason is None else parcel.quarantine(reason))
        _reach(CrashPoint.FINISHED, parcel)

    async def _put_aside(self, parcel: Parcel, reason: str) -> bool:
        try:
            await parcel.quarantine(reason)
        except TransportError as error:
            _log.error("%s: a message from %s cannot be put aside: %s", self._road, _origin(parcel), error)
            return False
        return True

    async def _give_back(self, parcel: Parcel) -> None:
        # Also if everything is cancelled: who claims it next should not have to find out that this process is gone.
        with anyio.move_on_after(GIVING_BACK_SECONDS, shield=True):
            try:
                await parcel.put_back()
            except TransportError as error:
                _log.warning("%s: a message from %s cannot be given back: %s", self._road, _origin(parcel), error)

    async def _pause(self, attempt: int) -> bool:
        """Wait before the next attempt; whether there is to be none."""
        with anyio.move_on_after(min(FIRST_PAUSE * 2 ** min(attempt - 1, _LARGEST_POWER), LONGEST_PAUSE)):
            await self.ending.wait()
        return self.ending.is_set()


def _origin(parcel: Parcel) -> str:
    return parcel.peer.address or parcel.peer.reply_to or "somebody"


def _reach(point: CrashPoint, parcel: Parcel) -> None:
    _log.debug("%s: %s", point.value, _origin(parcel))
