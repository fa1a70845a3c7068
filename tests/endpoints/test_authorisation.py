"""Nothing is allowed unless a rule allows it: what each credential gets, and what it does not."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import anyio
import pytest

from cmpkit.asn1 import PKIBody, RevDetails, decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.requests import certificate_id, revocation_request
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import PeerRefusal
from cmpkit.parts import CertificateState, Grant

from .conftest import NOW, World, subject_of
from .forge import Forge, self_signed

NOT_AUTHORIZED = PKIFailureInfo.NOT_AUTHORIZED


async def refusal_of(operation) -> PeerRefusal:
    with pytest.raises(PeerRefusal) as caught:
        await operation
    return caught.value


@pytest.fixture
async def enrolled(world: World) -> SigningCredentials:
    async with world.client(await world.secret("dev-7")) as client:
        return (await client.enroll(subject="CN=dev-7")).credentials


class TestSharedSecrets:
    @pytest.mark.rule("R-063")
    async def test_a_secret_for_one_name_cannot_get_another(self, world):
        async with world.client(await world.secret("dev-42")) as client:
            error = await refusal_of(client.enroll(subject="CN=admin"))
        assert error.fail_info in (NOT_AUTHORIZED, PKIFailureInfo.BAD_CERT_TEMPLATE)
        assert await world.certificates() == ()

    async def test_after_a_refusal_the_use_is_still_there(self, world):
        async with world.client(await world.secret("dev-42")) as client:
            await refusal_of(client.enroll(subject="CN=admin"))
            assert subject_of((await client.enroll(subject="CN=dev-42")).certificate) == "CN=dev-42"

    @pytest.mark.rule("R-041")
    async def test_a_second_use_is_refused(self, world):
        async with world.client(await world.secret("dev-42")) as client:
            await client.enroll(subject="CN=dev-42")
            error = await refusal_of(client.enroll(subject="CN=dev-42"))
        assert error.fail_info is NOT_AUTHORIZED
        assert len(await world.certificates()) == 1

    @pytest.mark.rule("R-041")
    async def test_two_uses_at_once_of_a_secret_for_one_get_one_certificate(self, world):
        secret = await world.secret("dev-42")
        forge = Forge(world.plugins, secret, world.clock)
        first, second = [
            await forge.request(generate_key("p256", world.plugins), parse_name("CN=dev-42")) for _ in range(2)
        ]
        answers = {}

        async def send(name: str, raw: bytes) -> None:
            answers[name] = decode_message((await world.handle(raw)).der)

        async with anyio.create_task_group() as group:
            group.start_soon(send, "first", first.raw)
            group.start_soon(send, "second", second.raw)
        statuses = sorted(answer.body.content.response[0].status.status.value for answer in answers.values())
        assert statuses == [0, 2]
        assert len(await world.certificates()) == 1

    async def test_an_expired_secret_is_refused(self, world):
        secret = await world.secret("dev-42", expires=NOW + timedelta(seconds=1))
        world.clock.advance(2)
        async with world.client(secret) as client:
            assert (await refusal_of(client.enroll(subject="CN=dev-42"))).fail_info is NOT_AUTHORIZED

    async def test_a_revoked_secret_is_refused(self, world):
        secret = await world.secret("dev-42")
        assert await world.store.revoke_secret(b"dev-42")
        async with world.client(secret) as client:
            assert (await refusal_of(client.enroll(subject="CN=dev-42"))).fail_info is NOT_AUTHORIZED

    async def test_a_secret_for_a_profile_gets_no_other(self, world):
        secret = await world.secret("dev-42", profile="device")
        async with world.client(secret, profile="server") as client:
            error = await refusal_of(client.enroll(subject="CN=dev-42"))
        assert error.fail_info & (NOT_AUTHORIZED | PKIFailureInfo.BAD_CERT_TEMPLATE | PKIFailureInfo.BAD_REQUEST)
        assert await world.certificates() == ()

    @pytest.mark.rule("R-038")
    async def test_a_secret_cannot_revoke_somebody_elses_certificate(self, world, enrolled):
        async with world.client(await world.secret("dev-42", uses=None)) as client:
            error = await refusal_of(client.revoke(enrolled.certificate))
        assert error.fail_info is NOT_AUTHORIZED
        assert [record.state for record in await world.certificates()] == [CertificateState.VALID]

    async def test_a_grant_never_shows_the_secret(self, world):
        secret = await world.secret("dev-42")
        assert "correct horse" not in repr(secret)
        assert "correct horse" not in repr(await world.store.find_secret(b"dev-42"))
        assert isinstance((await world.store.secrets())[0][1], Grant)


class TestCertificates:
    @pytest.mark.rule("R-124")
    async def test_a_certificate_updates_itself(self, world, enrolled):
        async with world.client(enrolled) as client:
            renewed = await client.update()
        assert subject_of(renewed.certificate) == "CN=dev-7"
        assert len(await world.certificates()) == 2

    async def test_an_update_may_keep_the_key(self, world, enrolled):
        async with world.client(enrolled) as client:
            renewed = await client.update(key=enrolled.key)
        assert renewed.key is enrolled.key

    @pytest.mark.rule("R-123")
    async def test_a_certificate_cannot_be_updated_to_another_name(self, world, enrolled):
        async with world.client(enrolled) as client:
            error = await refusal_of(client.update(subject="CN=admin"))
        assert error.fail_info & (NOT_AUTHORIZED | PKIFailureInfo.BAD_CERT_TEMPLATE)
        assert len(await world.certificates()) == 1

    async def test_a_certificate_gets_another_of_its_own_name(self, world, enrolled):
        async with world.client(enrolled) as client:
            further = await client.certify(subject="CN=dev-7")
        assert subject_of(further.certificate) == "CN=dev-7"

    @pytest.mark.rule("R-063")
    async def test_a_certificate_gets_none_of_another_name(self, world, enrolled):
        async with world.client(enrolled) as client:
            error = await refusal_of(client.certify(subject="CN=admin"))
        assert error.fail_info & (NOT_AUTHORIZED | PKIFailureInfo.BAD_CERT_TEMPLATE)

    @pytest.mark.rule("R-130")
    async def test_a_pkcs10_request_is_certified(self, world, enrolled):
        key = generate_key("rsa2048", world.plugins)
        async with world.client(enrolled) as client:
            got = await client.request_p10(await build_p10(parse_name("CN=dev-7"), key, ()))
        assert subject_of(got.certificate) == "CN=dev-7"
        assert got.key is None

    @pytest.mark.rule("R-140")
    async def test_a_certificate_revokes_itself(self, world, enrolled):
        async with world.client(enrolled) as client:
            await client.revoke(enrolled, reason=CRLReason.CESSATION_OF_OPERATION)
        (record,) = await world.certificates()
        assert (record.state, record.reason) == (CertificateState.REVOKED, CRLReason.CESSATION_OF_OPERATION)

    @pytest.mark.rule("R-038", "R-140")
    async def test_a_certificate_cannot_revoke_another(self, world, enrolled):
        async with world.client(await world.secret("dev-8")) as client:
            other = await client.enroll(subject="CN=dev-8")
        async with world.client(enrolled) as client:
            error = await refusal_of(client.revoke(other.certificate))
        assert error.fail_info is NOT_AUTHORIZED

    @pytest.mark.rule("R-142")
    async def test_a_serial_number_that_was_never_issued_is_bad_cert_id(self, world, enrolled):
        forge = Forge(world.plugins, enrolled, world.clock)
        body = revocation_request([certificate_id(enrolled.certificate)], CRLReason.UNSPECIFIED)
        (details,) = body.content
        template = dataclasses.replace(details.cert_details, serial_number=12345)
        message = await forge.message(
            PKIBody(BodyType.RR, [RevDetails(cert_details=template, crl_entry_details=details.crl_entry_details)])
        )
        answer = decode_message((await world.handle(message.raw)).der)
        assert answer.body.content.status[0].failures is PKIFailureInfo.BAD_CERT_ID

    @pytest.mark.rule("R-032", "R-120")
    async def test_an_update_under_a_secret_is_refused(self, world, enrolled):
        secret = await world.secret("dev-7b", subject=parse_name("CN=dev-7"), uses=None)
        signed = Forge(world.plugins, enrolled, world.clock)
        message = await signed.request(generate_key("p256", world.plugins), parse_name("CN=dev-7"), BodyType.KUR)
        under_mac = await Forge(world.plugins, secret, world.clock).message(message.body)
        body = decode_message((await world.handle(under_mac.raw)).der).body
        assert len(await world.certificates()) == 1
        assert (body.type, body.content.pki_status_info.failures) == (BodyType.ERROR, PKIFailureInfo.WRONG_INTEGRITY)

    @pytest.mark.rule("R-038")
    async def test_a_foreign_pki_gets_nothing_by_default(self, world):
        foreign = await self_signed(world.plugins, parse_name("CN=dev-9"))
        trusting = world.with_(foreign=(foreign.certificate,))
        async with trusting.client(foreign) as client:
            error = await refusal_of(client.enroll(subject="CN=dev-9"))
        assert error.fail_info & (NOT_AUTHORIZED | PKIFailureInfo.SIGNER_NOT_TRUSTED)
        assert await world.certificates() == ()
