"""Devices, a courier and a CA in directories of their own, and nothing between them but bundles."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from cmpkit import oids
from cmpkit.asn1 import decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.saving import TransactionFolder
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.responder import ResponderSettings
from cmpkit.errors import CMPError, PeerRefusal, StillWaiting, TransportError, TrustError
from cmpkit.offline.bundle import Bundle, read_bundle, write_bundle
from cmpkit.offline.overview import Place, overview
from cmpkit.offline.packing import Ledger, answers_for, locked, pack, waiting_messages
from cmpkit.offline.road import OFFLINE, OfflineRoad, without_waiting
from cmpkit.offline.submitting import Submission, submit
from cmpkit.parts import Peer, PrivateKey, SharedSecret, TransportOptions
from cmpkit.plugins import load_plugins
from cmpkit.testing import InProcessCA
from cmpkit.transports import MemoryPost, open_transport, with_answers

MANY = 50
DAYS = timedelta(days=1)


@dataclass
class Scene:
    """A day at a time: who works, and what is on the stick."""

    ca: InProcessCA
    root: Path
    today: Callable[[timedelta], None]
    handled: list[bytes] = field(default_factory=list)
    broken: bool = False

    @property
    def stick(self) -> Path:
        return self.root / "courier"

    @property
    def answers(self) -> Path:
        return self.stick / "answers.zip"

    @property
    def bodies(self) -> list[str]:
        return [decode_message(octets).body.type.wire_name for octets in self.handled]

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[Callable[[bytes], Awaitable[bytes]]]:
        async with self.ca.store() as store:
            server = self.ca.server(store)

            async def handle(message: bytes) -> bytes:
                if self.broken:
                    raise TransportError("nobody is there", retryable=True)
                self.handled.append(message)
                answer = await server.handle(message, Peer("offline"))
                assert answer.der is not None
                return answer.der

            yield handle

    def read(self, path: Path) -> Bundle:
        return read_bundle(path, self.ca.plugins)

    async def at_the_ca(self, *paths: Path) -> Submission:
        """All requests that are on the stick, or some, are answered."""
        now = self.ca.clock()
        bundles = [self.read(path) for path in paths or sorted(self.stick.glob("dev-*.zip"))]
        before = self.read(self.answers) if self.answers.exists() else None
        async with self.answering() as handle:
            submission = await submit(bundles, handle, before=before, now=now, expires=now + 30 * DAYS)
        await write_bundle(self.answers, submission.manifest, submission.messages, self.ca.plugins, now=now)
        return submission

    async def device(self, name: str = "dev-42") -> Device:
        secret = await self.ca.add_secret(name)
        folder = self.root / name
        return Device(self, secret, folder, generate_key("p256", self.ca.plugins))


@dataclass
class Device:
    """What one device has."""

    scene: Scene
    secret: SharedSecret
    folder: Path
    key: PrivateKey

    @property
    def bundle(self) -> Path:
        return self.scene.stick / f"{self.folder.name}.zip"

    @property
    def transactions(self) -> TransactionFolder:
        return TransactionFolder(self.folder)

    def client(self, *answers: bytes, implicit: bool = False) -> Client:
        options = self.scene.ca.options(state=self.folder, implicit_confirm=implicit)
        return Client(
            OFFLINE,
            credentials=self.secret,
            trust=self.scene.ca.trust,
            options=without_waiting(options),
            plugins=self.scene.ca.plugins,
            transport=OfflineRoad(answers) if answers else None,
        )

    async def make(self, *, implicit: bool = False) -> None:
        async with self.client(implicit=implicit) as client:
            with pytest.raises(StillWaiting):
                await client.enroll(f"CN={self.folder.name}", self.key)
        await self.pack()

    async def pack(self) -> None:
        now = self.scene.ca.clock()
        messages = waiting_messages(self.transactions.all())
        with locked(self.folder):
            await pack(self.bundle, messages, self.folder, self.scene.ca.plugins, now=now, expires=now + 30 * DAYS)

    async def accept(self) -> Enrolled | None:
        """What came of the one transaction; ``None`` if it is not over."""
        (transaction,) = self.transactions.all()
        async with self.client(*answers_for(transaction, [self.scene.read(self.scene.answers)])) as client:
            try:
                enrolled: Enrolled = await client.resume(self.transactions.path(transaction), self.key)
            except StillWaiting:
                await self.pack()
                return None
            client.forget(enrolled)
            return enrolled


@pytest.fixture
async def scene(tmp_path: Path, anyio_backend: str) -> Scene:
    started = datetime.now(UTC)
    passed = [timedelta()]

    def later(by: timedelta) -> None:
        passed[0] += by

    def clock() -> datetime:
        return started + passed[0]

    responder = ResponderSettings(confirm_wait_time=30 * DAYS, implicit_confirm=True)
    settings = ServerSettings(responder=responder, message_time_window=30 * DAYS)
    for name in ("ca", "courier"):
        (tmp_path / name).mkdir()
    ca = await InProcessCA.make(tmp_path / "ca", clock=clock, settings=settings)
    return Scene(ca, tmp_path, later)


async def make_all(scene: Scene, *, implicit: bool) -> list[Device]:
    devices = [await scene.device(f"dev-{number:02}") for number in range(MANY)]
    for device in devices:
        await device.make(implicit=implicit)
    return devices


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_50_devices_enrol_in_one_round_trip_with_implicit_confirmation(scene: Scene) -> None:
    devices = await make_all(scene, implicit=True)
    scene.today(3 * DAYS)
    await scene.at_the_ca()
    scene.today(4 * DAYS)
    enrolled = [await device.accept() for device in devices]
    assert all(enrolled)
    assert scene.bodies == ["ir"] * MANY
    assert {one.certificate for one in enrolled if one} == {record.der for record in await scene.ca.certificates()}
    assert not any(device.transactions.all() for device in devices)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_50_devices_enrol_in_two_round_trips_with_cert_conf(scene: Scene) -> None:
    devices = await make_all(scene, implicit=False)
    await scene.at_the_ca()
    scene.today(2 * DAYS)
    assert [await device.accept() for device in devices] == [None] * MANY
    scene.today(2 * DAYS)
    await scene.at_the_ca()
    assert all([await device.accept() for device in devices])
    assert scene.bodies == ["ir"] * MANY + ["certConf"] * MANY
    assert len(await scene.ca.certificates()) == MANY


async def test_a_flipped_bit_delays_one_device_and_no_other(scene: Scene) -> None:
    first, second = await scene.device("dev-01"), await scene.device("dev-02")
    for device in (first, second):
        await device.make(implicit=True)
    await scene.at_the_ca()
    bundle = scene.read(scene.answers)
    damaged = next(octets for entry, octets in bundle.messages.items() if entry.name.startswith("messages/00002"))
    octets = bytearray(scene.answers.read_bytes())
    octets[octets.index(damaged) + len(damaged) // 2] ^= 0x04
    scene.answers.write_bytes(octets)
    assert len(scene.read(scene.answers).faults) == 1
    assert await first.accept()
    assert await second.accept() is None
    assert [line.place for line in overview([scene.read(scene.answers)])] == [
        Place.ANSWERS,
        Place.ANSWER_DAMAGED,
    ]
    # The courier goes back: what is damaged is asked for again, and the same answer is given again.
    submission = await scene.at_the_ca()
    assert submission.asked == 1
    assert await second.accept()
    assert len(await scene.ca.certificates()) == 2


async def test_every_step_may_be_repeated(scene: Scene) -> None:
    device = await scene.device()
    await device.make()
    await device.pack()
    await scene.at_the_ca()
    again = await scene.at_the_ca()
    assert again.asked == 0
    scene.answers.unlink()
    assert (await scene.at_the_ca()).asked == 1
    assert await device.accept() is None
    certificate_confirmation = waiting_messages(device.transactions.all())
    assert await device.accept() is None
    assert waiting_messages(device.transactions.all()) == certificate_confirmation
    await scene.at_the_ca()
    await scene.at_the_ca()
    assert await device.accept()
    assert len(await scene.ca.certificates()) == 1


async def test_an_older_bundle_is_told_by_its_number_and_not_submitted(scene: Scene) -> None:
    device = await scene.device()
    await device.make()
    old = scene.stick / "old.zip"
    old.write_bytes(device.bundle.read_bytes())
    await device.pack()
    both = await scene.at_the_ca(old, device.bundle)
    assert [(bundle.path, reason) for bundle, reason in both.refused] == [
        (old, "it is number 1 of its sender, 2 is there")
    ]
    assert both.asked == 1
    alone = await scene.at_the_ca(old)
    assert len(alone.refused) == 1
    assert alone.asked == 0
    assert len(alone.messages) == 1


async def test_a_bundle_whose_time_is_over_is_not_submitted(scene: Scene) -> None:
    device = await scene.device()
    await device.make()
    scene.today(31 * DAYS)
    ((_, reason),) = (await scene.at_the_ca()).refused
    assert reason.startswith("it expired at ")
    assert not scene.handled


async def test_answers_are_no_requests(scene: Scene) -> None:
    device = await scene.device()
    await device.make()
    await scene.at_the_ca()
    ((_, reason),) = (await scene.at_the_ca(scene.answers)).refused
    assert reason == "it has answers, and goes to the devices"


async def test_an_answer_that_is_none_is_not_carried(scene: Scene) -> None:
    device = await scene.device()
    await device.make()

    async def nothing(message: bytes) -> bytes:
        return b""

    now = scene.ca.clock()
    submission = await submit([scene.read(device.bundle)], nothing, now=now, expires=now + DAYS)
    assert [str(error) for error in submission.failures.values()] == ["the answer has 0 octets, no bundle holds that"]
    assert not submission.messages


async def test_what_is_not_answered_is_told_and_asked_again(scene: Scene) -> None:
    device = await scene.device()
    await device.make(implicit=True)
    scene.broken = True
    failed = await scene.at_the_ca()
    assert [str(error) for error in failed.failures.values()] == ["nobody is there"]
    assert not failed.messages
    scene.broken = False
    assert (await scene.at_the_ca()).asked == 1
    assert await device.accept()


async def test_the_courier_may_hand_bundles_to_a_road_on_which_answers_take_their_time(scene: Scene) -> None:
    devices = [await scene.device(f"dev-{number}") for number in range(3)]
    for device in devices:
        await device.make(implicit=True)
    post, url, shutdown = MemoryPost(), "memory-post:ca", anyio.Event()
    now, bundles = scene.ca.clock(), [scene.read(device.bundle) for device in devices]
    serve = partial(post.serve, url, scene.ca.handle, max_message_size=1 << 16, shutdown=shutdown)
    async with anyio.create_task_group() as tasks:
        await tasks.start(lambda *, task_status: serve(task_status=task_status))
        road = with_answers(post.open(url, TransportOptions()), patience=30)
        submission = await submit(bundles, road.exchange, now=now, expires=now + DAYS)
        shutdown.set()
    await write_bundle(scene.answers, submission.manifest, submission.messages, scene.ca.plugins, now=now)
    assert all([await device.accept() for device in devices])


async def test_answers_for_who_is_not_here_are_kept_until_nobody_asks_for_them(scene: Scene) -> None:
    first, second = await scene.device("dev-01"), await scene.device("dev-02")
    for device in (first, second):
        await device.make(implicit=True)
        await scene.at_the_ca(device.bundle)
    assert len(scene.read(scene.answers).messages) == 2
    assert await first.accept()
    await first.pack()
    assert len((await scene.at_the_ca(first.bundle)).messages) == 1
    assert await second.accept()


async def test_a_refusal_comes_back(scene: Scene) -> None:
    device = await scene.device()
    device.secret = SharedSecret("dev-42", "not the secret that it knows")
    await device.make()
    await scene.at_the_ca()
    with pytest.raises(PeerRefusal, match="badMessageCheck"):
        await device.accept()


async def test_a_forged_answer_is_told_and_the_right_one_may_still_come(scene: Scene) -> None:
    device = await scene.device()
    await device.make(implicit=True)
    await scene.at_the_ca()
    bundle = scene.read(scene.answers)
    (answer,) = bundle.messages.values()
    protection = decode_message(answer).protection
    assert protection is not None
    forged = answer.replace(protection, bytes(len(protection)))
    (transaction,) = device.transactions.all()
    async with device.client(forged) as client:
        with pytest.raises(TrustError):
            await client.resume(device.transactions.path(transaction), device.key)
    async with device.client(forged, answer) as client:
        assert await client.resume(device.transactions.path(transaction), device.key)


async def test_questions_are_carried_too(scene: Scene) -> None:
    device = await scene.device()
    async with device.client() as client:
        with pytest.raises(StillWaiting, match="the answer is not here yet;"):
            await client.info(oids.CA_CERTS)
    await device.pack()
    await scene.at_the_ca()
    (transaction,) = device.transactions.all()
    async with device.client(*scene.read(scene.answers).messages.values()) as client:
        told = await client.resume(transaction)
    assert isinstance(told, list)
    assert [item.info_type for item in told] == [oids.CA_CERTS]


async def test_several_who_wait_on_this_road_all_learn_that_nothing_comes(scene: Scene) -> None:
    device = await scene.device()
    async with device.client() as client:

        async def ask() -> None:
            with pytest.raises(StillWaiting):
                await client.info(oids.CA_CERTS)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(ask)
    assert len(waiting_messages(device.transactions.all())) == 3


async def test_who_keeps_nothing_learns_that_nothing_comes(scene: Scene) -> None:
    device = await scene.device()
    await device.make()
    (message,) = waiting_messages(device.transactions.all())
    with pytest.raises(TransportError, match="the answer did not come;"):
        await with_answers(OfflineRoad()).exchange(message)


async def test_what_is_where_is_told(scene: Scene) -> None:
    device = await scene.device()
    await device.make()
    waiting = waiting_messages(device.transactions.all())
    (line,) = overview([], waiting)
    assert (line.body, line.device, line.place, line.files) == ("ir", "CN=dev-42", Place.DEVICE, ())
    (line,) = overview([scene.read(device.bundle)], waiting)
    assert (line.place, line.files) == (Place.REQUESTS, (device.bundle,))
    await scene.at_the_ca()
    answers = scene.read(scene.answers)
    (line,) = overview([answers, scene.read(device.bundle)], waiting)
    assert (line.place, set(line.files)) == (Place.ANSWERS, {device.bundle, scene.answers})
    (line,) = overview([answers])
    assert (line.body, line.place) == ("ip", Place.ANSWERS)
    await device.accept()
    later = overview([answers], waiting_messages(device.transactions.all()))
    assert [(line.body, line.place) for line in later] == [("certConf", Place.DEVICE), ("ip", Place.OVER)]


async def test_what_can_be_no_message_is_shown_all_the_same() -> None:
    (line,) = overview([], [b"no message"])
    assert (line.body, line.transaction_id, line.place) == ("", b"", Place.DEVICE)


def test_a_ledger_is_kept_and_a_damaged_one_named(tmp_path: Path) -> None:
    assert Ledger.load(tmp_path).sequence == 0
    other = secrets.token_bytes(16)
    ledger = Ledger(sequence=4).having_seen(other, 7).having_seen(other, 5)
    ledger.save(tmp_path)
    assert Ledger.load(tmp_path) == ledger
    assert ledger.seen == {other: 7}
    for text in ("", "[]", '{"format": 2}', '{"format": 1, "series": 1}'):
        (tmp_path / "bundles.ledger").write_text(text)
        with pytest.raises(CMPError, match=r"bundles\.ledger cannot be read"):
            Ledger.load(tmp_path)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CMPError, match="cannot be used"), locked(tmp_path / "file"):
        pass


@pytest.mark.parametrize("url", ["offline:somewhere", "offline://x"])
def test_the_road_has_one_address(url: str) -> None:
    with pytest.raises(CMPError, match="the address of devices without a network"):
        open_transport(load_plugins(), url)


def test_options_of_other_roads_are_refused() -> None:
    with pytest.raises(CMPError, match="proxy"):
        open_transport(load_plugins(), OFFLINE, TransportOptions(proxy="http://proxy"))


def test_a_client_without_waiting_keeps_its_other_options() -> None:
    options = without_waiting(ClientOptions(profile="device", total_timeout=3))
    assert (options.profile, options.total_timeout) == ("device", None)
