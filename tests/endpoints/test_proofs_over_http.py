"""Each way to prove possession of a key, client against server, over HTTP on both event loops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import pytest
from cryptography import x509

from cmpkit.asn1 import EncryptedKey, EncryptedValue, PKIMessage, POPOPrivKey, Variant, decode_message, read_element
from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.agreed_proof import AgreedProof
from cmpkit.crypto.keys import generate_key, load_private_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.requests import Prover, Wish, certificate_request
from cmpkit.enums import BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import ConfigurationError, PeerRefusal
from cmpkit.parts import CertificateState, EncryptionCredentials, Event, PrivateKey, TransportOptions
from cmpkit.transports.address import open_transport

from .conftest import World
from .forge import certify
from .test_encrypted_certificates import forged

DEV = parse_name("CN=dev-42")
LEGACY = frozenset({"legacy-encryption"})
ENCRYPTED, CHALLENGE = ProofMethod.ENCRYPTED_CERTIFICATE, ProofMethod.CHALLENGE_RESPONSE
PROOFS = ("signature", "encrCert", "challengeResp", "agreeMAC", "DHBasedMac")
USAGES = ("digitalSignature", "keyAgreement", "keyEncipherment")


@dataclass(frozen=True)
class Way:
    """One way: what is wanted, and what must be seen on the road.

    :param credentials: what protects the request.
    :param seen: the alternatives of the proof, from the outside in.
    :param comes_as: what is encrypted, if something is.
    """

    key_type: str
    proof: ProofMethod | None
    seen: tuple[str, ...]
    credentials: str = "secret"
    subject: x509.Name | None = DEV
    pvno: int = 3
    tolerances: frozenset[str] = frozenset()
    comes_as: str = ""

    @property
    def agrees(self) -> bool:
        return self.proof in (ProofMethod.AGREED_MAC, ProofMethod.DH_BASED_MAC)

    @property
    def name(self) -> str:
        return f"{'-'.join(self.seen)} of {self.key_type}, pvno {self.pvno}"


ENCIPHERMENT, AGREEMENT = ("key_encipherment", "subsequent_message"), ("key_agreement", "subsequent_message")
WAYS = (
    Way("p256", ProofMethod.SIGNATURE, ("signature",), pvno=2),
    Way("p256", None, ("signature", "public_key_mac"), subject=None, pvno=2),
    Way("p256", None, ("signature", "sender"), "certificate", subject=None, pvno=2),
    Way("p256", ProofMethod.RA_VERIFIED, ("ra_verified",), "ra", subject=parse_name("CN=ra"), pvno=2),
    *(
        Way(key_type, proof, seen, comes_as=form)
        for key_type, seen, form in (
            ("rsa2048", ENCIPHERMENT, "ktri"),
            ("p256", AGREEMENT, "kari"),
            ("x25519", AGREEMENT, "kari"),
            ("x448", AGREEMENT, "kari"),
        )
        for proof in (ENCRYPTED, CHALLENGE)
    ),
    Way("rsa2048", ENCRYPTED, ENCIPHERMENT, pvno=2, tolerances=LEGACY, comes_as="EncryptedValue"),
    Way("rsa2048", CHALLENGE, ENCIPHERMENT, pvno=2, tolerances=LEGACY, comes_as="RSA"),
    *(
        Way(key_type, ProofMethod.AGREED_MAC, ("key_agreement", "agree_mac"))
        for key_type in ("p256", "p384", "x25519", "x448")
    ),
    *(Way(key_type, ProofMethod.DH_BASED_MAC, ("signature",), pvno=2) for key_type in ("p256", "x25519")),
)


class Heard:
    """The messages that a client sent and got."""

    def __init__(self) -> None:
        self.messages: list[PKIMessage] = []

    def observe(self, event: Event) -> None:
        if event.name in ("message-sent", "message-received"):
            self.messages.append(event.details["message"])


def with_profile(world: World, **table: Any) -> World:
    """The same world with another profile."""
    key = load_private_key((world.directory / "keys/issuing.key.pem").read_bytes(), None, world.plugins)
    profiles = {"device": load_profile("device", table, world.plugins)}
    return world.with_(issuer=LocalIssuer(read_issuer_certificate(world.issuing), key, world.store, profiles))


@pytest.fixture
def world(world: World) -> World:
    return with_profile(world, key_usage=USAGES, proofs=PROOFS).with_(tolerances=LEGACY)


async def agreeing(world: World, key_type: str) -> World:
    """The same world with a key of the server's to agree on secrets with."""
    own = generate_key(key_type, world.plugins)
    certificate = await certify(own, parse_name("CN=ca"), generate_key("p256", world.plugins), DEV)
    return world.with_(encryption=EncryptionCredentials(certificate, own))


@asynccontextmanager
async def served(world: World) -> AsyncIterator[str]:
    address, shutdown = "http://127.0.0.1:0/.well-known/cmp", anyio.Event()
    serve = world.plugins.server_transport(address).serve
    async with anyio.create_task_group() as tasks:
        yield await tasks.start(
            partial(serve, address, world.server.handle, max_message_size=1 << 20, shutdown=shutdown)
        )
        shutdown.set()


def alternatives(message: PKIMessage) -> tuple[str, ...]:
    """Which ones the proof of a request is, from the outside in."""
    popo = message.body.content[0].popo
    if popo.tag == "signature":
        made = popo.value.poposk_input
        return ("signature",) if made is None else ("signature", made.auth_info.tag)
    return (popo.tag,) if popo.tag == "ra_verified" else (popo.tag, read_element(popo.value, POPOPrivKey).tag)


def form_of(message: PKIMessage) -> str:
    """In what the first answer has something encrypted; empty if it has nothing."""
    if message.body.type is BodyType.POPDECC:
        enveloped = message.body.content[0].encrypted_rand
        return "RSA" if enveloped is None else str(enveloped.recipient_infos.as_list()[0].tag)
    certificate: Variant[Any, Any] = message.body.content.response[0].certified_key_pair.cert_or_enc_cert
    if certificate.tag == "certificate":
        return ""
    encrypted = read_element(certificate.value, EncryptedKey).value
    if isinstance(encrypted, EncryptedValue):
        return "EncryptedValue"
    return str(encrypted.recipient_infos.as_list()[0].tag)


def proof_of(world: World, way: Way) -> ProofMethod | AgreedProof | None:
    if not way.agrees:
        return way.proof
    assert world.encryption is not None
    return AgreedProof(world.encryption.certificate, as_signature=way.proof is ProofMethod.DH_BASED_MAC)


async def credentials_of(world: World) -> dict[str, Credentials]:
    """A shared secret, and certificates that came by one: of a device, and of a registration authority."""
    staffed = with_profile(world, extended_key_usage=["cmcRA"], special=True)
    found: dict[str, Credentials] = {"secret": await world.secret(uses=None)}
    for name, reference, server in (("certificate", "dev-42", world), ("ra", "ra", staffed)):
        secret = await world.secret(reference) if name == "ra" else found["secret"]
        async with server.client(secret) as client:
            found[name] = (await client.enroll(f"CN={reference}")).credentials
    return found


async def check(way: Way, world: World, url: str, own: Credentials, key: PrivateKey) -> None:
    heard, road = Heard(), open_transport(world.plugins, url, TransportOptions())
    wish = Wish(key=key, subject=way.subject, proof=proof_of(world, way))
    operation = BodyType.CR if isinstance(own, SigningCredentials) else BodyType.IR
    async with world.client(own, transport=road, observers=[heard], tolerances=way.tolerances) as client:
        enrolled = await client.obtain(wish, operation=operation)
    assert alternatives(heard.messages[0]) == way.seen, way.name
    assert {message.header.pvno for message in heard.messages} == {way.pvno}, way.name
    assert form_of(heard.messages[1]) == way.comes_as, way.name
    record = next(one for one in await world.store.certificates() if one.der == enrolled.certificate)
    assert record.state is CertificateState.VALID, way.name


async def test_each_way_to_prove_a_key_over_http(world: World) -> None:
    credentials = await credentials_of(world)
    keys = {key_type: generate_key(key_type, world.plugins) for key_type in {way.key_type for way in WAYS}}
    async with served(world) as url:
        for way in WAYS:
            if not way.agrees:
                await check(way, world, url, credentials[way.credentials], keys[way.key_type])


@pytest.mark.parametrize("kind", ["p256", "p384", "x25519", "x448"])
async def test_a_key_that_agrees_is_proven_over_http(world: World, kind: str) -> None:
    world = await agreeing(world, kind)
    secret, key = await world.secret(uses=None), generate_key(kind, world.plugins)
    async with served(world) as url:
        for way in WAYS:
            if way.agrees and way.key_type == kind:
                await check(way, world, url, secret, key)


@pytest.mark.parametrize("name", PROOFS)
@pytest.mark.rule("R-069")
async def test_a_profile_names_the_ways_that_it_allows(world: World, name: str) -> None:
    """R-069: and no other is taken."""
    way = next(way for way in WAYS if way.proof is not None and way.proof.value == name and way.key_type != "rsa2048")
    allowed = tuple(other for other in PROOFS if other != name)
    strict = await agreeing(with_profile(world, key_usage=USAGES, proofs=allowed), way.key_type)
    async with strict.client(await strict.secret()) as client:
        wish = Wish(key=generate_key(way.key_type, world.plugins), subject=DEV, proof=proof_of(strict, way))
        with pytest.raises(PeerRefusal) as caught:
            await client.obtain(wish)
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP
    (refused,) = strict.watcher.of("refused")
    assert f"proven by {name}, allowed is {', '.join(allowed)}" in refused.details["error"].detail


async def test_agree_mac_needs_version_3(world: World) -> None:
    """RFC 9810 section 7: a server reads it in no message of pvno 2."""
    way = next(way for way in WAYS if way.proof is ProofMethod.AGREED_MAC)
    world, forge = await agreeing(world, way.key_type), await forged(world)
    wish = Wish(key=generate_key(way.key_type, world.plugins), subject=DEV, proof=proof_of(world, way))
    prover = Prover(world.plugins, forge.credentials)
    request = await forge.message(
        await certificate_request(BodyType.IR, wish, sender=forge.sender, prover=prover), pvno=2
    )
    answer = decode_message((await world.handle(request.raw)).der or b"")
    assert answer.body.content.response[0].status.failures is PKIFailureInfo.BAD_POP


async def test_nothing_agrees_without_a_prover(world: World) -> None:
    way = next(way for way in WAYS if way.proof is ProofMethod.AGREED_MAC)
    world = await agreeing(world, way.key_type)
    wish = Wish(key=generate_key(way.key_type, world.plugins), subject=DEV, proof=proof_of(world, way))
    with pytest.raises(ConfigurationError, match="give a prover"):
        await certificate_request(BodyType.IR, wish, sender=DEV)


@pytest.mark.rule("R-068")
async def test_nobody_else_vouches_for_others(world: World) -> None:
    """R-068: neither who has a shared secret nor who has a certificate without cmcRA."""
    credentials = await credentials_of(world)
    async with served(world) as url:
        for own in (credentials["secret"], credentials["certificate"]):
            road = open_transport(world.plugins, url, TransportOptions())
            async with world.client(own, transport=road) as client:
                wish = Wish(key=generate_key("p256", world.plugins), subject=DEV, proof=ProofMethod.RA_VERIFIED)
                operation = BodyType.CR if isinstance(own, SigningCredentials) else BodyType.IR
                with pytest.raises(PeerRefusal) as caught:
                    await client.obtain(wish, operation=operation)
            assert caught.value.fail_info is PKIFailureInfo.BAD_POP
