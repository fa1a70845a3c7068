"""Proofs that come after the request in messages of pvno 2: EncryptedValue, and challenges that RSA encrypts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cmpkit.asn1 import Challenge, EncryptedKey, EncryptedValue, EnvelopedData, decode_message, read_element
from cmpkit.crypto.challenges import make_challenge
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.requests import Wish, certificate_request
from cmpkit.enums import BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import PeerRefusal, TrustError
from cmpkit.parts import CertificateState, PrivateKey
from cmpkit.plugins import load_plugins

from .conftest import World
from .test_delayed import Listening
from .test_encrypted_certificates import forged, issued, proving

LEGACY = frozenset({"legacy-encryption"})
ENCRYPTED, CHALLENGE = ProofMethod.ENCRYPTED_CERTIFICATE, ProofMethod.CHALLENGE_RESPONSE


@pytest.fixture(scope="module")
def rsa() -> PrivateKey:
    return generate_key("rsa2048", load_plugins())


@pytest.fixture
def world(world: World) -> World:
    return proving(world, proofs=("encrCert", "challengeResp")).with_(tolerances=LEGACY)


def content_of(road: Listening) -> Any:
    """What came encrypted in the first answer."""
    body = road.passed[1].body
    if body.type is BodyType.POPDECC:
        return body.content[0]
    return read_element(body.content.response[0].certified_key_pair.cert_or_enc_cert.value, EncryptedKey).value


@pytest.mark.parametrize(
    ("proof", "bodies"),
    [
        (ENCRYPTED, ["ir", "ip", "certConf", "pkiconf"]),
        (CHALLENGE, ["ir", "popdecc", "popdecr", "ip", "certConf", "pkiconf"]),
    ],
)
async def test_both_sides_speak_it_where_both_tolerate_it(
    world: World, rsa: PrivateKey, proof: ProofMethod, bodies: list[str]
) -> None:
    road = Listening(world)
    async with world.client(await world.secret(), transport=road, tolerances=LEGACY) as client:
        enrolled = await client.enroll("CN=dev-42", rsa, proof=proof)
    assert road.bodies == bodies
    assert {message.header.pvno for message in road.passed} == {2}
    content = content_of(road)
    if proof is CHALLENGE:
        assert (len(content.challenge), content.encrypted_rand) == (256, None)
    else:
        assert isinstance(content, EncryptedValue)
        assert enrolled.certificate not in b"".join(message.raw for message in road.passed)
    (record,) = await issued(world)
    assert (record.der, record.state) == (enrolled.certificate, CertificateState.VALID)


@pytest.mark.parametrize("proof", [ENCRYPTED, CHALLENGE])
async def test_keys_that_agree_are_proven_by_version_3_all_the_same(world: World, proof: ProofMethod) -> None:
    road = Listening(world)
    async with world.client(await world.secret(), transport=road, tolerances=LEGACY) as client:
        await client.enroll("CN=dev-42", generate_key("x25519", world.plugins), proof=proof)
    assert {message.header.pvno for message in road.passed} == {3}


@pytest.mark.parametrize("proof", [ENCRYPTED, CHALLENGE])
async def test_a_server_answers_by_the_version_of_the_request(
    world: World, rsa: PrivateKey, proof: ProofMethod
) -> None:
    road = Listening(world)
    async with world.client(await world.secret(), transport=road) as client:
        await client.enroll("CN=dev-42", rsa, proof=proof)
    content = content_of(road)
    assert isinstance(content.encrypted_rand if isinstance(content, Challenge) else content, EnvelopedData)


@pytest.mark.parametrize("proof", [ENCRYPTED, CHALLENGE])
async def test_a_strict_server_refuses_it_and_names_the_tolerance(
    world: World, rsa: PrivateKey, proof: ProofMethod
) -> None:
    strict = world.with_(tolerances=frozenset())
    async with strict.client(await strict.secret(), tolerances=LEGACY) as client:
        with pytest.raises(PeerRefusal) as caught:
            await client.enroll("CN=dev-42", rsa, proof=proof)
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP
    (refused,) = strict.watcher.of("refused")
    assert "legacy-encryption" in str(refused.details["error"].hint)
    assert await issued(strict) == ()


@pytest.mark.parametrize("kind", ["x25519", "p256"])
@pytest.mark.parametrize("proof", [ENCRYPTED, CHALLENGE])
async def test_it_is_for_rsa_keys_alone(world: World, kind: str, proof: ProofMethod) -> None:
    forge = await forged(world)
    wish = Wish(key=generate_key(kind, world.plugins), subject=forge.sender, proof=proof)
    body = await certificate_request(BodyType.IR, wish, sender=forge.sender)
    request = await forge.message(body, pvno=2)
    answer = decode_message((await world.handle(request.raw)).der or b"")
    assert answer.body.content.response[0].status.failures is PKIFailureInfo.BAD_POP


@pytest.mark.parametrize("proof", [ENCRYPTED, CHALLENGE])
async def test_a_strict_client_reads_none_of_it(
    world: World, rsa: PrivateKey, proof: ProofMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that sends the form of pvno 2 in answer to pvno 3."""
    monkeypatch.setattr("cmpkit.engine.enrolment.is_by_rsa", lambda *_: True)
    monkeypatch.setattr("cmpkit.engine.challenging.is_by_rsa", lambda *_: True)
    road = Listening(world)
    async with world.client(await world.secret(), transport=road) as client:
        with pytest.raises(TrustError, match=r"or allow it: .* --tolerate legacy-encryption at a client"):
            await client.enroll("CN=dev-42", rsa, proof=proof)
    assert all(record.state is CertificateState.REVOKED for record in await issued(world))


async def test_a_challenge_that_is_there_twice_is_refused(
    world: World, rsa: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9810 section 5.2.8.3.3: beside encryptedRand, challenge is empty."""

    async def twice(*args: Any, **options: Any) -> Challenge:
        return replace(await make_challenge(*args, **options), challenge=b"\x00")

    monkeypatch.setattr("cmpkit.endpoints.work.make_challenge", twice)
    async with world.client(await world.secret()) as client:
        with pytest.raises(TrustError, match="there twice"):
            await client.enroll("CN=dev-42", rsa, proof=CHALLENGE)
