"""A road that loses, repeats, delays and reorders messages, by a schedule that can be repeated."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from random import Random

import anyio

from cmpkit.errors import TransportError
from cmpkit.parts import ClientTransport

__all__ = ["LossyRoad", "RoadFault", "random_schedule"]


class RoadFault(enum.StrEnum):
    """What may happen to one exchange."""

    DROP_REQUEST = "drop-request"
    DROP_ANSWER = "drop-answer"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    REPEAT_ANSWER = "repeat-answer"
    DELAY = "delay"

    @property
    def description(self) -> str:
        """What happens then."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    RoadFault.DROP_REQUEST: "The request is lost; the client knows only that no answer came.",
    RoadFault.DROP_ANSWER: "The request arrives, and its answer is lost.",
    RoadFault.DUPLICATE: "The request arrives twice; the second answer is the one that comes.",
    RoadFault.REORDER: "The request is late: no answer comes, and it arrives after the next one did.",
    RoadFault.REPEAT_ANSWER: "The answer that came before comes once more, in place of this one.",
    RoadFault.DELAY: "The request waits for a while before it goes on.",
}


def random_schedule(
    seed: int, *, rate: float = 0.3, faults: Collection[RoadFault | str] = tuple(RoadFault)
) -> Iterator[RoadFault | None]:
    """What happens to one exchange after the other, without end; the same for the same arguments.

    :param rate: the share of exchanges with a fault, 0 to 1.
    :param faults: those that may happen.
    :raises ValueError: if there is no fault of such a name.
    """
    random, chosen = Random(seed), [RoadFault(fault) for fault in faults]  # noqa: S311 - to be repeated
    while True:
        yield random.choice(chosen) if random.random() < rate else None


class LossyRoad:
    """A :class:`~cmpkit.parts.ClientTransport` around another one, with faults.

    :param transport: the road that works.
    :param schedule: what happens to one exchange after the other; after its end, nothing. Faults may be given by name.
    :param requests: what becomes of every request on its way, for instance ``mutate("flipped-bit", seed=1).on_road``.
    :param answers: what becomes of every answer.
    :param delay: seconds that a late request waits.
    :param sleep: waits; a :class:`~cmpkit.testing.VirtualClock` has its own.
    :raises ValueError: if there is no fault of such a name; raised when its turn comes.
    """

    def __init__(
        self,
        transport: ClientTransport,
        schedule: Iterable[RoadFault | str | None] = (),
        *,
        requests: Callable[[bytes], bytes] | None = None,
        answers: Callable[[bytes], bytes] | None = None,
        delay: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.happened: list[RoadFault | None] = []
        self._transport = transport
        self._schedule = iter(schedule)
        self._requests = requests
        self._answers = answers
        self._delay = delay
        self._sleep = sleep
        self._late: list[bytes] = []
        self._previous: bytes | None = None

    async def exchange(self, request: bytes) -> bytes:
        """One exchange, with what the schedule has for it; :attr:`happened` keeps that.

        :raises TransportError: if no answer comes; the request may be sent again.
        """
        named = next(self._schedule, None)
        fault = None if named is None else RoadFault(named)
        self.happened.append(fault)
        if fault is RoadFault.DELAY:
            await self._sleep(self._delay)
        if self._requests is not None:
            request = self._requests(request)
        if fault is RoadFault.DROP_REQUEST:
            raise _lost("request")
        if fault is RoadFault.REORDER:
            self._late.append(request)
            raise _lost("request")
        if fault is RoadFault.DUPLICATE:
            await self._transport.exchange(request)
        answer = await self._transport.exchange(request)
        await self._deliver_late()
        previous, self._previous = self._previous, answer
        if fault is RoadFault.DROP_ANSWER:
            raise _lost("answer")
        if fault is RoadFault.REPEAT_ANSWER and previous is not None:
            answer = previous
        return answer if self._answers is None else self._answers(answer)

    async def _deliver_late(self) -> None:
        late, self._late = self._late, []
        for request in late:
            # Nobody waits for its answer any more, nor for the reason why there is none.
            with contextlib.suppress(TransportError):
                await self._transport.exchange(request)

    async def aclose(self) -> None:
        """Close the road that works; what is late never arrives."""
        await self._transport.aclose()


def _lost(what: str) -> TransportError:
    return TransportError(f"the {what} was lost on the way, as the schedule wants it", retryable=True)
