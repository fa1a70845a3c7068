"""The road that stays in memory."""

from __future__ import annotations

import pytest

from cmpkit.errors import TransportError
from cmpkit.parts import Answer, Disposition, Peer
from cmpkit.transports import MemoryRoad


async def echo(message: bytes, peer: Peer) -> Answer:
    return Answer(peer.road.encode() + b":" + message)


async def failing(message: bytes, peer: Peer) -> Answer:
    raise ValueError("out of order")


async def test_the_answer_of_the_handler_comes_back() -> None:
    assert await MemoryRoad(echo).exchange(b"request") == b"memory:request"


async def test_the_handler_is_told_the_given_peer() -> None:
    assert await MemoryRoad(echo, peer=Peer("stick")).exchange(b"request") == b"stick:request"


@pytest.mark.parametrize("outcome", [Disposition.STORED, Disposition.UNAVAILABLE, Disposition.REFUSED])
async def test_an_announcement_has_an_outcome_and_no_answer(outcome: Disposition) -> None:
    async def handler(message: bytes, peer: Peer) -> Answer:
        return Answer(None, outcome)

    if outcome is Disposition.REFUSED:
        with pytest.raises(TransportError, match="not taken: refused"):
            await MemoryRoad(handler).announce(b"news")
    else:
        assert await MemoryRoad(handler).announce(b"news") is outcome


async def test_too_large_a_message_does_not_reach_the_handler() -> None:
    with pytest.raises(TransportError, match="6 octets, 5 are taken"):
        await MemoryRoad(failing, max_message_size=5).exchange(b"123456")


async def test_too_large_an_answer_is_refused() -> None:
    with pytest.raises(TransportError, match="the answer has 13 octets, 5 are taken"):
        await MemoryRoad(echo, max_response_size=5).exchange(b"123456")


@pytest.mark.parametrize("disposition", [each for each in Disposition if each is not Disposition.ANSWERED])
async def test_without_an_answer_the_disposition_is_named(disposition: Disposition) -> None:
    async def handler(message: bytes, peer: Peer) -> Answer:
        return Answer(None, disposition)

    with pytest.raises(TransportError, match=disposition.value) as caught:
        await MemoryRoad(handler).exchange(b"request")
    assert caught.value.retryable is (disposition is Disposition.UNAVAILABLE)


async def test_a_failing_handler_is_the_cause_of_a_transport_error() -> None:
    with pytest.raises(TransportError, match="out of order") as caught:
        await MemoryRoad(failing).exchange(b"request")
    assert isinstance(caught.value.__cause__, ValueError)
