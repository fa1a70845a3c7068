"""What a server does on a store-and-forward road when something goes wrong, and what tests can see of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from cmpkit.errors import TransportError
from cmpkit.parts import Answer, Disposition, Peer
from cmpkit.transports import CrashPoint, forwarding, work_off

SOMEBODY = Peer("post", "somebody")


@dataclass
class Item:
    """A parcel that notes what is done with it, and fails as often as it is told."""

    octets: bytes
    peer: Peer = SOMEBODY
    fails: dict[str, list[Exception]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    over: anyio.Event = field(default_factory=anyio.Event)

    async def _do(self, what: str, *, last: bool) -> None:
        if self.fails.get(what.partition(":")[0]):
            raise self.fails[what.partition(":")[0]].pop(0)
        self.done.append(what)
        if last:
            self.over.set()

    async def answer(self, der: bytes) -> None:
        await self._do(f"answer: {der.decode()}", last=False)

    async def finish(self) -> None:
        await self._do("finish", last=True)

    async def quarantine(self, reason: str) -> None:
        await self._do(f"quarantine: {reason}", last=True)

    async def put_back(self) -> None:
        await self._do("put back", last=True)


class Box:
    """An inbox with some parcels, which fails first if it is told to."""

    def __init__(self, *items: Item, fails: list[TransportError] | None = None) -> None:
        self.items, self.fails = list(items), fails or []

    async def claim(self) -> Item:
        if self.fails:
            raise self.fails.pop(0)
        if not self.items:
            await anyio.sleep_forever()
        return self.items.pop(0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "FIRST_PAUSE", 0.001)


def saying(*answers: Answer | Exception) -> Callable[[bytes, Peer], Any]:
    """A handler that says one after the other, and the last for ever."""
    left = list(answers)

    async def handler(message: bytes, peer: Peer) -> Answer:
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, Exception):
            raise said
        return said

    return handler


@asynccontextmanager
async def worked_off(box: Box, handler: Callable[[bytes, Peer], Any]) -> AsyncIterator[anyio.Event]:
    shutdown = anyio.Event()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(work_off, box, handler, shutdown=shutdown, road="post"))
            yield shutdown
            shutdown.set()


YES = Answer(b"yes")
LATER = TransportError("the other side is away", retryable=True)
NEVER = TransportError("there is no such address")


@pytest.mark.parametrize(
    ("answers", "fails", "done"),
    [
        ([YES], {}, ["answer: yes", "finish"]),
        ([Answer(None, Disposition.NOTHING_MORE)], {}, ["finish"]),
        ([Answer(None, Disposition.STORED)], {}, ["finish"]),
        ([Answer(None, Disposition.MALFORMED)], {}, ["quarantine: it is no CMP message"]),
        ([Answer(b"no", Disposition.MALFORMED)], {}, ["answer: no", "quarantine: it is no CMP message"]),
        ([Answer(b"busy", Disposition.UNAVAILABLE), YES], {}, ["answer: yes", "finish"]),
        ([ValueError("broken"), YES], {}, ["answer: yes", "finish"]),
        ([YES], {"answer": [LATER, LATER]}, ["answer: yes", "finish"]),
        ([YES], {"finish": [LATER]}, ["answer: yes", "answer: yes", "finish"]),
        ([YES], {"answer": [NEVER]}, ["quarantine: its answer cannot be sent: there is no such address"]),
        ([YES], {"answer": [OSError("a fault of the road")]}, ["answer: yes", "finish"]),
    ],
)
async def test_a_message_comes_to_its_end(
    answers: list[Answer | Exception], fails: dict[str, list[Exception]], done: list[str]
) -> None:
    item = Item(b"message", fails={what: list(errors) for what, errors in fails.items()})
    async with worked_off(Box(item), saying(*answers)):
        await item.over.wait()
    assert item.done == done


async def test_a_message_with_which_the_endpoint_fails_is_put_aside_and_the_others_are_not() -> None:
    async def handler(message: bytes, peer: Peer) -> Answer:
        if message == b"poison":
            raise ValueError("poisoned")
        return YES

    poison, other = Item(b"poison"), Item(b"other")
    async with worked_off(Box(poison, other), handler):
        await poison.over.wait()
        await other.over.wait()
    assert poison.done == ["quarantine: the endpoint fails with it, see its log: ValueError('poisoned')"]
    assert other.done == ["answer: yes", "finish"]


async def test_what_cannot_be_put_aside_is_given_back(caplog: pytest.LogCaptureFixture) -> None:
    item = Item(b"message", fails={"answer": [NEVER], "quarantine": [LATER]})
    async with worked_off(Box(item), saying(YES)):
        await item.over.wait()
    assert item.done == ["put back"]
    assert "cannot be put aside" in caplog.text


async def test_at_shutdown_what_waits_to_be_tried_again_is_given_back() -> None:
    asked = anyio.Event()

    async def handler(message: bytes, peer: Peer) -> Answer:
        asked.set()
        return Answer(None, Disposition.UNAVAILABLE)

    item = Item(b"message", fails={"put back": []})
    async with worked_off(Box(item), handler):
        await asked.wait()
    assert item.done == ["put back"]


async def test_an_inbox_that_fails_is_looked_at_again() -> None:
    item = Item(b"message")
    async with worked_off(Box(item, fails=[LATER, LATER]), saying(YES)):
        await item.over.wait()
    assert item.done == ["answer: yes", "finish"]


async def test_an_inbox_that_fails_for_good_ends_the_road() -> None:
    with pytest.raises(TransportError, match="no such address"):
        await work_off(Box(fails=[NEVER]), saying(YES), shutdown=anyio.Event(), road="post")


async def test_every_point_is_logged_in_its_order(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "cmpkit.road")
    item = Item(b"message")
    async with worked_off(Box(item), saying(YES)):
        await item.over.wait()
    assert caplog.messages == [f"{point.value}: somebody" for point in CrashPoint]


async def test_no_more_is_claimed_than_can_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_HELD", 2)
    asked: list[bytes] = []
    two = anyio.Event()

    async def handler(message: bytes, peer: Peer) -> Answer:
        asked.append(message)
        if len(asked) == 2:
            two.set()
        await anyio.sleep_forever()
        raise AssertionError

    box = Box(*(Item(b"%d" % number) for number in range(5)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(work_off, box, handler, shutdown=anyio.Event(), road="post"))
        with anyio.fail_after(20):
            await two.wait()
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert asked == [b"0", b"1"]
    assert len(box.items) == 3
