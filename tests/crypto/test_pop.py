"""Proof of possession, shown and checked."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc2986

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    Attribute,
    BitString,
    CertificationRequest,
    CertificationRequestInfo,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    GeneralName,
    IA5String,
    Null,
    PBMParameter,
    PKMACValue,
    POPOSigningKey,
    POPOSigningKeyInput,
    RDNSequence,
    SetOf,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    directory_name,
    encode,
    encode_general_name,
    encode_list,
    to_tlv,
)
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10, p10_extensions, sign_popo, verify_p10, verify_popo
from cmpkit.crypto.protection import mac_protection
from cmpkit.crypto.x509 import extension
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.plugins import Plugins

NAME = parse_name("CN=device")
SENDER = directory_name(parse_name("CN=sender"))
SECRET = SharedSecret("ref", "secret")
KEY_TYPES = ("p256", "p384", "p521", "rsa2048")


@pytest.fixture(scope="module", params=KEY_TYPES)
def key(request: pytest.FixtureRequest, plugins: Plugins) -> PrivateKey:
    return generate_key(request.param, plugins)


@pytest.fixture(scope="module")
def p256(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


def public_key(key: PrivateKey) -> SubjectPublicKeyInfo:
    return decode(SubjectPublicKeyInfo, key.public_key_info)


def request(key: PrivateKey | None, subject: x509.Name | None = NAME) -> CertRequest:
    template = CertTemplate(
        subject=None if subject is None else RDNSequence.of(subject),
        public_key=None if key is None else public_key(key),
    )
    return CertRequest(cert_req_id=0, cert_template=template)


def received(message: CertReqMsg) -> CertReqMsg:
    return decode(CertReqMsg, encode(message))


async def refusal(
    plugins: Plugins, message: CertReqMsg, *, sender: GeneralName = SENDER, secret: SharedSecret | None = None
) -> CMPError:
    with pytest.raises(CMPError) as caught:
        await verify_popo(received(message), sender=sender, plugins=plugins, secret=secret)
    assert caught.value.rule
    return caught.value


@pytest.mark.rule("R-066")
async def test_a_signature_over_the_request_proves_the_key(plugins: Plugins, key: PrivateKey) -> None:
    wanted = request(key)
    popo = await sign_popo(wanted, key)
    assert popo.value.poposk_input is None
    await verify_popo(received(CertReqMsg.build(wanted, popo)), sender=SENDER, plugins=plugins)


@pytest.mark.rule("R-067")
async def test_without_a_subject_the_sender_is_signed(plugins: Plugins, key: PrivateKey) -> None:
    wanted = request(key, subject=None)
    popo = await sign_popo(wanted, key, sender=SENDER)
    assert popo.value.poposk_input.public_key == public_key(key)
    message = received(CertReqMsg.build(wanted, popo))
    await verify_popo(message, sender=directory_name(parse_name("CN=SENDER")), plugins=plugins)
    error = await refusal(plugins, message, sender=directory_name(parse_name("CN=other")))
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "not the sender of the message" in error.detail


async def test_senders_that_are_no_directory_names_are_compared_too(plugins: Plugins, p256: PrivateKey) -> None:
    dns: GeneralName = Variant(IA5String("a.example"), "dns_name")
    message = CertReqMsg.build(request(p256, None), await sign_popo(request(p256, None), p256, sender=dns))
    await verify_popo(received(message), sender=dns, plugins=plugins)
    other: GeneralName = Variant(IA5String("b.example"), "dns_name")
    for sender in (other, SENDER):
        assert (await refusal(plugins, message, sender=sender)).fail_info is PKIFailureInfo.BAD_POP


async def test_signing_without_subject_needs_the_sender(p256: PrivateKey) -> None:
    with pytest.raises(CMPError, match="needs the sender"):
        await sign_popo(request(p256, None), p256)


@pytest.mark.rule("R-066")
async def test_another_request_than_the_signed_one_is_refused(plugins: Plugins, key: PrivateKey) -> None:
    popo = await sign_popo(request(key), key)
    error = await refusal(plugins, CertReqMsg.build(request(key, parse_name("CN=admin")), popo))
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "does not fit" in error.detail


@pytest.mark.rule("R-066")
async def test_the_key_of_somebody_else_is_refused(plugins: Plugins, key: PrivateKey) -> None:
    other = generate_key(key.key_type, plugins)
    popo = await sign_popo(request(other), key)
    assert (await refusal(plugins, CertReqMsg.build(request(other), popo))).fail_info is PKIFailureInfo.BAD_POP


@pytest.mark.rule("R-069")
async def test_a_missing_proof_is_refused(plugins: Plugins, p256: PrivateKey) -> None:
    error = await refusal(plugins, CertReqMsg.build(request(p256)))
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "by its signature" in error.hint


@pytest.mark.rule("R-170")
async def test_r_170_there_is_nothing_to_prove_where_the_key_is_left_to_the_server(
    plugins: Plugins, p256: PrivateKey
) -> None:
    await verify_popo(received(CertReqMsg.build(request(None))), sender=SENDER, plugins=plugins)
    popo = await sign_popo(request(p256), p256)
    error = await refusal(plugins, CertReqMsg.build(request(None), popo))
    assert error.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    assert "leave the proof out" in error.hint


@pytest.mark.parametrize("ra_verified", [True, False])
@pytest.mark.rule("R-068")
async def test_ra_verified_counts_only_from_an_ra(plugins: Plugins, p256: PrivateKey, ra_verified: bool) -> None:
    message = received(CertReqMsg.build(request(p256), Variant(Null(), "ra_verified")))
    if ra_verified:
        await verify_popo(message, sender=SENDER, plugins=plugins, ra_verified=True)
    else:
        assert (await refusal(plugins, message)).fail_info is PKIFailureInfo.BAD_POP


@pytest.mark.parametrize(("tag", "name"), [("key_encipherment", "keyEncipherment"), ("key_agreement", "keyAgreement")])
@pytest.mark.rule("R-069")
async def test_other_proofs_are_refused_by_name(plugins: Plugins, p256: PrivateKey, tag: str, name: str) -> None:
    subsequent = to_tlv(b"\x81\x01\x00")
    error = await refusal(plugins, CertReqMsg.build(request(p256), Variant(subsequent, tag)))
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert name in error.detail


@pytest.mark.rule("R-062")
async def test_a_template_without_key_is_bad_cert_template(plugins: Plugins, p256: PrivateKey) -> None:
    popo = await sign_popo(request(None), p256, sender=SENDER)
    assert popo.value.poposk_input is not None
    assert (await refusal(plugins, CertReqMsg.build(request(None), popo))).fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    empty = SubjectPublicKeyInfo(algorithm=public_key(p256).algorithm, subject_public_key=BitString(b"", 0))
    wanted = CertRequest(cert_req_id=0, cert_template=CertTemplate(subject=RDNSequence.of(NAME), public_key=empty))
    error = await refusal(plugins, CertReqMsg.build(wanted, await sign_popo(wanted, p256)))
    assert error.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


async def test_an_unreadable_key_is_bad_cert_template(plugins: Plugins, p256: PrivateKey) -> None:
    broken = SubjectPublicKeyInfo(algorithm=public_key(p256).algorithm, subject_public_key=BitString(b"\x04\x01", 0))
    wanted = CertRequest(cert_req_id=0, cert_template=CertTemplate(subject=RDNSequence.of(NAME), public_key=broken))
    error = await refusal(plugins, CertReqMsg.build(wanted, await sign_popo(wanted, p256)))
    assert error.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


@pytest.mark.rule("R-066")
async def test_poposk_input_is_there_exactly_if_the_template_is_incomplete(plugins: Plugins, p256: PrivateKey) -> None:
    with_input = await sign_popo(request(p256, None), p256, sender=SENDER)
    without = await sign_popo(request(p256), p256)
    for subject, popo in ((NAME, with_input), (None, without)):
        error = await refusal(plugins, CertReqMsg.build(request(p256, subject), popo))
        assert error.fail_info is PKIFailureInfo.BAD_POP
        assert "poposkInput" in error.detail


@pytest.mark.rule("R-067")
async def test_poposk_input_must_have_the_key_of_the_template(plugins: Plugins, p256: PrivateKey) -> None:
    other = generate_key("p256", plugins)
    popo = await sign_popo(request(other, None), other, sender=SENDER)
    error = await refusal(plugins, CertReqMsg.build(request(p256, None), popo))
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "not that of the template" in error.detail


async def test_a_signature_algorithm_of_another_key_type_is_bad_pop(plugins: Plugins, p256: PrivateKey) -> None:
    rsa_key = generate_key("rsa2048", plugins)
    popo = await sign_popo(request(p256), rsa_key)
    error = await refusal(plugins, CertReqMsg.build(request(p256), popo))
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "p256" in error.detail


async def test_unused_bits_in_the_signature_are_refused(plugins: Plugins, p256: PrivateKey) -> None:
    good = (await sign_popo(request(p256), p256)).value
    proof = POPOSigningKey(algorithm_identifier=good.algorithm_identifier, signature=BitString(b"\x80", 7))
    error = await refusal(plugins, CertReqMsg.build(request(p256), Variant(proof, "signature")))
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "unused bits" in error.detail


@pytest.mark.rule("R-064")
async def test_a_weak_key_is_bad_alg(plugins: Plugins, p256: PrivateKey) -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()
    spki = decode(SubjectPublicKeyInfo, weak.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    wanted = CertRequest(cert_req_id=0, cert_template=CertTemplate(subject=RDNSequence.of(NAME), public_key=spki))
    error = await refusal(plugins, CertReqMsg.build(wanted, await sign_popo(wanted, p256)))
    assert error.fail_info is PKIFailureInfo.BAD_ALG


async def with_public_key_mac(
    plugins: Plugins, key: PrivateKey, *, secret: SharedSecret = SECRET, oid: object = oids.PASSWORD_BASED_MAC
) -> CertReqMsg:
    protection = mac_protection(plugins, oid)  # type: ignore[arg-type]
    algorithm = protection.algorithm(secret)
    value = PKMACValue(
        alg_id=algorithm, value=BitString(await protection.protect(key.public_key_info, algorithm, secret), 0)
    )
    poposk_input = POPOSigningKeyInput(auth_info=Variant(value, "public_key_mac"), public_key=public_key(key))
    proof = POPOSigningKey(
        poposk_input=poposk_input,
        algorithm_identifier=key.signature_algorithm,
        signature=BitString(await key.sign(encode(poposk_input)), 0),
    )
    return CertReqMsg.build(request(key, None), Variant(proof, "signature"))


@pytest.mark.parametrize("oid", [oids.PASSWORD_BASED_MAC, oids.PBMAC1])
@pytest.mark.rule("R-067")
async def test_a_mac_over_the_public_key_is_checked_with_the_secret(
    plugins: Plugins, p256: PrivateKey, oid: object
) -> None:
    message = received(await with_public_key_mac(plugins, p256, oid=oid))
    await verify_popo(message, sender=SENDER, plugins=plugins, secret=SECRET)
    for secret, text in ((None, "needs a shared secret"), (SharedSecret("ref", "wrong"), "does not fit the secret")):
        error = await refusal(plugins, message, secret=secret)
        assert error.fail_info is PKIFailureInfo.BAD_POP
        assert text in error.detail


def excessive() -> AlgorithmIdentifier:
    params = PBMParameter(
        salt=b"salt",
        owf=AlgorithmIdentifier(oids.SHA256),
        iteration_count=1 << 40,
        mac=AlgorithmIdentifier(oids.HMAC_SHA256),
    )
    return AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, params)


@pytest.mark.parametrize("algorithm", [AlgorithmIdentifier(oids.PBKDF2), excessive()], ids=["unknown", "excessive"])
async def test_a_mac_by_an_algorithm_that_is_not_accepted_is_bad_alg(
    plugins: Plugins, p256: PrivateKey, algorithm: AlgorithmIdentifier
) -> None:
    value = PKMACValue(alg_id=algorithm, value=BitString(b"", 0))
    poposk_input = POPOSigningKeyInput(auth_info=Variant(value, "public_key_mac"), public_key=public_key(p256))
    proof = POPOSigningKey(
        poposk_input=poposk_input,
        algorithm_identifier=p256.signature_algorithm,
        signature=BitString(await p256.sign(encode(poposk_input)), 0),
    )
    message = CertReqMsg.build(request(p256, None), Variant(proof, "signature"))
    assert (await refusal(plugins, message, secret=SECRET)).fail_info is PKIFailureInfo.BAD_ALG


async def test_the_signed_octets_are_a_sequence_with_the_universal_tag(plugins: Plugins, p256: PrivateKey) -> None:
    popo = await sign_popo(request(p256, None), p256, sender=SENDER)
    sender = encode(encode_general_name(SENDER))
    content = b"\xa0" + bytes([len(sender)]) + sender + p256.public_key_info
    signed = (
        b"\x30\x81" + bytes([len(content)]) + content
        if len(content) > 127
        else b"\x30" + bytes([len(content)]) + content
    )
    part = plugins.key_algorithm_of(p256.public_key_info)
    signature = popo.value.signature.as_bytes()
    assert part.verify(p256.public_key_info, popo.value.algorithm_identifier, signed, signature)


WANTED = (
    extension(x509.SubjectAlternativeName([x509.DNSName("a.example")])),
    extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
)


@pytest.mark.parametrize("extensions", [(), WANTED], ids=["plain", "extensions"])
async def test_a_built_p10_is_read_and_verified_by_others(
    plugins: Plugins, key: PrivateKey, extensions: tuple[object, ...]
) -> None:
    der = await build_p10(NAME, key, extensions)  # type: ignore[arg-type]
    read = x509.load_der_x509_csr(der)
    assert read.is_signature_valid
    assert read.subject == NAME
    assert [(item.oid, item.critical) for item in read.extensions] == [
        (item.extn_id, item.critical)
        for item in extensions  # type: ignore[attr-defined]
    ]
    assert not decoder.decode(der, asn1Spec=rfc2986.CertificationRequest())[1]
    ours = decode(CertificationRequest, der)
    verify_p10(ours, plugins)
    assert p10_extensions(ours) == extensions


@pytest.mark.rule("R-130")
async def test_a_p10_signed_by_another_key_is_bad_pop(plugins: Plugins, p256: PrivateKey) -> None:
    good = decode(CertificationRequest, await build_p10(NAME, p256))
    other = decode(CertificationRequest, await build_p10(NAME, generate_key("p256", plugins)))
    mixed = CertificationRequest(
        certification_request_info=good.certification_request_info,
        signature_algorithm=good.signature_algorithm,
        signature=other.signature,
    )
    with pytest.raises(CMPError, match="does not fit") as caught:
        verify_p10(mixed, plugins)
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP
    assert caught.value.rule == "RFC 2986 section 4"


async def p10(key: PrivateKey, *, version: int = 0, attributes: list[Attribute] | None = None) -> CertificationRequest:
    info = encode(
        CertificationRequestInfo(
            version=version, subject=NAME, subject_pk_info=public_key(key), attributes=SetOf(attributes or [])
        )
    )
    return CertificationRequest(
        certification_request_info=to_tlv(info),
        signature_algorithm=key.signature_algorithm,
        signature=BitString(await key.sign(info), 0),
    )


@pytest.mark.rule("R-130")
async def test_a_p10_of_another_version_is_bad_pop(plugins: Plugins, p256: PrivateKey) -> None:
    with pytest.raises(CMPError, match="version 1") as caught:
        verify_p10(await p10(p256, version=1), plugins)
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP


@pytest.mark.rule("R-131")
async def test_ambiguous_extension_requests_are_bad_cert_template(p256: PrivateKey) -> None:
    one, other = (to_tlv(encode_list([wanted])) for wanted in WANTED)
    twice = to_tlv(encode_list([WANTED[0], WANTED[0]]))
    for values, text in (([one, other], "more than one value"), ([twice], "an extension twice")):
        request = await p10(p256, attributes=[Attribute(type=oids.EXTENSION_REQUEST, values=SetOf(values))])
        with pytest.raises(CMPError, match=text) as caught:
            p10_extensions(request)
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    unreadable = Attribute(type=oids.EXTENSION_REQUEST, values=SetOf([to_tlv(5)]))
    with pytest.raises(CMPError) as caught:
        p10_extensions(await p10(p256, attributes=[unreadable]))
    assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


async def test_other_attributes_of_a_p10_are_passed_over(plugins: Plugins, p256: PrivateKey) -> None:
    challenge = Attribute(type=x509.oid.AttributeOID.CHALLENGE_PASSWORD, values=SetOf([to_tlv("secret")]))
    request = await p10(p256, attributes=[challenge])
    verify_p10(request, plugins)
    assert p10_extensions(request) == ()
