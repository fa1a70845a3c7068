"""The check of store-and-forward roads fails what does not keep the contract; test_memory_post.py has what does."""

from __future__ import annotations

from typing import Any

import pytest

from cmpkit.errors import TransportError
from cmpkit.parts import Answer, Peer, TransportOptions, Wanted
from cmpkit.testing import check_transport, partner
from cmpkit.transports import MemoryPost, MemoryRoad
from cmpkit.transports.memory_post import MemoryPostClient

URL, NOWHERE = "memory-post:ca", "memory-post:nobody"


@pytest.fixture(autouse=True)
def _short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partner, "STEP_SECONDS", 1.0)


class Changed(MemoryPost):
    """A road whose clients, or handlers, are not what they should be."""

    client: type[MemoryPostClient] = MemoryPostClient

    def open(self, url: str, options: TransportOptions) -> MemoryPostClient:
        opened = super().open(url, options)
        return self.client(self._place(url), opened._max_response_size)

    def seen(self, message: bytes, peer: Peer) -> tuple[bytes, Peer]:
        return message, peer

    async def serve(self, url: str, handler: Any, *, max_message_size: int, **more: Any) -> None:
        async def changed(message: bytes, peer: Peer) -> Answer:
            return await self.handle(handler, *self.seen(message, peer))

        await super().serve(url, changed, max_message_size=self.limit(max_message_size), **more)

    async def handle(self, handler: Any, message: bytes, peer: Peer) -> Answer:
        answer: Answer = await handler(message, peer)
        return answer

    def limit(self, size: int) -> int:
        return size


class Keeping(Changed):
    class client(MemoryPostClient):
        async def done(self, message: bytes) -> None:
            """Leaves it there."""


class Taking(Changed):
    class client(MemoryPostClient):
        async def receive(self, wanted: Wanted) -> bytes:
            message = await super().receive(wanted)
            self._place.answers.remove(message)
            return message


class Emptying(Changed):
    """Takes away what is for others."""

    class client(MemoryPostClient):
        async def receive(self, wanted: Wanted) -> bytes:
            message = await super().receive(wanted)
            self._place.answers[:] = [message]
            return message


class Unlimited(Changed):
    def limit(self, size: int) -> int:
        return size * 2


class Nameless(Changed):
    def seen(self, message: bytes, peer: Peer) -> tuple[bytes, Peer]:
        return message, Peer("")


class Twice(Changed):
    async def handle(self, handler: Any, message: bytes, peer: Peer) -> Answer:
        await super().handle(handler, message, peer)
        return await super().handle(handler, message, peer)


class Absent(Changed):
    """Loses what comes while nobody serves."""

    async def serve(self, url: str, handler: Any, **more: Any) -> None:
        self._place(url).messages.clear()
        await super().serve(url, handler, **more)


class Direct(MemoryPost):
    """Says that messages take their time, and has clients with answers."""

    def open(self, url: str, options: TransportOptions) -> Any:
        super().open(url, options)

        async def echo(message: bytes, peer: Peer) -> Answer:
            return Answer(message)

        return _Silent(echo)


class _Silent(MemoryRoad):
    async def exchange(self, request: bytes) -> bytes:
        raise TransportError("nobody is there")


class Prompt(MemoryPost):
    """Says that messages take no time, and has clients that wait for answers."""

    delayed = False


@pytest.mark.parametrize(
    ("road", "breach"),
    [
        (Keeping, r"what is done\(\) must not come again"),
        (Taking, "what was waited for did not come"),
        (Emptying, "did not come|must all be answered"),
        (Unlimited, "a message that is too large reached the handler"),
        (Nameless, "Peer.road must be the name"),
        (Twice, "the handler must be called once for each message"),
        (Absent, "what was waited for did not come"),
        (Direct, r"its client must have send\(\)"),
        (Prompt, r"its client must have exchange\(\)"),
    ],
)
async def test_a_breach_is_named(road: type[MemoryPost], breach: str) -> None:
    post = road()
    with pytest.raises(AssertionError, match=breach):
        await check_transport(post, URL, clients=post, nowhere=NOWHERE)
