from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import DNSName, NameOID
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc5280

from cmpkit import oids
from cmpkit.asn1 import Extension
from cmpkit.ca.extensions import read_alternative_names, read_extensions
from cmpkit.ca.profiles import ConfiguredProfile
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateRequest, PrivateKey
from cmpkit.plugins import Plugins

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string
SERVER = ExtendedKeyUsageOID.SERVER_AUTH.dotted_string
MakeProfile = Callable[..., ConfiguredProfile]


class Given:
    """What a profile gives, read by others than those who wrote it."""

    def __init__(self, profile: ConfiguredProfile, request: CertificateRequest, auth: Authenticated, now: Any) -> None:
        self.subject, self.extensions, self.not_before, self.not_after, self.modified = profile.content(
            request, auth, now=now
        )

    def find(self, oid: x509.ObjectIdentifier) -> Extension | None:
        found = [item for item in self.extensions if item.extn_id == oid]
        assert len(found) <= 1
        return found[0] if found else None

    @property
    def usages(self) -> set[str]:
        found = self.find(oids.KEY_USAGE)
        if found is None:
            return set()
        assert found.critical
        bits, rest = decoder.decode(found.extn_value, asn1Spec=rfc5280.KeyUsage())
        assert not rest
        return {name for name, bit in rfc5280.KeyUsage.namedValues.items() if bit < len(bits) and bits[bit]}

    @property
    def purposes(self) -> list[str]:
        found = self.find(oids.EXTENDED_KEY_USAGE)
        if found is None:
            return []
        read, rest = decoder.decode(found.extn_value, asn1Spec=rfc5280.ExtKeyUsageSyntax())
        assert not rest
        return [str(oid) for oid in read]

    @property
    def names(self) -> list[tuple[str, str]]:
        found = self.find(oids.SUBJECT_ALTERNATIVE_NAME)
        if found is None:
            return []
        read, rest = decoder.decode(found.extn_value, asn1Spec=rfc5280.SubjectAltName())
        assert not rest
        return [(name.getName(), str(name.getComponent())) for name in read]


@pytest.fixture
def give(ask: Any) -> Callable[..., Given]:
    def content(profile: ConfiguredProfile, request: CertificateRequest | None = None, auth: Any = None) -> Given:
        return Given(profile, request or ask.request(), auth or ask.by_secret(), ask.now)

    return content


def refused(profile: ConfiguredProfile, request: CertificateRequest, ask: Any, fail_info: PKIFailureInfo) -> CMPError:
    with pytest.raises(CMPError) as caught:
        profile.content(request, ask.by_secret(), now=ask.now)
    assert caught.value.fail_info is fail_info
    return caught.value


def test_a_profile_without_keys_gives_a_signing_certificate_for_a_year(
    profile: MakeProfile, give: Any, ask: Any
) -> None:
    given = give(profile())
    assert given.subject == parse_name("CN=dev-42")
    assert given.usages == {"digitalSignature"}
    assert given.purposes == []
    assert given.names == []
    assert (given.not_before, given.not_after) == (ask.second, ask.second + timedelta(days=365))
    assert not given.modified


def test_every_certificate_says_that_it_is_no_ca(profile: MakeProfile, give: Any) -> None:
    found = give(profile()).find(oids.BASIC_CONSTRAINTS)
    assert found.critical
    read, _ = decoder.decode(found.extn_value, asn1Spec=rfc5280.BasicConstraints())
    assert not read["cA"]


# keys


@pytest.mark.rule("R-064")
def test_r_064_a_key_of_another_type_than_the_profile_has_is_refused(
    profile: MakeProfile, ask: Any, other_key: PrivateKey
) -> None:
    request = ask.request(public_key_info=other_key.public_key_info)
    error = refused(profile(key_types=["p256", "rsa2048"]), request, ask, PKIFailureInfo.BAD_ALG)
    assert "p384" in error.detail
    assert "key_types" in error.hint


@pytest.mark.rule("R-064")
def test_r_064_a_key_of_a_type_that_the_profile_has_is_certified(profile: MakeProfile, give: Any) -> None:
    assert not give(profile(key_types=["p256"])).modified


@pytest.mark.rule("R-064")
def test_r_064_any_key_that_its_algorithm_accepts_is_certified_without_key_types(
    profile: MakeProfile, give: Any, ask: Any, other_key: PrivateKey
) -> None:
    assert not give(profile(), ask.request(public_key_info=other_key.public_key_info)).modified


@pytest.mark.rule("R-064")
def test_r_064_a_key_that_is_none_is_refused(profile: MakeProfile, ask: Any) -> None:
    refused(profile(), ask.request(public_key_info=b"\x30\x00"), ask, PKIFailureInfo.BAD_DATA_FORMAT)


# subjects


@pytest.mark.parametrize("subject", [None, ""])
@pytest.mark.rule("R-062")
def test_r_062_no_subject_is_refused_if_the_profile_has_none(
    profile: MakeProfile, ask: Any, subject: str | None
) -> None:
    refused(profile(), ask.request(subject), ask, PKIFailureInfo.BAD_CERT_TEMPLATE)


@pytest.mark.parametrize("subject", [None, ""])
def test_no_subject_gets_that_of_the_profile_unmodified(
    profile: MakeProfile, give: Any, ask: Any, subject: str | None
) -> None:
    given = give(profile(subject="CN={identity}, O=Example"), ask.request(subject))
    assert given.subject == parse_name("CN=dev-42,O=Example")
    assert not given.modified


def test_the_subject_of_the_profile_may_be_asked_for_in_another_case(profile: MakeProfile, give: Any, ask: Any) -> None:
    given = give(profile(subject="CN={identity}, O=Example"), ask.request("CN=DEV-42,O=example"))
    assert given.subject == parse_name("CN=DEV-42,O=example")
    assert not given.modified


@pytest.mark.rule("R-071")
def test_r_071_a_subject_that_the_profile_completes_is_a_modification(profile: MakeProfile, give: Any) -> None:
    given = give(profile(subject="CN={identity}, O=Example"))
    assert given.subject == parse_name("CN=dev-42,O=Example")
    assert given.modified


@pytest.mark.parametrize("subject", ["CN=admin", "CN=dev-42,O=Evil", "CN=dev-42,O=Example,C=DE", "O=dev-42"])
@pytest.mark.rule("R-063")
def test_r_063_a_subject_that_the_profile_does_not_allow_is_refused(
    profile: MakeProfile, ask: Any, subject: str
) -> None:
    refused(profile(subject="CN={identity}, O=Example"), ask.request(subject), ask, PKIFailureInfo.BAD_CERT_TEMPLATE)


async def test_a_sender_with_a_certificate_of_ours_keeps_its_names(
    profile: MakeProfile, give: Any, ask: Any, ca: Any
) -> None:
    request = ask.request("CN=old name", ask.names(DNSName("old.example")))
    made = profile(subject="CN={identity}, O=Example", subject_alt_names=["dns:{identity}.new.example"])
    given = give(made, request, ask.by_certificate(await ca.issue()))
    assert given.subject == parse_name("CN=old name")
    assert given.names == [("dNSName", "old.example")]
    assert not given.modified
    assert give(made, ask.request(), ask.by_certificate(await ca.issue())).names == []


# subjectAltName


def test_the_alternative_names_of_the_profile_are_given_unasked(profile: MakeProfile, give: Any) -> None:
    names = ["dns:{identity}.example", "uri:urn:d:{identity}", "email:{identity}@example.com", "ip:192.0.2.1"]
    given = give(profile(subject_alt_names=names))
    assert given.names[:3] == [
        ("dNSName", "dev-42.example"),
        ("uniformResourceIdentifier", "urn:d:dev-42"),
        ("rfc822Name", "dev-42@example.com"),
    ]
    assert len(given.names) == 4
    assert not given.modified


def test_alternative_names_that_are_those_of_the_profile_are_no_modification(
    profile: MakeProfile, give: Any, ask: Any
) -> None:
    made = profile(subject_alt_names=["dns:{identity}.a", "dns:{identity}.b"])
    given = give(made, ask.request("CN=dev-42", ask.names(DNSName("DEV-42.b"), DNSName("dev-42.a"))))
    assert given.names == [("dNSName", "DEV-42.b"), ("dNSName", "dev-42.a")]
    assert not given.modified


@pytest.mark.rule("R-071")
def test_r_071_more_alternative_names_than_asked_for_are_a_modification(
    profile: MakeProfile, give: Any, ask: Any
) -> None:
    made = profile(subject_alt_names=["dns:{identity}.a", "dns:{identity}.b"])
    given = give(made, ask.request("CN=dev-42", ask.names(DNSName("dev-42.b"))))
    assert given.names == [("dNSName", "dev-42.b"), ("dNSName", "dev-42.a")]
    assert given.modified


@pytest.mark.rule("R-063")
def test_r_063_other_alternative_names_are_refused(profile: MakeProfile, ask: Any) -> None:
    request = ask.request("CN=dev-42", ask.names(DNSName("dev-42.a"), DNSName("admin.a")))
    made = profile(subject_alt_names=["dns:{identity}.a"])
    assert "1 subjectAltNames" in refused(made, request, ask, PKIFailureInfo.BAD_CERT_TEMPLATE).detail
    refused(profile(), request, ask, PKIFailureInfo.BAD_CERT_TEMPLATE)


@pytest.mark.rule("R-063")
def test_r_063_the_same_text_of_another_kind_is_another_name(profile: MakeProfile, ask: Any) -> None:
    request = ask.request("CN=dev-42", ask.names(x509.UniformResourceIdentifier("dev-42.a")))
    refused(profile(subject_alt_names=["dns:{identity}.a"]), request, ask, PKIFailureInfo.BAD_CERT_TEMPLATE)


def test_requested_names_are_given_where_the_profile_allows_them(profile: MakeProfile, give: Any, ask: Any) -> None:
    made = profile(subject_alt_names=["dns:{identity}.a"], allow_requested_names=True)
    given = give(made, ask.request("CN=dev-42", ask.names(DNSName("other.example"), DNSName("dev-42.a"))))
    assert given.names == [("dNSName", "other.example"), ("dNSName", "dev-42.a")]
    assert not given.modified


def test_alternative_names_that_cannot_be_read_are_refused(profile: MakeProfile, ask: Any) -> None:
    made = profile(allow_requested_names=True)
    for wanted in (ask.raw_names(), ask.raw_names(b"\x82\x01\xff"), ask.malformed(oids.SUBJECT_ALTERNATIVE_NAME)):
        refused(made, ask.request("CN=dev-42", wanted), ask, PKIFailureInfo.BAD_CERT_TEMPLATE)


# keyUsage and extKeyUsage


def test_the_key_usages_of_the_profile_are_given(profile: MakeProfile, give: Any) -> None:
    made = profile(key_usage=["digitalSignature", "keyAgreement", "decipherOnly"])
    assert give(made).usages == {"digitalSignature", "keyAgreement", "decipherOnly"}
    assert give(profile(key_usage=[])).find(oids.KEY_USAGE) is None


@pytest.mark.parametrize(
    ("key_type", "usages"),
    [
        ("rsa2048", {"digitalSignature", "keyEncipherment"}),
        ("p256", {"digitalSignature", "keyAgreement", "decipherOnly"}),
        ("brainpoolp256r1", {"digitalSignature", "keyAgreement", "decipherOnly"}),
        ("ed25519", {"digitalSignature"}),
    ],
)
def test_key_usages_that_the_key_is_not_good_for_are_left_out(
    profile: MakeProfile, give: Any, ask: Any, plugins: Plugins, *, key_type: str, usages: set[str]
) -> None:
    """RFC 8813 section 3, RFC 9295 section 3."""
    made = profile(key_usage=["digitalSignature", "keyEncipherment", "keyAgreement", "decipherOnly"])
    key = {"public_key_info": generate_key(key_type, plugins).public_key_info}
    assert give(made, ask.request("CN=dev-42", **key)).usages == usages
    asked = give(made, ask.request("CN=dev-42", ask.usage("digitalSignature", "keyEncipherment"), **key))
    assert asked.usages == {"digitalSignature"} | (usages & {"keyEncipherment"})
    assert asked.modified is ("keyEncipherment" not in usages)


def test_a_key_that_is_good_for_no_key_usage_of_the_profile_is_bad_alg(
    profile: MakeProfile, ask: Any, plugins: Plugins
) -> None:
    key = generate_key("ed25519", plugins)
    request = ask.request("CN=dev-42", public_key_info=key.public_key_info)
    error = refused(profile(key_usage=["keyEncipherment", "keyAgreement"]), request, ask, PKIFailureInfo.BAD_ALG)
    assert "a ed25519 key cannot be used for keyEncipherment, keyAgreement" in error.detail


def test_some_of_the_key_usages_may_be_asked_for(profile: MakeProfile, give: Any, ask: Any) -> None:
    made = profile(key_usage=["digitalSignature", "keyAgreement", "encipherOnly"])
    given = give(made, ask.request("CN=dev-42", ask.usage("digitalSignature")))
    assert given.usages == {"digitalSignature"}
    assert not given.modified


@pytest.mark.rule("R-071")
def test_r_071_key_usages_that_the_profile_lacks_are_left_out_as_a_modification(
    profile: MakeProfile, give: Any, ask: Any
) -> None:
    given = give(profile(), ask.request("CN=dev-42", ask.usage("digitalSignature", "keyEncipherment")))
    assert given.usages == {"digitalSignature"}
    assert given.modified
    given = give(profile(), ask.request("CN=dev-42", ask.usage("keyEncipherment")))
    assert given.usages == {"digitalSignature"}
    assert given.modified


def test_encipher_only_may_be_asked_for_with_key_agreement(profile: MakeProfile, give: Any, ask: Any) -> None:
    made = profile(key_usage=["digitalSignature", "keyAgreement", "encipherOnly"])
    given = give(made, ask.request("CN=dev-42", ask.usage("keyAgreement", "encipherOnly")))
    assert given.usages == {"keyAgreement", "encipherOnly"}
    assert not given.modified


def test_encipher_only_is_not_left_without_key_agreement(profile: MakeProfile, give: Any, ask: Any) -> None:
    made = profile(key_usage=["digitalSignature", "keyAgreement", "encipherOnly"])
    # digitalSignature and encipherOnly: nonsense that only a request written by hand has.
    wanted = Extension(extn_id=oids.KEY_USAGE, critical=True, extn_value=b"\x03\x02\x00\x81")
    given = give(made, ask.request("CN=dev-42", wanted))
    assert given.usages == {"digitalSignature"}
    assert given.modified


def test_the_purposes_of_the_profile_are_given_by_name_or_oid(profile: MakeProfile, give: Any) -> None:
    assert give(profile(extended_key_usage=["clientAuth", "1.3.6.1.5.5.7.3.17"])).purposes == [
        CLIENT,
        "1.3.6.1.5.5.7.3.17",
    ]


def test_some_of_the_purposes_may_be_asked_for_in_any_order(profile: MakeProfile, give: Any, ask: Any) -> None:
    made = profile(extended_key_usage=["clientAuth", "serverAuth", "emailProtection"])
    given = give(made, ask.request("CN=dev-42", ask.purposes(SERVER, CLIENT)))
    assert given.purposes == [SERVER, CLIENT]
    assert not given.modified


@pytest.mark.rule("R-071")
def test_r_071_purposes_that_the_profile_lacks_are_left_out_as_a_modification(
    profile: MakeProfile, give: Any, ask: Any
) -> None:
    given = give(profile(extended_key_usage=["clientAuth"]), ask.request("CN=dev-42", ask.purposes(CLIENT, SERVER)))
    assert given.purposes == [CLIENT]
    assert given.modified
    assert give(profile(), ask.request("CN=dev-42", ask.purposes(SERVER))).modified


def test_a_certificate_for_one_purpose_does_not_become_one_for_all(profile: MakeProfile, give: Any, ask: Any) -> None:
    given = give(profile(extended_key_usage=["clientAuth"]), ask.request("CN=dev-42", ask.purposes(SERVER)))
    assert given.purposes == [CLIENT]


@pytest.mark.parametrize(
    "oid",
    [
        oids.KP_CMC_CA,
        oids.KP_CMC_RA,
        oids.KP_CM_KGA,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.OCSP_SIGNING,
    ],
)
@pytest.mark.rule("R-065")
def test_r_065_purposes_that_make_an_authority_are_refused(
    profile: MakeProfile, ask: Any, oid: x509.ObjectIdentifier
) -> None:
    request = ask.request("CN=dev-42", ask.purposes(CLIENT, oid.dotted_string))
    refused(profile(extended_key_usage=["clientAuth"]), request, ask, PKIFailureInfo.NOT_AUTHORIZED)


@pytest.mark.rule("R-065")
def test_r_065_a_special_profile_may_make_an_authority_of_the_kind_that_it_names(
    profile: MakeProfile, give: Any, ask: Any
) -> None:
    made = profile(extended_key_usage=["cmcRA"], special=True)
    given = give(made, ask.request("CN=dev-42", ask.purposes(oids.KP_CMC_RA.dotted_string)))
    assert given.purposes == [oids.KP_CMC_RA.dotted_string]
    assert not given.modified
    request = ask.request("CN=dev-42", ask.purposes(oids.KP_CMC_CA.dotted_string))
    refused(made, request, ask, PKIFailureInfo.NOT_AUTHORIZED)


@pytest.mark.rule("R-065")
def test_r_065_to_be_a_ca_is_refused_even_by_a_special_profile(profile: MakeProfile, ask: Any) -> None:
    for wanted in (ask.constraints(ca=True), ask.usage("keyCertSign"), ask.usage("digitalSignature", "cRLSign")):
        refused(profile(special=True), ask.request("CN=dev-42", wanted), ask, PKIFailureInfo.NOT_AUTHORIZED)


def test_to_be_no_ca_may_be_asked_for(profile: MakeProfile, give: Any, ask: Any) -> None:
    assert not give(profile(), ask.request("CN=dev-42", ask.constraints(ca=False))).modified


@pytest.mark.rule("R-071")
def test_r_071_an_unknown_extension_is_left_out_as_a_modification(profile: MakeProfile, give: Any, ask: Any) -> None:
    given = give(profile(), ask.request("CN=dev-42", ask.unknown()))
    assert ask.unknown() not in given.extensions
    assert given.modified


def test_an_extension_that_cannot_be_read_is_refused(profile: MakeProfile, ask: Any) -> None:
    for oid in (oids.KEY_USAGE, oids.EXTENDED_KEY_USAGE, oids.BASIC_CONSTRAINTS):
        wanted = Extension(extn_id=oid, extn_value=b"\x04\x01")
        refused(profile(), ask.request("CN=dev-42", wanted), ask, PKIFailureInfo.BAD_CERT_TEMPLATE)
    empty = Extension(extn_id=oids.EXTENDED_KEY_USAGE, extn_value=b"\x30\x00")
    refused(profile(), ask.request("CN=dev-42", empty), ask, PKIFailureInfo.BAD_CERT_TEMPLATE)


def test_an_extension_that_is_there_twice_is_refused(profile: MakeProfile, ask: Any) -> None:
    request = ask.request("CN=dev-42", ask.usage("digitalSignature"), ask.usage("keyAgreement"))
    assert "twice" in refused(profile(), request, ask, PKIFailureInfo.BAD_CERT_TEMPLATE).detail


def test_what_is_read_is_what_cryptography_wrote(ask: Any) -> None:
    names = (DNSName("a.example"), x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])))
    asked = read_extensions([ask.names(*names), ask.usage("keyAgreement", "decipherOnly"), ask.constraints(ca=True)])
    assert asked.key_usage == {"keyAgreement", "decipherOnly"}
    assert asked.ca
    assert asked.purposes is None
    assert asked.names is not None
    assert len(asked.names) == 2
    assert read_alternative_names([]) is None


# validity


def test_a_shorter_validity_may_be_asked_for(profile: MakeProfile, give: Any, ask: Any) -> None:
    start, end = ask.second + timedelta(days=1), ask.second + timedelta(days=2)
    given = give(profile(validity="3d"), ask.request(not_before=start, not_after=end))
    assert (given.not_before, given.not_after) == (start, end)
    assert not given.modified


@pytest.mark.rule("R-071")
def test_r_071_a_longer_validity_is_cut_as_a_modification(profile: MakeProfile, give: Any, ask: Any) -> None:
    given = give(profile(validity="3d"), ask.request(not_after=ask.second + timedelta(days=4)))
    assert given.not_after == ask.second + timedelta(days=3)
    assert given.modified


@pytest.mark.rule("R-071")
def test_r_071_a_start_in_the_past_is_moved_as_a_modification(profile: MakeProfile, give: Any, ask: Any) -> None:
    given = give(profile(), ask.request(not_before=ask.second - timedelta(days=1)))
    assert given.not_before == ask.second
    assert given.modified


def test_a_later_start_does_not_make_a_later_end(profile: MakeProfile, give: Any, ask: Any) -> None:
    given = give(profile(validity="3d"), ask.request(not_before=ask.second + timedelta(days=2)))
    assert given.not_after == ask.second + timedelta(days=3)


@pytest.mark.parametrize(("start", "end"), [(2, 1), (1, 1), (4, 9), (-2, -1)])
def test_a_validity_of_which_nothing_is_left_is_refused(profile: MakeProfile, ask: Any, start: int, end: int) -> None:
    request = ask.request(not_before=ask.second + timedelta(days=start), not_after=ask.second + timedelta(days=end))
    refused(profile(validity="3d"), request, ask, PKIFailureInfo.BAD_CERT_TEMPLATE)


def test_extensions_are_der_that_cryptography_reads(profile: MakeProfile, give: Any) -> None:
    given = give(profile(extended_key_usage=["clientAuth"], subject_alt_names=["dns:{identity}.a"]))
    expected = {
        ExtensionOID.BASIC_CONSTRAINTS: x509.BasicConstraints(ca=False, path_length=None),
        ExtensionOID.EXTENDED_KEY_USAGE: x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME: x509.SubjectAlternativeName([DNSName("dev-42.a")]),
    }
    for oid, value in expected.items():
        assert given.find(oid).extn_value == value.public_bytes()
