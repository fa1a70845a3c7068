"""Certificates and certificate lists that we build, read by others; what tells certificates apart."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ReasonFlags
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder
from pyasn1_modules import rfc5280

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, CertificateWire, Null, decode, encode
from cmpkit.crypto.crl_building import build_crl, crl_entries
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import (
    CertificateContent,
    build_certificate,
    cert_hash,
    certificate_public_key_info,
    extension,
    fingerprint,
    issuer_key_id,
    key_identifier,
    load_certificates,
    outline,
    random_serial,
    to_pem,
)
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

NOW = datetime(2026, 6, 1, 12, 30, 59, 999999, tzinfo=UTC)
CA_NAME = parse_name("/C=DE/O=Example/CN=Test CA")
KEY_TYPES = ("p256", "p384", "p521", "rsa2048")
SHA1_SIGNED = bytes.fromhex("300906072a8648ce3d0401")


@pytest.fixture(scope="module", params=KEY_TYPES)
def ca_key(request: pytest.FixtureRequest, plugins: Plugins) -> PrivateKey:
    return generate_key(request.param, plugins)


@pytest.fixture(scope="module")
def p256(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


def content(subject_key: PrivateKey, **changes: object) -> CertificateContent:
    values = {
        "serial_number": random_serial(),
        "issuer": CA_NAME.public_bytes(),
        "subject": parse_name("/O=Example/CN=device"),
        "not_before": NOW,
        "not_after": NOW + timedelta(days=365),
        "public_key_info": subject_key.public_key_info,
        "extensions": (
            extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
            extension(x509.SubjectKeyIdentifier(key_identifier(subject_key.public_key_info))),
        ),
    }
    return CertificateContent(**(values | changes))  # type: ignore[arg-type]


def public_key(key: PrivateKey) -> object:
    return serialization.load_der_public_key(key.public_key_info)


async def test_a_built_certificate_says_what_was_asked_and_verifies(ca_key: PrivateKey, p256: PrivateKey) -> None:
    ca = await build_certificate(content(ca_key, subject=CA_NAME), ca_key)
    wanted = content(p256)
    der = await build_certificate(wanted, ca_key)
    read = x509.load_der_x509_certificate(der)
    read.verify_directly_issued_by(x509.load_der_x509_certificate(ca))
    assert read.version is x509.Version.v3
    assert read.serial_number == wanted.serial_number
    assert read.subject == wanted.subject
    assert read.issuer == CA_NAME
    assert read.not_valid_before_utc == NOW.replace(microsecond=0)
    assert read.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=365)
    assert read.public_key() == public_key(p256)
    assert [(found.oid, found.critical) for found in read.extensions] == [
        (oids.BASIC_CONSTRAINTS, True),
        (oids.SUBJECT_KEY_IDENTIFIER, False),
    ]
    assert x509.SubjectKeyIdentifier.from_public_key(public_key(p256)) == read.extensions[1].value  # type: ignore[arg-type]


async def test_pyasn1_reads_a_built_certificate_and_writes_it_back(ca_key: PrivateKey, p256: PrivateKey) -> None:
    der = await build_certificate(content(p256), ca_key)
    read, rest = decoder.decode(der, asn1Spec=rfc5280.Certificate())
    assert not rest
    assert encoder.encode(read) == der
    assert encoder.encode(read["tbsCertificate"]["subjectPublicKeyInfo"]) == p256.public_key_info


async def test_times_become_utc_and_change_their_type_in_2050(p256: PrivateKey) -> None:
    last = datetime(2050, 1, 1, 0, 59, 59, tzinfo=timezone(timedelta(hours=1)))
    der = await build_certificate(content(p256, not_before=last, not_after=last + timedelta(seconds=1)), p256)
    validity = decoder.decode(der, asn1Spec=rfc5280.Certificate())[0]["tbsCertificate"]["validity"]
    assert str(validity["notBefore"]["utcTime"]) == "491231235959Z"
    assert str(validity["notAfter"]["generalTime"]) == "20500101000000Z"


async def test_a_certificate_without_extensions_has_no_empty_list(p256: PrivateKey) -> None:
    der = await build_certificate(content(p256, extensions=()), p256)
    assert outline(der).extensions is None
    assert len(x509.load_der_x509_certificate(der).extensions) == 0


async def crl(
    key: PrivateKey, entries: list[tuple[int, datetime, CRLReason | None]], invalidity_date: datetime | None = None
) -> bytes:
    return await build_crl(
        issuer=CA_NAME.public_bytes(),
        issuer_key=key,
        this_update=NOW,
        next_update=NOW + timedelta(days=7),
        number=12,
        entries=crl_entries((*entry, invalidity_date) for entry in entries),
        authority_key_identifier=key_identifier(key.public_key_info),
    )


async def test_a_crl_tells_since_when_a_certificate_is_suspect(ca_key: PrivateKey) -> None:
    since = NOW - timedelta(days=3)
    der = await crl(ca_key, [(1, NOW, CRLReason.KEY_COMPROMISE), (2, NOW, None)], since)
    first, second = x509.load_der_x509_crl(der)
    assert first.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    for entry in (first, second):
        date = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
        assert date == since.replace(microsecond=0)
    assert len(second.extensions) == 1


async def test_a_built_crl_lists_its_entries_and_verifies(ca_key: PrivateKey) -> None:
    read = x509.load_der_x509_crl(
        await crl(ca_key, [(index + 1, NOW, reason) for index, reason in enumerate(CRLReason)])
    )
    assert read.is_signature_valid(public_key(ca_key))  # type: ignore[arg-type]
    assert read.issuer == CA_NAME
    assert read.last_update_utc == NOW.replace(microsecond=0)
    assert read.next_update_utc == NOW.replace(microsecond=0) + timedelta(days=7)
    assert read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 12
    identifier = read.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert identifier == key_identifier(ca_key.public_key_info)
    for index, reason in enumerate(CRLReason):
        entry = read.get_revoked_certificate_by_serial_number(index + 1)
        assert entry is not None
        assert entry.revocation_date_utc == NOW.replace(microsecond=0)
        if reason is CRLReason.UNSPECIFIED:
            assert len(entry.extensions) == 0
        else:
            [found] = entry.extensions
            assert found.value == x509.CRLReason(ReasonFlags(reason.wire_name))
            assert not found.critical


async def test_a_crl_without_entries_or_reasons_leaves_the_fields_out(p256: PrivateKey) -> None:
    empty = await crl(p256, [])
    assert len(x509.load_der_x509_crl(empty)) == 0
    assert not decoder.decode(empty, asn1Spec=rfc5280.CertificateList())[0]["tbsCertList"][
        "revokedCertificates"
    ].isValue
    [entry] = x509.load_der_x509_crl(await crl(p256, [(5, NOW, None)]))
    assert len(entry.extensions) == 0


async def test_a_long_crl_takes_time_in_proportion(p256: PrivateKey) -> None:
    async def seconds(count: int) -> float:
        entries = [(index + 1, NOW, CRLReason.SUPERSEDED) for index in range(count)]
        start = time.process_time()
        assert len(x509.load_der_x509_crl(await crl(p256, entries))) == count
        return time.process_time() - start

    await seconds(100)
    assert await seconds(10_000) < 1


async def test_public_key_info_is_taken_octet_for_octet(p256: PrivateKey) -> None:
    der = await build_certificate(content(p256), p256)
    assert certificate_public_key_info(der) == p256.public_key_info


async def test_fingerprints_are_sha256(p256: PrivateKey) -> None:
    der = await build_certificate(content(p256), p256)
    assert fingerprint(der) == hashlib.sha256(der).digest()
    assert issuer_key_id(p256.public_key_info) == hashlib.sha256(p256.public_key_info).hexdigest()


@given(st.binary(max_size=200))
def test_anything_but_a_certificate_is_a_cmp_error(der: bytes) -> None:
    for read in (outline, certificate_public_key_info, key_identifier):
        with pytest.raises(CMPError) as caught:
            read(der)
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


async def test_outline_reads_extensions_and_validity(p256: PrivateKey) -> None:
    read = outline(await build_certificate(content(p256), p256))
    assert read.extension(oids.KEY_USAGE) is None
    assert read.extension(oids.BASIC_CONSTRAINTS) == bytes.fromhex("30030101ff")
    assert read.validity_period == (NOW.replace(microsecond=0), NOW.replace(microsecond=0) + timedelta(days=365))


async def test_a_certificate_is_what_its_declared_class_writes(p256: PrivateKey) -> None:
    for changes in ({}, {"extensions": ()}, {"not_after": datetime(2050, 1, 1, tzinfo=UTC)}):
        wire = decode(CertificateWire, await build_certificate(content(p256, **changes), p256))
        assert encode(wire.tbs) == encode(wire.tbs_certificate)
        assert wire.tbs.version == 2


async def test_octets_that_are_no_key_are_not_certified(p256: PrivateKey) -> None:
    for octets in (b"", b"\x30\x00", p256.public_key_info + b"\x00"):
        with pytest.raises(CMPError):
            await build_certificate(content(p256, public_key_info=octets), p256)


async def test_outline_has_the_octets_of_names_and_key(p256: PrivateKey) -> None:
    expected = content(p256)
    read = outline(await build_certificate(expected, p256))
    assert read.issuer_der == expected.issuer
    assert read.subject_der == expected.subject.public_bytes()
    assert read.public_key_info == p256.public_key_info


async def test_certificates_survive_pem_with_text_around_them(p256: PrivateKey) -> None:
    first, second = [await build_certificate(content(p256), p256) for _ in range(2)]
    bundle = b"subject: one\n" + to_pem(first) + b"\r\n# two\r\n" + to_pem(second).replace(b"\n", b"\r\n")
    assert load_certificates(bundle) == (first, second)
    assert load_certificates(first) == (first,)
    assert x509.load_pem_x509_certificates(to_pem(first, second))[1].public_bytes(serialization.Encoding.DER) == second


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "has no PEM certificate"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "has no PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "not Base64"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "certificate 1 of the file cannot be read"),
    ],
)
def test_what_is_no_certificate_is_a_configuration_error(data: bytes, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        load_certificates(data)


@pytest.mark.parametrize(
    ("key_type", "name"), [("p256", "sha256"), ("p384", "sha384"), ("p521", "sha512"), ("rsa2048", "sha256")]
)
async def test_cert_hash_is_the_hash_of_the_signature(plugins: Plugins, key_type: str, name: str) -> None:
    key = generate_key(key_type, plugins)
    der = await build_certificate(content(key), key)
    assert cert_hash(der, plugins) == hashlib.new(name, der).digest()


@pytest.mark.parametrize("parameters", [None, Null()])
async def test_cert_hash_takes_the_hash_that_hash_alg_names(
    plugins: Plugins, p256: PrivateKey, parameters: object
) -> None:
    der = await build_certificate(content(p256), p256)
    algorithm = AlgorithmIdentifier(oids.SHA512, parameters)
    assert cert_hash(der, plugins, algorithm) == hashlib.sha512(der).digest()


@pytest.mark.parametrize(
    "algorithm", [AlgorithmIdentifier(oids.SHA1), AlgorithmIdentifier(oids.PBKDF2), AlgorithmIdentifier(oids.SHA256, 5)]
)
async def test_a_weak_or_odd_hash_alg_is_refused(
    plugins: Plugins, p256: PrivateKey, algorithm: AlgorithmIdentifier
) -> None:
    der = await build_certificate(content(p256), p256)
    with pytest.raises(CMPError, match="weak or unknown") as caught:
        cert_hash(der, plugins, algorithm)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


async def test_cert_hash_of_a_sha1_signed_certificate_is_sha1(plugins: Plugins, p256: PrivateKey) -> None:
    der = await build_certificate(content(p256), p256)
    weak = der.replace(bytes.fromhex("300a06082a8648ce3d040302"), SHA1_SIGNED)
    weak = _with_lengths(weak, der)
    assert cert_hash(weak, plugins) == hashlib.sha1(weak).digest()


def _with_lengths(changed: bytes, original: bytes) -> bytes:
    """Correct the lengths of the two outer headers after two algorithm identifiers became an octet shorter each."""
    assert original[:2] == changed[:2] == b"\x30\x82"
    outer = int.from_bytes(original[2:4], "big") - 2
    inner = int.from_bytes(original[6:8], "big") - 1
    return b"\x30\x82" + outer.to_bytes(2, "big") + b"\x30\x82" + inner.to_bytes(2, "big") + changed[8:]


async def test_cert_hash_needs_hash_alg_where_the_signature_names_no_hash(plugins: Plugins, p256: PrivateKey) -> None:
    class NamesNoHash:
        name = "test"
        key_oids = ()
        key_types = ()
        signature_oids = (oids.PBKDF2,)

        def cert_hash(self, algorithm: AlgorithmIdentifier) -> None:
            return None

    class OnlyThat:
        def key_algorithm(self, oid: object) -> NamesNoHash:
            return NamesNoHash()

    der = await build_certificate(content(p256), p256)
    with pytest.raises(CMPError, match="names no hash") as caught:
        cert_hash(der, OnlyThat())  # type: ignore[arg-type]
    assert "hashAlg" in caught.value.hint


def test_serial_numbers_are_positive_and_fit_20_octets() -> None:
    serials = {random_serial() for _ in range(200)}
    assert len(serials) == 200
    assert all(0 < serial < 1 << 159 for serial in serials)
    assert max(serials).bit_length() > 150
