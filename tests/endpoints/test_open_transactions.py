"""How many transactions may be open (R-007), and what frees a place."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import PeerRefusal, TransportError
from cmpkit.parts import Peer, SharedSecret
from cmpkit.transports import MemoryRoad

from .conftest import World

PER_PEER, IN_ALL = 2, 3


@dataclass
class Bounded:
    """One server, with few places, and clients that may leave before they confirm."""

    world: World
    server: Server

    async def enroll(self, secret: SharedSecret, *, confirms: bool) -> None:
        road = self.road(1 if not confirms else 100)
        async with self.world.client(secret, transport=road, implicit_confirm=False) as client:
            with suppress(*([] if confirms else [TransportError])):
                await client.enroll(subject=f"CN={secret.reference.decode()}")

    def road(self, messages: int) -> MemoryRoad:
        """A road that is closed after so many messages."""
        left = [messages]

        async def handle(der: bytes, peer: Peer) -> Any:
            if not left[0]:
                raise TransportError("the device is off", retryable=False)
            left[0] -= 1
            return await self.server.handle(der, peer)

        return MemoryRoad(handle, peer=Peer("memory", "192.0.2.1"))

    async def refused(self, secret: SharedSecret) -> PeerRefusal:
        with pytest.raises(PeerRefusal) as caught:
            await self.enroll(secret, confirms=True)
        assert caught.value.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL
        return caught.value


@pytest.fixture
def bounded(world: World) -> Bounded:
    settings = ServerSettings(max_open=IN_ALL, max_open_per_peer=PER_PEER)
    return Bounded(world, world.with_(settings=settings).server)


@pytest.mark.rule("R-007")
async def test_one_requester_may_have_so_many_transactions_open(bounded, world):
    mine, other = await world.secret(uses=None), await world.secret("dev-43", uses=None)
    for _ in range(PER_PEER):
        await bounded.enroll(mine, confirms=False)
    refusal = await bounded.refused(mine)
    assert "try again later" in str(refusal)
    await bounded.enroll(other, confirms=True)


@pytest.mark.rule("R-007")
async def test_all_together_may_have_so_many_transactions_open(bounded, world):
    for number in range(IN_ALL):
        await bounded.enroll(await world.secret(f"dev-{number}"), confirms=False)
    await bounded.refused(await world.secret("dev-last"))


@pytest.mark.rule("R-007")
async def test_what_is_confirmed_takes_no_place(bounded, world):
    secret = await world.secret(uses=None)
    for _ in range(IN_ALL + 1):
        await bounded.enroll(secret, confirms=True)


@pytest.mark.rule("R-007", "R-098")
async def test_what_has_expired_frees_its_place(bounded, world):
    secret = await world.secret(uses=None)
    for _ in range(PER_PEER):
        await bounded.enroll(secret, confirms=False)
    await bounded.refused(secret)
    world.clock.advance(timedelta(minutes=16).total_seconds())
    await bounded.server.housekeep()
    await bounded.enroll(secret, confirms=True)


@pytest.mark.rule("R-007")
async def test_places_are_taken_after_a_restart_too(bounded, world):
    secret = await world.secret(uses=None)
    for _ in range(PER_PEER):
        await bounded.enroll(secret, confirms=False)
    again = Bounded(world, world.with_(settings=bounded.server.settings).server)
    await again.refused(secret)


@pytest.mark.rule("R-007")
async def test_what_another_process_ended_frees_a_place_before_anybody_is_refused(bounded, world):
    secret = await world.secret(uses=None)
    for _ in range(PER_PEER):
        await bounded.enroll(secret, confirms=False)
    world.clock.advance(timedelta(minutes=16).total_seconds())
    await world.server.housekeep()
    await bounded.enroll(secret, confirms=True)


@pytest.mark.rule("R-007")
async def test_the_store_is_not_asked_for_each_request(bounded, world, monkeypatch):
    asked = []
    count = type(world.store).open_transactions

    async def counting(store: Any) -> Any:
        asked.append(store)
        return await count(store)

    monkeypatch.setattr(type(world.store), "open_transactions", counting)
    secret = await world.secret(uses=None)
    for _ in range(3):
        await bounded.enroll(secret, confirms=True)
    assert len(asked) == 1


async def test_whoever_has_no_place_left_can_still_confirm(bounded, world):
    secret = await world.secret(uses=None)
    for _ in range(PER_PEER - 1):
        await bounded.enroll(secret, confirms=False)
    await bounded.enroll(secret, confirms=True)
    await bounded.enroll(secret, confirms=True)
