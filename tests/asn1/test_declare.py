"""Declared classes behave as values: keyword-only, frozen, equal by class and DER, short to show."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any, Literal

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertId,
    CertTemplate,
    Default,
    Explicit,
    Extension,
    FrozenList,
    GeneralName,
    InfoTypeAndValue,
    NonEmpty,
    Null,
    PKIHeader,
    RDNSequence,
    Variant,
    decode,
    directory_name,
    encode,
    sequence,
)
from cmpkit.asn1.primitives import TLV, Unread
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

NULL_DN = directory_name(x509.Name([]))


@sequence
class Inner:
    """A class of a test."""

    number: int
    flag: Annotated[bool, Default(False)] = False


@sequence
class Outer:
    """One field of each sort."""

    inner: Inner
    algorithm: AlgorithmIdentifier
    numbers: list[int]
    infos: Annotated[list[InfoTypeAndValue] | None, Explicit(0), NonEmpty] = None
    algorithms: Annotated[list[AlgorithmIdentifier] | None, Explicit(1)] = None
    prf: Annotated[AlgorithmIdentifier | None, Explicit(2)] = None
    choice: Variant[int, Literal["number"]] | Variant[str, Literal["text"]] | None = None


SHA256 = AlgorithmIdentifier(oids.SHA256)
OUTER = Outer(inner=Inner(number=1), algorithm=SHA256, numbers=[1, 2])


class Kept:
    """An element that nobody has read."""

    def __init__(self, element: TLV) -> None:
        self.element = element


@sequence
class Holder:
    """A class whose name is not read."""

    name: Annotated[GeneralName, Unread(Kept)]
    number: int


@sequence
class Twin:
    """The same fields as Inner."""

    number: int
    flag: Annotated[bool, Default(False)] = False


def outer(**changes: Any) -> Outer:
    """OUTER with other fields."""
    return dataclasses.replace(OUTER, **changes)


def test_fields_keep_their_order_tags_and_defaults() -> None:
    assert encode(Inner(number=1)) == bytes.fromhex("3003020101")
    assert encode(Inner(number=1, flag=True)) == bytes.fromhex("30060201010101ff")
    whole = outer(
        infos=[InfoTypeAndValue(oids.CERT_PROFILE)], algorithms=[SHA256], prf=SHA256, choice=Variant(1, "number")
    )
    assert encode(whole) == bytes.fromhex(
        "304d 3003020101 300b0609608648016503040201 3006020101020102"
        "a00e300c300a06082b06010505070415 a10f300d300b0609608648016503040201 a20d300b0609608648016503040201 020101"
    )
    assert decode(Outer, encode(whole)) == whole


def test_fields_are_given_by_name_only() -> None:
    with pytest.raises(TypeError):
        Inner(1)  # type: ignore[misc]
    assert [parameter.kind for parameter in inspect.signature(Inner).parameters.values()] == [
        inspect.Parameter.KEYWORD_ONLY
    ] * 2


@pytest.mark.parametrize("fields", [{}, {"flag": True}, {"number": 1, "numbr": 2}])
def test_missing_and_unknown_fields_are_named(fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Inner\.__init__\(\).*numbe?r"):
        Inner(**fields)


@pytest.mark.parametrize("value", [Inner(number=1), OUTER, PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN)])
def test_a_value_cannot_be_changed(value: Any) -> None:
    name = dataclasses.fields(value)[0].name
    before = encode(value)
    with pytest.raises(AttributeError, match=f"{type(value).__name__} is immutable: cannot set {name}"):
        setattr(value, name, 5)
    with pytest.raises(AttributeError, match="is immutable: cannot set something_new"):
        value.something_new = 5
    with pytest.raises(AttributeError, match=f"is immutable: cannot delete {name}"):
        delattr(value, name)
    assert encode(value) == before


def test_lists_are_copied_and_cannot_be_changed() -> None:
    numbers = [1, 2]
    value = outer(numbers=numbers)
    numbers.append(3)
    assert value.numbers == [1, 2]
    with pytest.raises(TypeError, match="a FrozenList is immutable"):
        value.numbers.append(3)
    decoded = decode(Outer, encode(value))
    with pytest.raises(TypeError, match="a FrozenList is immutable"):
        decoded.numbers.sort()
    assert isinstance(decoded.numbers, FrozenList)


def test_values_are_equal_if_class_and_octets_are() -> None:
    assert Inner(number=1) == Inner(number=1, flag=False)
    assert Inner(number=1) != Inner(number=2)
    assert Inner(number=1) != Twin(number=1)
    assert Inner(number=1) != encode(Inner(number=1))
    assert len({Inner(number=1), Inner(number=1), Inner(number=1, flag=True)}) == 2


def test_a_replaced_field_makes_a_new_value() -> None:
    assert dataclasses.replace(Inner(number=1), number=2) == Inner(number=2)
    header = PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN)
    assert dataclasses.replace(header, pvno=3).pvno == 3


def test_absent_fields_are_not_shown() -> None:
    assert repr(Inner(number=1)) == "Inner(number=1, flag=False)"
    assert repr(OUTER) == (
        "Outer(inner=Inner(number=1, flag=False), algorithm=AlgorithmIdentifier(2.16.840.1.101.3.4.2.1), "
        "numbers=[1, 2])"
    )


def test_elements_of_open_lists_get_their_class_back() -> None:
    value = outer(infos=[InfoTypeAndValue(oids.CERT_PROFILE, Null())], algorithms=[SHA256], prf=SHA256)
    again = decode(Outer, encode(value))
    assert type(again.algorithm) is type(again.prf) is AlgorithmIdentifier
    assert again.infos is not None
    assert again.infos[0].info_type == oids.CERT_PROFILE
    assert again.algorithms == [SHA256]


@pytest.mark.rule("R-005")
def test_a_list_that_must_not_be_empty_is_refused_empty() -> None:
    with pytest.raises(ValueError, match="an empty list where at least one element is needed"):
        outer(infos=[])
    octets = encode(outer(infos=[InfoTypeAndValue(oids.CERT_PROFILE)]))
    empty = octets.replace(bytes.fromhex("a00e300c300a06082b06010505070415"), bytes.fromhex("a0023000"))
    with pytest.raises(CMPError, match="empty list") as caught:
        decode(Outer, empty[:1] + bytes([len(empty) - 2]) + empty[2:])
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    assert outer(algorithms=[]).algorithms == []


def test_an_element_that_is_no_oid_with_a_value_is_refused_inside_a_list() -> None:
    octets = encode(outer(algorithms=[SHA256]))
    damaged = octets.replace(bytes.fromhex("a10f300d300b0609"), bytes.fromhex("a10f300d300b0409"))
    with pytest.raises(CMPError, match="not a DER encoded Outer"):
        decode(Outer, damaged)


def test_the_alternative_of_a_choice_is_named() -> None:
    for choice in (Variant(5, "number"), Variant("five", "text")):
        again = decode(Outer, encode(outer(choice=choice))).choice
        assert again == choice
    with pytest.raises(CMPError):
        encode(outer(choice=Variant(5, "text")))


def test_a_name_that_keeps_its_octets_fits_where_a_general_name_does() -> None:
    assert encode(CertId(issuer=NULL_DN, serial_number=1)) == bytes.fromhex("3007a4023000020101")
    assert type(CertId(issuer=NULL_DN, serial_number=1).issuer) is Variant


def test_annotations_are_those_that_were_written() -> None:
    assert Outer.__annotations__["algorithm"] is AlgorithmIdentifier
    assert inspect.signature(Outer).parameters["choice"].default is None


def test_present_and_empty_is_not_absent() -> None:
    empty = CertTemplate(subject=RDNSequence.of(x509.Name([])))
    assert encode(empty) == bytes.fromhex("3004a5023000")
    assert decode(CertTemplate, encode(empty)).subject == RDNSequence.of(x509.Name([]))
    assert decode(CertTemplate, b"\x30\x00").subject is None
    assert empty != CertTemplate()


def test_an_unread_field_is_kept_as_its_own_rule_has_it() -> None:
    octets = bytes.fromhex("3007a4023000020107")
    holder = decode(Holder, octets)
    assert isinstance(holder.name, Kept)
    assert encode(holder) == octets
    assert holder == decode(Holder, octets)
    assert holder.number == 7


def test_extensions_and_bit_strings_are_equal_by_octets() -> None:
    one = Extension(extn_id=oids.KEY_USAGE, extn_value=b"\x03\x02\x05\xa0")
    assert one == decode(Extension, encode(one))
    assert one != Extension(extn_id=oids.KEY_USAGE, critical=True, extn_value=b"\x03\x02\x05\xa0")
    assert BitString(b"\xa0", 5) == BitString(b"\xa0", 5)
