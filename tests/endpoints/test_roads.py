"""What client and server do on a road where messages take their time."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from cmpkit.asn1 import PKIMessage, decode_message, encode_message
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, PeerRefusal, StillWaiting, TransportError, TrustError
from cmpkit.parts import Answer, Disposition, Peer, TransportOptions, Wanted
from cmpkit.transports import MemoryPost
from cmpkit.transports.memory_post import MemoryPostClient

from .conftest import World

URL = "memory-post:ca"
DELAYED = ServerSettings(message_time_window=timedelta(days=30), widest_time_window=timedelta(days=30), puts_off=True)


class Serving:
    """A server on that road, to be started and stopped; it counts what reaches it."""

    def __init__(self, world: World, post: MemoryPost) -> None:
        self.world, self.post = world, post
        self.came: list[str] = []

    async def handle(self, der: bytes, peer: Peer) -> Answer:
        self.came.append(decode_message(der).body.type.wire_name)
        return await self.world.server.handle(der, peer, DELAYED)

    async def __aenter__(self) -> Serving:
        self._shutdown, self._tasks = anyio.Event(), anyio.create_task_group()
        await self._tasks.__aenter__()

        async def serve(*, task_status: Any) -> None:
            await self.post.serve(
                URL, self.handle, max_message_size=1 << 20, shutdown=self._shutdown, task_status=task_status
            )

        await self._tasks.start(serve)
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._shutdown.set()
        await self._tasks.__aexit__(*error)


@pytest.fixture
def post() -> MemoryPost:
    return MemoryPost()


def road(post: MemoryPost) -> MemoryPostClient:
    return post.open(URL, TransportOptions())


def forged(der: bytes) -> bytes:
    """The same message, its MAC changed."""
    message = decode_message(der)
    return encode_message(PKIMessage(message.header, message.body, bytes(32), message.extra_certs))


def answers(post: MemoryPost) -> list[bytes]:
    """What is on the road for clients."""
    return post._place(URL).answers


class TestClient:
    async def test_what_was_sent_is_not_sent_again_by_another_process(
        self, world: World, post: MemoryPost, tmp_path: Path
    ) -> None:
        secret, state = await world.secret(), tmp_path / "state"
        async with world.client(secret, transport=road(post), state=state, total_timeout=0.1) as client:
            with pytest.raises(StillWaiting, match="the answer is not here yet") as caught:
                await client.enroll("CN=dev-42")
        assert caught.value.waiting
        assert caught.value.saved is not None
        world.clock.advance(timedelta(days=7))
        again = world.client(secret, transport=road(post), state=state)
        async with Serving(world, post) as server, again as client:
            enrolled = await client.resume(caught.value.saved)
        assert server.came == ["ir", "certConf"]
        assert [record.der for record in await world.certificates()] == [enrolled.certificate]

    async def test_what_was_not_sent_is_sent_by_another_process(
        self, world: World, post: MemoryPost, tmp_path: Path
    ) -> None:
        class Broken(MemoryPostClient):
            async def send(self, message: bytes) -> None:
                raise TransportError("the stick is full")

        secret, state = await world.secret(), tmp_path / "state"
        broken = Broken(post._place(URL), 1 << 20)
        async with world.client(secret, transport=broken, state=state) as client:
            with pytest.raises(TransportError, match="the stick is full"):
                await client.enroll("CN=dev-42")
        (saved,) = state.glob("*.json")
        async with Serving(world, post), world.client(secret, transport=road(post), state=state) as client:
            await client.resume(saved)

    async def test_no_answer_is_left_behind(self, world: World, post: MemoryPost) -> None:
        async with Serving(world, post), world.client(await world.secret(), transport=road(post)) as client:
            await client.enroll("CN=dev-42")
            with pytest.raises(PeerRefusal):
                await client.enroll("CN=somebody else")
        assert answers(post) == []

    async def test_an_answer_stays_until_what_follows_from_it_is_saved(
        self, world: World, post: MemoryPost, tmp_path: Path
    ) -> None:
        class Killed(Exception):
            pass

        def kill() -> None:
            raise Killed

        secret, state = await world.secret(), tmp_path / "state"
        world.watcher.at["answer received"] = kill
        async with Serving(world, post) as server:
            async with world.client(secret, transport=road(post), state=state) as client:
                with pytest.raises(Killed):
                    await client.enroll("CN=dev-42")
            assert len(answers(post)) == 1
            (saved,) = state.glob("*.json")
            async with world.client(secret, transport=road(post), state=state) as client:
                await client.resume(saved)
        assert server.came == ["ir", "certConf"]
        assert answers(post) == []

    async def test_a_forged_answer_does_not_end_the_waiting(
        self, world: World, post: MemoryPost, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Forging(Serving):
            async def handle(self, der: bytes, peer: Peer) -> Answer:
                answer = await super().handle(der, peer)
                assert answer.der is not None
                answers(self.post).append(forged(answer.der))
                return answer

        caplog.set_level(logging.WARNING)
        async with Forging(world, post), world.client(await world.secret(), transport=road(post)) as client:
            await client.enroll("CN=dev-42")
        assert len([line for line in caplog.messages if "is not believed" in line]) == 2
        assert len(answers(post)) == 2

    async def test_if_nothing_else_comes_the_error_says_why_what_came_is_not_believed(
        self, world: World, post: MemoryPost, tmp_path: Path
    ) -> None:
        class Forging(Serving):
            async def handle(self, der: bytes, peer: Peer) -> Answer:
                answer = await super().handle(der, peer)
                assert answer.der is not None
                return Answer(forged(answer.der))

        secret = await world.secret()
        state = tmp_path / "state"
        waiting = world.client(secret, transport=road(post), total_timeout=0.5, state=state)
        async with Forging(world, post), waiting as client:
            with pytest.raises(TrustError):
                await client.enroll("CN=dev-42")
        (_,) = state.glob("*.json")

    async def test_a_road_that_fails_is_looked_at_again(self, world: World, post: MemoryPost) -> None:
        class Flickering(MemoryPostClient):
            failures = 2

            async def receive(self, wanted: Wanted) -> bytes:
                if self.failures:
                    self.failures -= 1
                    raise TransportError("the mail server is away", retryable=True)
                return await super().receive(wanted)

        flickering = Flickering(post._place(URL), 1 << 20)
        options = {"sleep": world.clock.sleep}
        async with Serving(world, post), world.client(await world.secret(), transport=flickering, **options) as client:
            await client.enroll("CN=dev-42")

    async def test_a_road_that_fails_for_good_ends_the_waiting(self, world: World, post: MemoryPost) -> None:
        class Broken(MemoryPostClient):
            async def receive(self, wanted: Wanted) -> bytes:
                raise TransportError("the directory is gone")

        async with world.client(await world.secret(), transport=Broken(post._place(URL), 1 << 20)) as client:
            with pytest.raises(TransportError, match="the directory is gone"):
                await client.enroll("CN=dev-42")


class TestServer:
    async def test_a_message_may_be_weeks_old_and_comes_once(self, world: World) -> None:
        der = await self.request(world)
        world.clock.advance(timedelta(days=29))
        first = await world.server.handle(der, Peer("mail"), DELAYED)
        world.clock.advance(timedelta(days=29))
        await world.store.prune(world.clock())
        assert await world.server.handle(der, Peer("http")) == first
        assert len(await world.certificates()) == 1

    async def test_while_nobody_can_be_served_the_road_is_to_ask_again(self, world: World) -> None:
        class Away:
            async def load(self, *arguments: object) -> None:
                raise CMPError("the database is away", PKIFailureInfo.SYSTEM_UNAVAIL)

        der = await self.request(world)
        workshop: Any = replace(world.server.workshop, store=Away())  # type: ignore[arg-type]
        server = replace(world.server, workshop=workshop)
        put_off = await server.handle(der, Peer("mail"), DELAYED)
        assert put_off.disposition is Disposition.UNAVAILABLE
        refused = await server.handle(der, Peer("http"))
        assert refused.disposition is Disposition.ANSWERED

    async def request(self, world: World) -> bytes:
        sent: list[bytes] = []

        class Catching:
            async def exchange(self, request: bytes) -> bytes:
                sent.append(request)
                raise TransportError("caught")

            async def aclose(self) -> None:
                pass

        async with world.client(await world.secret(), transport=Catching()) as client:
            with pytest.raises(TransportError, match="caught"):
                await client.enroll("CN=dev-42")
        return sent[0]
