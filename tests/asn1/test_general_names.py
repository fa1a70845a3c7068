"""General names: kept as they came, read when asked for."""

from __future__ import annotations

from typing import Any

import base_strategies
import pytest
import strategies
from cryptography import x509
from hypothesis import given

from cmpkit import oids
from cmpkit.asn1 import (
    AnotherName,
    EDIPartyName,
    IA5String,
    Null,
    PKIHeader,
    PrintableString,
    Variant,
    decode,
    decode_general_name,
    directory_name,
    distinguished_name,
    encode,
    encode_general_name,
    read_name,
    to_tlv,
)
from cmpkit.asn1.names import UnreadGeneralName, keep_general_name
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

NAME = x509.Name.from_rfc4514_string("CN=device-42,O=Example")
UNREADABLE = to_tlv(bytes.fromhex("a403300130"))
ODD = to_tlv(bytes.fromhex("a4053003310130"))


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        (
            Variant(AnotherName(type_id=oids.SHA256, value=to_tlv(Null())), "other_name"),
            "a00f 0609608648016503040201 a0020500",
        ),
        (Variant(IA5String("a@b"), "rfc822_name"), "8103614062"),
        (Variant(IA5String("a.b"), "dns_name"), "8203612e62"),
        (directory_name(x509.Name([])), "a4023000"),
        (Variant(EDIPartyName(party_name="x"), "edi_party_name"), "a505a1030c0178"),
        (
            Variant(EDIPartyName(name_assigner=PrintableString("y"), party_name="x"), "edi_party_name"),
            "a50aa003130179a1030c0178",
        ),
        (Variant(IA5String("u:"), "uniform_resource_identifier"), "8602753a"),
        (Variant(b"\x7f\x00\x00\x01", "ip_address"), "87047f000001"),
        (Variant(oids.KP_CMC_CA, "registered_id"), "88082b0601050507031b"),
    ],
)
def test_each_alternative_has_its_tag(name: Any, octets: str) -> None:
    element = encode_general_name(name)
    assert encode(element) == bytes.fromhex(octets)
    assert decode_general_name(element) == name
    assert keep_general_name(element) == name
    assert keep_general_name(element).value == name.value
    assert keep_general_name(name) == name


@given(base_strategies.distinguished_names)
def test_a_name_that_was_read_is_written_as_it_came(name: x509.Name) -> None:
    again = read_name(encode(name))
    assert again == name
    assert encode(again) == encode(name) == encode(x509.Name(again.rdns))


@given(strategies.general_names)
def test_a_name_comes_back_from_its_octets(name: Any) -> None:
    kept = keep_general_name(encode_general_name(name))
    assert kept == name
    assert hash(kept) == hash(keep_general_name(name))
    assert kept.tag == name.tag
    assert encode(encode_general_name(kept)) == encode(encode_general_name(name))


@pytest.mark.parametrize("octets", ["a3023000", "0500", "8900", "a4020500", "880180"])
def test_what_is_no_general_name_is_refused(octets: str) -> None:
    with pytest.raises(CMPError) as caught:
        decode_general_name(to_tlv(bytes.fromhex(octets)))
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize("octets", ["a3023000", "0500", "8900"])
def test_an_element_with_the_tag_of_no_name_is_not_kept(octets: str) -> None:
    with pytest.raises(ValueError, match="no GeneralName has the tag"):
        keep_general_name(to_tlv(bytes.fromhex(octets)))


def test_a_value_that_does_not_fit_its_tag_cannot_be_encoded() -> None:
    with pytest.raises(CMPError) as caught:
        encode_general_name(Variant(NAME, "dns_name"))  # type: ignore[arg-type]
    assert caught.value.fail_info == PKIFailureInfo.SYSTEM_FAILURE


def test_a_directory_name_is_a_distinguished_name() -> None:
    assert distinguished_name(directory_name(NAME)) == NAME
    assert distinguished_name(decode_general_name(encode_general_name(directory_name(NAME)))) == NAME
    assert distinguished_name(Variant(IA5String("a.b"), "dns_name")) is None


def test_a_kept_name_is_read_once_and_keeps_its_octets() -> None:
    element = encode_general_name(directory_name(NAME))
    kept = keep_general_name(element)
    assert kept.value is kept.value
    assert kept.element is element
    assert encode_general_name(kept) is element
    assert keep_general_name(kept) is kept


def test_a_kept_name_cannot_be_changed() -> None:
    kept = keep_general_name(directory_name(NAME))
    with pytest.raises(AttributeError, match="a GeneralName is immutable: cannot set tag"):
        kept.tag = "dns_name"


def test_a_kept_name_shows_its_kind_and_value() -> None:
    assert repr(directory_name(NAME)) == "GeneralName(directory_name:'CN=device-42,O=Example')"
    assert repr(keep_general_name(UNREADABLE)) == "GeneralName(directory_name:<unreadable>)"


def test_a_header_with_an_unreadable_sender_is_read_and_the_sender_is_refused_when_asked_for() -> None:
    header = PKIHeader(pvno=2, sender=keep_general_name(UNREADABLE), recipient=directory_name(NAME))
    again = decode(PKIHeader, encode(header))
    assert again.recipient.value == NAME
    with pytest.raises(CMPError) as caught:
        _ = again.sender.value
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    assert again == header


def test_unreadable_names_are_equal_by_their_octets_only() -> None:
    unreadable = keep_general_name(UNREADABLE)
    assert unreadable == UnreadGeneralName(UNREADABLE, "directory_name")
    assert hash(unreadable) == hash(UnreadGeneralName(UNREADABLE, "directory_name"))
    assert unreadable != keep_general_name(ODD)
    assert unreadable != directory_name(NAME)
    assert unreadable != Variant(IA5String("a.b"), "dns_name")
    assert unreadable != UNREADABLE
