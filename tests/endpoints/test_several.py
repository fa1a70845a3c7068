"""Several certificates by one message, from the client to the store and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from cmpkit.asn1 import (
    CertId,
    CertRequest,
    CertTemplate,
    RDNSequence,
    SubjectPublicKeyInfo,
    decode,
    directory_name,
)
from cmpkit.ca.policy import load_policy
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints import controls, examine
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.requests import Wish, certificate_id
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.responder import ResponderSettings
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo, PKIStatus
from cmpkit.errors import PeerRefusal, TransportError, TrustError
from cmpkit.parts import CertificateRecord, CertificateState, SharedSecret

from .conftest import Watcher, World, subject_of
from .forge import NOW

NAME = parse_name("CN=dev-42")
SEVERAL = ServerSettings(responder=ResponderSettings(max_requests=3))


class Generous(World):
    """A server whose shared secrets may revoke what was enrolled with them."""

    @property
    def server(self) -> Server:
        made = super().server
        profiles = {"device": load_profile("device", {}, self.plugins)}
        policy = load_policy({"revocation_by_secret": True}, profiles)
        return replace(made, workshop=replace(made.workshop, policy=policy))


@pytest.fixture
def several(world: World) -> World:
    return world.with_(settings=SEVERAL)


@pytest.fixture
def generous(world: World) -> World:
    fields = {name: getattr(world, name) for name in world.__dataclass_fields__}
    return Generous(**{**fields, "settings": SEVERAL})


def wishes(world: World, *subjects: x509.Name | None) -> list[Wish]:
    return [Wish(key=generate_key("p256", world.plugins), subject=subject) for subject in subjects]


async def issued(world: World) -> tuple[CertificateRecord, ...]:
    """What devices got, the newest first."""
    return tuple(record for record in await world.certificates() if record.profile == "device")


async def states(world: World) -> list[CertificateState]:
    return [record.state for record in reversed(await issued(world))]


class TestEnrolment:
    @pytest.mark.parametrize("implicit", [True, False])
    @pytest.mark.parametrize("operation", [BodyType.IR, BodyType.CR])
    async def test_all_come_and_are_valid(self, several: World, operation: BodyType, *, implicit: bool) -> None:
        secret = await several.secret(uses=3)
        asked = wishes(several, NAME, NAME, None)
        async with several.client(secret, implicit_confirm=implicit) as client:
            came = await client.obtain_several(asked, operation=operation)
        assert [one.key for one in came if isinstance(one, Enrolled)] == [wish.key for wish in asked]
        assert await states(several) == [CertificateState.VALID] * 3
        record = await several.store.find_secret(b"dev-42")
        assert record is not None
        assert record.grant.uses == 0

    async def test_one_that_is_refused_does_not_spoil_the_others(self, several: World) -> None:
        secret = await several.secret(uses=3)
        async with several.client(secret) as client:
            first, second, third = await client.obtain_several(wishes(several, NAME, parse_name("CN=other"), NAME))
        assert isinstance(first, Enrolled)
        assert isinstance(third, Enrolled)
        assert isinstance(second, PeerRefusal)
        assert second.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert len(await issued(several)) == 2
        assert len(several.watcher.of("refused")) == 1

    async def test_a_secret_gets_no_more_than_its_uses(self, several: World) -> None:
        secret = await several.secret(uses=1)
        async with several.client(secret) as client:
            first, second = await client.obtain_several(wishes(several, NAME, NAME))
        assert isinstance(first, Enrolled)
        assert isinstance(second, PeerRefusal)
        assert second.fail_info is PKIFailureInfo.NOT_AUTHORIZED

    async def test_a_server_takes_one_unless_it_is_told_otherwise(self, world: World) -> None:
        secret = await world.secret(uses=3)
        async with world.client(secret) as client:
            came = await client.obtain_several(wishes(world, NAME, NAME))
        assert [one.fail_info for one in came if isinstance(one, PeerRefusal)] == [PKIFailureInfo.BAD_REQUEST] * 2
        assert await issued(world) == ()

    async def test_a_certificate_that_is_not_acceptable_is_rejected_alone(
        self, several: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = wishes(several, NAME, NAME)
        accept: Callable[..., Any] = examine.examine_certificate

        def refuse(certificate: bytes, **about: Any) -> Any:
            if about["public_key_info"] == asked[0].key.public_key_info:
                raise TrustError("not this one", PKIFailureInfo.BAD_CERT_TEMPLATE)
            return accept(certificate, **about)

        monkeypatch.setattr(examine, "examine_certificate", refuse)
        secret = await several.secret(uses=3)
        async with several.client(secret) as client:
            first, second = await client.obtain_several(asked)
        assert isinstance(first, TrustError)
        assert isinstance(second, Enrolled)
        assert await states(several) == [CertificateState.REVOKED, CertificateState.VALID]

    async def test_what_was_begun_goes_on_in_another_process(self, several: World, tmp_path: Any) -> None:
        secret = await several.secret(uses=3)
        asked = wishes(several, NAME, parse_name("CN=other"))
        folder = tmp_path / "state"

        class Killed(Exception):
            pass

        def die() -> None:
            raise Killed

        several.watcher.at["certificate saved, before certConf"] = die
        async with several.client(secret, state=folder) as client:
            with pytest.raises(Killed):
                await client.obtain_several(asked)
        (saved,) = folder.glob("*.json")
        async with several.client(secret, state=folder) as client:
            first, second = await client.resume_several(saved, [wish.key for wish in asked])
            assert isinstance(first, Enrolled)
            assert first.key is asked[0].key
            assert isinstance(second, PeerRefusal)
            client.forget(first)
        assert not saved.exists()
        assert await states(several) == [CertificateState.VALID]

    @pytest.mark.rule("R-098")
    async def test_confirm_wait_time_that_is_over_revokes_all_or_keeps_all(self, several: World) -> None:
        for keep, state in ((False, CertificateState.REVOKED), (True, CertificateState.VALID)):
            responder = ResponderSettings(max_requests=3, keep_unconfirmed=keep)
            world = several.with_(settings=ServerSettings(responder=responder))
            secret = await world.secret(f"dev-{keep}", uses=3)
            road = world.road()
            exchange = road.exchange
            sent: list[bytes] = []

            async def once(request: bytes, exchange: Any = exchange, sent: list[bytes] = sent) -> bytes:
                sent.append(request)
                if len(sent) > 1:
                    raise TransportError("the line is cut")
                return await exchange(request)

            road.exchange = once  # type: ignore[method-assign]
            name = parse_name(f"CN=dev-{keep}")
            async with world.client(secret, transport=road) as client:
                with pytest.raises(TransportError):
                    await client.obtain_several(wishes(world, name, name))
            world.clock.advance(timedelta(hours=1))
            await world.server.housekeep()
            assert (await states(world))[-2:] == [state] * 2


class TestRevocation:
    async def enrolled(
        self, world: World, count: int, reference: str = "dev-42"
    ) -> tuple[SharedSecret, list[Enrolled]]:
        secret = await world.secret(reference, uses=count)
        name = parse_name(f"CN={reference}")
        async with world.client(secret, implicit_confirm=True) as client:
            came = await client.obtain_several(wishes(world, *[name] * count))
        return secret, [one for one in came if isinstance(one, Enrolled)]

    @pytest.mark.rule("R-140", "R-143")
    async def test_several_are_revoked_by_one_message(self, generous: World) -> None:
        secret, enrolled = await self.enrolled(generous, 3)
        since = NOW.replace(microsecond=0) - timedelta(days=2)
        async with generous.client(secret) as client:
            done = await client.revoke_several(
                [enrolled[0], enrolled[1].certificate, certificate_id(enrolled[2].certificate)],
                CRLReason.KEY_COMPROMISE,
                invalidity_date=since,
            )
        assert done == (None, None, None)
        records = await issued(generous)
        assert {(record.state, record.reason, record.invalidity_date) for record in records} == {
            (CertificateState.REVOKED, CRLReason.KEY_COMPROMISE, since)
        }
        crl = x509.load_der_x509_crl(await generous.issuer.crl(now=generous.clock()))
        dates = [entry.extensions.get_extension_for_class(x509.InvalidityDate).value for entry in crl]
        assert [date.invalidity_date_utc for date in dates] == [since] * 3

    @pytest.mark.rule("R-142")
    async def test_one_that_cannot_be_revoked_does_not_spoil_the_others(self, generous: World) -> None:
        secret, (first, second) = await self.enrolled(generous, 2)
        loaded = x509.load_der_x509_certificate(second.certificate)
        foreign = CertId(issuer=directory_name(parse_name("CN=Other CA")), serial_number=loaded.serial_number)
        async with generous.client(secret) as client:
            await client.revoke(first.certificate)
            again, unknown = await client.revoke_several([first.certificate, foreign])
            done = await client.revoke_several([second.certificate])
        assert again is not None
        assert again.fail_info is PKIFailureInfo.CERT_REVOKED
        assert unknown is not None
        assert unknown.fail_info is PKIFailureInfo.BAD_CERT_ID
        assert done == (None,)

    @pytest.mark.rule("R-144")
    async def test_hold_and_release(self, generous: World) -> None:
        secret, (enrolled,) = await self.enrolled(generous, 1)
        async with generous.client(secret) as client:
            await client.revoke(enrolled.certificate, CRLReason.CERTIFICATE_HOLD)
            assert await states(generous) == [CertificateState.ON_HOLD]
            await client.revoke(enrolled.certificate, CRLReason.REMOVE_FROM_CRL)
            assert await states(generous) == [CertificateState.VALID]
            with pytest.raises(PeerRefusal, match="badRequest"):
                await client.revoke(enrolled.certificate, CRLReason.REMOVE_FROM_CRL)


class TestRevocationBySecret:
    async def test_what_took_the_place_of_the_first_belongs_to_the_secret_too(self, generous: World) -> None:
        secret = await generous.secret()
        async with generous.client(secret, implicit_confirm=True) as client:
            first = await client.enroll(NAME)
        async with generous.client(first.credentials, implicit_confirm=True) as client:
            second = await client.update(first)
        async with generous.client(secret) as client:
            await client.revoke(second.certificate)
        assert await states(generous) == [CertificateState.VALID, CertificateState.REVOKED]
        assert {subject_of(record.der) for record in await issued(generous)} == {"CN=dev-42"}

    async def test_others_do_not(self, generous: World) -> None:
        secret = await generous.secret()
        async with generous.client(secret, implicit_confirm=True) as client:
            first = await client.enroll(NAME)
        other = await generous.secret("dev-43")
        async with generous.client(other) as client:
            with pytest.raises(PeerRefusal, match="notAuthorized"):
                await client.revoke(first.certificate)

    async def test_it_is_refused_unless_the_operator_allows_it(self, world: World) -> None:
        secret = await world.secret()
        async with world.client(secret, implicit_confirm=True) as client:
            first = await client.enroll(NAME)
            with pytest.raises(PeerRefusal, match="notAuthorized"):
                await client.revoke(first.certificate)
        assert await states(world) == [CertificateState.VALID]


class TestControls:
    @pytest.mark.rule("R-073")
    async def test_a_reg_token_and_an_authenticator_let_in_once(self, world: World) -> None:
        secret = await world.secret(uses=None, reg_token="once only", authenticator="Müller")
        right = (controls.registration_token("once only"), controls.authenticator("Müller"))
        key = generate_key("p256", world.plugins)
        async with world.client(secret, implicit_confirm=True) as client:
            for wrong in ((), right[:1], right[1:], (controls.registration_token("twice"), right[1])):
                with pytest.raises(PeerRefusal, match="notAuthorized"):
                    await client.obtain(Wish(key=key, subject=NAME, controls=wrong))
            enrolled = await client.obtain(Wish(key=key, subject=NAME, controls=right))
            with pytest.raises(PeerRefusal, match="notAuthorized"):
                await client.obtain(Wish(key=key, subject=NAME, controls=right))
        assert [record.der for record in await world.certificates()] == [enrolled.certificate]

    async def test_wishes_for_validity_and_publication_are_told_if_they_are_not_met(self, world: World) -> None:
        secret = await world.secret(uses=None)
        key = generate_key("p256", world.plugins)
        end = NOW.replace(microsecond=0) + timedelta(days=30)
        met = Wish(key=key, subject=NAME, not_after=end, controls=(controls.publication(publish=False),))
        late = Wish(key=key, subject=NAME, not_after=end + timedelta(days=3650))
        public = Wish(key=key, subject=NAME, controls=(controls.publication(publish=True),))
        seen = Watcher()
        async with world.client(secret, implicit_confirm=True, observers=[seen]) as client:
            for wish in (met, late, public):
                await client.obtain(wish)
        answers = [event.details["message"] for event in seen.of("message-received")]
        assert [answer.body.content.response[0].status.status for answer in answers] == [
            PKIStatus.ACCEPTED,
            PKIStatus.GRANTED_WITH_MODS,
            PKIStatus.GRANTED_WITH_MODS,
        ]
        first = x509.load_der_x509_certificate((await world.certificates())[-1].der)
        assert first.not_valid_after_utc == end


class TestRegistrationAuthority:
    """R-068: who has a certificate of ours with cmcRA."""

    @pytest.fixture
    async def authority(self, world: World) -> tuple[World, SigningCredentials]:
        settings = {"extended_key_usage": ["cmcRA"], "special": True}
        profiles = {
            "device": load_profile("device", {}, world.plugins),
            "ra": load_profile("ra", settings, world.plugins),
        }
        world.issuer._profiles = profiles
        secret = await world.secret("ra", profile="ra")
        fields = {name: getattr(world, name) for name in world.__dataclass_fields__}
        staffed = Staffed(**{**fields, "settings": SEVERAL})
        async with staffed.client(secret, implicit_confirm=True) as client:
            enrolled = await client.enroll(parse_name("CN=ra"))
        return staffed, enrolled.credentials

    @pytest.mark.rule("R-140")
    async def test_it_revokes_what_it_did_not_enrol(self, authority: tuple[World, SigningCredentials]) -> None:
        world, credentials = authority
        secret = await world.secret(uses=2)
        async with world.client(secret, implicit_confirm=True) as client:
            came = await client.obtain_several(wishes(world, NAME, NAME))
        async with world.client(credentials) as client:
            done = await client.revoke_several([one.certificate for one in came if isinstance(one, Enrolled)])
        assert done == (None, None)

    @pytest.mark.rule("R-068")
    async def test_it_replaces_a_request(self, authority: tuple[World, SigningCredentials]) -> None:
        world, credentials = authority
        key = generate_key("p256", world.plugins)
        template = CertTemplate(
            subject=RDNSequence.of(parse_name("CN=ra")), public_key=decode(SubjectPublicKeyInfo, key.public_key_info)
        )
        other = controls.replacement(CertRequest(cert_req_id=0, cert_template=template))
        wish = Wish(key=key, subject=parse_name("CN=somebody"), reg_info=(other,))
        async with world.client(credentials, implicit_confirm=True) as client:
            enrolled = await client.obtain(wish, operation=BodyType.CR)
        assert subject_of(enrolled.certificate) == "CN=ra"
        mine = await world.secret(uses=2)
        async with world.client(mine, implicit_confirm=True) as client:
            with pytest.raises(PeerRefusal, match="notAuthorized"):
                await client.obtain(wish)


class Staffed(World):
    """A server with a profile for registration authorities."""

    @property
    def server(self) -> Server:
        made = super().server
        policy = load_policy({}, self.issuer._profiles)
        return replace(made, workshop=replace(made.workshop, policy=policy))
