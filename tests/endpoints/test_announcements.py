"""Announcements: a repository keeps what is true and refuses the rest; a CA tells until it is heard (R-194, R-195)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from rollover import Rollover

from cmpkit.asn1 import (
    CAKeyUpdAnnContent,
    CertId,
    CertificateList,
    CertificateWire,
    GeneralizedTime,
    PKIBody,
    PKIMessage,
    RevAnnContent,
    RootCaKeyUpdateContent,
    Variant,
    decode,
    decode_message,
    directory_name,
    encode,
)
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints import controls
from cmpkit.endpoints.announcements import AnnouncementVerifier
from cmpkit.endpoints.announcing import Announcer, Subscriber
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.repository import Repository
from cmpkit.endpoints.requests import Wish
from cmpkit.enums import BodyType, CRLReason, PKIStatus
from cmpkit.errors import TransportError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import Disposition, Peer, TransportOptions
from cmpkit.plugins import load_plugins

from .conftest import World
from .forge import NOW, Forge

PEER = Peer("memory", "192.0.2.2")
STORED, REFUSED, UNAVAILABLE = Disposition.STORED, Disposition.REFUSED, Disposition.UNAVAILABLE


@dataclass
class Scene:
    """A CA, and a repository that trusts its root."""

    world: World
    repository: Repository

    @property
    def directory(self) -> Path:
        return self.repository.directory

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir()) if self.directory.exists() else []

    def forge(self, credentials: Any = None) -> Forge:
        return Forge(self.world.plugins, credentials or self.world.signer, self.world.clock)

    async def take(self, message: PKIMessage) -> Disposition:
        answer = await self.repository.take(message, PEER, now=self.world.clock())
        assert answer.der is None
        return answer.disposition

    async def crl(self) -> PKIBody:
        crl = await self.world.issuer.crl(now=self.world.clock())
        return PKIBody(BodyType.CRLANN, [decode(CertificateList, crl)])

    def rolled(self) -> Rollover:
        """A root that has a new key, and that the repository trusts, too."""
        made = Rollover(self.world.clock())
        anchors = (*self.repository.verifier.anchors, made.old_root)
        verifier = AnnouncementVerifier(self.world.plugins, anchors)
        self.repository = Repository(verifier, self.directory)
        return made


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Scene:
    return Scene(world, Repository(AnnouncementVerifier(world.plugins, world.trust), tmp_path / "kept"))


@pytest.mark.rule("R-194")
class TestCRLs:
    async def test_a_crl_is_kept_and_may_come_again(self, scene: Scene) -> None:
        message = await scene.forge().message(await scene.crl())
        assert [await scene.take(message), await scene.take(message)] == [STORED, STORED]
        (name,) = scene.kept()
        assert name.startswith("Example-CA-")
        crl = await scene.world.issuer.crl(now=scene.world.clock())
        assert (scene.directory / name).read_bytes() == crl
        (event, _) = scene.world.watcher.of("announced")
        assert event.details["body"] == "crlann"

    async def test_a_newer_one_takes_its_place_and_an_older_one_does_not(self, scene: Scene) -> None:
        older = await scene.crl()
        assert await scene.take(await scene.forge().message(older)) is STORED
        scene.world.clock.advance(timedelta(days=4).total_seconds())
        for body in (await scene.crl(), older):
            assert await scene.take(await scene.forge().message(body)) is STORED
        (name,) = scene.kept()
        assert (scene.directory / name).read_bytes() == await scene.world.issuer.crl(now=scene.world.clock())

    async def test_a_crl_that_another_key_signed_is_refused(self, scene: Scene) -> None:
        content = (await scene.crl()).content[0]
        forged = CertificateList(
            tbs_cert_list=content.tbs_cert_list,
            signature_algorithm=content.signature_algorithm,
            signature_value=decode(CertificateWire, scene.world.issuing[0]).signature_value,
        )
        message = await scene.forge().message(PKIBody(BodyType.CRLANN, [content, forged]))
        assert (await scene.take(message), scene.kept()) == (REFUSED, [])

    async def test_a_crl_of_an_unknown_ca_and_no_crl_at_all_are_refused(self, scene: Scene) -> None:
        rolled = Rollover(scene.world.clock())
        now = scene.world.clock()
        builder = x509.CertificateRevocationListBuilder(rolled.subject, now, now + timedelta(days=1))
        crl = builder.sign(rolled.old_key, SHA256())
        foreign = decode(CertificateList, crl.public_bytes(Encoding.DER))
        for content in ([foreign], []):
            assert await scene.take(await scene.forge().message(PKIBody(BodyType.CRLANN, content))) is REFUSED

    async def test_what_cannot_be_written_shall_come_again(self, scene: Scene) -> None:
        scene.directory.write_text("a file where the directory should be")
        assert await scene.take(await scene.forge().message(await scene.crl())) is UNAVAILABLE


@pytest.mark.rule("R-194")
class TestWhoMayAnnounce:
    async def test_a_device_may_not(self, scene: Scene) -> None:
        secret = await scene.world.secret()
        key = generate_key("p256", scene.world.plugins)
        async with scene.world.client(secret) as client:
            device = await client.enroll(subject="CN=dev-42", key=key)
        message = await scene.forge(device.credentials).message(await scene.crl())
        assert (await scene.take(message), scene.kept()) == (REFUSED, [])

    async def test_a_shared_secret_does_not_do(self, scene: Scene) -> None:
        message = await scene.forge(await scene.world.secret()).message(await scene.crl())
        assert await scene.take(message) is REFUSED

    async def test_nobody_may_without_protection_or_by_a_damaged_one(self, scene: Scene) -> None:
        message = await scene.forge().message(await scene.crl())
        bare = PKIMessage(message.header, message.body, None, message.extra_certs)
        assert message.protection is not None
        damaged = message.with_protection(message.protection[:-1] + b"\0", message.extra_certs)
        assert [await scene.take(bare), await scene.take(damaged)] == [REFUSED, REFUSED]

    async def test_a_ca_under_another_root_may_not(self, scene: Scene) -> None:
        other = Rollover(scene.world.clock()).old_root
        scene.repository = Repository(AnnouncementVerifier(scene.world.plugins, (other,)), scene.directory)
        assert await scene.take(await scene.forge().message(await scene.crl())) is REFUSED

    async def test_old_messages_are_not_taken(self, scene: Scene) -> None:
        message = await scene.forge().message(await scene.crl())
        scene.world.clock.advance(3600)
        assert await scene.take(message) is REFUSED

    @pytest.mark.parametrize("known", [True, False])
    async def test_a_server_has_no_cmp_answer(self, scene: Scene, known: bool) -> None:
        server = replace(scene.world.server, repository=scene.repository if known else None)
        message = await scene.forge().message(await scene.crl())
        answer = await server.handle(message.raw, PEER)
        assert (answer.der, answer.disposition) == (None, STORED if known else REFUSED)


class TestNewRoots:
    def body(self, rolled: Rollover, *, old_syntax: bool = False) -> PKIBody:
        new, link, back = (
            decode(CertificateWire, one) for one in (rolled.new_with_new, rolled.new_with_old, rolled.old_with_new)
        )
        if old_syntax:
            content = CAKeyUpdAnnContent(old_with_new=back, new_with_old=link, new_with_new=new)
            return PKIBody(BodyType.CKUANN, Variant(content, "ca_key_upd_ann_v2"))
        update = RootCaKeyUpdateContent(new_with_new=new, new_with_old=link, old_with_new=back)
        return PKIBody(BodyType.CKUANN, Variant(update, "ca_key_upd_ann_v3"))

    @pytest.mark.parametrize(
        ("old_syntax", "pvno", "outcome"),
        [(False, 3, STORED), (True, 2, STORED), (False, 2, REFUSED), (True, 3, REFUSED)],
    )
    @pytest.mark.rule("R-194", "R-195")
    async def test_each_syntax_has_its_version(
        self, scene: Scene, old_syntax: bool, pvno: int, outcome: Disposition
    ) -> None:
        rolled = scene.rolled()
        message = await scene.forge().message(self.body(rolled, old_syntax=old_syntax), pvno=pvno)
        assert await scene.take(message) is outcome
        kept = {name.split(".")[1]: scene.directory / name for name in scene.kept()}
        if outcome is STORED:
            found = load_certificates(kept["new-with-new"].read_bytes())
            assert (found, kept.keys()) == ((rolled.new_with_new,), {"new-with-new", "new-with-old", "old-with-new"})

    @pytest.mark.rule("R-183", "R-194")
    async def test_a_new_root_that_no_trusted_one_vouches_for_is_refused(self, scene: Scene) -> None:
        message = await scene.forge().message(self.body(Rollover(scene.world.clock())), pvno=3)
        assert (await scene.take(message), scene.kept()) == (REFUSED, [])


@pytest.mark.rule("R-194")
class TestCertificates:
    async def test_certificates_and_revocations_are_kept(self, scene: Scene) -> None:
        wire = decode(CertificateWire, scene.world.signer.certificate)
        assert await scene.take(await scene.forge().message(PKIBody(BodyType.CANN, wire))) is STORED
        assert await scene.take(await scene.forge().message(self.revocation("CN=Example CA,O=Example"))) is STORED
        certificate, revocation = scene.kept()
        assert load_certificates((scene.directory / certificate).read_bytes()) == (scene.world.signer.certificate,)
        told = json.loads((scene.directory / revocation).read_text())
        assert (revocation, told["issuer"]) == ("revocation-2a.json", "CN=Example CA,O=Example")

    async def test_those_of_others_are_refused(self, scene: Scene) -> None:
        wire = decode(CertificateWire, Rollover(scene.world.clock()).new_with_new)
        for body in (PKIBody(BodyType.CANN, wire), self.revocation("CN=Another CA")):
            assert await scene.take(await scene.forge().message(body)) is REFUSED

    @staticmethod
    def revocation(issuer: str) -> PKIBody:
        moment = GeneralizedTime(NOW.replace(microsecond=0))
        content = RevAnnContent(
            status=PKIStatus.REVOCATION_WARNING,
            cert_id=CertId(issuer=directory_name(parse_name(issuer)), serial_number=42),
            will_be_revoked_at=moment,
            bad_since_date=moment,
        )
        return PKIBody(BodyType.RANN, content)


@dataclass
class Road:
    """A road for announcements to a repository that may be out of order.

    :param faults: what comes of the next announcements instead, if not nothing.
    :param pause: seconds that each takes.
    """

    scene: Scene
    faults: list[Disposition | Exception | None] = field(default_factory=list)
    taken: list[PKIMessage] = field(default_factory=list)
    schemes: tuple[str, ...] = ("test",)
    pause: float = 0

    def open(self, url: str, options: TransportOptions) -> Road:
        return self

    async def announce(self, message: bytes) -> Disposition:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        if fault is not None:
            return fault
        self.taken.append(decode_message(message))
        self.scene.world.clock.advance(self.pause)
        return await self.scene.take(self.taken[-1])

    async def aclose(self) -> None:
        pass


@pytest.mark.rule("R-194")
class TestSending:
    @pytest.fixture
    def road(self, scene: Scene) -> Road:
        return Road(scene)

    @pytest.fixture
    def announcer(self, scene: Scene, road: Road) -> Announcer:
        plugins = load_plugins([("road", Roads(road))])
        world = scene.world
        subscribers = [Subscriber("test://repository")]
        return Announcer(plugins, world.signer, world.store, [(world.issuer, world.issuing)], subscribers, world.clock)

    async def test_a_crl_is_announced_once_and_again_when_it_changed(
        self, scene: Scene, road: Road, announcer: Announcer
    ) -> None:
        await announcer.announce()
        await announcer.announce()
        assert [message.body.type for message in road.taken] == [BodyType.CRLANN]
        await self.revoke_something(scene)
        await announcer.announce()
        (name,) = scene.kept()
        assert len(x509.load_der_x509_crl((scene.directory / name).read_bytes())) == 1

    async def test_whoever_cannot_be_told_is_told_later_and_ever_more_rarely(
        self, scene: Scene, road: Road, announcer: Announcer
    ) -> None:
        road.faults = [TransportError("down"), TransportError("down")]
        for pause in (0, 10, 21, 40, 21):
            scene.world.clock.advance(pause)
            await announcer.announce()
        assert (road.faults, len(road.taken)) == ([], 1)

    async def test_what_was_accepted_for_later_is_sent_until_it_is_stored(
        self, scene: Scene, road: Road, announcer: Announcer
    ) -> None:
        road.faults = [Disposition.UNAVAILABLE]
        await announcer.announce()
        assert road.taken == []
        await announcer.announce()
        assert len(road.taken) == 1

    async def test_a_new_root_is_announced_with_the_new_syntax(
        self, scene: Scene, road: Road, announcer: Announcer
    ) -> None:
        rolled = scene.rolled()
        scene.world.issuer._root_update = rolled.update
        await announcer.announce()
        assert [(one.body.type, one.header.pvno) for one in road.taken] == [(BodyType.CRLANN, 2), (BodyType.CKUANN, 3)]
        assert len(scene.kept()) == 4

    async def test_a_repository_gets_only_what_it_wants(self, scene: Scene, road: Road, announcer: Announcer) -> None:
        subscribers = [Subscriber("test://repository", frozenset({BodyType.CKUANN}))]
        await replace(announcer, subscribers=subscribers, _standings={}).announce()
        assert road.taken == []

    async def test_each_certificate_of_a_profile_that_publishes_is_announced_once(
        self, scene: Scene, road: Road, announcer: Announcer
    ) -> None:
        public = [await self.enroll(scene, name, publish=True) for name in ("one", "two")]
        await self.enroll(scene, "against", publish=True, controls=[controls.publication(publish=False)])
        await self.enroll(scene, "private", publish=False)
        subscribers = [Subscriber("test://repository", frozenset({BodyType.CANN}))]
        announcer = replace(announcer, subscribers=subscribers, _standings={})
        await announcer.announce()
        assert [encode(message.body.content) for message in road.taken] == public
        for again in (announcer, replace(announcer, _standings={})):  # in the same process, and in the next
            await again.announce()
        assert len(road.taken) == len(scene.kept()) == 2

    @pytest.mark.parametrize("fault", [Disposition.UNAVAILABLE, TransportError("down")])
    async def test_what_did_not_arrive_of_a_sequence_is_sent_again_from_there_on(
        self, scene: Scene, road: Road, announcer: Announcer, fault: Disposition | Exception
    ) -> None:
        public = [await self.enroll(scene, f"dev-{number}", publish=True) for number in range(3)]
        announcer = replace(announcer, subscribers=[Subscriber("test://x", frozenset({BodyType.CANN}))], _standings={})
        road.faults = [None, fault]
        await announcer.announce()
        assert [encode(message.body.content) for message in road.taken] == public[:1]
        await replace(announcer, _standings={}).announce()
        assert [encode(message.body.content) for message in road.taken] == public

    async def test_revocations_are_announced_with_what_the_crl_says_of_them(
        self, scene: Scene, road: Road, announcer: Announcer
    ) -> None:
        announcer = replace(announcer, subscribers=[Subscriber("test://x", frozenset({BodyType.RANN}))], _standings={})
        await announcer.announce()
        await self.revoke_something(scene)
        await announcer.announce()
        (message,) = road.taken
        (record,) = await scene.world.certificates()
        content = message.body.content
        assert (content.status, content.cert_id.serial_number) == (
            PKIStatus.REVOCATION_NOTIFICATION,
            record.serial_number,
        )
        assert (
            content.will_be_revoked_at.as_datetime()
            == content.bad_since_date.as_datetime()
            == NOW.replace(microsecond=0)
        )
        (said,) = content.crl_details
        assert said.extn_value == x509.CRLReason(x509.ReasonFlags.superseded).public_bytes()
        assert scene.kept() == [f"revocation-{record.serial_number:x}.json"]

    async def test_a_root_that_is_not_believed_keeps_nothing_else_back(
        self, scene: Scene, road: Road, announcer: Announcer
    ) -> None:
        scene.world.issuer._root_update = Rollover(scene.world.clock()).update
        await self.enroll(scene, "dev-42", publish=True)
        subscribers = [Subscriber("test://x", frozenset(Subscriber("").what | {BodyType.CANN}))]
        await replace(announcer, subscribers=subscribers, _standings={}).announce()
        assert [message.body.type for message in road.taken] == [BodyType.CRLANN, BodyType.CANN, BodyType.CKUANN]
        assert len(scene.kept()) == 2

    async def test_a_backlog_takes_its_time(self, scene: Scene, road: Road, announcer: Announcer) -> None:
        """Each message is as new as it is, or the last ones would be refused."""
        public = [await self.enroll(scene, f"dev-{number}", publish=True) for number in range(3)]
        road.pause = 200
        subscribers = [Subscriber("test://x", frozenset({BodyType.CANN}))]
        await replace(announcer, subscribers=subscribers, _standings={}).announce()
        assert len(scene.kept()) == len(public)

    async def test_a_revocation_may_be_announced_before(self, scene: Scene, road: Road, announcer: Announcer) -> None:
        await self.enroll(scene, "dev-42", publish=False)
        (record,) = await scene.world.certificates()
        subscribers = [Subscriber("test://x", frozenset({BodyType.RANN})), Subscriber("test://other")]
        announcer = replace(announcer, subscribers=subscribers, _standings={})
        at = NOW.replace(microsecond=0) + timedelta(days=2)
        road.faults = [None, Disposition.UNAVAILABLE, TransportError("down")]
        told = [await announcer.warn(record, CRLReason.SUPERSEDED, at=at) for _ in range(3)]
        faults = [fault and fault.detail for one in told for fault in one.values()]
        assert faults == [None, "test://x is to be told again later", "down"]
        (message,) = road.taken
        content = message.body.content
        assert (content.status, content.will_be_revoked_at.as_datetime()) == (PKIStatus.REVOCATION_WARNING, at)
        (kept,) = scene.kept()
        assert json.loads((scene.directory / kept).read_text())["status"] == "revocationWarning"

    async def enroll(self, scene: Scene, name: str, *, publish: bool, **wish: Any) -> bytes:
        world = scene.world
        profile = load_profile("device", {"publish": publish}, world.plugins)
        world.issuer._profiles = {"device": profile}
        async with world.client(await world.secret(name)) as client:
            key = generate_key("p256", world.plugins)
            (got,) = await client.obtain_several([Wish(key=key, subject=parse_name(f"CN={name}"), **wish)])
            assert isinstance(got, Enrolled)
            return got.certificate

    async def revoke_something(self, scene: Scene) -> None:
        world = scene.world
        key = generate_key("p256", world.plugins)
        async with world.client(await world.secret()) as client:
            device = await client.enroll(subject="CN=dev-42", key=key)
            await client.revoke(device, reason=CRLReason.SUPERSEDED)


class Roads:
    """The plugin that brings the road."""

    def __init__(self, road: Road) -> None:
        self._road = road

    @hookimpl
    def cmpkit_client_transports(self) -> list[Road]:
        return [self._road]
