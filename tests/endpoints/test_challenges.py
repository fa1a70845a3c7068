"""Challenge and response as proof of possession, for keys that do not sign (RFC 9810 section 5.2.8.3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cmpkit.asn1 import AlgorithmIdentifier, Challenge, PKIBody, PKIMessage, decode_message, directory_name
from cmpkit.crypto.challenges import make_challenge, read_challenges
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.requests import Wish, certificate_request
from cmpkit.engine.responder import ResponderSettings
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus, ProofMethod
from cmpkit.errors import ConfigurationError, PeerRefusal, TransportError, TrustError
from cmpkit.oids import SHA1
from cmpkit.parts import CertificateState, PrivateKey, TransactionState

from .conftest import World
from .forge import Forge
from .test_delayed import Deliberate, Listening
from .test_encrypted_certificates import forged, issued, proving, told

CHALLENGE = ProofMethod.CHALLENGE_RESPONSE


@pytest.fixture
def world(world: World) -> World:
    return proving(world, proofs=("challengeResp",))


@pytest.mark.parametrize(("kind", "tag"), [("x25519", "kari"), ("x448", "kari"), ("p256", "kari"), ("rsa2048", "ktri")])
async def test_a_key_is_proven_by_reading_a_number(world: World, kind: str, tag: str) -> None:
    road, key = Listening(world), generate_key(kind, world.plugins)
    async with world.client(await world.secret(), transport=road) as client:
        enrolled = await client.enroll("CN=dev-42", key, proof=CHALLENGE)
    assert road.bodies == ["ir", "popdecc", "popdecr", "ip", "certConf", "pkiconf"]
    assert {message.header.pvno for message in road.passed} == {3}
    (challenge,) = road.passed[1].body.content
    assert challenge.challenge == b""
    assert challenge.encrypted_rand.recipient_infos.as_list()[0].tag == tag
    (record,) = await issued(world)
    assert (record.der, record.state) == (enrolled.certificate, CertificateState.VALID)


async def test_confirmation_may_be_dispensed_with(world: World) -> None:
    """The proof is complete before the certificate exists, unlike that by an encrypted one."""
    road = Listening(world)
    async with world.client(await world.secret(), transport=road, implicit_confirm=True) as client:
        await client.enroll("CN=dev-42", generate_key("x25519", world.plugins), proof=CHALLENGE)
    assert road.bodies == ["ir", "popdecc", "popdecr", "ip"]


async def test_an_answer_under_a_certificate_is_challenged_too(world: World) -> None:
    both = proving(world, key_usage=("digitalSignature", "keyAgreement"), proofs=("signature", "challengeResp"))
    road = Listening(both)
    async with both.client(await both.secret(), transport=road) as client:
        first = await client.enroll("CN=dev-42")
        await client.update(first, proof=CHALLENGE)
    assert road.bodies[4:] == ["kur", "popdecc", "popdecr", "kup", "certConf", "pkiconf"]


async def challenged(world: World, *keys: PrivateKey, pvno: int = 3) -> tuple[Forge, PKIMessage]:
    """A way to go on, and the popdecc, or the refusal."""
    forge = await forged(world, uses=len(keys))
    wishes = [Wish(key=key, subject=forge.sender, proof=CHALLENGE) for key in keys]
    body = await certificate_request(BodyType.IR, *wishes, sender=forge.sender)
    request = await forge.message(body, pvno=pvno)
    return forge, decode_message((await world.handle(request.raw)).der or b"")


async def numbers_in(message: PKIMessage, *keys: PrivateKey) -> list[int]:
    return list(await read_challenges(message.body.content, keys, message.header.sender))


@pytest.mark.parametrize("wrong", [lambda right: [right[0] + 1], lambda right: [], lambda right: right * 2])
async def test_a_wrong_answer_is_bad_pop_and_the_end(world: World, wrong: Callable[[list[int]], list[int]]) -> None:
    key = generate_key("x25519", world.plugins)
    forge, popdecc = await challenged(world, key)
    right = await numbers_in(popdecc, key)
    refusal = await told(world, forge, PKIBody(BodyType.POPDECR, wrong(right)), popdecc)
    (response,) = refusal.body.content.response
    assert (response.status.status, response.status.failures) == (PKIStatus.REJECTION, PKIFailureInfo.BAD_POP)
    assert await issued(world) == ()
    again = await told(world, forge, PKIBody(BodyType.POPDECR, right), refusal)
    assert again.body.type is BodyType.ERROR
    assert await issued(world) == ()


async def test_several_are_answered_in_their_order(world: World) -> None:
    world = world.with_(settings=replace(world.settings, responder=ResponderSettings(max_requests=2)))
    keys = [generate_key(kind, world.plugins) for kind in ("x25519", "x448")]
    forge, popdecc = await challenged(world, *keys)
    right = await numbers_in(popdecc, *keys)
    refusal = await told(world, forge, PKIBody(BodyType.POPDECR, right[::-1]), popdecc)
    assert [response.status.failures for response in refusal.body.content.response] == [PKIFailureInfo.BAD_POP] * 2
    other = Forge(world.plugins, await world.secret("dev-43", uses=2), world.clock)
    wishes = [Wish(key=key, subject=other.sender, proof=CHALLENGE) for key in keys]
    async with world.client(other.credentials) as client:
        results = await client.obtain_several(wishes)
    assert {result.certificate for result in results} == {record.der for record in await issued(world)}


async def test_nothing_is_issued_and_no_number_is_stored_before_the_answer(world: World) -> None:
    key = generate_key("x25519", world.plugins)
    _, popdecc = await challenged(world, key)
    ((transaction,), _) = await world.store.load(popdecc.header.transaction_id or b"", b"")
    assert transaction.state is TransactionState.CHALLENGED
    assert transaction.witnesses == tuple(challenge.witness for challenge in popdecc.body.content)
    (number,) = await numbers_in(popdecc, key)
    assert str(number) not in repr(transaction)
    assert await issued(world) == ()


async def test_answers_are_taken_for_a_time(world: World) -> None:
    key = generate_key("x25519", world.plugins)
    forge, popdecc = await challenged(world, key)
    world.clock.advance(timedelta(hours=1))
    body = PKIBody(BodyType.POPDECR, await numbers_in(popdecc, key))
    assert (await told(world, forge, body, popdecc)).body.type is BodyType.ERROR
    await world.server.housekeep()
    ((transaction,), _) = await world.store.load(popdecc.header.transaction_id or b"", b"")
    assert transaction.state is TransactionState.DONE


@pytest.mark.parametrize("kind", [BodyType.CERT_CONF, BodyType.POLL_REQ])
async def test_other_messages_are_out_of_place(world: World, kind: BodyType) -> None:
    forge, popdecc = await challenged(world, generate_key("x25519", world.plugins))
    refusal = await told(world, forge, PKIBody(kind, []), popdecc)
    assert refusal.body.type is BodyType.ERROR
    assert await issued(world) == ()


async def test_answers_to_no_challenge_are_refused(world: World) -> None:
    forge = await forged(world)
    message = await forge.message(PKIBody(BodyType.POPDECR, [1]), pvno=3)
    refusal = decode_message((await world.handle(message.raw)).der or b"")
    assert refusal.body.type is BodyType.ERROR
    assert refusal.body.content.pki_status_info.failures is PKIFailureInfo.BAD_REQUEST


async def test_a_profile_must_allow_it(world: World) -> None:
    async with proving(world).client(await world.secret()) as client:
        with pytest.raises(PeerRefusal) as caught:
            await client.enroll("CN=dev-42", generate_key("x25519", world.plugins), proof=CHALLENGE)
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP
    assert await issued(world) == ()


async def test_it_needs_version_3(world: World) -> None:
    _, refusal = await challenged(world, generate_key("x25519", world.plugins), pvno=2)
    assert refusal.body.content.response[0].status.failures is PKIFailureInfo.BAD_POP


async def test_what_takes_time_comes_after_the_answer(world: World) -> None:
    slow = world.with_(front=Deliberate(world, issue=2, confirm=1))
    road = Listening(slow)
    async with slow.client(await slow.secret(), transport=road, sleep=slow.clock.sleep, total_timeout=None) as client:
        await client.enroll("CN=dev-42", generate_key("x25519", slow.plugins), proof=CHALLENGE)
    assert road.bodies[:5] == ["ir", "popdecc", "popdecr", "ip", "pollReq"]
    (record,) = await issued(world)
    assert record.state is CertificateState.VALID


@pytest.mark.parametrize("lost", [BodyType.IR, BodyType.POPDECR, BodyType.CERT_CONF])
async def test_another_process_goes_on_if_it_has_the_key(world: World, tmp_path: Path, lost: BodyType) -> None:
    key, secret = generate_key("x25519", world.plugins), await world.secret()
    road, state = Listening(world), tmp_path / "state"
    road.fails_at = lost
    async with world.client(secret, transport=road, state=state) as client:
        with pytest.raises(TransportError):
            await client.enroll("CN=dev-42", key, proof=CHALLENGE)
    (saved,) = state.iterdir()
    if lost is BodyType.IR:
        async with world.client(secret, state=state) as client:
            with pytest.raises(ConfigurationError, match="wants the private key to be proven"):
                await client.resume(saved)
    async with world.client(secret, state=state) as client:
        enrolled = await client.resume(saved, key)
    (record,) = await issued(world)
    assert (record.der, record.state) == (enrolled.certificate, CertificateState.VALID)


class TestClient:
    """It reads nothing aloud that is no challenge for it (RFC 9810 section 8.2)."""

    @pytest.fixture
    def serve(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
        """Makes the server give other challenges."""

        def change(other: Callable[..., Any]) -> None:
            async def made(*args: Any, **options: Any) -> Challenge:
                return await other(*args, **options)

            monkeypatch.setattr("cmpkit.endpoints.work.make_challenge", made)

        return change

    async def refuses(self, world: World, match: str) -> None:
        road = Listening(world)
        async with world.client(await world.secret(), transport=road) as client:
            with pytest.raises(TrustError, match=match):
                await client.enroll("CN=dev-42", generate_key("x25519", world.plugins), proof=CHALLENGE)
        assert road.bodies == ["ir", "popdecc"]

    async def test_for_another_key(self, world: World, serve: Any) -> None:
        other = generate_key("x25519", world.plugins).public_key_info
        serve(lambda _, number, sender, plugins, by_rsa: make_challenge(other, number, sender, plugins=plugins))
        await self.refuses(world, "cannot be decrypted")

    async def test_of_another_sender(self, world: World, serve: Any) -> None:
        mallory = directory_name(parse_name("CN=mallory"))
        serve(lambda key, number, _, plugins, by_rsa: make_challenge(key, number, mallory, plugins=plugins))
        await self.refuses(world, "its witness or its sender")

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"witness": bytes(32)}, "its witness or its sender"),
            ({"owf": None}, "the hash of a challenge"),
            ({"owf": AlgorithmIdentifier(SHA1)}, "the hash of a challenge"),
            ({"encrypted_rand": None}, "RSA without EnvelopedData is used"),
        ],
    )
    async def test_that_is_not_as_it_should_be(
        self, world: World, serve: Any, change: dict[str, Any], match: str
    ) -> None:
        async def other(key: bytes, number: int, sender: Any, plugins: Any, by_rsa: bool) -> Challenge:
            made = await make_challenge(key, number, sender, plugins=plugins)
            names = ("owf", "witness", "challenge", "encrypted_rand")
            return Challenge(**{**{name: getattr(made, name) for name in names}, **change})

        serve(other)
        await self.refuses(world, match)

    async def test_that_came_unasked(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cmpkit.endpoints.requests.proof_method", lambda message: ProofMethod.ENCRYPTED_CERTIFICATE)
        await self.refuses(world, "popdecc where ip is due")
