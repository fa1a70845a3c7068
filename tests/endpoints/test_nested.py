"""A server behind registration authorities: nested messages, verified outside and inside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    CertTemplate,
    Extension,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIMessage,
    PollReq,
    RDNSequence,
    RevDetails,
    Variant,
    decode_message,
    encode_list,
    to_tlv,
)
from cmpkit.ca.approval import Approvals, decide_request
from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.keys import generate_key, load_private_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import extension, fingerprint
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.nesting import NestingLimits, find_answers, nest, nested_header
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, TrustError
from cmpkit.parts import Answer, Decision, Disposition, Peer, PrivateKey, SharedSecret
from cmpkit.plugins import Plugins
from cmpkit.transports import MemoryRoad

from .conftest import World, over_http
from .forge import Forge, certify, self_signed

DEV = parse_name("CN=dev-42")
CONFIRM = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())


@dataclass
class Authority:
    """A registration authority: puts its signature around messages of others."""

    forge: Forge

    @property
    def credentials(self) -> SigningCredentials:
        assert isinstance(self.forge.credentials, SigningCredentials)
        return self.forge.credentials

    async def around(self, *members: PKIMessage, body: PKIBody | None = None, **changes: Any) -> PKIMessage:
        """A nested message; ``changes`` are fields of its header that are wrong, and what else a forge may be told."""
        made = nested_header(
            members,
            sender=self.credentials.sender,
            recipient=members[0].header.recipient,
            sender_kid=None,
            protection_alg=None,
            now=self.forge.clock(),
        )
        header = {
            "transaction_id": made.transaction_id,
            "sender_nonce": made.sender_nonce,
            "recip_nonce": made.recip_nonce,
        }
        return await self.forge.message(body or nest(members), pvno=made.pvno, **{**header, **changes})


@dataclass
class Scene:
    """A CA, a registration authority with a certificate of it, and devices behind that."""

    world: World
    ra: Authority
    keys: list[PrivateKey] = field(default_factory=list)

    def key(self) -> PrivateKey:
        self.keys.append(generate_key("p256", self.world.plugins))
        return self.keys[-1]

    def forge(self, credentials: Any) -> Forge:
        return Forge(self.world.plugins, credentials, self.world.clock)

    async def ir(self, name: str = "dev-42", **changes: Any) -> PKIMessage:
        """A request of a device with a shared secret."""
        device = self.forge(await self.world.secret(name, uses=None))
        return await device.request(self.key(), parse_name(f"CN={name}"), **changes)

    async def handle(self, message: PKIMessage, world: World | None = None) -> PKIMessage:
        answer = await (world or self.world).handle(message.raw)
        assert answer.disposition is Disposition.ANSWERED
        assert answer.der is not None
        return decode_message(answer.der)

    async def refusal(self, message: PKIMessage, world: World | None = None) -> PKIFailureInfo:
        """Why a nested message is refused: by one error for it, signed by the server; nothing in it was looked at."""
        before = len(self.world.watcher.of("message-received"))
        answer = await self.handle(message, world)
        assert answer.body.type is BodyType.ERROR
        assert answer.header.transaction_id == message.header.transaction_id
        assert answer.header.recip_nonce == message.header.sender_nonce
        assert answer.extra_certs[0] == self.world.signer.certificate
        assert len(self.world.watcher.of("message-received")) == before + 1
        assert await self.world.certificates() == await self.issued()
        return PKIFailureInfo(answer.body.content.pki_status_info.failures)

    async def issued(self) -> tuple[Any, ...]:
        """What was issued to the registration authority alone."""
        return tuple(one for one in await self.world.certificates() if one.der == self.ra.credentials.certificate)


def issuing(world: World, **settings: Any) -> World:
    """The same world with another profile."""
    key = load_private_key((world.directory / "keys/issuing.key.pem").read_bytes(), None, world.plugins)
    profiles = {"device": load_profile("device", settings, world.plugins)}
    return world.with_(front=LocalIssuer(read_issuer_certificate(world.issuing), key, world.store, profiles))


async def authority(world: World, name: str = "ra") -> Authority:
    """One with a certificate of this CA that has cmcRA."""
    staffed = issuing(world, extended_key_usage=["cmcRA"], special=True)
    async with staffed.client(await world.secret(name)) as client:
        credentials = (await client.enroll(f"CN={name}")).credentials
    return Authority(Forge(world.plugins, credentials, world.clock))


async def foreign(plugins: Plugins, clock: Callable[[], Any], name: str = "foreign ra") -> Authority:
    """One whose certificate another CA issued, with cmcRA."""
    ca, ca_key = parse_name("CN=Other CA"), generate_key("p256", plugins)
    root = await certify(ca_key, ca, ca_key, ca, ca=True)
    key, usage = generate_key("p256", plugins), extension(x509.ExtendedKeyUsage([oids.KP_CMC_RA]))
    certificate = await certify(key, parse_name(f"CN={name}"), ca_key, ca, usage)
    return Authority(Forge(plugins, SigningCredentials(certificate, key, (root,)), clock))


@pytest.fixture
async def scene(world: World) -> Scene:
    return Scene(world, await authority(world))


def granted(answer: PKIMessage) -> bool:
    return answer.body.type is BodyType.IP and answer.body.content.response[0].status.status is PKIStatus.ACCEPTED


class TestOne:
    @pytest.mark.rule("R-151")
    async def test_the_answer_is_that_to_the_message_inside_and_not_nested(self, scene: Scene) -> None:
        request = await scene.ir()
        answer = await scene.handle(await scene.ra.around(request))
        assert granted(answer)
        assert answer.header.transaction_id == request.header.transaction_id
        assert answer.header.recip_nonce == request.header.sender_nonce
        assert answer.header.sender_kid == b"dev-42"

    @pytest.mark.rule("R-151", "R-162")
    async def test_a_whole_transaction_goes_through_a_registration_authority(self, scene: Scene) -> None:
        """Each message of the device is put into one, the certConf too, by a road between; over HTTP."""
        async with over_http(scene.world) as connect:
            road = connect()

            async def forward(der: bytes, _: Peer) -> Answer:
                outer = await scene.ra.around(decode_message(der))
                return Answer(await road.exchange(outer.raw))

            between = MemoryRoad(forward, peer=Peer("memory"))
            async with scene.world.client(await scene.world.secret(), transport=between) as client:
                enrolled = await client.enroll("CN=dev-42")
            between = MemoryRoad(forward, peer=Peer("memory"))
            async with scene.world.client(enrolled.credentials, transport=between) as client:
                await client.update(enrolled)
            await road.aclose()
        told = [event.details for event in scene.world.watcher.of("message-received") if "road" in event.details]
        came = [details["message"].body.type.wire_name for details in told]
        through = came[came.index("nested") :]
        assert through == ["nested", "ir", "nested", "certConf", "nested", "kur", "nested", "certConf"]

    @pytest.mark.rule("R-110", "R-151", "R-162")
    async def test_a_request_waits_for_a_person_and_is_polled_for_through_the_authority(self, scene: Scene) -> None:
        profile = load_profile("device", {"approval": "manual"}, scene.world.plugins)
        world = scene.world.with_(approvals=Approvals({"device": profile}, timedelta(seconds=10)))
        device = scene.forge(await world.secret())
        waiting = await scene.handle(await scene.ra.around(await device.request(scene.key(), DEV)), world)
        assert waiting.body.content.response[0].status.status is PKIStatus.WAITING
        poll = await device.message(PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=0)]), to=waiting)
        later = await scene.handle(await scene.ra.around(poll), world)
        assert later.body.type is BodyType.POLL_REP
        (held,) = await world.store.held_requests(now=world.clock())
        assert held.address == "192.0.2.1, forwarded by ra"
        await decide_request(world.store, held, Decision(held.key, True, by="alice", at=world.clock()))
        poll = await device.message(PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=0)]), to=later)
        assert granted(await scene.handle(await scene.ra.around(poll), world))

    @pytest.mark.rule("R-151")
    @pytest.mark.parametrize("name", ["transaction_id", "sender_nonce"])
    async def test_other_identifiers_than_those_inside_need_a_tolerance(
        self, scene: Scene, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        request = await scene.ir()
        outer = await scene.ra.around(request, **{name: bytes(16)})
        bad = {"transaction_id": PKIFailureInfo.BAD_REQUEST, "sender_nonce": PKIFailureInfo.BAD_SENDER_NONCE}
        assert await scene.refusal(outer) is bad[name]
        assert 'or allow it: tolerances = ["loose-nested"] at a server' in caplog.text
        tolerant = scene.world.with_(tolerances=frozenset({"loose-nested"}))
        answer = await scene.handle(outer, tolerant)
        assert granted(answer)
        assert answer.header.transaction_id == request.header.transaction_id
        (told,) = scene.world.watcher.of("tolerated")
        assert told.details["names"] == "loose-nested"

    @pytest.mark.rule("R-155")
    async def test_what_is_inside_is_verified_by_itself(self, scene: Scene) -> None:
        """That it was forwarded does not make up for its own protection, and is not approval."""
        request = await scene.ir()
        wrong = request.with_protection(bytes(len(request.protection or b"")))
        answer = await scene.handle(await scene.ra.around(wrong))
        assert answer.body.content.pki_status_info.failures is PKIFailureInfo.BAD_MESSAGE_CHECK
        bare = PKIMessage(replace(request.header, protection_alg=None), request.body)
        answer = await scene.handle(await scene.ra.around(bare))
        assert answer.body.content.pki_status_info.failures is PKIFailureInfo.WRONG_INTEGRITY
        stranger = scene.forge(await self_signed(scene.world.plugins, DEV))
        answer = await scene.handle(await scene.ra.around(await stranger.request(scene.key(), DEV)))
        assert answer.body.content.pki_status_info.failures is PKIFailureInfo.SIGNER_NOT_TRUSTED

    @pytest.mark.rule("R-068", "R-155")
    async def test_whoever_forwards_does_not_vouch_for_whom_it_forwards(self, scene: Scene) -> None:
        device = scene.forge(await scene.world.secret())
        body = (await device.request(scene.key(), DEV)).body
        vouched = type(body.content[0]).build(body.content[0].request, Variant(Null(), "ra_verified"))
        request = await device.message(PKIBody(BodyType.IR, [vouched]))
        answer = await scene.handle(await scene.ra.around(request))
        assert answer.body.content.response[0].status.failures is PKIFailureInfo.BAD_POP

    @pytest.mark.rule("R-155")
    async def test_the_subject_is_that_of_the_device_whoever_forwards(self, scene: Scene) -> None:
        device = scene.forge(await scene.world.secret())
        request = await device.request(scene.key(), parse_name("CN=another"))
        answer = await scene.handle(await scene.ra.around(request))
        assert answer.body.content.response[0].status.failures is PKIFailureInfo.NOT_AUTHORIZED

    @pytest.mark.rule("R-022")
    async def test_what_came_before_gets_the_stored_answer_inside_whatever(self, scene: Scene) -> None:
        request = await scene.ir()
        outer = await scene.ra.around(request)
        first = await scene.handle(outer)
        assert await scene.handle(outer) == first
        assert await scene.handle(await scene.ra.around(request)) == first
        assert await scene.handle(request) == first
        assert len(await scene.world.certificates()) == 2

    async def test_an_announcement_inside_is_taken_or_not_as_if_it_came_alone(self, scene: Scene) -> None:
        body = PKIBody(BodyType.CRLANN, [])
        announcement = await scene.ra.forge.message(body)
        answer = await scene.world.handle((await scene.ra.around(announcement)).raw)
        assert answer == Answer(None, Disposition.REFUSED)
        answer = await scene.world.handle((await scene.ra.around(announcement, announcement)).raw)
        assert answer == Answer(None, Disposition.REFUSED)


class TestOuter:
    """R-154: a fault of the nested message is answered by one error for it."""

    @pytest.mark.rule("R-151", "R-154", "R-155")
    async def test_a_wrong_signature_is_bad_message_check(self, scene: Scene) -> None:
        outer = await scene.ra.around(await scene.ir("dev-1"), await scene.ir("dev-2"))
        wrong = outer.with_protection(outer.protection[:-1] + b"\0", outer.extra_certs)
        assert await scene.refusal(wrong) is PKIFailureInfo.BAD_MESSAGE_CHECK

    @pytest.mark.rule("R-030", "R-154")
    async def test_one_without_protection_is_refused(self, scene: Scene) -> None:
        outer = await scene.ra.around(await scene.ir())
        bare = PKIMessage(replace(outer.header, protection_alg=None), outer.body)
        assert await scene.refusal(bare) is PKIFailureInfo.WRONG_INTEGRITY

    @pytest.mark.rule("R-151", "R-154")
    async def test_a_mac_is_no_signature(self, scene: Scene) -> None:
        request = await scene.ir()
        forge = scene.forge(SharedSecret("dev-42", "correct horse battery staple"))
        ids = {"transaction_id": request.header.transaction_id, "sender_nonce": request.header.sender_nonce}
        assert await scene.refusal(await forge.message(nest([request]), **ids)) is PKIFailureInfo.WRONG_INTEGRITY

    @pytest.mark.rule("R-038", "R-155", "R-156")
    async def test_only_registration_authorities_forward(self, scene: Scene) -> None:
        async with scene.world.client(await scene.world.secret("dev-1")) as client:
            device = Authority(scene.forge((await client.enroll("CN=dev-1")).credentials))
        answer = await scene.handle(await device.around(await scene.ir()))
        assert answer.body.content.pki_status_info.failures is PKIFailureInfo.NOT_AUTHORIZED
        assert len(await scene.world.certificates()) == 2

    @pytest.mark.rule("R-037", "R-154")
    async def test_one_that_nobody_trusts_does_not_forward(self, scene: Scene) -> None:
        stranger = await foreign(scene.world.plugins, scene.world.clock)
        assert await scene.refusal(await stranger.around(await scene.ir())) is PKIFailureInfo.SIGNER_NOT_TRUSTED

    @pytest.mark.rule("R-145", "R-154")
    async def test_one_whose_certificate_is_revoked_does_not_forward(self, scene: Scene) -> None:
        async with scene.world.client(scene.ra.credentials) as client:
            await client.revoke(scene.ra.credentials)
        failures = await scene.refusal(await scene.ra.around(await scene.ir()))
        assert failures is PKIFailureInfo.CERT_REVOKED | PKIFailureInfo.SIGNER_NOT_TRUSTED

    @pytest.mark.rule("R-015", "R-021", "R-154")
    async def test_its_header_is_checked_as_others_are(self, scene: Scene) -> None:
        one, other = await scene.ir("dev-1"), await scene.ir("dev-2")
        outer = await scene.ra.around(one, other)
        scene.world.clock.advance(timedelta(hours=1))
        assert await scene.refusal(outer) is PKIFailureInfo.BAD_TIME
        short = await scene.ra.around(one, other, sender_nonce=b"short")
        assert await scene.refusal(short) is PKIFailureInfo.BAD_SENDER_NONCE
        assert await scene.refusal(await scene.ra.around(one, other, transaction_id=None)) is (
            PKIFailureInfo.BAD_DATA_FORMAT
        )

    async def test_a_store_that_fails_is_a_failure_of_the_system(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outer = await scene.ra.around(await scene.ir("dev-1"), await scene.ir("dev-2"))
        gone = CMPError("the database is gone", PKIFailureInfo.SYSTEM_UNAVAIL)

        async def fail(*_: Any) -> Any:
            raise gone

        monkeypatch.setattr(type(scene.world.store), "certificate_by_fingerprint", fail)
        assert (await scene.world.handle(outer.raw)).disposition is Disposition.ANSWERED
        waits = ServerSettings(puts_off=True)
        assert (await scene.world.server.handle(outer.raw, Peer("file"), waits)).disposition is Disposition.UNAVAILABLE


class TestAuthorities:
    """Who is one: certificates of this CA with cmcRA, and those of other CAs that the operator lists (R-068)."""

    def listing(self, scene: Scene, *listed: Authority) -> World:
        return scene.world.with_(authorities=tuple(one.credentials.certificate for one in listed))

    @pytest.mark.rule("R-068", "R-155")
    async def test_one_of_another_ca_forwards_if_it_is_listed(self, scene: Scene) -> None:
        stranger = await foreign(scene.world.plugins, scene.world.clock)
        request = await scene.ir()
        assert granted(await scene.handle(await stranger.around(request), self.listing(scene, stranger)))
        bare = await stranger.around(await scene.ir("dev-1"), extra_certs=())
        assert granted(await scene.handle(bare, self.listing(scene, stranger)))

    @pytest.mark.rule("R-068")
    async def test_listing_one_certificate_trusts_no_other(self, scene: Scene) -> None:
        stranger, other = [await foreign(scene.world.plugins, scene.world.clock, name) for name in ("ra 1", "ra 2")]
        outer = await other.around(await scene.ir())
        assert await scene.refusal(outer, self.listing(scene, stranger)) is PKIFailureInfo.SIGNER_NOT_TRUSTED

    @pytest.mark.rule("R-037", "R-068")
    async def test_one_that_is_listed_and_expired_does_not_forward(self, scene: Scene) -> None:
        stranger = await foreign(scene.world.plugins, scene.world.clock)
        scene.world.clock.advance(timedelta(days=2))
        outer = await stranger.around(await scene.ir())
        assert await scene.refusal(outer, self.listing(scene, stranger)) is PKIFailureInfo.SIGNER_NOT_TRUSTED

    @pytest.mark.rule("R-068", "R-140", "R-161")
    async def test_one_that_is_listed_may_do_what_one_of_this_ca_may(self, scene: Scene) -> None:
        """Such as revoke on behalf of a device."""
        stranger, secret = await foreign(scene.world.plugins, scene.world.clock), await scene.world.secret()
        async with scene.world.client(secret) as client:
            enrolled = await client.enroll("CN=dev-42")
        found = x509.load_der_x509_certificate(enrolled.certificate)
        reason = Extension(extn_id=oids.CRL_REASON, extn_value=b"\x0a\x01\x01")
        template = CertTemplate(serial_number=found.serial_number, issuer=RDNSequence.of(found.issuer))
        body = PKIBody(BodyType.RR, [RevDetails(cert_details=template, crl_entry_details=[reason])])
        answer = await scene.handle(await stranger.forge.message(body), self.listing(scene, stranger))
        assert answer.body.content.status[0].status is PKIStatus.ACCEPTED

    @pytest.mark.rule("R-068")
    async def test_cmc_ra_of_another_ca_that_is_trusted_is_not_enough(self, scene: Scene) -> None:
        stranger = await foreign(scene.world.plugins, scene.world.clock)
        world = scene.world.with_(foreign=stranger.credentials.chain)
        assert await scene.refusal(await stranger.around(await scene.ir()), world) is PKIFailureInfo.NOT_AUTHORIZED


class TestBatch:
    @pytest.mark.rule("R-152")
    async def test_several_are_answered_by_a_nested_message_in_their_order(self, scene: Scene) -> None:
        requests = [await scene.ir(f"dev-{number}") for number in range(8)]
        outer = await scene.ra.around(*requests)
        answer = await scene.handle(outer)
        assert answer.body.type is BodyType.NESTED
        assert answer.header.transaction_id == outer.header.transaction_id
        assert answer.header.recip_nonce == outer.header.sender_nonce
        assert answer.header.recipient == outer.header.sender
        assert answer.extra_certs[0] == scene.world.signer.certificate
        assert find_answers(answer, requests) == answer.nested
        assert [granted(one) for one in answer.nested] == [True] * 8
        kids = [one.header.sender_kid for one in answer.nested]
        assert kids == [f"dev-{number}".encode() for number in range(8)]

    @pytest.mark.rule("R-152")
    async def test_they_are_answered_at_once_and_not_too_many(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cmpkit.endpoints.nested._AT_ONCE", 5)
        requests = [await scene.ir(f"dev-{number}") for number in range(12)]
        outer, inside, most = await scene.ra.around(*requests), 0, 0

        async def slow(der: bytes, peer: Peer, settings: ServerSettings) -> Answer:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await anyio.lowlevel.checkpoint()
            inside -= 1
            return await scene.world.server.handle(der, peer, settings)

        answer = await scene.world.server.answer(outer, Peer("memory"), inner=slow)
        assert most == 5
        assert len(decode_message(answer.der or b"").nested) == 12

    @pytest.mark.rule("R-152", "R-155")
    async def test_one_that_is_refused_or_broken_does_not_hinder_the_others(self, scene: Scene) -> None:
        good, wrong = await scene.ir("dev-1"), await scene.ir("dev-2")
        wrong = wrong.with_protection(bytes(len(wrong.protection or b"")))
        body = PKIBody(BodyType.NESTED, [to_tlv(wrong.raw), to_tlv(b"\x30\x00"), to_tlv(good.raw)])
        answer = await scene.handle(await scene.ra.around(good, wrong, body=body))
        refused, broken, ip = answer.nested
        assert refused.header.transaction_id == wrong.header.transaction_id
        assert refused.body.content.pki_status_info.failures is PKIFailureInfo.BAD_MESSAGE_CHECK
        assert broken.header.transaction_id is None
        assert broken.body.content.pki_status_info.failures is PKIFailureInfo.BAD_DATA_FORMAT
        assert granted(ip)
        assert find_answers(answer, [good, wrong]) == (ip, refused)

    @pytest.mark.rule("R-152")
    async def test_messages_of_all_kinds_may_be_in_one(self, scene: Scene) -> None:
        device = scene.forge(await scene.world.secret())
        ip = await scene.handle(await device.request(scene.key(), DEV))
        confirmation = await device.message(PKIBody(BodyType.PKICONF, Null()), to=ip)
        question = await scene.forge(await scene.world.secret("dev-2")).message(PKIBody(BodyType.GENM, []))
        answer = await scene.handle(await scene.ra.around(confirmation, question, await scene.ir("dev-3")))
        assert [one.body.type.wire_name for one in answer.nested] == ["pkiconf", "genp", "ip"]

    @pytest.mark.rule("R-022", "R-152")
    async def test_a_batch_that_comes_again_gets_the_same_answers_in_it(self, scene: Scene) -> None:
        outer = await scene.ra.around(await scene.ir("dev-1"), await scene.ir("dev-2"))
        first, second = await scene.handle(outer), await scene.handle(outer)
        assert first.nested == second.nested
        assert first.header.sender_nonce != second.header.sender_nonce
        assert len(await scene.world.certificates()) == 3

    @pytest.mark.rule("R-019", "R-152")
    async def test_the_same_message_twice_in_one_has_one_result(self, scene: Scene) -> None:
        request = await scene.ir()
        answer = await scene.handle(await scene.ra.around(request, request))
        assert len(answer.nested) == 2
        issued = [one.body.content.response[0].certified_key_pair for one in answer.nested if granted(one)]
        assert issued
        assert all(pair == issued[0] for pair in issued)
        assert len(await scene.world.certificates()) == 2

    async def test_where_the_road_asks_again_a_batch_is_put_off_as_a_whole(self, scene: Scene) -> None:
        outer = await scene.ra.around(await scene.ir("dev-1"), await scene.ir("dev-2"))
        answers = iter([Answer(outer.raw), Answer(outer.raw, Disposition.UNAVAILABLE)])

        async def busy(*_: Any) -> Answer:
            return next(answers)

        answer = await scene.world.server.answer(outer, Peer("memory"), inner=busy)
        failures = decode_message(answer.der or b"").body.content.pki_status_info.failures
        assert failures is PKIFailureInfo.SYSTEM_UNAVAIL


class TestDepth:
    @pytest.mark.rule("R-151", "R-155")
    async def test_authorities_in_a_row_each_add_their_signature(self, scene: Scene) -> None:
        second = await authority(scene.world, "ra 2")
        request = await scene.ir()
        answer = await scene.handle(await second.around(await scene.ra.around(request)))
        assert granted(answer)
        assert answer.header.recip_nonce == request.header.sender_nonce

    @pytest.mark.rule("R-152", "R-155")
    async def test_a_batch_in_a_batch_is_answered_by_one_in_one(self, scene: Scene) -> None:
        inner = await scene.ra.around(await scene.ir("dev-1"), await scene.ir("dev-2"))
        alone = await scene.ra.around(await scene.ir("dev-3"))
        answer = await scene.handle(await scene.ra.around(inner, alone))
        batch, ip = answer.nested
        assert batch.header.transaction_id == inner.header.transaction_id
        assert [granted(one) for one in (*batch.nested, ip)] == [True] * 3

    @pytest.mark.rule("R-155")
    async def test_an_inner_nested_message_needs_a_registration_authority_too(self, scene: Scene) -> None:
        stranger = await foreign(scene.world.plugins, scene.world.clock)
        inner = await stranger.around(await scene.ir("dev-1"), await scene.ir("dev-2"))
        answer = await scene.handle(await scene.ra.around(inner, await scene.ir("dev-3")))
        refused, ip = answer.nested
        assert refused.header.transaction_id == inner.header.transaction_id
        assert refused.body.content.pki_status_info.failures is PKIFailureInfo.SIGNER_NOT_TRUSTED
        assert granted(ip)

    @pytest.mark.rule("R-155")
    async def test_four_deep_is_served_and_five_is_refused(self, scene: Scene) -> None:
        made = await scene.ir()
        for _ in range(4):
            made = await scene.ra.around(made)
        assert granted(await scene.handle(made))
        made = await scene.ir("dev-1")
        for _ in range(5):
            made = await scene.ra.around(made)
        answer = await scene.handle(made)
        assert answer.body.content.pki_status_info.failures is PKIFailureInfo.BAD_REQUEST
        assert len(await scene.world.certificates()) == 2

    @pytest.mark.rule("R-155")
    async def test_more_messages_than_are_taken_cost_no_verification(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = scene.world.with_(settings=ServerSettings(nesting=NestingLimits(count=2)))
        outer = await scene.ra.around(*[await scene.ir(f"dev-{number}") for number in range(3)])

        async def fail(*_: Any) -> Any:
            raise AssertionError("a signature was verified")

        monkeypatch.setattr("cmpkit.endpoints.verifier.verify_message", fail)
        assert await scene.refusal(outer, world) is PKIFailureInfo.BAD_REQUEST


class TestOriginals:
    """origPKIMessage, by which a registration authority shows what it changed (RFC 9810 section 5.1.1.3)."""

    def info(self, *messages: PKIMessage) -> InfoTypeAndValue:
        return InfoTypeAndValue(oids.ORIG_PKI_MESSAGE, to_tlv(encode_list([to_tlv(one.raw) for one in messages])))

    @pytest.mark.rule("R-159")
    async def test_it_is_taken_and_nothing_is_granted_because_of_it(self, scene: Scene) -> None:
        original, request = await scene.ir(), await scene.ir("dev-1")
        device = scene.forge(await scene.world.secret("dev-2"))
        again = await device.message(request.body, general_info=[self.info(original)])
        answer = await scene.handle(again)
        assert answer.body.content.response[0].status.failures is PKIFailureInfo.NOT_AUTHORIZED
        fine = await scene.ir("dev-3", general_info=[self.info(original)])
        assert granted(await scene.handle(fine))

    @pytest.mark.rule("R-159")
    async def test_two_beside_one_message_or_something_else_are_refused(self, scene: Scene) -> None:
        original = await scene.ir()
        infos = (self.info(original, original), InfoTypeAndValue(oids.ORIG_PKI_MESSAGE, to_tlv(b"\x05\x00")))
        for number, info in enumerate(infos):
            answer = await scene.handle(await scene.ir(f"dev-{number}", general_info=[info]))
            assert answer.body.content.pki_status_info.failures is PKIFailureInfo.BAD_DATA_FORMAT

    @pytest.mark.rule("R-159")
    async def test_beside_a_batch_are_those_of_its_members_in_order(self, scene: Scene) -> None:
        one, other = await scene.ir("dev-1"), await scene.ir("dev-2")
        wrong = await scene.ra.around(one, other, general_info=[self.info(other, one)])
        assert await scene.refusal(wrong) is PKIFailureInfo.BAD_DATA_FORMAT
        answer = await scene.handle(await scene.ra.around(one, other, general_info=[self.info(one, other)]))
        assert [granted(member) for member in answer.nested] == [True, True]


class TestTelling:
    @pytest.mark.rule("R-155")
    async def test_the_audit_the_log_and_observers_name_who_forwarded(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        second = await authority(scene.world, "ra 2")
        request = await scene.ir()
        await scene.handle(await second.around(await scene.ra.around(request)))
        entries = [
            entry
            for entry in await scene.world.store.audit_entries()
            if entry.transaction_id == request.header.transaction_id
        ]
        by = " ".join(f"cert:{fingerprint(one.credentials.certificate).hex()}" for one in (scene.ra, second))
        assert {entry.details.get("forwarded_by") for entry in entries} == {by}
        received = [event.details.get("forwarded_by") for event in scene.world.watcher.of("message-received")[-3:]]
        assert received == [None, "ra 2", "ra, ra 2"]
        wrong = (await scene.ir("dev-1")).with_protection(b"")
        with caplog.at_level(logging.WARNING):
            await scene.handle(await scene.ra.around(wrong))
        assert "refused ir from 192.0.2.1, forwarded by ra: badMessageCheck" in caplog.text

    async def test_what_came_directly_names_nobody(self, scene: Scene) -> None:
        request = await scene.ir()
        await scene.handle(request)
        entries = [
            entry
            for entry in await scene.world.store.audit_entries()
            if entry.transaction_id == request.header.transaction_id
        ]
        assert entries
        assert not [entry for entry in entries if "forwarded_by" in entry.details]


class TestClient:
    @pytest.mark.rule("R-156")
    async def test_an_end_entity_takes_no_nested_message_for_an_answer(self, scene: Scene) -> None:
        """Whatever is in it, and whoever signed it."""

        async def wrap(der: bytes, peer: Peer) -> Answer:
            answer = decode_message((await scene.world.server.handle(der, peer)).der or b"")
            server = scene.forge(scene.world.signer)
            ids = {"transaction_id": answer.header.transaction_id, "recip_nonce": answer.header.recip_nonce}
            return Answer((await server.message(nest([answer]), **ids)).raw)

        road = MemoryRoad(wrap, peer=Peer("memory"))
        async with scene.world.client(await scene.world.secret("dev-1")) as client:
            enrolled = await client.enroll("CN=dev-1")
        async with scene.world.client(enrolled.credentials, transport=road) as client:
            with pytest.raises(TrustError, match="nested where kup is due"):
                await client.update(enrolled)
