"""EnvelopedData and SignedData of the Cryptographic Message Syntax (RFC 5652)."""

from __future__ import annotations

from typing import Annotated

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.primitives import TLV, Explicit, Holds, Implicit, SetOf, Size
from cmpkit.asn1.recipients import RecipientInfo, SignerIdentifier
from cmpkit.asn1.x509 import CertificateList, CertificateWire

__all__ = [
    "CMSAttribute",
    "ContentInfo",
    "EncapsulatedContentInfo",
    "EncryptedContentInfo",
    "EnvelopedData",
    "OriginatorInfo",
    "SignedData",
    "SignerInfo",
]


@sequence
class CMSAttribute:
    """An attribute (RFC 5652 section 5.3), which unlike that of PKCS#10 may have no values."""

    attr_type: ObjectIdentifier
    attr_values: SetOf[TLV]


@sequence
class ContentInfo:
    """A content with its type (RFC 5652 section 3); CMP uses contents bare, without it."""

    content_type: ObjectIdentifier
    content: Annotated[TLV, Explicit(0)]


@sequence
class OriginatorInfo:
    """Certificates and revocation lists that recipients may need (RFC 5652 section 6.1)."""

    certs: Annotated[SetOf[Annotated[TLV, Holds(CertificateWire)]] | None, Implicit(0)] = None
    crls: Annotated[SetOf[Annotated[TLV, Holds(CertificateList)]] | None, Implicit(1)] = None


@sequence
class EncryptedContentInfo:
    """What is encrypted, how, and the ciphertext unless it is elsewhere (RFC 5652 section 6.1)."""

    content_type: ObjectIdentifier
    content_encryption_algorithm: AlgorithmIdentifier
    encrypted_content: Annotated[bytes | None, Implicit(0)] = None


@sequence
class EnvelopedData:
    """Content encrypted for recipients (RFC 5652 section 6.1), in CMP for exactly one (RFC 9810 section 5.2.2)."""

    version: int
    originator_info: Annotated[OriginatorInfo | None, Implicit(0)] = None
    recipient_infos: Annotated[SetOf[RecipientInfo], Size(1, None)]
    encrypted_content_info: EncryptedContentInfo
    unprotected_attrs: Annotated[SetOf[CMSAttribute] | None, Implicit(1)] = None


@sequence
class EncapsulatedContentInfo:
    """What is signed, unless it is elsewhere (RFC 5652 section 5.2)."""

    e_content_type: ObjectIdentifier
    e_content: Annotated[bytes | None, Explicit(0)] = None


@sequence
class SignerInfo:
    """One signature (RFC 5652 section 5.3): over the signed attributes, or over the content if there are none."""

    version: int
    sid: SignerIdentifier
    digest_algorithm: AlgorithmIdentifier
    signed_attrs: Annotated[SetOf[CMSAttribute] | None, Implicit(0)] = None
    signature_algorithm: AlgorithmIdentifier
    signature: bytes
    unsigned_attrs: Annotated[SetOf[CMSAttribute] | None, Implicit(1)] = None


@sequence
class SignedData:
    """Content with signatures (RFC 5652 section 5.1): a key package of a key generation authority."""

    version: int
    digest_algorithms: SetOf[AlgorithmIdentifier]
    encap_content_info: EncapsulatedContentInfo
    certificates: Annotated[SetOf[Annotated[TLV, Holds(CertificateWire)]] | None, Implicit(0)] = None
    crls: Annotated[SetOf[Annotated[TLV, Holds(CertificateList)]] | None, Implicit(1)] = None
    signer_infos: SetOf[SignerInfo]
