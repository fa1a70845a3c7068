"""The encrypted certificate as proof of possession, for keys that do not sign (RFC 9810 section 5.2.8.3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    CertRepMessage,
    CertStatus,
    EncryptedKey,
    EnvelopedData,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIMessage,
    Variant,
    decode_message,
    read_element,
)
from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.profiles import ProfileSettings, load_profile
from cmpkit.crypto.enveloping import KeyRecipient, envelop
from cmpkit.crypto.keys import generate_key, load_private_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import cert_hash
from cmpkit.endpoints.requests import Wish
from cmpkit.engine.responder import ResponderSettings
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus, ProofMethod
from cmpkit.errors import ConfigurationError, PeerRefusal, TransportError, TrustError
from cmpkit.parts import CertificateRecord, CertificateState, PrivateKey, TransactionState
from cmpkit.plugins import Plugins

from .conftest import World
from .forge import Forge
from .test_delayed import Deliberate, Listening

ENCRYPTED = ProofMethod.ENCRYPTED_CERTIFICATE
USAGES = ("keyAgreement", "keyEncipherment")


def proving(world: World, **table: Any) -> World:
    """With a profile for keys that do not sign; ``table`` has what it says otherwise."""
    key = load_private_key((world.directory / "keys/issuing.key.pem").read_bytes(), None, world.plugins)
    settings = {"key_usage": USAGES, "proofs": ("encrCert",), **table}
    profiles = {"device": load_profile("device", settings, world.plugins)}
    return world.with_(issuer=LocalIssuer(read_issuer_certificate(world.issuing), key, world.store, profiles))


async def issued(world: World) -> tuple[CertificateRecord, ...]:
    """What clients got."""
    return tuple(record for record in await world.store.certificates() if record.profile == "device")


@pytest.fixture
def world(world: World) -> World:
    return proving(world)


@pytest.fixture(scope="module")
def keys() -> Callable[[str, Any], PrivateKey]:
    """One key of each type: those for RSA take long."""
    made: dict[str, PrivateKey] = {}

    def key(key_type: str, plugins: Any) -> PrivateKey:
        if key_type not in made:
            made[key_type] = generate_key(key_type, plugins)
        return made[key_type]

    return key


@pytest.mark.parametrize(
    ("kind", "tag", "usage"),
    [
        ("x25519", "kari", "key_agreement"),
        ("x448", "kari", "key_agreement"),
        ("p256", "kari", "key_agreement"),
        ("p521", "kari", "key_agreement"),
        ("rsa2048", "ktri", "key_encipherment"),
    ],
)
async def test_a_key_is_proven_by_reading_its_certificate(
    world: World, keys: Any, kind: str, tag: str, usage: str
) -> None:
    road, key = Listening(world), keys(kind, world.plugins)
    async with world.client(await world.secret(), transport=road) as client:
        enrolled = await client.enroll("CN=dev-42", key, proof=ENCRYPTED)
    assert road.bodies == ["ir", "ip", "certConf", "pkiconf"]
    assert [message.header.pvno for message in road.passed] == [3, 3, 3, 3]
    assert encrypted_in(road.passed[1]).recipient_infos.as_list()[0].tag == tag
    assert enrolled.certificate not in b"".join(message.raw for message in road.passed)
    assert enrolled.key is key
    (record,) = await issued(world)
    assert (record.der, record.state) == (enrolled.certificate, CertificateState.VALID)
    extension = x509.load_der_x509_certificate(record.der).extensions.get_extension_for_class(x509.KeyUsage).value
    assert getattr(extension, usage)
    assert not extension.digital_signature


def encrypted_in(message: PKIMessage) -> Any:
    (response,) = message.body.content.response
    assert response.certified_key_pair.cert_or_enc_cert.tag == "encrypted_cert"
    return read_element(response.certified_key_pair.cert_or_enc_cert.value, EncryptedKey).value


async def test_a_key_that_does_not_sign_is_proven_so_without_being_told(world: World) -> None:
    road = Listening(world)
    async with world.client(await world.secret(uses=None), transport=road) as client:
        await client.enroll("CN=dev-42", generate_key("x25519", world.plugins))
        await client.certify("CN=dev-42", generate_key("x448", world.plugins))
    assert all(encrypted_in(message) for message in road.passed if isinstance(message.body.content, CertRepMessage))


async def test_an_update_may_be_proven_so(world: World) -> None:
    both = proving(world, key_usage=("digitalSignature", "keyAgreement"), proofs=("signature", "encrCert"))
    road = Listening(both)
    async with both.client(await both.secret(), transport=road) as client:
        first = await client.enroll("CN=dev-42")
        await client.update(first, proof=ENCRYPTED)
    assert road.bodies[4:] == ["kur", "kup", "certConf", "pkiconf"]
    assert encrypted_in(road.passed[5])


@pytest.mark.rule("R-070")
async def test_confirmation_is_not_dispensed_with(world: World) -> None:
    """R-070: the certConf is the proof, whether a client asks for implicit confirmation or not."""
    road = Listening(world)
    async with world.client(await world.secret(), transport=road, implicit_confirm=True) as client:
        await client.enroll("CN=dev-42", generate_key("x25519", world.plugins))
    assert road.passed[0].header.info(oids.IMPLICIT_CONFIRM) is None
    assert road.bodies[-1] == "pkiconf"
    forge = await forged(world, "dev-43")
    asked = await forge.request(
        generate_key("x25519", world.plugins),
        forge.sender,
        pvno=3,
        general_info=(InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null()),),
    )
    answer = decode_message((await world.handle(asked.raw)).der or b"")
    assert answer.header.info(oids.IMPLICIT_CONFIRM) is None
    assert answer.header.info(oids.CONFIRM_WAIT_TIME) is not None


async def forged(world: World, reference: str = "dev-42", **grant: Any) -> Forge:
    return Forge(world.plugins, await world.secret(reference, **grant), world.clock)


async def asked(world: World) -> tuple[Forge, PKIMessage]:
    """What a client that cannot read its certificate has: a way to go on, and the answer."""
    forge = await forged(world)
    request = await forge.request(generate_key("x25519", world.plugins), forge.sender, pvno=3)
    return forge, decode_message((await world.handle(request.raw)).der or b"")


async def told(world: World, forge: Forge, body: PKIBody, to: PKIMessage) -> PKIMessage:
    message = await forge.message(body, to=to, pvno=3)
    return decode_message((await world.handle(message.raw)).der or b"")


async def test_a_wrong_hash_proves_nothing(world: World) -> None:
    forge, answer = await asked(world)
    body = PKIBody(BodyType.CERT_CONF, [CertStatus(cert_hash=bytes(32), cert_req_id=0)])
    refusal = await told(world, forge, body, answer)
    assert refusal.body.type is BodyType.ERROR
    assert refusal.body.content.pki_status_info.failures is PKIFailureInfo.BAD_POP
    (record,) = await issued(world)
    assert record.state is CertificateState.ISSUED


@pytest.mark.rule("R-070")
async def test_a_pkiconf_in_place_of_the_proof_is_refused(world: World) -> None:
    forge, answer = await asked(world)
    refusal = await told(world, forge, PKIBody(BodyType.PKICONF, Null()), answer)
    assert refusal.body.type is BodyType.ERROR
    (record,) = await issued(world)
    assert record.state is CertificateState.ISSUED


@pytest.mark.parametrize("keep", [False, True])
async def test_what_was_not_proven_in_time_is_revoked_whatever_the_policy(world: World, keep: bool) -> None:
    settings = replace(world.settings, responder=ResponderSettings(keep_unconfirmed=keep))
    world = world.with_(settings=settings)
    await asked(world)
    world.clock.advance(timedelta(hours=1))
    await world.server.housekeep()
    (record,) = await issued(world)
    assert record.state is CertificateState.REVOKED


async def test_the_state_is_its_own_and_survives(world: World) -> None:
    _, answer = await asked(world)
    ((transaction,), _) = await world.store.load(answer.header.transaction_id or b"", b"")
    assert transaction.state is TransactionState.ISSUED_ENCRYPTED


async def test_who_can_read_it_proves_it_by_the_right_hash_only(world: World) -> None:
    forge, answer = await asked(world)
    (record,) = await issued(world)
    status = CertStatus(cert_hash=cert_hash(record.der, world.plugins), cert_req_id=0)
    done = await told(world, forge, PKIBody(BodyType.CERT_CONF, [status]), answer)
    assert done.body.type is BodyType.PKICONF
    (record,) = await issued(world)
    assert record.state is CertificateState.VALID


@pytest.mark.rule("R-069")
class TestRefusals:
    async def refusal(self, world: World, key_type: str = "x25519", **options: Any) -> PeerRefusal:
        async with world.client(await world.secret()) as client:
            with pytest.raises(PeerRefusal) as caught:
                await client.enroll("CN=dev-42", generate_key(key_type, world.plugins), **options)
        assert await issued(world) == ()
        return caught.value

    async def test_a_profile_allows_signatures_only_unless_it_says_otherwise(self, world: World) -> None:
        assert ProfileSettings().proofs == ("signature",)
        strict = proving(world, proofs=("signature",))
        assert (await self.refusal(strict)).fail_info is PKIFailureInfo.BAD_POP

    async def test_a_signature_where_it_is_not_allowed(self, world: World) -> None:
        refusal = await self.refusal(world, "p256", proof=ProofMethod.SIGNATURE)
        assert refusal.fail_info is PKIFailureInfo.BAD_POP

    async def test_a_certificate_that_may_not_be_encrypted_to(self, world: World) -> None:
        signing = proving(world, key_usage=("digitalSignature",))
        assert (await self.refusal(signing, "p256", proof=ENCRYPTED)).fail_info is PKIFailureInfo.BAD_ALG

    async def test_the_word_of_an_end_entity_for_itself(self, world: World) -> None:
        refusal = await self.refusal(world, proof=ProofMethod.RA_VERIFIED)
        assert refusal.fail_info is PKIFailureInfo.BAD_POP

    @pytest.mark.parametrize("tolerances", [frozenset(), frozenset({"openssl-encrypted-cert"})])
    @pytest.mark.parametrize("fault", ["pvno", "alternative"])
    async def test_what_only_openssl_may_do(
        self, world: World, fault: str, tolerances: frozenset[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        world = world.with_(tolerances=tolerances)
        forge = await forged(world)
        key = generate_key("x25519", world.plugins)
        request = await forge.request(key, forge.sender, pvno=2 if fault == "pvno" else 3)
        if fault == "alternative":
            (asked,) = request.body.content
            popo = Variant(asked.popo.value, "key_encipherment")
            body = PKIBody(BodyType.IR, [asked.build(asked.request, popo)])
            request = await forge.message(body, pvno=3)
        answer = decode_message((await world.handle(request.raw)).der or b"")
        (response,) = answer.body.content.response
        if tolerances:
            assert response.certified_key_pair.cert_or_enc_cert.tag == "encrypted_cert"
        else:
            assert response.status.failures is PKIFailureInfo.BAD_POP
            assert '"openssl-encrypted-cert"] at a server' in caplog.text


@pytest.fixture
def enclose(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Makes the server encrypt these octets in place of the certificates that it issues."""

    def change(octets: bytes) -> None:
        async def other(certificate: bytes, cert_req_id: int, *, plugins: Plugins) -> EnvelopedData:
            return await envelop(octets, KeyRecipient.of_certificate(certificate), plugins=plugins)

        monkeypatch.setattr("cmpkit.endpoints.work.envelop_certificate", other)

    return change


@pytest.mark.rule("R-085")
async def test_what_is_no_certificate_is_rejected(world: World, enclose: Callable[[bytes], None]) -> None:
    """R-085: it has no hash; a certificate that is left out of certConf is rejected (RFC 9810 section 5.2.1)."""
    enclose(b"no certificate")
    road = Listening(world)
    async with world.client(await world.secret(), transport=road) as client:
        with pytest.raises(TrustError, match="cannot be decrypted"):
            await client.enroll("CN=dev-42", generate_key("x25519", world.plugins))
    assert road.bodies == ["ir", "ip", "certConf", "pkiconf"]
    assert road.passed[2].body.content == []
    (record,) = await issued(world)
    assert record.state is CertificateState.REVOKED


async def test_a_certificate_for_another_key_is_rejected(world: World, enclose: Callable[[bytes], None]) -> None:
    """R-083 holds for what comes encrypted, too."""
    async with world.client(await world.secret("dev-41")) as client:
        another = await client.enroll("CN=dev-41", generate_key("x25519", world.plugins))
    enclose(another.certificate)
    road = Listening(world)
    async with world.client(await world.secret(), transport=road) as client:
        with pytest.raises(PeerRefusal, match="badPOP"):
            await client.enroll("CN=dev-42", generate_key("x25519", world.plugins))
    (status,) = road.passed[2].body.content
    assert status.status_info.status is PKIStatus.REJECTION


async def test_a_certificate_that_came_encrypted_unasked_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmpkit.endpoints.requests.proof_method", lambda message: ProofMethod.SIGNATURE)
    world = world.with_(tolerances=frozenset({"openssl-encrypted-cert"}))
    async with world.client(await world.secret()) as client:
        with pytest.raises(TrustError, match="not asked for"):
            await client.enroll("CN=dev-42", generate_key("x25519", world.plugins))


@pytest.mark.rule("R-085")
@pytest.mark.parametrize("lost", [BodyType.IR, BodyType.CERT_CONF])
async def test_another_process_goes_on_if_it_has_the_key(world: World, tmp_path: Path, lost: BodyType) -> None:
    key, secret = generate_key("x25519", world.plugins), await world.secret()
    road, state = Listening(world), tmp_path / "state"
    road.fails_at = lost
    async with world.client(secret, transport=road, state=state) as client:
        with pytest.raises(TransportError):
            await client.enroll("CN=dev-42", key)
    (saved,) = state.iterdir()
    if lost is BodyType.IR:
        async with world.client(secret, state=state) as client:
            with pytest.raises(ConfigurationError, match="the private key that opens it"):
                await client.resume(saved)
    async with world.client(secret, state=state) as client:
        enrolled = await client.resume(saved, key)
    (record,) = await issued(world)
    assert (record.der, record.state) == (enrolled.certificate, CertificateState.VALID)


async def test_what_takes_time_comes_encrypted_in_the_end(world: World) -> None:
    slow = world.with_(front=Deliberate(world, issue=2, confirm=1))
    road = Listening(slow)
    async with slow.client(await slow.secret(), transport=road, sleep=slow.clock.sleep, total_timeout=None) as client:
        enrolled = await client.enroll("CN=dev-42", generate_key("x25519", slow.plugins))
    (record,) = await issued(world)
    assert (record.der, record.state) == (enrolled.certificate, CertificateState.VALID)
    assert enrolled.certificate not in b"".join(message.raw for message in road.passed)


async def test_one_of_several_may_be_proven_so(world: World) -> None:
    both = proving(world, key_usage=("digitalSignature", "keyAgreement"), proofs=("signature", "encrCert"))
    both = both.with_(settings=replace(both.settings, responder=ResponderSettings(max_requests=2)))
    wishes = [Wish(key=generate_key(kind, world.plugins), subject=parse_name("CN=dev-42")) for kind in ("p256", "x448")]
    road = Listening(both)
    async with both.client(await both.secret(uses=2), transport=road) as client:
        results = await client.obtain_several(wishes)
    tags = [response.certified_key_pair.cert_or_enc_cert.tag for response in road.passed[1].body.content.response]
    assert tags == ["certificate", "encrypted_cert"]
    records = await issued(world)
    assert {record.state for record in records} == {CertificateState.VALID}
    assert {result.certificate for result in results} == {record.der for record in records}
