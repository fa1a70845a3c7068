"""What a person is shown before a certificate is issued: all that was asked for, and all that differs from it."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import DirectoryName, DNSName, IPAddress, RFC822Name, UniformResourceIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from cmpkit import oids
from cmpkit.asn1 import Extension
from cmpkit.ca.extensions import read_extensions
from cmpkit.ca.facts import describe_request, name_text
from cmpkit.ca.profiles import ConfiguredProfile
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateRequest
from cmpkit.plugins import Plugins

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string, ExtendedKeyUsageOID.SERVER_AUTH.dotted_string
Describe = Callable[..., tuple[str, dict[str, Any]]]


@pytest.fixture
def describe(plugins: Plugins, profile: Callable[..., ConfiguredProfile], ask: Any) -> Describe:
    """The subject and the facts of a request under a profile."""

    def run(
        request: CertificateRequest,
        auth: Authenticated | None = None,
        *,
        allowed: CertificateRequest | None = None,
        **table: Any,
    ) -> tuple[str, dict[str, Any]]:
        made = profile(**table)
        return describe_request(
            request, allowed or request, auth or ask.by_secret(), made, plugins=plugins, now=ask.now
        )

    return run


def changes(described: tuple[str, dict[str, Any]]) -> str:
    return "; ".join(described[1]["changes"])


def test_what_is_given_as_it_is_asked_for_changes_nothing(describe: Describe, ask: Any) -> None:
    wanted = (ask.usage("digitalSignature"), ask.names(DNSName("x.example")), ask.purposes(CLIENT))
    request = ask.request("CN=dev-42", *wanted)
    subject, facts = describe(request, allow_requested_names=True, extended_key_usage=["clientAuth"])
    assert subject == "CN=dev-42"
    assert facts == {
        "body": "ir",
        "identity": "dev-42",
        "protected_by": "the shared secret dev-42",
        "subject_alt_names": ["dns:x.example"],
        "key_type": "p256",
        "key_sha256": hashlib.sha256(ask.key.public_key_info).hexdigest(),
        "key_usage": ["digitalSignature"],
        "extended_key_usage": ["clientAuth"],
        "validity": "365 days from when it is issued",
        "changes": [],
        "asked_profile": "device",
        "asked_subject": "CN=dev-42",
    }


def test_a_subject_that_becomes_another_is_told(describe: Describe, ask: Any) -> None:
    subject, facts = described = describe(ask.request("CN=dev-42"), subject="CN={identity}, O=Example")
    assert subject == "CN=dev-42,O=Example"
    assert facts["asked_subject"] == "CN=dev-42"
    assert changes(described) == "the subject CN=dev-42 is asked for, it gets CN=dev-42,O=Example"


@pytest.mark.parametrize("asked", [None, ""])
def test_who_asks_for_no_subject_gets_one(describe: Describe, ask: Any, asked: str | None) -> None:
    request = ask.request(None) if asked is None else replace(ask.request(), subject=x509.Name([]))
    described = describe(request, allowed=replace(request, subject=parse_name("CN=dev-42")))
    assert described[0] == "CN=dev-42"
    assert changes(described) == "no subject is asked for, it gets CN=dev-42"


def test_names_that_the_profile_adds_are_told(describe: Describe, ask: Any) -> None:
    request = ask.request("CN=dev-42", ask.names(DNSName("DEV-42.example")))
    described = describe(request, subject_alt_names=["dns:{identity}.example", "uri:urn:{identity}"])
    assert described[1]["subject_alt_names"] == ["dns:DEV-42.example", "uri:urn:dev-42"]
    assert changes(described) == "it gets names that are not asked for: uri:urn:dev-42"


def test_extensions_that_are_changed_or_left_out_are_told(describe: Describe, ask: Any) -> None:
    wanted = (ask.usage("digitalSignature", "nonRepudiation"), ask.purposes(CLIENT, "1.2.3"), ask.unknown())
    said = changes(describe(ask.request("CN=dev-42", *wanted), extended_key_usage=["clientAuth"]))
    assert "keyUsage digitalSignature, nonRepudiation is asked for, it gets digitalSignature" in said
    assert "extKeyUsage clientAuth, 1.2.3 is asked for, it gets clientAuth" in said
    assert "the extension 1.2.3.4 is asked for, it is left out" in said


def test_purposes_that_are_not_given_are_told(describe: Describe, ask: Any) -> None:
    said = changes(describe(ask.request("CN=dev-42", ask.purposes(SERVER))))
    assert said == "extKeyUsage serverAuth is asked for, it gets none"


def test_extensions_of_the_issuer_are_no_matter(describe: Describe, ask: Any) -> None:
    wish = Extension(extn_id=oids.SUBJECT_KEY_IDENTIFIER, extn_value=b"\x04\x01\x00")
    assert changes(describe(ask.request("CN=dev-42", wish))) == ""


def test_validity_as_it_would_be_now_is_told(describe: Describe, ask: Any) -> None:
    until = ask.now + timedelta(days=900)
    described = describe(ask.request(not_after=until), validity="30d")
    latest = (ask.now + timedelta(days=30)).replace(microsecond=0)
    assert described[1]["validity"].endswith(f" to {latest.isoformat()} if it is issued now")
    assert changes(described) == f"notAfter {until.isoformat()} is asked for, now it would be {latest.isoformat()}"
    within = describe(ask.request(not_after=latest), validity="60d")
    assert changes(within) == ""


@pytest.mark.parametrize(("validity", "shown"), [("1d", "1 day"), ("36h", "1 day, 12:00:00"), ("90m", "1:30:00")])
def test_lengths_are_told_in_days_if_they_are_days(describe: Describe, ask: Any, validity: str, shown: str) -> None:
    assert describe(ask.request(), validity=validity)[1]["validity"] == f"{shown} from when it is issued"


async def test_who_signed_and_what_is_updated_is_told(describe: Describe, ask: Any, ca: Any) -> None:
    record = await ca.issue()
    auth = replace(ask.by_certificate(record), subject=parse_name("CN=dev-42"))
    request = ask.request(body_type=BodyType.KUR, old_certificate=record)
    _, facts = describe(request, auth)
    assert facts["body"] == "kur"
    assert facts["protected_by"] == "the certificate of CN=dev-42, SHA-256 ab"
    assert facts["updates"] == f"{record.serial_number:x}"


def test_a_proof_that_comes_later_is_told(describe: Describe, ask: Any) -> None:
    request = replace(ask.request(), proof=ProofMethod.ENCRYPTED_CERTIFICATE)
    _, facts = describe(request, proofs=["signature", "encrCert"])
    assert facts["proof_of_possession"].startswith("comes with certConf")


def test_a_key_that_is_generated_here_is_told(describe: Describe, ask: Any) -> None:
    _, facts = describe(replace(ask.request(), public_key_info=b""), key_generation="central", key_types=["p384"])
    assert facts["key_type"] == "p384, generated here"
    assert "key_sha256" not in facts


def test_what_the_profile_does_not_allow_bothers_nobody(describe: Describe, ask: Any) -> None:
    with pytest.raises(CMPError, match="p384"):
        describe(ask.request(), key_types=["p384"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (DNSName("x.example"), "dns:x.example"),
        (RFC822Name("a@x.example"), "email:a@x.example"),
        (UniformResourceIdentifier("urn:x"), "uri:urn:x"),
        (IPAddress(ipaddress.ip_address("192.0.2.1")), "ip:192.0.2.1"),
        (IPAddress(ipaddress.ip_address("2001:db8::1")), "ip:2001:db8::1"),
        (IPAddress(ipaddress.ip_network("192.0.2.0/24")), "ip address 8708c0000200ffffff00"),
        (DirectoryName(parse_name("CN=x")), "dn:CN=x"),
        (x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), "registered id 88022a03"),
    ],
)
def test_names_are_written_as_in_profiles(ask: Any, name: x509.GeneralName, text: str) -> None:
    (der,) = read_extensions([ask.names(name)]).names or ()
    assert name_text(der) == text
