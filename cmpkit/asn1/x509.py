"""Certificates, certificate lists and PKCS#10 requests as wire types (RFC 5280, RFC 2986).

What is signed stays one unread element, so that a signature is checked over the octets that came.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cryptography import x509 as _x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier, SubjectPublicKeyInfo
from cmpkit.asn1.codec import encode, parse_tlv
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.primitives import (
    TLV,
    BitString,
    Default,
    Explicit,
    GeneralizedTime,
    Holds,
    Implicit,
    NonEmpty,
    SetOf,
    Size,
    UTCTime,
)
from cmpkit.caching import cached_property

__all__ = [
    "Attribute",
    "CMPCertificate",
    "CertificateList",
    "CertificateWire",
    "CertificationRequest",
    "CertificationRequestInfo",
    "Extension",
    "RevokedCertificate",
    "TBSCertList",
    "TBSCertificate",
    "Time",
    "Validity",
]

Time: TypeAlias = UTCTime | GeneralizedTime
"""UTCTime through 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5)."""
name_choice(Time, "Time")


@sequence
class Extension:
    """An extension of a certificate or CRL (RFC 5280 section 4.1).

    ``extn_value`` is the DER inside the OCTET STRING.
    """

    extn_id: ObjectIdentifier
    critical: Annotated[bool, Default(False)] = False
    extn_value: bytes

    @cached_property
    def der(self) -> bytes:
        """DER of the extension; a profile puts the same ones into many certificates.

        :raises CMPError: systemFailure if a field holds what its type does not allow.
        """
        return encode(self)


@sequence
class Validity:
    """From when to when a certificate is valid."""

    not_before: Time
    not_after: Time


@sequence
class TBSCertificate:
    """The signed part of a certificate (RFC 5280 section 4.1); names and key are unread elements."""

    version: Annotated[int, Explicit(0), Default(0)] = 0
    serial_number: int
    signature: AlgorithmIdentifier
    issuer: Annotated[TLV, Holds(_x509.Name)]
    validity: Validity
    subject: Annotated[TLV, Holds(_x509.Name)]
    subject_public_key_info: Annotated[TLV, Holds(SubjectPublicKeyInfo)]
    issuer_unique_id: Annotated[BitString | None, Implicit(1)] = None
    subject_unique_id: Annotated[BitString | None, Implicit(2)] = None
    extensions: Annotated[list[Extension] | None, Explicit(3), NonEmpty] = None


@sequence
class CertificateWire:
    """A certificate (RFC 5280 section 4.1) whose signed part is one unread element."""

    tbs_certificate: Annotated[TLV, Holds(TBSCertificate)]
    signature_algorithm: AlgorithmIdentifier
    signature_value: BitString

    @cached_property
    def tbs(self) -> TBSCertificate:
        """The signed part, read.

        :raises CMPError: badDataFormat if it cannot be.
        """
        return parse_tlv(self.tbs_certificate, TBSCertificate)


CMPCertificate: TypeAlias = CertificateWire
"""The certificate of a message: of its alternatives only X.509 exists (RFC 9810 section 5.1)."""


@sequence
class RevokedCertificate:
    """An entry of a certificate list."""

    user_certificate: int
    revocation_date: Time
    crl_entry_extensions: Annotated[list[Extension] | None, NonEmpty] = None


@sequence
class TBSCertList:
    """The signed part of a certificate list (RFC 5280 section 5.1)."""

    version: int | None = None
    signature: AlgorithmIdentifier
    issuer: _x509.Name
    this_update: Time
    next_update: Time | None = None
    revoked_certificates: Annotated[list[RevokedCertificate] | None, NonEmpty] = None
    crl_extensions: Annotated[list[Extension] | None, Explicit(0), NonEmpty] = None


@sequence
class CertificateList:
    """A certificate revocation list (RFC 5280 section 5.1) whose signed part is one unread element."""

    tbs_cert_list: Annotated[TLV, Holds(TBSCertList)]
    signature_algorithm: AlgorithmIdentifier
    signature_value: BitString


@sequence
class Attribute:
    """An attribute of a PKCS#10 request (RFC 2986 section 4.1)."""

    type: ObjectIdentifier
    values: Annotated[SetOf[TLV], Size(1, None)]


@sequence
class CertificationRequestInfo:
    """The signed part of a PKCS#10 request (RFC 2986 section 4.1)."""

    version: int
    subject: _x509.Name
    subject_pk_info: SubjectPublicKeyInfo
    attributes: Annotated[SetOf[Attribute], Implicit(0)]


@sequence
class CertificationRequest:
    """A PKCS#10 request (RFC 2986 section 4.2) whose signed part is one unread element."""

    certification_request_info: Annotated[TLV, Holds(CertificationRequestInfo)]
    signature_algorithm: AlgorithmIdentifier
    signature: BitString

    @cached_property
    def info(self) -> CertificationRequestInfo:
        """The signed part, read.

        :raises CMPError: badDataFormat if it cannot be.
        """
        return parse_tlv(self.certification_request_info, CertificationRequestInfo)
