"""Information types that leave something behind and take time, over HTTP, also where both sides end in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import InfoTypeAndValue, encode, to_tlv
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, PeerRefusal, StillWaiting
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import InfoContext, KeptValue, Pending, SharedSecret, Told
from cmpkit.plugins import load_plugins
from cmpkit.testing import check_info_type, known_sender

from .conftest import Observing, World, over_http

TICKET = ObjectIdentifier("2.999.5")
KIND = "example.org/ticket"


class TicketInfo:
    """Draws a ticket at first, and calls it once the desk is open."""

    oid = TICKET
    name = "ticket"

    def __init__(self) -> None:
        self.is_open = False
        self.refuses = False

    @hookimpl
    def cmpkit_info_types(self) -> list[TicketInfo]:
        return [self]

    async def answer(self, value: Any, context: InfoContext) -> InfoTypeAndValue | Told | Pending:
        assert context.store is not None
        drawn = await context.store.kept_value(KIND, context.key.encode())
        if drawn is None:
            ticket = KeptValue(KIND, context.key, context.key.encode(), context.auth.identity.encode())
            return Told(Pending(60, "take a seat"), (ticket,))
        assert context.again
        if self.refuses:
            raise CMPError("the desk is closed for today", PKIFailureInfo.NOT_AUTHORIZED)
        if not self.is_open:
            return Pending(60, "take a seat")
        return InfoTypeAndValue(self.oid, to_tlv(encode(f"ticket of {drawn.value.decode()}")))


@pytest.fixture
def desk() -> TicketInfo:
    return TicketInfo()


@pytest.fixture
def world(world: World, desk: TicketInfo) -> World:
    plugins = load_plugins([("desk", desk)])
    plugins.add(Observing(world.watcher), "watcher")
    return replace(world, plugins=plugins)


@pytest.fixture
async def secret(world: World) -> SharedSecret:
    return await world.secret()


async def stopped(world: World, secret: SharedSecret, folder: Any, *questions: ObjectIdentifier) -> StillWaiting:
    """A client that asks, and ends while it waits; the server ends, too."""
    async with over_http(world) as road:
        client = world.client(secret, transport=road(), sleep=world.clock.sleep, state=folder, total_timeout=30.0)
        async with client:
            with pytest.raises(StillWaiting) as caught:
                await client.info(*questions or (TICKET,))
    return caught.value


async def resumed(world: World, secret: SharedSecret, folder: Any, waiting: StillWaiting) -> Any:
    """What comes of it at another client and another server: the answers, or the refusal."""
    async with over_http(world) as road:
        client = world.client(secret, transport=road(), sleep=world.clock.sleep, state=folder, total_timeout=3600.0)
        async with client:
            try:
                return await client.resume(waiting.saved)
            except PeerRefusal as refusal:
                return refusal


@pytest.mark.rule("R-110", "R-115")
async def test_an_answer_comes_after_both_sides_were_ended(world, secret, desk, tmp_path):
    waiting = await stopped(world, secret, tmp_path)
    assert waiting.waiting
    desk.is_open = True
    (answer,) = await resumed(world, secret, tmp_path, waiting)
    assert answer.parse(str) == "ticket of dev-42"
    assert len([entry for entry in await world.store.audit_entries() if entry.event == "kept"]) == 1


async def test_the_message_waits_as_a_whole(world, secret, desk, tmp_path):
    """Other questions in it are answered with the last one."""
    waiting = await stopped(world, secret, tmp_path, ObjectIdentifier("1.3.6.1.5.5.7.4.17"), TICKET)
    desk.is_open = True
    answers = await resumed(world, secret, tmp_path, waiting)
    assert [item.info_type.dotted_string for item in answers] == ["1.3.6.1.5.5.7.4.17", "2.999.5"]


@pytest.mark.rule("R-113")
async def test_a_late_refusal_is_the_end(world, secret, desk, tmp_path):
    waiting = await stopped(world, secret, tmp_path)
    desk.refuses = True
    refusal = await resumed(world, secret, tmp_path, waiting)
    assert (refusal.body, refusal.fail_info) == ("error", PKIFailureInfo.NOT_AUTHORIZED)
    assert await world.store.open_transactions() == {}


@pytest.mark.rule("R-116")
async def test_a_question_that_nobody_polls_for_is_given_up(world, secret, tmp_path):
    await stopped(world, secret, tmp_path)
    assert sum((await world.store.open_transactions()).values()) == 1
    world.clock.advance(31 * 86400)
    await world.server.housekeep()
    assert await world.store.open_transactions() == {}


async def test_who_asks_for_everything_draws_no_ticket(world, secret):
    async with world.client(secret) as client:
        assert TICKET not in {item.info_type for item in await client.info()}
    assert "kept" not in {entry.event for entry in await world.store.audit_entries()}


async def test_the_contract_of_information_types_knows_those_that_take_time(world, desk):
    context = InfoContext(world.issuer, known_sender("dev-42"), world.clock(), store=world.store, key="00ff")
    desk.is_open = True
    assert (await check_info_type(desk, context)).parse(str) == "ticket of dev-42"
    desk.is_open = False
    with pytest.raises(AssertionError, match="must have an answer when it is asked again"):
        await check_info_type(desk, replace(context, key="00fe"))
