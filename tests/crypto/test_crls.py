"""How a CRL is named: by the distribution point in a certificate or CRL, else by its issuer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rollover import name

from cmpkit.asn1 import CRLStatus, Variant, decode, directory_name, encode, to_tlv
from cmpkit.crypto.crls import crl_status, load_crl, source_names
from cmpkit.errors import CMPError, ConfigurationError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
URL = "http://crl.example/ca.crl"
ISSUER = name("CA")


def certificate(*points: x509.DistributionPoint) -> bytes:
    builder = x509.CertificateBuilder(ISSUER, name("device"), KEY.public_key(), 5, NOW, NOW + timedelta(days=1))
    if points:
        builder = builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def point(url: str = URL) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


def relative() -> x509.DistributionPoint:
    rdn = x509.RelativeDistinguishedName(name("crl 1").rdns[0])
    return x509.DistributionPoint(None, rdn, None, None)


def crl(url: str | None = None, made: datetime = NOW) -> x509.CertificateRevocationList:
    builder = x509.CertificateRevocationListBuilder(ISSUER, made, made + timedelta(days=1))
    if url is not None:
        names = [x509.UniformResourceIdentifier(url)]
        extension = x509.IssuingDistributionPoint(names, None, True, False, None, False, False)
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(KEY, hashes.SHA256())


def named(status: CRLStatus) -> tuple[str, list[str]]:
    """The kind of source and its names; the status is read again, as a server does."""
    source = decode(CRLStatus, encode(status)).source
    names = source_names(source)
    return source.tag, [item.value.as_str() if item.tag.startswith("uniform") else item.tag for item in names]


def test_a_certificate_names_its_distribution_point() -> None:
    assert named(crl_status(certificate(point()), None)) == ("dpn", [URL])


def test_the_first_point_that_has_a_name_counts() -> None:
    nameless = x509.DistributionPoint(None, None, None, [x509.DirectoryName(ISSUER)])
    assert named(crl_status(certificate(nameless, point(), point("http://other")), None)) == ("dpn", [URL])


def test_a_certificate_without_a_distribution_point_names_its_issuer() -> None:
    status = crl_status(certificate(), None)
    assert source_names(status.source) == [directory_name(ISSUER)]
    assert status.this_update is None


def test_a_crl_names_its_distribution_point_else_its_issuer() -> None:
    assert named(crl_status(None, crl(URL))) == ("dpn", [URL])
    assert source_names(crl_status(None, crl()).source) == [directory_name(ISSUER)]


@pytest.mark.parametrize("made", [NOW, NOW.replace(year=2051)])
def test_the_crl_that_is_there_says_how_old_it_is(made: datetime) -> None:
    status = crl_status(certificate(point()), crl(made=made))
    assert status.this_update is not None
    assert status.this_update.as_datetime() == made
    assert named(status) == ("dpn", [URL])


def test_a_name_relative_to_the_issuer_is_sent_and_not_resolved() -> None:
    assert named(crl_status(certificate(relative()), None)) == ("dpn", [])


def test_one_of_both_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="neither a certificate nor a CRL"):
        crl_status(None, None)


def test_a_certificate_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigurationError, match="whose CRL is wanted"):
        crl_status(b"\x30\x00", None)


def test_names_of_an_issuer_that_cannot_be_read_are_a_cmp_error() -> None:
    for octets in ("3000", "30020500", "0500"):
        with pytest.raises(CMPError):
            source_names(Variant(to_tlv(bytes.fromhex(octets)), "issuer"))


def test_a_crl_is_read_from_pem_and_der() -> None:
    made = crl()
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        assert load_crl(made.public_bytes(encoding)) == made
    for junk in (b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", certificate()):
        with pytest.raises(ConfigurationError, match="no CRL"):
            load_crl(junk)
