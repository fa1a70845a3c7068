"""Fields have the names of the ASN.1, and a walk through any message sees everything that is in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import specs
import strategies
from cryptography import x509
from hypothesis import given, settings
from pyasn1.type import univ

from cmpkit import asn1, oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    AttributeTypeAndValue,
    CertTemplate,
    Extension,
    Field,
    InfoTypeAndValue,
    Member,
    Null,
    OneAsymmetricKey,
    OpenSequence,
    PKIBody,
    PKIHeader,
    PKIMessage,
    RDNSequence,
    Variant,
    decode,
    decode_message,
    directory_name,
    encode,
    encode_list,
    fields_of,
    members_of,
    to_tlv,
    wire_name,
)
from cmpkit.asn1.names import keep_general_name
from cmpkit.enums import BodyType

MESSAGES = sorted((Path(__file__).parent / "messages").glob("*/*.der"))
NULL_DN = directory_name(x509.Name([]))
HEADER = PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN)
OTHER_NAMES = {
    (asn1.CertificateList, "signature"): "signatureValue",
    (asn1.CertificateWire, "signature"): "signatureValue",
}


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Member]]:
    """Every part of a value with its path."""
    for member in members_of(value):
        yield f"{path}.{member.name}", member
        yield from walk(member.value, f"{path}.{member.name}")


@pytest.mark.parametrize("cls", specs.SPECS, ids=lambda cls: cls.__name__)
def test_fields_are_named_and_ordered_as_in_the_asn1(cls: type[Any]) -> None:
    names = specs.SPECS[cls].componentType
    assert [field.name for field in fields_of(cls)] == [OTHER_NAMES.get((cls, name), name) for name in names]
    optional = [names[name].isOptional or names[name].isDefaulted for name in names]
    assert [field.optional for field in fields_of(cls)] == optional


def test_a_message_has_four_fields() -> None:
    assert [field.name for field in fields_of(PKIMessage)] == ["header", "body", "protection", "extraCerts"]


def test_an_open_sequence_of_a_stranger_has_fields_too() -> None:
    class Control(OpenSequence):
        """Somebody's own."""

        __slots__ = ()

    assert fields_of(Control) == (Field("oid", "oid"), Field("value", "value", optional=True))
    members = members_of(Control(oids.SHA1, 5))
    assert [member.name for member in members] == ["oid", "value"]


def test_alternatives_are_named_as_in_the_asn1() -> None:
    for choice in specs.CHOICES.values():
        names = list(choice.componentType) if isinstance(choice, univ.Choice) else []
        assert {wire_name(tag) for tag in map(tag_of, names)} == set(names)


def tag_of(name: str) -> str:
    """The tag of ours for an alternative of theirs."""
    from witness import attribute_name

    return attribute_name(name)


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_walk_through_a_real_message_finds_no_fault(path: Path) -> None:
    walked = dict(walk(decode_message(path.read_bytes())))
    assert not [at for at, member in walked.items() if member.fault]
    assert ".header.sender.directoryName" in walked
    assert any(at.startswith(".body.") for at in walked)
    assert walked[".header.transactionID"].value


@given(strategies.messages)
@settings(max_examples=30)
def test_any_message_can_be_walked_through(message: PKIMessage) -> None:
    for at, member in walk(message):
        assert at
        assert member.value is not None


def member_at(message: PKIMessage, path: str) -> Member:
    """One part of a message."""
    return next(member for at, member in walk(message) if at == path)


def test_values_beside_an_oid_are_read() -> None:
    infos = [
        InfoTypeAndValue(oids.CERT_PROFILE, encode_list(["a"])),
        InfoTypeAndValue(oids.IMPLICIT_CONFIRM),
        InfoTypeAndValue(oids.SHA1, Null()),
        InfoTypeAndValue(oids.CERT_PROFILE, Null()),
    ]
    message = PKIMessage(HEADER, PKIBody(BodyType.GENM, infos))
    assert member_at(message, ".body.genm.0.infoValue.0").value == "a"
    assert [member.name for member in members_of(infos[1])] == ["infoType"]
    assert member_at(message, ".body.genm.2.infoValue") == Member("infoValue", infos[2].value)
    odd = member_at(message, ".body.genm.3.infoValue")
    assert odd.value is infos[3].value
    assert odd.fault is not None


def test_nested_messages_and_certificates_are_read() -> None:
    inner = PKIMessage(HEADER, PKIBody(BodyType.PKICONF, Null()))
    outer = PKIMessage(HEADER, PKIBody(BodyType.NESTED, [to_tlv(inner.raw), to_tlv(b"\x30\x00")]), None, (b"\x30\x00",))
    assert member_at(outer, ".body.nested.0.header.pvno").value == 2
    assert member_at(outer, ".body.nested").fault is not None
    assert member_at(outer, ".extraCerts").fault is not None
    assert encode(member_at(outer, ".extraCerts.0").value) == b"\x30\x00"


def test_a_name_that_cannot_be_read_stays_an_element() -> None:
    name = keep_general_name(to_tlv(bytes.fromhex("a403300130")))
    (member,) = members_of(name)
    assert member.name == "directoryName"
    assert member.value is name.element
    assert member.fault is not None


def test_a_name_in_a_template_is_read_or_stays_as_it_is() -> None:
    name = x509.Name.from_rfc4514_string("CN=x")
    assert members_of(CertTemplate(subject=RDNSequence.of(name))) == (Member("subject", name),)
    odd = decode(RDNSequence, bytes.fromhex("3005 3003 0201 05"))
    (member,) = members_of(CertTemplate(subject=odd))
    assert member.value is odd
    assert member.fault is not None


def test_secrets_are_marked_and_not_shown() -> None:
    algorithm = AlgorithmIdentifier(oids.EC_PUBLIC_KEY)
    key = OneAsymmetricKey(version=0, private_key_algorithm=algorithm, private_key=b"hidden")
    token = AttributeTypeAndValue(type=oids.REG_TOKEN, value=to_tlv("token"))
    for value, name, octets in ((key, "privateKey", b"hidden"), (token, "value", b"token")):
        assert [member.name for member in members_of(value) if member.secret] == [name]
        assert octets.hex() not in repr(value)
        assert octets.decode() not in repr(value)
        assert "<not shown>" in repr(value)
    other = AttributeTypeAndValue(type=oids.OLD_CERT_ID, value=to_tlv(Null()))
    assert repr(other) == "AttributeTypeAndValue(type=1.3.6.1.5.5.7.5.1.5, value=<0500>)"


@pytest.mark.parametrize("value", [5, "text", b"octets", None, Null(), oids.SHA1, x509.Name([])])
def test_what_has_no_parts_has_no_members(value: Any) -> None:
    assert members_of(value) == ()


def test_lists_and_alternatives_have_members() -> None:
    extension = Extension(extn_id=oids.KEY_USAGE, extn_value=b"")
    assert members_of([extension, extension])[1] == Member("1", extension)
    assert members_of(Variant(5, "subject_key_identifier")) == (Member("subjectKeyIdentifier", 5),)
