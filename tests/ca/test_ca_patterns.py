from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit.ca.extensions import read_alternative_names
from cmpkit.ca.patterns import AlternativeNamePattern, SubjectPattern, TextPattern
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import extension

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="*{}"), max_size=12)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("CN=dev-*,O=Example", "CN=dev-42,O=Example", True),
        ("CN=dev-*,O=Example", "CN=DEV-42,O=example", True),
        ("CN=dev-*,O=Example", "CN=dev-,O=Example", True),
        ("CN=dev-*,O=Example", "CN=admin,O=Example", False),
        ("CN=dev-*,O=Example", "CN=dev-42,O=Other", False),
        ("CN=dev-*,O=Example", "CN=dev-42,OU=x,O=Example", False),
        ("CN=dev-*,O=Example", "CN=dev-42", False),
        ("CN=dev-*", "CN=dev-42+O=Example", False),
        ("CN=dev-*+O=*", "O=Example+CN=dev-42", True),
        ("/O=Example/CN=dev-*", "CN=dev-42,O=Example", True),
        ("*,O=Example", "CN=dev-42,OU=x,O=Example", True),
        ("*,O=Example", "O=Example", True),
        ("*,O=Example", "CN=dev-42,O=Other", False),
        ("/O=Example/*", "CN=dev-42,O=Example", True),
        ("*", "CN=anything", True),
        ("*", "", False),
        ("serialNumber=*", "serialNumber=12-34", True),
        ("CN={identity}", "CN=it", True),
        ("CN={identity}", "CN=IT", True),
        ("CN={identity}", "CN=other", False),
        ("CN=*-{identity}-*", "CN=a-it-b", True),
        ("CN=*-{identity}-*", "CN=a-that-b", False),
        # A star that is asked for is not what a star stands for.
        ("CN=*", "CN=*.example", False),
        ("2.5.4.5=*", "serialNumber=1", True),
    ],
)
def test_subject_patterns(pattern: str, name: str, fits: bool) -> None:
    assert SubjectPattern.parse(pattern).fits(parse_name(name), "it") is fits


@pytest.mark.parametrize("pattern", ["", "/", "dev-42", "CN", "C=*", "*,", "nothing=x"])
def test_what_is_no_pattern_of_names_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"empty|not a distinguished name"):
        SubjectPattern.parse(pattern)


def test_a_fault_shows_what_was_written() -> None:
    with pytest.raises(ValueError, match=r"C=\*,CN=\{identity\}"):
        SubjectPattern.parse("C=*,CN={identity}")


def test_an_identity_that_cannot_be_told_from_a_star_fits_nothing() -> None:
    assert not SubjectPattern.parse("CN={identity}").fits(parse_name("CN=anything"), "\ue000")
    assert not SubjectPattern.parse("CN={identity}").fits(parse_name("CN=x"), "")


def test_a_subject_with_control_characters_fits_nothing() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dev-\x00")])
    assert not SubjectPattern.parse("CN=dev-*").fits(name)


def der_of(name: x509.GeneralName) -> bytes:
    (der,) = read_alternative_names([extension(x509.SubjectAlternativeName([name]))]) or ()
    return der


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("dns:*.example", x509.DNSName("a.b.example"), True),
        ("dns:*.example", x509.DNSName("A.EXAMPLE"), True),
        ("dns:*.example", x509.DNSName("*.example"), False),
        ("dns:*.example", x509.DNSName("a.example.org"), False),
        ("dns:{identity}.example", x509.DNSName("dev-42.example"), True),
        ("dns:{identity}.example", x509.DNSName("dev-43.example"), False),
        ("email:*@example", x509.RFC822Name("a@EXAMPLE"), True),
        ("email:a@example", x509.RFC822Name("A@example"), False),
        ("email:*@example", x509.DNSName("a@example"), False),
        ("uri:urn:dev:*", x509.UniformResourceIdentifier("urn:dev:42"), True),
        ("ip:192.0.2.0/24", x509.IPAddress(ipaddress.ip_address("192.0.2.7")), True),
        ("*", x509.DNSName("anything"), True),
    ],
)
def test_alternative_name_patterns(pattern: str, name: x509.GeneralName, fits: bool) -> None:
    assert AlternativeNamePattern.parse(pattern).fits(der_of(name), "Dev-42") is fits


@pytest.mark.parametrize("pattern", ["example", "dns:", "dn:CN=x", "ip:300.0.0.1", "ip:192.0.2.1/24"])
def test_what_is_no_pattern_of_alternative_names_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        AlternativeNamePattern.parse(pattern)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.lists(TEXT, min_size=3, max_size=3))
def test_a_text_made_of_a_pattern_fits_it(pieces: list[str], between: list[str]) -> None:
    text = pieces[0] + "".join(some + piece for some, piece in zip(between, pieces[1:], strict=False))
    assert TextPattern.parse("*".join(pieces)).fits(text)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT)
def test_a_pattern_without_a_star_fits_one_text_only(pattern: str, text: str) -> None:
    assert TextPattern.parse(pattern).fits(text) is (pattern == text)
