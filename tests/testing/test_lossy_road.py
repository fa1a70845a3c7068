"""A road that loses, repeats, delays and reorders does so by its schedule, and a client gets through in the end."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from cmpkit.errors import TransportError
from cmpkit.parts import Handler
from cmpkit.testing import (
    InProcessCA,
    LossyRoad,
    RoadFault,
    VirtualClock,
    check_client_transport,
    mutate,
    random_schedule,
)
from cmpkit.transports import MemoryRoad


@dataclass
class Echo:
    """A road whose other end answers with the number of the request."""

    requests: list[bytes] = field(default_factory=list)
    deaf: bool = False
    closed: bool = False

    async def exchange(self, request: bytes) -> bytes:
        self.requests.append(request)
        if self.deaf:
            raise TransportError("deaf")
        return b"%d" % len(self.requests)

    async def aclose(self) -> None:
        self.closed = True


async def test_without_faults_it_is_a_transport_like_any_other() -> None:
    @asynccontextmanager
    async def opened(handler: Handler) -> AsyncIterator[LossyRoad]:
        yield LossyRoad(MemoryRoad(handler))

    await check_client_transport(opened)


@pytest.mark.parametrize("fault", ["drop-request", "drop-answer"])
async def test_what_is_lost_may_be_sent_again(fault: str) -> None:
    echo = Echo()
    road = LossyRoad(echo, [fault])
    with pytest.raises(TransportError, match="lost") as caught:
        await road.exchange(b"a")
    assert caught.value.retryable
    assert echo.requests == ([] if fault == "drop-request" else [b"a"])
    await road.exchange(b"a")
    assert road.happened == [RoadFault(fault), None]


async def test_a_duplicate_arrives_twice() -> None:
    echo = Echo()
    assert await LossyRoad(echo, [RoadFault.DUPLICATE]).exchange(b"a") == b"2"
    assert echo.requests == [b"a", b"a"]


async def test_what_is_late_arrives_after_the_next() -> None:
    echo = Echo()
    road = LossyRoad(echo, ["reorder", None])
    with pytest.raises(TransportError):
        await road.exchange(b"a")
    assert await road.exchange(b"b") == b"1"
    assert echo.requests == [b"b", b"a"]


async def test_nobody_waits_for_the_answer_to_what_is_late() -> None:
    echo = Echo(deaf=True)
    road = LossyRoad(echo, ["reorder", "duplicate"])
    for _ in range(2):
        with pytest.raises(TransportError):
            await road.exchange(b"a")
    echo.deaf = False
    assert await road.exchange(b"b")


async def test_an_earlier_answer_comes_once_more() -> None:
    road = LossyRoad(Echo(), ["repeat-answer", "repeat-answer", None])
    assert [await road.exchange(b"a") for _ in range(3)] == [b"1", b"1", b"3"]


async def test_a_late_request_waits_by_the_clock_of_the_test() -> None:
    clock = VirtualClock()
    start = clock()
    await LossyRoad(Echo(), ["delay"], delay=3600, sleep=clock.sleep).exchange(b"a")
    assert (clock() - start).total_seconds() == 3600


async def test_messages_may_be_changed_on_the_way_and_it_closes() -> None:
    echo = Echo()
    road = LossyRoad(echo, requests=bytes.upper, answers=lambda answer: answer + b"!")
    assert await road.exchange(b"a") == b"1!"
    assert echo.requests == [b"A"]
    await road.aclose()
    assert echo.closed


async def test_a_fault_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="swallow"):
        await LossyRoad(Echo(), ["swallow"]).exchange(b"a")


def test_a_schedule_can_be_repeated() -> None:
    first, again, other = (list(itertools.islice(random_schedule(seed), 100)) for seed in (7, 7, 8))
    assert first == again != other
    assert {fault for fault in first if fault} == set(RoadFault)
    assert 15 < sum(fault is not None for fault in first) < 45
    assert set(itertools.islice(random_schedule(1, rate=1, faults=["delay"]), 9)) == {RoadFault.DELAY}


@pytest.mark.parametrize("seed", range(4))
async def test_a_client_gets_through_and_gets_one_certificate(cmp_ca: InProcessCA, seed: int) -> None:
    faults = [fault for fault in RoadFault if fault is not RoadFault.REPEAT_ANSWER]
    road = LossyRoad(cmp_ca.road(), random_schedule(seed, rate=0.5, faults=faults), sleep=cmp_ca.sleep)
    async with cmp_ca.client(await cmp_ca.add_secret(), transport=road) as client:
        await client.enroll("CN=dev-42")
    assert len(await cmp_ca.certificates()) == 1


async def test_an_answer_that_was_changed_on_the_way_is_not_believed(cmp_ca: InProcessCA) -> None:
    mutant = mutate("wrong-recip-nonce")
    road = LossyRoad(cmp_ca.road(), answers=mutant.on_road)
    async with cmp_ca.client(await cmp_ca.add_secret(), transport=road) as client:
        with pytest.raises(Exception, match="MAC of the message does not fit"):
            await client.enroll("CN=dev-42")
    assert mutant.made == [("ip", "wrong-recip-nonce")]
