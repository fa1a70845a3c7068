"""Distinguished names from text, to text, and compared."""

from __future__ import annotations

import contextlib

import pytest
from cryptography import x509
from cryptography.x509 import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.crypto.names import common_name, format_name, names_match, parse_name
from cmpkit.errors import ConfigurationError

TYPES = (
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.LOCALITY_NAME,
    NameOID.USER_ID,
    ObjectIdentifier("1.2.3.4"),
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ATTRIBUTES = st.builds(x509.NameAttribute, st.sampled_from(TYPES), VALUES)
RDNS = st.lists(ATTRIBUTES, min_size=1, max_size=3, unique=True).map(x509.RelativeDistinguishedName)
NAMES = st.lists(RDNS, max_size=4).map(x509.Name)


def pairs(name: x509.Name) -> list[tuple[str, str]]:
    return [(item.rfc4514_attribute_name, str(item.value)) for item in name]


@given(NAMES)
def test_formatted_name_parses_to_the_same_name(name: x509.Name) -> None:
    assert parse_name(format_name(name)) == name


@given(NAMES)
def test_openssl_form_with_every_character_escaped_parses_to_the_same_name(name: x509.Name) -> None:
    def attribute(item: x509.NameAttribute[str | bytes]) -> str:
        return f"{item.rfc4514_attribute_name}=" + "".join(f"\\{character}" for character in str(item.value))

    text = "".join("/" + "+".join(map(attribute, rdn)) for rdn in name.rdns)
    assert parse_name(text) == name


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        name = parse_name(text)
        assert x509.Name.from_bytes(name.public_bytes()) == name


@pytest.mark.parametrize("text", ["/O=Example/CN=device", "CN=device,O=Example", " cn = device , o = Example "])
def test_both_forms_give_the_order_of_the_encoding(text: str) -> None:
    assert pairs(parse_name(text)) == [("O", "Example"), ("CN", "device")]


@pytest.mark.parametrize("text", ["", "/"])
def test_the_empty_name_can_be_written(text: str) -> None:
    assert parse_name(text) == x509.Name([])
    assert format_name(parse_name(text)) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"/CN=a\/b", "a/b"),
        (r"/CN=a\+b", "a+b"),
        (r"/CN=a\\b", "a\\b"),
        (r"/CN=a\C3", "aC3"),
        (r"CN=a\,b", "a,b"),
        (r"CN=\C3\A4", "ä"),
        (r"CN=\ a\ ", " a "),
        (r"CN=\#a", "#a"),
        ("CN=#0c0161", "a"),
        ("CN=#130162", "b"),
        ("CN=#160163", "c"),
        ("/CN=a=b", "a=b"),
        ("/CN=a,b", "a,b"),
    ],
)
def test_escapes_are_undone(text: str, value: str) -> None:
    assert pairs(parse_name(text)) == [("CN", value)]


def test_a_plus_joins_attributes_of_one_rdn() -> None:
    assert [len(rdn) for rdn in parse_name("/O=x/CN=a+UID=b").rdns] == [1, 2]
    assert [len(rdn) for rdn in parse_name("CN=a+UID=b,O=x").rdns] == [1, 2]


@pytest.mark.parametrize("text", ["OID.1.2.3.4=x", "1.2.3.4=x", "/1.2.3.4=x"])
def test_attribute_types_may_be_oids(text: str) -> None:
    assert pairs(parse_name(text)) == [("1.2.3.4", "x")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("/CN=a/b", "'b' has no '='"),
        ("device", "'device' has no '='"),
        ("CN=a,,O=b", "'' has no '='"),
        ("foo=1", "'foo' is not a known attribute type"),
        ("CN=", "CN has no value"),
        ("/CN=/O=x", "CN has no value"),
        ("C=DEU", "C cannot have that value: Attribute's length must be >= 2"),
        ("C=d_", "C may only have the characters of PrintableString"),
        ("emailAddress=ä@example.com", "emailAddress may only have ASCII"),
        ("CN=" + "x" * 65, "CN cannot have that value: Attribute's length"),
        ("CN=#0101ff", "the value of CN is not the DER of a character string"),
        ("CN=#zz", "the value of CN is not the DER of a character string"),
        (r"CN=\ff", "the escaped octets ff are not UTF-8"),
        ("CN=a\\", "it ends in a backslash"),
        ("CN=a+CN=a", "duplicate attributes"),
        ("CN=\ud800", "UTF-8 cannot hold"),
    ],
)
def test_a_fault_is_named(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_name(text)
    assert fault in caught.value.detail
    assert "CN=device" in caught.value.hint


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("CN=Device 42,O=Example", "cn=device 42,o=EXAMPLE"),
        (r"CN=\ device   42", "CN=device 42"),
        ("CN=a+O=b", "O=b+CN=a"),
        ("CN=STRASSE", "CN=straße"),
        ("CN=\u00e9", "CN=e\u0301"),
    ],
)
def test_names_match_without_regard_to_case_and_spaces(a: str, b: str) -> None:
    assert names_match(parse_name(a), parse_name(b))


def test_names_match_across_string_types() -> None:
    printable = x509.Name.from_bytes(bytes.fromhex("300c310a300806035504031301 61".replace(" ", "")))
    assert names_match(printable, parse_name("CN=A"))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("CN=a", "CN=b"),
        ("CN=a", "O=a"),
        ("CN=a,O=b", "O=b,CN=a"),
        ("CN=a+O=b", "CN=a,O=b"),
        ("CN=a+O=b", "CN=a"),
        ("CN=device42", "CN=device 42"),
        ("CN=a", ""),
    ],
)
def test_different_names_do_not_match(a: str, b: str) -> None:
    assert not names_match(parse_name(a), parse_name(b))


def test_bit_strings_in_names_are_compared_by_octets() -> None:
    def named(value: str) -> x509.Name:
        return x509.Name.from_bytes(bytes.fromhex(f"300d310b3009060355042d030200{value}"))

    assert names_match(named("41"), named("41"))
    assert not names_match(named("41"), named("61"))


@given(NAMES)
def test_a_name_matches_itself_in_another_case(name: x509.Name) -> None:
    assert names_match(name, name)
    assert names_match(name, x509.Name.from_bytes(name.public_bytes()))


def test_common_name_is_the_most_specific_one() -> None:
    assert common_name(parse_name("/CN=a/O=x/CN=b")) == "b"
    assert common_name(parse_name("/O=x")) is None
