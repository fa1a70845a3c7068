"""CAs and devices with each type of key, and how their certificates are confirmed (RFC 9810 sections 5.3.18 and 7)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, CertStatus, ErrorMsgContent, PKIBody, PKIMessage, PKIStatusInfo, encode
from cmpkit.asn1 import decode_message as decoded
from cmpkit.crypto.digests import digest
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.responder import ResponderSettings
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo, PKIStatus
from cmpkit.parts import CertificateState, Event

from .conftest import World
from .forge import Forge

DEV = parse_name("CN=dev-42")
SHA256, SHA3, SHAKE = map(AlgorithmIdentifier, (oids.SHA256, oids.SHA3_512, oids.SHAKE128))
NAMING_NO_HASH = pytest.mark.parametrize("key_type", ["mldsa44"])


class Talk:
    """The messages of a client, in their order."""

    def __init__(self) -> None:
        self.messages: list[PKIMessage] = []

    def observe(self, event: Event) -> None:
        if event.name in ("message-sent", "message-received"):
            self.messages.append(event.details["message"])


@pytest.mark.parametrize("key_type", ["ed25519", "ed448", "brainpoolp256r1", "mldsa44"])
async def test_a_device_with_keys_of_the_type_of_the_ca_lives(world: World, key_type: str) -> None:
    async with world.client(await world.secret()) as client:
        enrolled = await client.enroll("CN=dev-42", generate_key(key_type, world.plugins))
    async with world.client(enrolled.credentials) as client:
        renewed = await client.update()
        other = await client.certify("CN=dev-42", generate_key("mldsa65", world.plugins))
        assert other.key is not None
        assert other.key.key_type == "mldsa65"
    assert renewed.key is not None
    assert renewed.key.key_type == key_type
    async with world.client(renewed.credentials) as client:
        await client.revoke(renewed, reason=CRLReason.SUPERSEDED)
    assert sorted(record.state.value for record in await world.certificates()) == ["revoked", "valid", "valid"]


@pytest.mark.parametrize(
    ("key_type", "hash_name", "hash_oid"),
    [
        ("p256", "sha256", None),
        ("p384", "sha384", None),
        ("ed25519", "sha512", None),
        ("ed448", "shake_256", None),
        ("mldsa44", "sha256", oids.SHA256),
    ],
)
@pytest.mark.rule("R-092")
async def test_cert_conf_has_hash_alg_with_pvno_3_only_where_the_signature_names_no_hash(
    world: World, hash_name: str, hash_oid: Any
) -> None:
    """RFC 9810 section 5.3.18, RFC 9481 section 3.3; the answer has the version of the certConf (section 7)."""
    talk = Talk()
    async with world.client(await world.secret(), observers=[talk]) as client:
        enrolled = await client.enroll("CN=dev-42")
    (status,) = talk.messages[2].body.content
    assert status.cert_hash == digest(hash_name, enrolled.certificate)
    assert (status.hash_alg and status.hash_alg.algorithm) == hash_oid
    assert [message.header.pvno for message in talk.messages] == ([2] * 4 if hash_oid is None else [2, 2, 3, 3])


class TestServer:
    @pytest.fixture
    async def forge(self, world: World) -> Forge:
        return Forge(world.plugins, await world.secret(), world.clock)

    async def issue(self, world: World, forge: Forge) -> tuple[PKIMessage, bytes]:
        """The answer with a certificate, and that."""
        request = await forge.request(generate_key("p256", world.plugins), DEV)
        answer = decoded((await world.handle(request.raw)).der or b"")
        return answer, encode(answer.body.content.response[0].certified_key_pair.cert_or_enc_cert.value)

    async def confirm(self, world: World, forge: Forge, to: PKIMessage, *, pvno: int = 3, **status: Any) -> PKIMessage:
        body = PKIBody(BodyType.CERT_CONF, [CertStatus(**{"cert_req_id": 0, **status})])
        return decoded((await world.handle((await forge.message(body, to=to, pvno=pvno)).raw)).der or b"")

    async def state(self, world: World) -> CertificateState:
        (record,) = await world.certificates()
        return record.state

    @pytest.mark.parametrize(
        ("key_type", "name", "hash_alg"),
        [("ed25519", "sha256", SHA256), ("mldsa44", "sha3_512", SHA3), ("p256", "shake_128", SHAKE)],
    )
    @pytest.mark.rule("R-092")
    async def test_hash_alg_is_used_where_it_is_present(
        self, world: World, forge: Forge, name: str, hash_alg: AlgorithmIdentifier
    ) -> None:
        """OpenSSL sends it, needlessly, for Ed25519."""
        answer, certificate = await self.issue(world, forge)
        reply = await self.confirm(world, forge, answer, cert_hash=digest(name, certificate), hash_alg=hash_alg)
        assert (reply.body.type, reply.header.pvno) == (BodyType.PKICONF, 3)
        assert await self.state(world) is CertificateState.VALID

    @pytest.mark.parametrize("key_type", ["ed25519"])
    async def test_hash_alg_is_not_needed_where_rfc_9481_names_the_hash(self, world: World, forge: Forge) -> None:
        answer, certificate = await self.issue(world, forge)
        cert_hash = hashlib.sha512(certificate).digest()
        assert (await self.confirm(world, forge, answer, pvno=2, cert_hash=cert_hash)).body.type is BodyType.PKICONF

    @NAMING_NO_HASH
    @pytest.mark.rule("R-092")
    async def test_without_hash_alg_a_cert_conf_for_ml_dsa_is_bad_alg(self, world: World, forge: Forge) -> None:
        answer, certificate = await self.issue(world, forge)
        reply = await self.confirm(world, forge, answer, cert_hash=hashlib.sha256(certificate).digest())
        status = reply.body.content.pki_status_info
        assert status.failures is PKIFailureInfo.BAD_ALG
        assert await self.state(world) is CertificateState.ISSUED

    @pytest.mark.parametrize("oid", [oids.SHA1, oids.ED25519])
    @pytest.mark.rule("R-092")
    async def test_a_weak_or_unknown_hash_alg_is_bad_alg(self, world: World, forge: Forge, oid: Any) -> None:
        answer, certificate = await self.issue(world, forge)
        cert_hash = hashlib.sha1(certificate).digest()
        reply = await self.confirm(world, forge, answer, cert_hash=cert_hash, hash_alg=AlgorithmIdentifier(oid))
        assert reply.body.content.pki_status_info.failures is PKIFailureInfo.BAD_ALG

    @NAMING_NO_HASH
    async def test_a_hash_that_is_not_that_of_the_certificate_is_bad_cert_id(self, world: World, forge: Forge) -> None:
        answer, _ = await self.issue(world, forge)
        reply = await self.confirm(world, forge, answer, cert_hash=hashlib.sha256(b"").digest(), hash_alg=SHA256)
        assert reply.body.content.pki_status_info.failures is PKIFailureInfo.BAD_CERT_ID

    @NAMING_NO_HASH
    async def test_a_transaction_can_be_ended_by_error_and_by_time(self, world: World, forge: Forge) -> None:
        """No hash is asked for where no certConf names one."""
        answer, _ = await self.issue(world, forge)
        status = PKIStatusInfo.of(PKIStatus.REJECTION, ["no"], PKIFailureInfo.BAD_REQUEST)
        body = PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status))
        ended = decoded((await world.handle((await forge.message(body, to=answer)).raw)).der or b"")
        assert ended.body.type is BodyType.PKICONF
        assert await self.state(world) is CertificateState.REVOKED

        settings = ServerSettings(responder=ResponderSettings(confirm_wait_time=timedelta(seconds=10)))
        later = world.with_(settings=settings)
        again = Forge(world.plugins, await later.secret("dev-43"), world.clock)
        await later.handle((await again.request(generate_key("p256", world.plugins), parse_name("CN=dev-43"))).raw)
        world.clock.advance(timedelta(seconds=11))
        await later.server.housekeep()
        states = {record.state for record in await world.certificates()}
        assert states == {CertificateState.REVOKED}
