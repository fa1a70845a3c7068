"""What must work on every road, written once: a test class for each road inherits it, and says what its road is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import TLV, InfoTypeAndValue, decode_message, to_tlv
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.server import Server
from cmpkit.enums import CRLReason
from cmpkit.errors import PeerRefusal, StillWaiting, TransportError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import (
    Answer,
    CertificateState,
    ClientTransportFactory,
    Handler,
    InfoContext,
    Issued,
    Peer,
    Pending,
    Road,
    ServerTransport,
    SharedSecret,
    Store,
    TransportOptions,
)
from cmpkit.plugins import load_plugins
from cmpkit.testing import InProcessCA

LARGE = 60_000
MANY = 20
MAX_MESSAGE_SIZE = 100_000
SECONDS = 50.0
ECHO = ObjectIdentifier("2.999.60")


@dataclass
class WholeRoad:
    """Both sides of a road.

    :param url: to listen on.
    :param options: of clients.
    """

    server: ServerTransport
    url: str
    clients: ClientTransportFactory
    options: TransportOptions = field(default_factory=lambda: TransportOptions(timeout=20))

    @asynccontextmanager
    async def served(self, handler: Handler) -> AsyncIterator[Callable[[], Road]]:
        """A server until the block ends; what it gives opens a road to it."""
        shutdown = anyio.Event()

        async def serve(*, task_status: TaskStatus[str]) -> None:
            await self.server.serve(
                self.url, handler, max_message_size=MAX_MESSAGE_SIZE, shutdown=shutdown, task_status=task_status
            )

        async with anyio.create_task_group() as tasks:
            address: str = await tasks.start(serve)
            yield lambda: self.clients.open(address, self.options)
            shutdown.set()


class EveryRoad:
    """Inherit from it in a class whose name begins with ``Test``."""

    def road(self, directory: Path) -> WholeRoad:
        """The road, if nothing has to be started for it.

        :param directory: empty, of this test alone.
        """
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[WholeRoad]:
        """The road, and what it needs, until the block ends."""
        yield self.road(directory)

    async def test_a_certificate_is_enrolled_updated_and_revoked(self, tmp_path: Path) -> None:
        async with self._scene(tmp_path) as scene, scene.client() as client:
            enrolled = await client.enroll("CN=dev-42")
            updated = await client.update(enrolled)
            await client.revoke(updated, CRLReason.SUPERSEDED)
        assert scene.bodies == ["ir", "certConf", "kur", "certConf", "rr"]
        states = {record.der: record.state for record in await scene.ca.certificates()}
        assert states[enrolled.certificate] is CertificateState.VALID
        assert states[updated.certificate] is CertificateState.REVOKED

    async def test_questions_are_answered_and_refusals_come_back(self, tmp_path: Path) -> None:
        async with self._scene(tmp_path) as scene:
            async with scene.client() as client:
                (answer,) = await client.info(oids.CA_CERTS)
                assert answer.info_type == oids.CA_CERTS
                with pytest.raises(PeerRefusal, match=r"notAuthorized|badCertTemplate"):
                    await client.enroll("CN=somebody else")
            async with scene.client(SharedSecret("dev-42", "not the secret that it knows")) as stranger:
                with pytest.raises(PeerRefusal, match="badMessageCheck"):
                    await stranger.enroll("CN=dev-42")

    async def test_a_request_that_takes_time_is_polled_for(self, tmp_path: Path) -> None:
        async with self._scene(tmp_path, waits=2) as scene, scene.client() as client:
            await client.enroll("CN=dev-42")
        assert scene.bodies == ["ir", "pollReq", "pollReq", "certConf"]

    async def test_large_messages_come_and_go_unchanged(self, tmp_path: Path) -> None:
        text = "large " * (LARGE // 6)
        async with self._scene(tmp_path) as scene, scene.client() as client:
            (answer,) = await client.info(InfoTypeAndValue(ECHO, to_tlv(text)))
        assert answer.parse(str) == text

    async def test_twenty_clients_are_served_at_once(self, tmp_path: Path) -> None:
        key = generate_key("p256", load_plugins())
        enrolled: list[bytes] = []

        async def enrol() -> None:
            async with scene.client() as client:
                enrolled.append((await client.enroll("CN=dev-42", key)).certificate)

        async with self._scene(tmp_path) as scene, anyio.create_task_group() as tasks:
            for _ in range(MANY):
                tasks.start_soon(enrol)
        assert sorted(enrolled) == sorted(record.der for record in await scene.ca.certificates())
        assert len(set(enrolled)) == MANY

    async def test_one_client_does_many_things_at_once(self, tmp_path: Path) -> None:
        async def ask(number: int) -> None:
            (answer,) = await client.info(InfoTypeAndValue(ECHO, to_tlv(str(number))))
            assert answer.parse(str) == str(number)

        async with self._scene(tmp_path) as scene, scene.client() as client, anyio.create_task_group() as tasks:
            for number in range(MANY):
                tasks.start_soon(ask, number)

    async def test_what_nobody_answered_is_gone_on_with_by_another_client(self, tmp_path: Path) -> None:
        async with self._scene(tmp_path) as scene:
            scene.at_work = anyio.Event()
            async with scene.client(total_timeout=2.0) as client:
                with pytest.raises((StillWaiting, TransportError)):
                    await client.enroll("CN=dev-42")
            scene.at_work.set()
            (saved,) = (tmp_path / "state").glob("*.json")
            async with scene.client() as client:
                resumed = await client.resume(saved)
        assert [record.der for record in await scene.ca.certificates()] == [resumed.certificate]

    @asynccontextmanager
    async def _scene(self, directory: Path, *, waits: int = 0) -> AsyncIterator[Scene]:
        plugins = load_plugins([("echo", _EchoPlugin)])
        ca = await InProcessCA.make(directory, plugins=plugins)
        place = directory / "road"
        place.mkdir()
        with anyio.fail_after(SECONDS):
            async with ca.store() as store, self.opened(place) as whole:
                scene = Scene(ca, directory, waits)
                scene.serve_from(store)
                scene.at_work.set()
                scene.secret = await ca.add_secret("dev-42")
                async with whole.served(scene.handle) as connect:
                    scene.connect = connect
                    yield scene


@dataclass
class Scene:
    """A CA that is reached over the road.

    :param waits: how often the first request is told to wait.
    :ivar at_work: set while the CA answers.
    :ivar bodies: of the messages that came, in their order.
    """

    ca: InProcessCA
    directory: Path
    waits: int
    connect: Callable[[], Road] = field(init=False)
    secret: SharedSecret = field(init=False)
    server: Server = field(init=False)
    at_work: anyio.Event = field(default_factory=anyio.Event)
    bodies: list[str] = field(default_factory=list)

    def client(self, secret: SharedSecret | None = None, **options: Any) -> Client:
        options = {"state": self.directory / "state", "total_timeout": SECONDS, **options}
        return self.ca.client(secret or self.secret, transport=self.connect(), **options)

    async def handle(self, message: bytes, peer: Peer) -> Answer:
        await self.at_work.wait()
        self.bodies.append(decode_message(message).body.type.wire_name)
        return await self.server.handle(message, peer)

    def serve_from(self, store: Store) -> None:
        server = self.ca.server(store)
        workshop = replace(server.workshop, issuer=_SlowIssuer(self, server.workshop.issuer))
        self.server = replace(server, workshop=workshop)


class _SlowIssuer:
    """Says "later" as often as the scene wants it."""

    local = False

    def __init__(self, scene: Scene, issuer: Any) -> None:
        self._scene, self._issuer = scene, issuer

    async def issue(self, *arguments: Any, **more: Any) -> Issued | Pending:
        if self._scene.waits:
            self._scene.waits -= 1
            return Pending(0, "not yet")
        return await self._issuer.issue(*arguments, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


class _Echo:
    """Answers a question with what was asked."""

    oid = ECHO
    name = "echo"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        return InfoTypeAndValue(self.oid, value)


class _EchoPlugin:
    @staticmethod
    @hookimpl
    def cmpkit_info_types() -> list[_Echo]:
        return [_Echo()]
