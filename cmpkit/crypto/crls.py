"""Which CRL is meant, by its issuer or its distribution point (RFC 9810 section 5.3.19.17)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    BitString,
    CertificateList,
    CRLSource,
    CRLStatus,
    Default,
    DistributionPoint,
    DistributionPointName,
    GeneralizedTime,
    GeneralName,
    GeneralNames,
    IA5String,
    Implicit,
    TBSCertList,
    Time,
    UTCTime,
    Variant,
    decode,
    decode_list,
    directory_name,
    encode,
    make_element,
    parse_tlv,
    read_element,
    read_name,
    sequence,
)
from cmpkit.crypto.x509 import certificate_public_key_info, outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.plugins import Plugins

__all__ = ["check_crl_signature", "crl_addresses", "crl_status", "load_crl", "source_names"]

_FIRST_GENERALIZED_YEAR = 2050


@sequence
class _IssuingDistributionPoint:
    """RFC 5280 section 5.2.5."""

    distribution_point: Annotated[DistributionPointName | None, Implicit(0)] = None
    only_contains_user_certs: Annotated[bool, Implicit(1), Default(False)] = False
    only_contains_ca_certs: Annotated[bool, Implicit(2), Default(False)] = False
    only_some_reasons: Annotated[BitString | None, Implicit(3)] = None
    indirect_crl: Annotated[bool, Implicit(4), Default(False)] = False
    only_contains_attribute_certs: Annotated[bool, Implicit(5), Default(False)] = False


def load_crl(data: bytes) -> x509.CertificateRevocationList:
    """A CRL from PEM or DER.

    :raises ConfigurationError: if it is none.
    """
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_crl(data)
        return x509.load_der_x509_crl(data)
    except ValueError as error:
        raise ConfigurationError(f"no CRL: {error}", hint="give one in PEM or DER") from error


def check_crl_signature(crl: bytes, issuer: bytes, plugins: Plugins) -> None:
    """Whether the signature of a CRL fits the key of a certificate, by whatever algorithm a plugin brings.

    :param crl: DER.
    :param issuer: DER of the certificate.
    :raises CMPError: badAlg if the algorithm is not accepted, signerNotTrusted if the signature does not fit,
        badDataFormat if one of them cannot be read.
    """
    wire = decode(CertificateList, crl)
    algorithm, key = wire.signature_algorithm, certificate_public_key_info(issuer)
    part = plugins.key_algorithm_of(key)
    if (
        algorithm.algorithm not in part.signature_oids
        or wire.signature_value.padding_bits()
        or parse_tlv(wire.tbs_cert_list, TBSCertList).signature != algorithm
        or not part.verify(key, algorithm, encode(wire.tbs_cert_list), wire.signature_value.as_bytes())
    ):
        raise CMPError(
            f"the signature of the CRL does not fit the key of {outline(issuer).title}",
            PKIFailureInfo.SIGNER_NOT_TRUSTED,
            rule="RFC 5280 section 6.3.3",
        )


def crl_status(certificate: bytes | None, crl: x509.CertificateRevocationList | None) -> CRLStatus:
    """The CRL that has the say about a certificate, or the next one after a CRL.

    It is named by the distribution point in the certificate or in the CRL, else by its issuer.

    :param certificate: DER.
    :param crl: the CRL that is there already: only a newer one is wanted.
    :raises ConfigurationError: if neither is given, or the certificate cannot be read.
    """
    if certificate is not None:
        source = _source_of_certificate(certificate)
    elif crl is not None:
        source = _source(_point_of_crl(crl), crl.issuer)
    else:
        raise ConfigurationError("neither a certificate nor a CRL says which CRL is wanted", hint="give one of them")
    return CRLStatus(source=source, this_update=None if crl is None else _time(crl.last_update_utc))


def _source(point: DistributionPointName | None, issuer: x509.Name) -> CRLSource:
    if point is not None:
        return Variant(point, "dpn")
    return Variant(make_element([directory_name(issuer)], GeneralNames), "issuer")


def source_names(source: CRLSource) -> list[GeneralName]:
    """The names of a CRL source; none for a distribution point that is named relative to its issuer.

    :raises CMPError: badDataFormat if they cannot be read.
    """
    if isinstance(source.value, DistributionPointName):
        return source.value.full_name or []
    names: list[GeneralName] = read_element(source.value, GeneralNames)
    return names


def crl_addresses(certificate: bytes) -> tuple[str, ...]:
    """Where a certificate says that the CRL of its issuer about it is (cRLDistributionPoints), as URLs of HTTP.

    :param certificate: DER.
    :raises CMPError: badDataFormat if it cannot be read.
    """
    points = [point for point in _points(certificate) if point.reasons is None and point.crl_issuer is None]
    named = [point.distribution_point for point in points if point.distribution_point is not None]
    values = [name.value for point in named for name in point.full_name or []]
    urls = [value.as_str() for value in values if isinstance(value, IA5String)]
    return tuple(url for url in urls if url.startswith(("http://", "https://")))


def _points(certificate: bytes) -> list[DistributionPoint]:
    value = outline(certificate).extension(oids.CRL_DISTRIBUTION_POINTS)
    return [] if value is None else decode_list(DistributionPoint, value)


def _source_of_certificate(certificate: bytes) -> CRLSource:
    try:
        points = _points(certificate)
        named = (point.distribution_point for point in points if point.distribution_point is not None)
        return _source(next(named, None), read_name(outline(certificate).issuer_der))
    except CMPError as error:
        raise ConfigurationError(f"the certificate whose CRL is wanted cannot be read: {error.detail}") from error


def _point_of_crl(crl: x509.CertificateRevocationList) -> DistributionPointName | None:
    try:
        extension = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    except x509.ExtensionNotFound:
        return None
    return decode(_IssuingDistributionPoint, extension.value.public_bytes()).distribution_point


def _time(moment: datetime) -> Time:
    """UTCTime through 2049, GeneralizedTime after (RFC 5280 section 5.1.2.4)."""
    return UTCTime(moment) if moment.year < _FIRST_GENERALIZED_YEAR else GeneralizedTime(moment)
