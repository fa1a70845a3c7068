"""Over HTTP, client against server: each information type, and each way in which something encrypted travels.

Each kind of waiting is in test_delayed.py, each proof of possession in test_proofs_over_http.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cmpkit_signature.rsa import RSAKeys
from cryptography import x509
from rollover import Rollover

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    CAKeyUpdAnnContent,
    CertReqTemplateContent,
    EncryptedKey,
    EnvelopedData,
    InfoTypeAndValue,
    Null,
    PKIMessage,
    RootCaKeyUpdateContent,
    encode,
    encode_list,
    read_element,
    to_tlv,
)
from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.key_generation import KeyGeneration
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.enveloping import password
from cmpkit.crypto.keys import generate_key, load_private_key
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.support import ask_for_crl, read_key_pair_parameters
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import PeerRefusal, TrustError
from cmpkit.parts import Event

from .conftest import World, over_http
from .forge import NOW

RSA_PKCS1 = AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null())
OAEP_SHA1 = AlgorithmIdentifier(oids.RSAES_OAEP, to_tlv(b"\x30\x00"))
P256 = AlgorithmIdentifier(oids.EC_PUBLIC_KEY, oids.SECP256R1)
UNKNOWN = x509.ObjectIdentifier("1.2.3.4.5")


class Heard:
    """What was said."""

    def __init__(self) -> None:
        self.messages: list[PKIMessage] = []

    def observe(self, event: Event) -> None:
        if event.name in ("message-sent", "message-received"):
            self.messages.append(event.details["message"])

    def header_info(self, oid: x509.ObjectIdentifier) -> list[str]:
        """The messages that have that information type in their header."""
        return [message.body.type.wire_name for message in self.messages if message.header.info(oid) is not None]


@dataclass(frozen=True)
class Question:
    """An information type, with the value that it is asked for, and what is to come."""

    asked: InfoTypeAndValue
    answered: x509.ObjectIdentifier
    right: Callable[[InfoTypeAndValue], Any]


def question(oid: x509.ObjectIdentifier, right: Callable[[InfoTypeAndValue], Any], value: Any = None) -> Question:
    return Question(InfoTypeAndValue(oid, None if value is None else to_tlv(value)), oid, right)


def questions(world: World, rolled: Rollover) -> list[Question]:
    """Each that RFC 9810 section 5.3.19 has, but for those of a server with a key for decryption."""
    root = question(
        oids.ROOT_CA_CERT,
        lambda item: encode(item.parse(RootCaKeyUpdateContent).new_with_new) == rolled.new_with_new,
        rolled.old_root,
    )
    curve = question(oids.KEY_PAIR_PARAM_REQ, lambda item: item.parse(AlgorithmIdentifier) == P256, oids.EC_PUBLIC_KEY)
    return [
        question(oids.CA_CERTS, lambda item: len(item.parse_list(TLV)) == 2),
        question(oids.CURRENT_CRL, lambda item: x509.load_der_x509_crl(encode(item.info_value)).issuer),
        Question(ask_for_crl(world.signer.certificate, None), oids.CRLS, lambda item: len(item.parse_list(TLV)) == 1),
        replace(root, answered=oids.ROOT_CA_KEY_UPDATE),
        question(
            oids.CA_KEY_UPDATE_INFO,
            lambda item: encode(item.parse(CAKeyUpdAnnContent).old_with_new) == rolled.old_with_new,
        ),
        question(oids.CERT_REQ_TEMPLATE, lambda item: item.parse(CertReqTemplateContent).cert_template.subject),
        question(oids.SIGN_KEY_PAIR_TYPES, lambda item: P256 in item.parse_list(AlgorithmIdentifier)),
        question(
            oids.ENC_KEY_PAIR_TYPES,
            lambda item: AlgorithmIdentifier(oids.X25519) in item.parse_list(AlgorithmIdentifier),
        ),
        question(oids.PREFERRED_SYMM_ALG, lambda item: item.parse(AlgorithmIdentifier).algorithm == oids.AES256_CBC),
        replace(curve, answered=oids.KEY_PAIR_PARAM_REP),
        question(oids.SUPP_LANG_TAGS, lambda item: item.parse_list(str) == ["en"], encode_list(["de", "en"])),
        Question(
            InfoTypeAndValue(UNKNOWN),
            oids.UNSUPPORTED_OIDS,
            lambda item: item.parse_list(x509.ObjectIdentifier) == [UNKNOWN],
        ),
    ]


@pytest.mark.rule("R-180", "R-181")
async def test_each_information_type_is_asked_and_answered_over_http(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled = Rollover(NOW)
    monkeypatch.setattr(world.issuer, "_root_update", rolled.update)
    every = questions(world, rolled)
    with_a_key = {oids.CA_PROT_ENC_CERT, oids.REV_PASSPHRASE}
    known = {part.oid for part in world.plugins.all("info type")} - with_a_key
    assert known == {one.asked.info_type for one in every} - {UNKNOWN}
    async with over_http(world) as road, world.client(await world.secret(), transport=road()) as client:
        for one in every:
            (answer,) = await client.info(one.asked)
            assert answer.info_type == one.answered
            assert one.right(answer), one.asked.info_type
        together = await client.info(*(one.asked for one in every))
        assert [answer.info_type for answer in together] == [one.answered for one in every]
        told = {answer.info_type for answer in await client.info()}
        assert told > {oids.CA_CERTS, oids.CURRENT_CRL, oids.CERT_REQ_TEMPLATE, oids.PREFERRED_SYMM_ALG}
        assert await client.key_pair_parameters(oids.EC_PUBLIC_KEY) == P256


@pytest.mark.rule("R-188", "R-189")
async def test_what_is_asked_for_and_not_available_is_an_error_over_http(world: World) -> None:
    offered = InfoTypeAndValue(oids.SUPP_LANG_TAGS, to_tlv(encode_list(["de", "fr"])))
    async with over_http(world) as road, world.client(await world.secret(), transport=road()) as client:
        with pytest.raises(PeerRefusal, match="texts are in en only") as refused:
            await client.info(oids.CA_CERTS, offered)
    assert refused.value.fail_info is PKIFailureInfo.ADD_INFO_NOT_AVAILABLE


@pytest.mark.rule("R-182")
async def test_parameters_for_keys_that_are_of_no_known_kind_are_not_believed(world: World) -> None:
    odd = AlgorithmIdentifier(oids.EC_PUBLIC_KEY, UNKNOWN)
    answer = InfoTypeAndValue(oids.KEY_PAIR_PARAM_REP, odd)
    with pytest.raises(TrustError, match="of none that is known"):
        read_key_pair_parameters(answer, oids.EC_PUBLIC_KEY, world.plugins)
    async with world.client(await world.secret()) as client:
        assert await client.key_pair_parameters(UNKNOWN) is None


@pytest.mark.rule("R-025", "R-026", "R-027")
async def test_each_information_type_of_headers_travels_over_http(world: World) -> None:
    """implicitConfirm asked for and granted, or confirmWaitTime, and certProfile."""
    heard, patient = Heard(), Heard()
    secret = await world.secret(uses=None)
    async with over_http(world) as road:
        options = {"implicit_confirm": True, "profile": "device"}
        async with world.client(secret, transport=road(), observers=[heard], **options) as client:
            await client.enroll("CN=dev-42")
        async with world.client(secret, transport=road(), observers=[patient]) as client:
            await client.enroll("CN=dev-42")
    assert heard.header_info(oids.IMPLICIT_CONFIRM) == ["ir", "ip"]
    assert heard.header_info(oids.CERT_PROFILE) == ["ir"]
    assert patient.header_info(oids.CONFIRM_WAIT_TIME) == ["ip"]
    assert [message.body.type.wire_name for message in patient.messages] == ["ir", "ip", "certConf", "pkiconf"]


def envelope_of(heard: Heard) -> EnvelopedData:
    """What came encrypted: a key that the server generated, or a certificate."""
    answer = next(message for message in heard.messages if message.body.type in (BodyType.IP, BodyType.CP))
    pair = answer.body.content.response[0].certified_key_pair
    if pair.private_key is not None:
        return pair.private_key.value
    return read_element(pair.cert_or_enc_cert.value, EncryptedKey).value


@dataclass(frozen=True)
class Way:
    """How something encrypted travels.

    :param by: the key of the certificate that signs the request; empty for a shared secret.
    :param certified: the key to certify, whose certificate comes encrypted; empty for one that the server generates.
    """

    recipient: str
    algorithm: x509.ObjectIdentifier
    by: str = ""
    certified: str = ""


WAYS = {
    "password": Way("pwri", oids.AES256_WRAP),
    "RSA-OAEP": Way("ktri", oids.RSAES_OAEP, by="rsa2048"),
    "ECDH": Way("kari", oids.STD_DH_SHA256_KDF, by="p256"),
    "X25519": Way("kari", oids.STD_DH_HKDF_SHA256, certified="x25519"),
    "X448": Way("kari", oids.STD_DH_HKDF_SHA512, certified="x448"),
}


@pytest.fixture
def generating(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A server that generates keys, and hands certificates over to who can read them."""
    monkeypatch.setattr(password, "_OWN_ITERATIONS", 1000)
    table = {
        "key_generation": "central",
        "key_usage": ("digitalSignature", "keyAgreement", "keyEncipherment"),
        "proofs": ("signature", "encrCert"),
    }
    profiles = {"device": load_profile("device", table, world.plugins)}
    key = load_private_key((world.directory / "keys/issuing.key.pem").read_bytes(), None, world.plugins)
    issuer = LocalIssuer(read_issuer_certificate(world.issuing), key, world.store, profiles)
    generation = KeyGeneration(world.plugins, profiles, world.signer.key, world.signer.extra_certs)
    return world.with_(issuer=issuer, key_generation=generation)


async def travel(world: World, way: Way, reference: str = "dev-42", **options: Any) -> Heard:
    """Get something encrypted, which must be readable."""
    heard, secret, subject = Heard(), await world.secret(reference, uses=None), f"CN={reference}"
    async with over_http(world) as road:
        own: Any = secret
        if way.by:
            async with world.client(secret, transport=road()) as client:
                own = (await client.enroll(subject, generate_key(way.by, world.plugins))).credentials
        key = generate_key(way.certified, world.plugins) if way.certified else CentralKey()
        async with world.client(own, transport=road(), observers=[heard], **options) as client:
            enrolled = await (client.certify if way.by else client.enroll)(subject, key)
    assert enrolled.key is not None
    return heard


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.rule("R-172")
async def test_each_key_management_technique_travels_over_http(generating: World, name: str) -> None:
    way = WAYS[name]
    (recipient,) = envelope_of(await travel(generating, way)).recipient_infos.as_list()
    assert (recipient.tag, recipient.value.key_encryption_algorithm.algorithm) == (way.recipient, way.algorithm)


@pytest.mark.parametrize(
    ("algorithm", "tolerance"), [(RSA_PKCS1, "envelope-rsa-pkcs1"), (OAEP_SHA1, "envelope-sha1")], ids=str
)
@pytest.mark.rule("R-172")
async def test_weak_encryption_travels_under_its_tolerance_alone(
    generating: World, monkeypatch: pytest.MonkeyPatch, algorithm: AlgorithmIdentifier, tolerance: str
) -> None:
    """RSA with PKCS#1 v1.5 padding, and SHA-1 in OAEP; no server of ours sends it."""
    monkeypatch.setattr(RSAKeys, "transport_algorithm", lambda self, key: algorithm)
    way = WAYS["RSA-OAEP"]
    heard = await travel(generating, way, tolerances=frozenset({tolerance}))
    (recipient,) = envelope_of(heard).recipient_infos.as_list()
    assert recipient.value.key_encryption_algorithm == algorithm
    with pytest.RaisesGroup(pytest.RaisesExc(TrustError, match=f"--tolerate {tolerance} at a client")):
        await travel(generating, way, "dev-43")
