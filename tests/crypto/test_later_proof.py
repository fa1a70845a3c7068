"""Proofs of possession that come after the request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from cmpkit.asn1 import (
    BitString,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    IssuerAndSerialNumber,
    Null,
    POPOPrivKey,
    RDNSequence,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    directory_name,
    make_element,
    to_tlv,
)
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.later_proof import envelop_certificate, later_popo, open_certificate, proof_method
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import sign_popo, verify_popo
from cmpkit.crypto.x509 import CertificateContent, build_certificate
from cmpkit.enums import PKIFailureInfo, ProofMethod, SubsequentMessage
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

NAME = parse_name("CN=device")
SENDER = directory_name(NAME)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ENCRYPTED = ProofMethod.ENCRYPTED_CERTIFICATE


@pytest.fixture(scope="module")
def x25519(plugins: Plugins) -> PrivateKey:
    return generate_key("x25519", plugins)


def request_for(key: PrivateKey) -> CertRequest:
    public_key = decode(SubjectPublicKeyInfo, key.public_key_info)
    return CertRequest(cert_req_id=0, cert_template=CertTemplate(subject=RDNSequence.of(NAME), public_key=public_key))


def announced(key: PrivateKey, tag: str, private: object) -> CertReqMsg:
    """A request with that POPOPrivKey."""
    return CertReqMsg.build(request_for(key), Variant(make_element(private, POPOPrivKey), tag))


async def certificate(key: PrivateKey, plugins: Plugins) -> bytes:
    content = CertificateContent(
        serial_number=7,
        issuer=NAME.public_bytes(),
        subject=NAME,
        not_before=NOW,
        not_after=NOW + timedelta(days=1),
        public_key_info=key.public_key_info,
    )
    return await build_certificate(content, generate_key("p256", plugins))


@pytest.mark.parametrize(
    ("key_type", "tag"), [("x25519", "key_agreement"), ("p256", "key_agreement"), ("rsa2048", "key_encipherment")]
)
async def test_the_announcement_names_what_the_key_does(key_type: str, tag: str, plugins: Plugins) -> None:
    key = generate_key(key_type, plugins)
    message = CertReqMsg.build(request_for(key), later_popo(key, ENCRYPTED))
    assert message.popo is not None
    assert message.popo.tag == tag
    assert proof_method(message) is ENCRYPTED
    await verify_popo(message, sender=SENDER, plugins=plugins, others=(ENCRYPTED,))


async def test_it_is_accepted_only_by_who_sees_to_it(x25519: PrivateKey, plugins: Plugins) -> None:
    message = CertReqMsg.build(request_for(x25519), later_popo(x25519, ENCRYPTED))
    with pytest.raises(CMPError, match="keyAgreement is not supported") as caught:
        await verify_popo(message, sender=SENDER, plugins=plugins)
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP


def test_a_key_that_only_signs_cannot_announce_it(plugins: Plugins) -> None:
    with pytest.raises(CMPError, match="nothing can be encrypted to a key of type ed25519") as caught:
        later_popo(generate_key("ed25519", plugins), ENCRYPTED)
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP


@pytest.mark.parametrize("key_type", ["ed25519", "mldsa44"])
async def test_announced_for_a_key_that_only_signs_it_is_refused(key_type: str, plugins: Plugins) -> None:
    key = generate_key(key_type, plugins)
    message = announced(key, "key_agreement", Variant(SubsequentMessage.ENCR_CERT, "subsequent_message"))
    with pytest.raises(CMPError, match="nothing can be encrypted") as caught:
        await verify_popo(message, sender=SENDER, plugins=plugins, others=(ENCRYPTED,))
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP


async def test_keys_that_agree_and_keys_that_encrypt_are_told_apart(x25519: PrivateKey, plugins: Plugins) -> None:
    message = announced(x25519, "key_encipherment", Variant(SubsequentMessage.ENCR_CERT, "subsequent_message"))
    with pytest.raises(CMPError, match="another kind of key") as caught:
        await verify_popo(message, sender=SENDER, plugins=plugins, others=(ENCRYPTED,))
    assert (caught.value.fail_info, caught.value.tolerance) == (PKIFailureInfo.BAD_POP, "openssl-encrypted-cert")


@pytest.mark.parametrize(
    "private",
    [
        Variant(BitString(b"octets", 0), "this_message"),
        Variant(BitString(b"octets", 0), "dh_mac"),
    ],
    ids=lambda private: private.tag,
)
async def test_other_ways_are_refused(private: object, x25519: PrivateKey, plugins: Plugins) -> None:
    message = announced(x25519, "key_agreement", private)
    assert proof_method(message) is None
    with pytest.raises(CMPError, match="keyAgreement is not supported") as caught:
        await verify_popo(message, sender=SENDER, plugins=plugins, others=(ENCRYPTED,))
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP


async def test_a_proof_that_cannot_be_read_is_a_fault_of_syntax(x25519: PrivateKey, plugins: Plugins) -> None:
    message = CertReqMsg.build(request_for(x25519), Variant(to_tlv(b"\x05\x00"), "key_agreement"))
    with pytest.raises(CMPError) as caught:
        await verify_popo(message, sender=SENDER, plugins=plugins, others=(ENCRYPTED,))
    assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


async def test_other_proofs_are_named(plugins: Plugins) -> None:
    key = generate_key("p256", plugins)
    request = request_for(key)
    assert proof_method(CertReqMsg.build(request, await sign_popo(request, key))) is ProofMethod.SIGNATURE
    assert proof_method(CertReqMsg.build(request, Variant(Null(), "ra_verified"))) is ProofMethod.RA_VERIFIED
    assert proof_method(CertReqMsg.build(request, None)) is None


async def test_a_certificate_is_read_by_its_own_key_only(x25519: PrivateKey, plugins: Plugins) -> None:
    der = await certificate(x25519, plugins)
    enveloped = await envelop_certificate(der, 5, plugins=plugins)
    encrypted = Variant(enveloped, "enveloped_data")
    assert await open_certificate(encrypted, x25519) == der
    with pytest.raises(CMPError, match="cannot be decrypted"):
        await open_certificate(encrypted, generate_key("x25519", plugins))


async def test_the_recipient_is_named_by_its_request_not_by_the_secret_number(plugins: Plugins) -> None:
    """Whoever sees the message learns nothing of the certificate in it."""
    key = generate_key("rsa2048", plugins)
    enveloped = await envelop_certificate(await certificate(key, plugins), 5, plugins=plugins)
    (info,) = enveloped.recipient_infos.as_list()
    assert info.value.rid.value == IssuerAndSerialNumber(issuer=x509.Name([]), serial_number=5)
