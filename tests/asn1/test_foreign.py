"""Types that a researcher declares with pyasn1, and our own types as specs for it."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.x509 import ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.type import char, namedtype, univ
from test_witness import CHOICES, CLASSES, STRATEGIES

from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    AttributeTypeAndValue,
    InfoTypeAndValue,
    decode,
    encode,
    make_element,
    to_tlv,
)
from cmpkit.asn1.foreign import make_pyasn1, pyasn1_spec, read_pyasn1, rewrite_ber
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

COLOUR = ObjectIdentifier("1.3.6.1.4.1.32473.1")


class Colour(univ.Sequence):
    """Of a researcher."""

    componentType = namedtype.NamedTypes(
        namedtype.NamedType("name", char.UTF8String()), namedtype.OptionalNamedType("depth", univ.Integer())
    )


def colour(**fields: Any) -> Colour:
    """A value of it."""
    value = Colour()
    for name, field in fields.items():
        value[name] = field
    return value


@pytest.mark.parametrize("fields", [{"name": "red"}, {"name": "red", "depth": 24}])
def test_a_type_of_pyasn1_is_carried_wherever_an_oid_says_what_a_value_is(fields: dict[str, Any]) -> None:
    element = make_pyasn1(colour(**fields))
    info = decode(InfoTypeAndValue, encode(InfoTypeAndValue(COLOUR, element)))
    control = decode(AttributeTypeAndValue, encode(AttributeTypeAndValue(type=COLOUR, value=element)))
    algorithm = decode(AlgorithmIdentifier, encode(AlgorithmIdentifier(COLOUR, element)))
    assert info.info_value is not None
    assert algorithm.parameters is not None
    for carried in (info.info_value, control.value, algorithm.parameters):
        again = read_pyasn1(carried, Colour())
        assert str(again["name"]) == "red"
        assert again["depth"].isValue == ("depth" in fields)


@pytest.mark.parametrize("octets", ["0500", "3000", "3003020101", "30050c00020201", "30060c0001010000"])
def test_what_the_spec_does_not_say_is_refused(octets: str) -> None:
    element = decode(TLV, bytes.fromhex(octets))
    with pytest.raises(CMPError, match="pyasn1 reads no Colour") as caught:
        read_pyasn1(element, Colour())
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


@given(st.binary(max_size=30))
def test_any_element_is_read_or_refused(content: bytes) -> None:
    element = to_tlv(b"\x30" + bytes((len(content),)) + content)
    try:
        value = read_pyasn1(element, Colour())
    except CMPError:
        return
    assert isinstance(value, Colour)


def test_a_value_with_something_missing_is_our_failure() -> None:
    for value in (Colour(), object()):
        with pytest.raises(CMPError, match="pyasn1 cannot encode") as caught:
            make_pyasn1(value)
        assert caught.value.fail_info == PKIFailureInfo.SYSTEM_FAILURE


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_every_class_of_ours_is_a_spec_for_pyasn1(cls: type[Any], data: st.DataObject) -> None:
    der = encode(data.draw(STRATEGIES[cls]))
    assert rewrite_ber(der, cls) == der


@pytest.mark.parametrize("name", CHOICES)
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_every_choice_of_ours_is_a_spec_for_pyasn1(name: str, data: st.DataObject) -> None:
    kind, values = CHOICES[name]
    element = make_element(data.draw(values), kind)
    assert read_pyasn1(element, pyasn1_spec(kind)).isValue
    assert rewrite_ber(encode(element), kind) == encode(element)


def test_octets_after_an_element_are_refused() -> None:
    with pytest.raises(CMPError, match="1 octets follow"):
        rewrite_ber(b"\x02\x01\x05\x00", int)
