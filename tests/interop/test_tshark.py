"""What goes over TCP is read by Wireshark's dissector, whole and without complaints, in both framings."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import captures
import pytest
from anyio.abc import SocketStream
from cmpkit_tcp.framing import Framing, Unit, UnitType
from cmpkit_tcp.roads import TCPClients, TCPServer

from cmpkit.errors import TransportError
from cmpkit.parts import Answer, Disposition, Handler, Peer, TransportOptions
from cmpkit.testing import InProcessCA

HERE = "tcp://127.0.0.1:0"
FIELDS = ("cmp.tcptrans.type", "cmp.tcptrans10.version", "cmp.body", "cmp.tcptrans.poll_ref", "cmp.tcptrans.ttcb")
COMPLAINTS = ("_ws.malformed", "_ws.expert.message")
Turns = list[tuple[bool, bytes]]


class TestBothFramings:
    """Each unit that client and server send."""

    @pytest.fixture(params=Framing)
    def framing(self, request: pytest.FixtureRequest) -> Framing:
        found: Framing = request.param
        return found

    async def test_an_enrolment_is_read(self, framing: Framing, tmp_path: Path) -> None:
        ca = await InProcessCA.make(tmp_path)
        turns: Turns = []
        async with ca.store() as store, served(ca.server(store).handle) as address, tapped(address, turns) as tap:
            road = TCPClients().open(tap, TransportOptions(own={"framing": framing.value}))
            async with ca.client(await ca.add_secret("dev-42"), transport=road) as client:
                await client.enroll("CN=dev-42")
        seen = await dissected(turns, tmp_path)
        assert [type_ for type_, *_ in seen] == ["0", "5", "0", "5"]
        assert [body for _, _, body, *_ in seen] == ["0", "1", "24", "19"]
        assert {version for _, version, *_ in seen} == {"10" if framing is Framing.VERSION_10 else ""}

    async def test_polling_is_read(
        self, framing: Framing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: bytes
    ) -> None:
        monkeypatch.setattr("cmpkit_tcp.later._COME_BACK_SECONDS", 0)
        monkeypatch.setattr("cmpkit_tcp.client._SHORTEST_PAUSE", 0)
        calls = []

        async def slow(octets: bytes, peer: Peer) -> Answer:
            calls.append(octets)
            await anyio.sleep(1.2)
            return Answer(octets)

        turns: Turns = []
        async with served(slow, patience="1s") as address, tapped(address, turns) as tap:
            assert await exchanged(tap, framing, message) == message
        seen = await dissected(turns, tmp_path)
        assert [type_ for type_, *_ in seen] == ["0", "1", "2", "5"]
        assert seen[1][3] == seen[2][3] != ""
        assert seen[1][4] != ""
        assert calls == [message]

    async def test_errors_and_that_there_is_nothing_more_are_read(
        self, framing: Framing, tmp_path: Path, message: bytes
    ) -> None:
        async def nothing(octets: bytes, peer: Peer) -> Answer:
            return Answer(None, Disposition.NOTHING_MORE)

        turns: Turns = []
        async with served(nothing) as address, tapped(address, turns) as tap:
            with pytest.raises(TransportError, match="no answer to this message"):
                await exchanged(tap, framing, message)
            async with await connected(tap) as stream:
                await stream.send(Unit(framing, UnitType.POLL_REQ, b"none").to_octets())
                await stream.receive()
        seen = await dissected(turns, tmp_path)
        assert [type_ for type_, *_ in seen] == ["0", "3", "2", "6"]


@pytest.fixture
async def message(tmp_path: Path) -> bytes:
    """A question to a CA."""
    sent: list[bytes] = []

    class Nowhere:
        async def exchange(self, request: bytes) -> bytes:
            sent.append(request)
            raise TransportError("nothing goes there")

        async def aclose(self) -> None:
            """There is nothing to close."""

    ca = await InProcessCA.make(tmp_path)
    async with ca.client(await ca.add_secret("dev-42"), transport=Nowhere()) as client:
        with pytest.raises(TransportError):
            await client.info()
    return sent[0]


async def exchanged(address: str, framing: Framing, request: bytes) -> bytes:
    client = TCPClients().open(address, TransportOptions(own={"framing": framing.value}))
    try:
        return await client.exchange(request)
    finally:
        await client.aclose()


@asynccontextmanager
async def served(handler: Handler, **settings: str) -> AsyncIterator[str]:
    shutdown = anyio.Event()
    server = TCPServer().configured(settings, Path())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:

            async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
                await server.serve(HERE, handler, max_message_size=100_000, shutdown=shutdown, task_status=task_status)

            yield await tasks.start(serve)
            shutdown.set()


async def connected(address: str) -> SocketStream:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return await anyio.connect_tcp(host, int(port))


@asynccontextmanager
async def tapped(address: str, turns: Turns) -> AsyncIterator[str]:
    """An address before another one; what goes there, and what comes back, is noted."""

    async def relay(stream: SocketStream) -> None:
        async with stream, await connected(address) as beyond, anyio.create_task_group() as tasks:
            tasks.start_soon(pump, stream, beyond, partial(note, True), tasks.cancel_scope)
            tasks.start_soon(pump, beyond, stream, partial(note, False), tasks.cancel_scope)

    def note(by_client: bool, octets: bytes) -> None:
        turns.append((by_client, octets))

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, relay)
        yield f"tcp://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


async def pump(
    source: SocketStream, target: SocketStream, note: Callable[[bytes], None], ended: anyio.CancelScope
) -> None:
    async for octets in source:
        note(octets)
        await target.send(octets)
    ended.cancel()


async def dissected(turns: Turns, folder: Path) -> list[list[str]]:
    """What tshark makes of each unit, of which none is malformed: :data:`FIELDS`."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.fail("install tshark")
    capture = folder / "capture.pcap"
    capture.write_bytes(captures.pcap(captures.conversation(*turns)))
    command = [
        tshark,
        "-n",
        "-r",
        str(capture),
        "-d",
        f"tcp.port=={captures.SERVER[1]},cmp",
        "-Y",
        "cmp",
        "-T",
        "fields",
    ]
    fields = [argument for field in (*FIELDS, *COMPLAINTS) for argument in ("-e", field)]
    lines = (await anyio.run_process([*command, *fields])).stdout.decode().splitlines()
    seen = [line.split("\t") for line in lines]
    assert not any(complaint for row in seen for complaint in row[len(FIELDS) :]), seen
    return [row[: len(FIELDS)] for row in seen]
