"""The value beside an OID is read as what the RFC says of that OID."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    AttributeTypeAndValue,
    CertId,
    CertReqTemplateContent,
    CertRequest,
    CertTemplate,
    CRLStatus,
    DHBMParameter,
    DistributionPointName,
    EncryptedKey,
    EncryptedValue,
    GeneralizedTime,
    GMACParameters,
    InfoTypeAndValue,
    KemBMParameter,
    KemCiphertextInfo,
    KEMRecipientInfo,
    KMACwithSHAKE128Params,
    KMACwithSHAKE256Params,
    Null,
    OtherRecipientInfo,
    PBMParameter,
    PKIArchiveOptions,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PKIPublicationInfo,
    RSAESOAEPParams,
    RSASSAPSSParams,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    directory_name,
    encode,
    kind_of_value,
    make_element,
    read_value,
    to_tlv,
)
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError

NULL_DN = directory_name(x509.Name([]))
SHA256 = AlgorithmIdentifier(oids.SHA256)
MESSAGE = PKIMessage(PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN), PKIBody(BodyType.PKICONF, Null()))
KEY = decode(SubjectPublicKeyInfo, bytes.fromhex("3008 300306012a 030100"))
TEMPLATE = CertTemplate(version=2)
STATUS = CRLStatus(source=Variant(DistributionPointName(full_name=[NULL_DN]), "dpn"))
ENCRYPTED = Variant(decode(EncryptedValue, bytes.fromhex("3003030100")), "encrypted_value")
PARAMETERS = PBMParameter(salt=b"", owf=SHA256, iteration_count=1, mac=SHA256)
CERT_ID = CertId(issuer=NULL_DN, serial_number=1)
MOMENT = GeneralizedTime(datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))
RECIPIENT = KEMRecipientInfo(
    version=0,
    rid=Variant(b"key", "subject_key_identifier"),
    kem=SHA256,
    kemct=b"ct",
    kdf=SHA256,
    kek_length=32,
    wrap=SHA256,
    encrypted_key=b"k",
)


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (oids.SIGN_KEY_PAIR_TYPES, [SHA256]),
        (oids.ENC_KEY_PAIR_TYPES, [SHA256]),
        (oids.PREFERRED_SYMM_ALG, SHA256),
        (oids.UNSUPPORTED_OIDS, [oids.SHA1]),
        (oids.KEY_PAIR_PARAM_REQ, oids.SHA1),
        (oids.KEY_PAIR_PARAM_REP, SHA256),
        (oids.REV_PASSPHRASE, ENCRYPTED),
        (oids.IMPLICIT_CONFIRM, Null()),
        (oids.CONFIRM_WAIT_TIME, MOMENT),
        (oids.ORIG_PKI_MESSAGE, [MESSAGE]),
        (oids.SUPP_LANG_TAGS, ["de", "en"]),
        (oids.CERT_REQ_TEMPLATE, CertReqTemplateContent(cert_template=TEMPLATE)),
        (oids.CERT_PROFILE, ["a", ""]),
        (oids.CRL_STATUS_LIST, [STATUS]),
        (oids.KEM_CIPHERTEXT_INFO, KemCiphertextInfo(kem=SHA256, ct=b"ct")),
    ],
)
def test_values_of_information_types(oid: x509.ObjectIdentifier, value: Any) -> None:
    kind = kind_of_value(InfoTypeAndValue(oid))
    info = InfoTypeAndValue(oid, make_element(value, kind))
    assert read_value(decode(InfoTypeAndValue, encode(info))) == value


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (oids.REG_TOKEN, "token"),
        (oids.PKI_PUBLICATION_INFO, PKIPublicationInfo(action=0)),
        (oids.PKI_ARCHIVE_OPTIONS, Variant(True, "archive_rem_gen_priv_key")),
        (oids.OLD_CERT_ID, CERT_ID),
        (oids.PROTOCOL_ENCR_KEY, KEY),
        (oids.ALT_CERT_TEMPLATE, AttributeTypeAndValue(type=oids.SHA1, value=to_tlv(Null()))),
        (oids.ALG_ID, SHA256),
        (oids.RSA_KEY_LEN, 4096),
        (oids.UTF8_PAIRS, "a?b%"),
        (oids.REG_INFO_CERT_REQ, CertRequest(cert_req_id=1, cert_template=TEMPLATE)),
    ],
)
def test_values_of_controls_and_registration_information(oid: x509.ObjectIdentifier, value: Any) -> None:
    kind = kind_of_value(AttributeTypeAndValue(type=oid, value=to_tlv(Null())))
    attribute = AttributeTypeAndValue(type=oid, value=make_element(value, kind))
    assert read_value(decode(AttributeTypeAndValue, encode(attribute))) == value


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (oids.PASSWORD_BASED_MAC, PARAMETERS),
        (oids.DH_BASED_MAC, DHBMParameter(owf=SHA256, mac=SHA256)),
        (oids.KEM_BASED_MAC, KemBMParameter(kdf=SHA256, len=32, mac=SHA256)),
        (oids.AES128_GMAC, GMACParameters(nonce=b"nonce", length=16)),
        (oids.KMAC_WITH_SHAKE128, KMACwithSHAKE128Params()),
        (oids.KMAC_WITH_SHAKE256, KMACwithSHAKE256Params(kmac_output_length=256)),
        (oids.RSASSA_PSS, RSASSAPSSParams(salt_length=32)),
        (oids.RSAES_OAEP, RSAESOAEPParams(hash_func=SHA256)),
        (oids.EC_PUBLIC_KEY, oids.SECP256R1),
        (oids.AES256_CBC, b"initialisation v"),
    ],
)
def test_parameters_of_algorithms(oid: x509.ObjectIdentifier, value: Any) -> None:
    algorithm = AlgorithmIdentifier(oid, encode(value))
    assert read_value(decode(AlgorithmIdentifier, encode(algorithm))) == value


def test_a_recipient_with_a_kem_key() -> None:
    assert read_value(OtherRecipientInfo(ori_type=oids.ORI_KEM, ori_value=to_tlv(RECIPIENT))) == RECIPIENT


def test_an_archived_key_is_an_encrypted_key() -> None:
    options = Variant(make_element(ENCRYPTED, EncryptedKey), "encrypted_priv_key")
    assert encode(make_element(options, PKIArchiveOptions)) == bytes.fromhex("a005 3003030100")


def test_the_value_of_an_unknown_oid_stays_an_element() -> None:
    element = to_tlv(Null())
    assert read_value(AlgorithmIdentifier(oids.SHA256, element)) is element
    assert kind_of_value(AlgorithmIdentifier(oids.SHA256, element)) is None
    assert read_value(InfoTypeAndValue(oids.CERT_PROFILE)) is None


@pytest.mark.parametrize("oid", [oids.CERT_PROFILE, oids.CA_CERTS, oids.SIGN_KEY_PAIR_TYPES, oids.UNSUPPORTED_OIDS])
def test_a_list_that_must_not_be_empty_is_refused_empty(oid: x509.ObjectIdentifier) -> None:
    with pytest.raises(CMPError, match="at least one element") as caught:
        read_value(InfoTypeAndValue(oid, b"\x30\x00"))
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
