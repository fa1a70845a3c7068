"""Octets that pyasn1 writes otherwise, or that some reader gets wrong, written out."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertificateWire,
    CertifiedKeyPair,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    EncryptedContentInfo,
    EncryptedKey,
    EncryptedValue,
    EnvelopedData,
    GeneralizedTime,
    Null,
    OptionalValidity,
    OriginatorInfo,
    PasswordRecipientInfo,
    PBKDF2Params,
    RDNSequence,
    RSASSAPSSParams,
    SetOf,
    SinglePubInfo,
    UTCTime,
    Variant,
    decode,
    directory_name,
    encode,
    make_element,
    read_element,
    to_tlv,
)
from cmpkit.errors import CMPError

ALGORITHM = AlgorithmIdentifier(oids.SHA256)
NULL_DN = directory_name(x509.Name([]))
CONTENT = EncryptedContentInfo(content_type=oids.SHA256, content_encryption_algorithm=ALGORITHM, encrypted_content=b"c")
RECIPIENTS = SetOf(
    [Variant(PasswordRecipientInfo(version=0, key_encryption_algorithm=ALGORITHM, encrypted_key=b"k"), "pwri")]
)


def enveloped(originator: OriginatorInfo | None) -> EnvelopedData:
    """EnvelopedData for one recipient."""
    return EnvelopedData(
        version=2, originator_info=originator, recipient_infos=RECIPIENTS, encrypted_content_info=CONTENT
    )


@pytest.mark.parametrize(
    ("value", "absent", "octets"),
    [
        (CertTemplate(subject=RDNSequence.of(x509.Name([]))), CertTemplate(), "a5023000"),
        (CertTemplate(issuer=RDNSequence.of(x509.Name([]))), CertTemplate(), "a3023000"),
        (CertTemplate(validity=OptionalValidity()), CertTemplate(), "a400"),
        (SinglePubInfo(pub_method=1, pub_location=NULL_DN), SinglePubInfo(pub_method=1), "a4023000"),
        (enveloped(OriginatorInfo()), enveloped(None), "a000"),
    ],
)
def test_a_field_that_is_there_and_empty_is_neither_dropped_nor_invented(value: Any, absent: Any, octets: str) -> None:
    with_field, without = encode(value), encode(absent)
    assert with_field.replace(bytes.fromhex(octets), b"", 1)[2:] == without[2:]
    assert decode(type(value), with_field) == value
    assert decode(type(value), without) == absent
    assert value != absent


@pytest.mark.parametrize("kind", ["enveloped_data", "encrypted_value"])
def test_the_private_key_of_a_central_key_generation_keeps_its_alternative(kind: str) -> None:
    key: EncryptedKey = Variant(enveloped(None), "enveloped_data")
    if kind == "encrypted_value":
        key = Variant(decode(EncryptedValue, bytes.fromhex("3003030100")), "encrypted_value")
    pair = CertifiedKeyPair(cert_or_enc_cert=Variant(to_tlv(b"\x30\x00"), "certificate"), private_key=key)
    again = decode(CertifiedKeyPair, encode(pair))
    assert again == pair
    assert again.private_key is not None
    assert again.private_key.tag == kind
    assert again.private_key.value == key.value
    assert again.publication_info is None


def test_an_encrypted_certificate_is_read_when_it_is_asked_for() -> None:
    octets = encode(enveloped(None))
    element = to_tlv(b"\xa0" + octets[1:])
    assert encode(make_element(Variant(enveloped(None), "enveloped_data"), EncryptedKey)) == encode(element)
    pair = CertifiedKeyPair(cert_or_enc_cert=Variant(element, "encrypted_cert"))
    key = read_element(decode(CertifiedKeyPair, encode(pair)).cert_or_enc_cert.value, EncryptedKey)
    assert key.tag == "enveloped_data"
    assert key.value == enveloped(None)
    with pytest.raises(CMPError):
        read_element(to_tlv(Null()), EncryptedKey)


@pytest.mark.parametrize(
    ("number", "octets"),
    [
        (-129, "0202ff7f"),
        (-128, "020180"),
        (-1, "0201ff"),
        (0, "020100"),
        (127, "02017f"),
        (128, "02020080"),
        (-(2**63), "02088000000000000000"),
        (2**63, "0209008000000000000000"),
        (2**160 - 1, "021500" + "ff" * 20),
    ],
)
def test_integers_of_any_size_have_their_shortest_form(number: int, octets: str) -> None:
    assert encode(number) == bytes.fromhex(octets)
    assert decode(int, bytes.fromhex(octets)) == number


@pytest.mark.parametrize(
    ("microsecond", "fraction"), [(0, ""), (500_000, ".5"), (9_000, ".009"), (1, ".000001"), (123_456, ".123456")]
)
def test_fractions_of_seconds_are_kept(microsecond: int, fraction: str) -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, microsecond, tzinfo=datetime.UTC)
    text = f"20260102030405{fraction}Z".encode()
    assert encode(GeneralizedTime(moment)) == bytes((0x18, len(text))) + text
    assert decode(GeneralizedTime, bytes((0x18, len(text))) + text).as_datetime() == moment


@pytest.mark.parametrize(
    "text", ["202601020304Z", "20260102030405", "20260102030405.50Z", "20260102030405+0100", "2026"]
)
def test_a_generalized_time_that_is_not_der_is_refused(text: str) -> None:
    with pytest.raises(CMPError):
        decode(GeneralizedTime, bytes((0x18, len(text))) + text.encode())


def test_the_years_of_utc_time_end_in_2049() -> None:
    assert decode(UTCTime, b"\x17\x0d491231235959Z").as_datetime().year == 2049
    assert decode(UTCTime, b"\x17\x0d500101000000Z").as_datetime().year == 1950


def test_an_absent_prf_is_the_default_and_a_written_one_is_kept() -> None:
    assert PBKDF2Params(salt=Variant(b"salt", "specified"), iteration_count=1).prf is None
    written = bytes.fromhex("3017 040473616c74 020101 300c06082a864886f70d02070500")
    assert encode(decode(PBKDF2Params, written)) == written
    prf = decode(PBKDF2Params, written).prf
    assert prf is not None
    assert prf.algorithm == oids.HMAC_SHA1


def test_pss_for_a_hash_takes_mgf1_with_the_same_hash() -> None:
    params = RSASSAPSSParams.for_hash(oids.SHA256, 32)
    assert params.hash_algorithm == AlgorithmIdentifier(oids.SHA256, Null())
    assert params.mask_gen_algorithm is not None
    assert params.mask_gen_algorithm.algorithm == oids.MGF1
    assert params.mask_gen_algorithm.parse(AlgorithmIdentifier) == params.hash_algorithm
    assert (params.salt_length, params.trailer_field) == (32, 1)
    assert encode(RSASSAPSSParams()) == b"\x30\x00"


def test_a_request_is_proven_over_the_octets_that_came() -> None:
    request = CertRequest(cert_req_id=0, cert_template=CertTemplate(subject=RDNSequence.of(x509.Name([]))))
    message = decode(CertReqMsg, encode(CertReqMsg.build(request)))
    assert encode(message.cert_req) == encode(request)
    assert message.request == request


def test_the_signed_part_of_a_certificate_is_read_once_and_refused_when_asked_for() -> None:
    wire = CertificateWire(
        tbs_certificate=to_tlv(b"\x30\x00"),
        signature_algorithm=ALGORITHM,
        signature_value=decode(BitString, b"\x03\x01\x00"),
    )
    again = decode(CertificateWire, encode(wire))
    assert encode(again.tbs_certificate) == b"\x30\x00"
    with pytest.raises(CMPError, match="TBSCertificate"):
        _ = again.tbs
