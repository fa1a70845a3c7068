"""The checks for transports pass what keeps the contract and fail what does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskStatus
from cmpkit_http.roads import HTTPClients

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Answer, Check, ClientTransport, Examination, Handler, Layer, Peer, Verdict
from cmpkit.testing import partner as checks
from cmpkit.testing.transports import (
    check_client_transport,
    check_client_transport_factory,
    check_server_transport,
)
from cmpkit.transports import MemoryRoad


@pytest.fixture(autouse=True)
def _short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "STEP_SECONDS", 1.0)


def opener(
    road: Callable[[Handler], ClientTransport],
) -> Callable[[Handler], AbstractAsyncContextManager[ClientTransport]]:
    @asynccontextmanager
    async def open_transport_to(handler: Handler) -> AsyncIterator[ClientTransport]:
        yield road(handler)

    return open_transport_to


async def test_memory_road_keeps_the_contract_of_clients() -> None:
    await check_client_transport(opener(MemoryRoad))


class Truncating(MemoryRoad):
    async def exchange(self, request: bytes) -> bytes:
        return (await super().exchange(request))[:50_000]


class Mixing(MemoryRoad):
    """Gives concurrent exchanges the answer of whichever came last."""

    last = b""

    async def exchange(self, request: bytes) -> bytes:
        self.last = request
        await anyio.lowlevel.checkpoint()
        return await super().exchange(self.last)


class EmptyForNone(MemoryRoad):
    async def exchange(self, request: bytes) -> bytes:
        try:
            return await super().exchange(request)
        except TransportError:
            return b""


class Leaking(MemoryRoad):
    """Lets out what is no TransportError."""

    async def exchange(self, request: bytes) -> bytes:
        try:
            return await super().exchange(request)
        except TransportError as error:
            raise RuntimeError("leaked") from error


class BrokenByFailure(MemoryRoad):
    broken = False

    async def exchange(self, request: bytes) -> bytes:
        if self.broken:
            raise TransportError("broken for good")
        try:
            return await super().exchange(request)
        except TransportError:
            self.broken = True
            raise


class Twice(MemoryRoad):
    async def exchange(self, request: bytes) -> bytes:
        await super().exchange(request)
        return await super().exchange(request)


class BrokenByCancellation(MemoryRoad):
    broken = False

    async def exchange(self, request: bytes) -> bytes:
        if self.broken:
            raise TransportError("broken for good")
        try:
            return await super().exchange(request)
        except TransportError:
            raise
        except BaseException:
            self.broken = True
            raise


class Silent(MemoryRoad):
    async def exchange(self, request: bytes) -> bytes:
        await anyio.sleep_forever()
        raise AssertionError


class SilentOnFailure(MemoryRoad):
    async def exchange(self, request: bytes) -> bytes:
        try:
            return await super().exchange(request)
        except TransportError:
            await anyio.sleep_forever()
            raise


@pytest.mark.parametrize(
    ("road", "breach"),
    [
        (Truncating, "was changed on the way"),
        (Mixing, "taken for another"),
        (EmptyForNone, "must be a TransportError"),
        (BrokenByFailure, "must be answered"),
        (Twice, "called once for each message"),
        (BrokenByCancellation, "after a cancelled exchange"),
        (Silent, "did not come"),
        (SilentOnFailure, "not silence"),
    ],
)
async def test_a_client_transport_that_breaks_the_contract_is_named(road: type[MemoryRoad], breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_client_transport(opener(road))


async def test_an_exception_that_is_no_transport_error_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="leaked"):
        await check_client_transport(opener(Leaking))


class RoadServer:
    """A server transport within the process: its addresses are names in a dictionary."""

    name = "road"
    schemes: tuple[str, ...] = ("road",)
    delayed = False
    peer = Peer("road")

    def __init__(self) -> None:
        self.listening: dict[str, Handler] = {}

    def check(self, url: str) -> None:
        if not url.startswith("road://"):
            raise ConfigurationError(f"{url} is no road")

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        idle = anyio.Event()
        idle.set()

        async def tracked(message: bytes, peer: Peer) -> Answer:
            if len(message) > max_message_size:
                raise TransportError("too large")
            nonlocal idle
            idle = anyio.Event()
            try:
                return await handler(message, peer)
            finally:
                idle.set()

        self.listening[url] = tracked
        try:
            task_status.started(url)
            await shutdown.wait()
            await idle.wait()
        finally:
            self.stop(url)

    def stop(self, url: str) -> None:
        del self.listening[url]

    def connect(self, url: str) -> ClientTransport:
        async def handler(message: bytes, peer: Peer) -> Answer:
            listening = self.listening.get(url)
            if listening is None:
                raise TransportError("nobody listens")
            return await listening(message, peer)

        return MemoryRoad(handler, peer=self.peer)


async def test_a_server_transport_that_keeps_the_contract_passes() -> None:
    server = RoadServer()
    await check_server_transport(server, "road://somewhere", connect=server.connect)


class WrongScheme(RoadServer):
    schemes = ("street",)


class Nameless(RoadServer):
    peer = replace(RoadServer.peer, road="")


class Unlimited(RoadServer):
    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        await super().serve(
            url, handler, max_message_size=max_message_size * 2, shutdown=shutdown, task_status=task_status
        )


class Lingering(RoadServer):
    """Goes on listening when it has returned."""

    def stop(self, url: str) -> None:
        pass


class Unstoppable(RoadServer):
    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        await super().serve(
            url, handler, max_message_size=max_message_size, shutdown=anyio.Event(), task_status=task_status
        )


class Unready(RoadServer):
    async def serve(self, *arguments: object, **options: object) -> None:
        await anyio.sleep_forever()


class Impatient(RoadServer):
    """Drops at shutdown what is in flight."""

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        async def dropping(message: bytes, peer: Peer) -> Answer:
            answer: list[Answer] = []

            async def ask(scope: anyio.CancelScope) -> None:
                answer.append(await handler(message, peer))
                scope.cancel()

            async with anyio.create_task_group() as task_group:
                task_group.start_soon(ask, task_group.cancel_scope)
                await shutdown.wait()
                task_group.cancel_scope.cancel()
            return answer[0]

        await super().serve(
            url, dropping, max_message_size=max_message_size, shutdown=shutdown, task_status=task_status
        )


@pytest.mark.parametrize(
    ("server", "breach"),
    [
        (WrongScheme, "is of none of its schemes"),
        (Nameless, "Peer.road must be 'road'"),
        (Unlimited, "a message that is too large"),
        (Lingering, "after shutdown"),
        (Unstoppable, r"serve\(\) must return"),
        (Unready, r"serve\(\) must call started"),
        (Impatient, "b'hold'"),
    ],
)
async def test_a_server_transport_that_breaks_the_contract_is_named(server: type[RoadServer], breach: str) -> None:
    road = server()
    with pytest.raises(AssertionError, match=breach):
        await check_server_transport(road, "road://somewhere", connect=road.connect)


async def test_an_address_that_cannot_be_used_is_reported_as_it_is() -> None:
    class Refusing(RoadServer):
        async def serve(self, *arguments: object, **options: object) -> None:
            raise ConfigurationError("no such road")

    with pytest.RaisesGroup(ConfigurationError):
        await check_server_transport(Refusing(), "road://somewhere", connect=RoadServer().connect)


class Examiner(HTTPClients):
    """Examines a road where nobody listens.

    :param found: what it reports.
    :param address: where it says that CMP answers.
    :param error: what it raises.
    """

    def __init__(self, *found: Check, address: str | None = None, error: Exception | None = None) -> None:
        self.found, self.address, self.error = found, address, error

    async def examine(self, url: str, examination: Examination) -> str | None:
        for check in self.found:
            examination.report(check)
        if self.error is not None:
            raise self.error
        return self.address


NAMED = Check("name", Layer.NAME, Verdict.GOOD, "it is an address")
CLOSED = Check("connection", Layer.CONNECTION, Verdict.BAD, "refused")
NOWHERE = "http://127.0.0.1:1/cmp"


async def test_an_examiner_that_reports_what_is_wrong_passes() -> None:
    await check_client_transport_factory(Examiner(NAMED, CLOSED), NOWHERE)


@pytest.mark.parametrize(
    ("examiner", "breach"),
    [
        (Examiner(NAMED), "must be what is wrong"),
        (Examiner(), "must be what is wrong"),
        (Examiner(CLOSED, address=NOWHERE), "where nobody listens"),
        (Examiner(error=TransportError("no way")), "not raise it"),
        (Examiner(replace(NAMED, name=""), CLOSED), "needs a name"),
    ],
)
async def test_an_examiner_that_breaks_the_contract_is_named(examiner: Examiner, breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_client_transport_factory(examiner, NOWHERE)
