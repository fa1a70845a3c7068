from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from cryptography.x509 import NameOID
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.ca.templates import AlternativeNameTemplate, SubjectTemplate
from cmpkit.crypto.names import parse_name
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

hostile = st.text(
    alphabet=st.one_of(st.sampled_from(',=+"\\#;<>/ {}@*.:%\n\0'), st.characters()), min_size=0, max_size=70
)


@given(hostile)
def test_an_identity_never_brings_an_attribute_of_its_own(identity: str) -> None:
    template = SubjectTemplate.parse("CN={identity}+OU=devices, O=Example")
    try:
        name = template.render(identity)
    except CMPError:
        return
    assert [[item.oid for item in rdn] for rdn in name.rdns] == [
        [NameOID.ORGANIZATION_NAME],
        [item.oid for item in template.name.rdns[1]],
    ]
    assert [item.value for item in name.get_attributes_for_oid(NameOID.COMMON_NAME)] == [identity]
    assert [item.value for item in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["Example"]
    assert x509.Name.from_bytes(name.public_bytes()) == name


@pytest.mark.parametrize(
    "identity", ["a,O=Evil", "a+CN=admin", '"a"', "#0403", "=a", "ärger", " a ", "a\\", "{identity}"]
)
def test_special_characters_stay_in_the_value(identity: str) -> None:
    name = SubjectTemplate.parse("CN={identity}").render(identity)
    assert [item.value for item in name] == [identity]


@pytest.mark.parametrize("identity", ["", "a\0b", "a\nb", "x" * 65, "\u202eadmin"])
def test_an_identity_that_cannot_be_shown_or_does_not_fit_is_refused(identity: str) -> None:
    with pytest.raises(CMPError) as caught:
        SubjectTemplate.parse("CN={identity}").render(identity)
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


def test_the_identity_may_be_a_part_of_a_value_and_in_several_places() -> None:
    name = SubjectTemplate.parse("CN=device {identity},OU={identity}0identity0").render("7")
    assert name == parse_name("CN=device 7,OU=70identity0")


def test_the_identity_may_be_a_serial_number_if_it_is_printable() -> None:
    template = SubjectTemplate.parse("serialNumber={identity},O=Example")
    assert template.render("A1-7") == parse_name("serialNumber=A1-7,O=Example")
    with pytest.raises(CMPError, match="PrintableString"):
        template.render("A1_7")


@pytest.mark.parametrize("text", ["", "device", "XY={identity}", "CN="])
def test_a_subject_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SubjectTemplate.parse(text)


def test_the_mistake_in_a_subject_is_shown_as_it_was_written() -> None:
    with pytest.raises(ValueError, match=r"\{identity\}"):
        SubjectTemplate.parse("{identity}")


@pytest.mark.parametrize(
    ("text", "identity", "name"),
    [
        ("dns:{identity}.devices.example", "dev-42", x509.DNSName("dev-42.devices.example")),
        ("dns:*.{identity}.example", "dev-42", x509.DNSName("*.dev-42.example")),
        ("uri:urn:device:{identity}", "a b/c?d", x509.UniformResourceIdentifier("urn:device:a%20b%2Fc%3Fd")),
        ("email:{identity}@example.com", "dev.42", x509.RFC822Name("dev.42@example.com")),
        ("email:{identity}", "dev@example.com", x509.RFC822Name("dev@example.com")),
        ("ip:{identity}", "192.0.2.7", x509.IPAddress(ipaddress.ip_address("192.0.2.7"))),
        ("ip:{identity}", "2001:db8::7", x509.IPAddress(ipaddress.ip_address("2001:db8::7"))),
        ("ip:192.0.2.{identity}", "9", x509.IPAddress(ipaddress.ip_address("192.0.2.9"))),
    ],
)
def test_alternative_names_of_every_kind(text: str, identity: str, name: x509.GeneralName) -> None:
    assert AlternativeNameTemplate.parse(text).render(identity) == name


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("dns:{identity}.example", "*"),
        ("dns:{identity}.example", "a b"),
        ("dns:{identity}.example", "ärger"),
        ("dns:{identity}.example", "-a"),
        ("dns:{identity}.example", "a."),
        ("dns:{identity}.example", "x" * 64),
        ("dns:*.{identity}.example", "*"),
        ("email:{identity}@example.com", "admin@evil.example,"),
        ("email:{identity}@example.com", "a b"),
        ("email:{identity}@example.com", "a@b"),
        ("ip:{identity}", "192.0.2"),
        ("ip:{identity}", "192.0.2.0/24"),
        ("uri:urn:x:{identity}", ""),
    ],
)
def test_an_identity_that_makes_no_such_name_is_refused(text: str, identity: str) -> None:
    with pytest.raises(CMPError) as caught:
        AlternativeNameTemplate.parse(text).render(identity)
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


@given(hostile)
def test_an_identity_never_leaves_the_domain_of_its_template(identity: str) -> None:
    try:
        name = AlternativeNameTemplate.parse("dns:{identity}.devices.example").render(identity)
    except CMPError:
        return
    assert name.value.endswith(".devices.example")
    assert set(name.value) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@given(hostile)
def test_an_identity_never_leaves_its_part_of_a_uri(identity: str) -> None:
    try:
        name = AlternativeNameTemplate.parse("uri:https://example.com/{identity}/x").render(identity)
    except CMPError:
        return
    assert name.value.startswith("https://example.com/")
    assert name.value.count("/") == 4


@pytest.mark.parametrize(
    "text", ["{identity}", "host:a", "dns:", "dns:a b", "ip:300.0.0.1", "email:x", "uri:no-scheme"]
)
def test_a_template_that_can_be_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"begins with none|no identity makes this"):
        AlternativeNameTemplate.parse(text)
