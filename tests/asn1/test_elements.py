"""Unread elements: read as any kind, made of any kind, and refused under the name of the ASN.1."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    AsymmetricKeyPackage,
    CertId,
    DistributionPointName,
    EncryptedKey,
    GeneralNames,
    NonEmpty,
    Null,
    OneAsymmetricKey,
    PKIBody,
    PKIHeader,
    PKIMessage,
    POPOPrivKey,
    RecipientInfo,
    SetOf,
    Time,
    Variant,
    decode,
    directory_name,
    encode,
    make_element,
    name_of_kind,
    read_element,
    to_tlv,
)
from cmpkit.enums import BodyType, PKIFailureInfo, SubsequentMessage
from cmpkit.errors import CMPError

NULL_DN = directory_name(x509.Name([]))
MESSAGE = PKIMessage(PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN), PKIBody(BodyType.PKICONF, Null()))
SHA256 = AlgorithmIdentifier(oids.SHA256)
KEY = OneAsymmetricKey(version=1, private_key_algorithm=SHA256, private_key=b"")
CERT_ID = CertId(issuer=NULL_DN, serial_number=1)


@pytest.mark.parametrize(
    ("value", "kind", "octets"),
    [
        (5, int, "020105"),
        (b"x", bytes, "040178"),
        ("x", str, "0c0178"),
        (True, bool, "0101ff"),
        (oids.SHA1, x509.ObjectIdentifier, "06052b0e03021a"),
        (SHA256, AlgorithmIdentifier, encode(SHA256).hex()),
        (MESSAGE, PKIMessage, MESSAGE.raw.hex()),
        ([1, 2], list[int], "3006020101020102"),
        ([], list[int], "3000"),
        ([[1], []], list[list[int]], "300730030201013000"),
        ([1], Annotated[list[int], NonEmpty], "3003020101"),
        ([KEY], AsymmetricKeyPackage, "30" + f"{len(encode(KEY)):02x}" + encode(KEY).hex()),
        ([MESSAGE], list[PKIMessage], "30" + f"{len(MESSAGE.raw):02x}" + MESSAGE.raw.hex()),
        (Variant(SubsequentMessage.CHALLENGE_RESP, "subsequent_message"), POPOPrivKey, "810101"),
        ([NULL_DN], GeneralNames, "3004a4023000"),
    ],
)
def test_a_value_of_any_kind_is_made_an_element_and_read_again(value: Any, kind: Any, octets: str) -> None:
    element = make_element(value, kind)
    assert encode(element).hex() == octets
    assert read_element(element, kind) == value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (5, str),
        (True, int),
        (None, int),
        (b"\x05\x00", Null),
        ([1, "x"], list[int]),
        ([], GeneralNames),
        (Variant(5, "dh_mac"), POPOPrivKey),
        (Variant(5, "no_such"), POPOPrivKey),
        (5, POPOPrivKey),
        (CERT_ID, AlgorithmIdentifier),
    ],
)
def test_a_value_of_another_kind_is_our_failure(value: Any, kind: Any) -> None:
    with pytest.raises(CMPError) as caught:
        make_element(value, kind)
    assert caught.value.fail_info == PKIFailureInfo.SYSTEM_FAILURE


@pytest.mark.parametrize(
    ("octets", "kind", "named"),
    [
        ("0500", int, "int"),
        ("0500", list[int], "Elements"),
        ("30020500", list[int], "int"),
        ("3000", AsymmetricKeyPackage, "SEQUENCE OF OneAsymmetricKey"),
        ("0500", POPOPrivKey, "POPOPrivKey"),
        ("810103", POPOPrivKey, "POPOPrivKey"),
        ("0500", EncryptedKey, "EncryptedKey"),
        ("a500", RecipientInfo, "RecipientInfo"),
        ("0500", Time, "Time"),
    ],
)
def test_an_element_of_another_kind_is_refused_by_its_name(octets: str, kind: Any, named: str) -> None:
    with pytest.raises(CMPError, match=named) as caught:
        read_element(to_tlv(bytes.fromhex(octets)), kind)
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (int, "INTEGER"),
        (CertId, "CertId"),
        (list[CertId], "SEQUENCE OF CertId"),
        (Annotated[list[CertId], NonEmpty], "SEQUENCE OF CertId"),
        (POPOPrivKey, "POPOPrivKey"),
        (int | str, "CHOICE"),
    ],
)
def test_kinds_have_the_names_of_the_asn1(kind: Any, name: str) -> None:
    assert name_of_kind(kind) == name


def test_a_distribution_point_is_one_of_two() -> None:
    names = DistributionPointName(full_name=[NULL_DN])
    relative = DistributionPointName(name_relative_to_crl_issuer=SetOf([]))
    assert encode(names) == bytes.fromhex("3006a004a4023000")
    assert encode(relative) == bytes.fromhex("3002a100")
    for fields in ({}, {"full_name": [NULL_DN], "name_relative_to_crl_issuer": SetOf([])}):
        with pytest.raises(ValueError, match="a fullName or a nameRelativeToCRLIssuer"):
            DistributionPointName(**fields)  # type: ignore[arg-type]
    with pytest.raises(CMPError, match="a fullName or a nameRelativeToCRLIssuer"):
        decode(DistributionPointName, b"\x30\x00")
