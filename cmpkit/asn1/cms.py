"""EnvelopedData of the Cryptographic Message Syntax (RFC 5652 section 6); recipients and certificates stay unread."""

from __future__ import annotations

from typing import Annotated

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.primitives import TLV, Implicit, SetOf, Size

__all__ = ["EncryptedContentInfo", "EnvelopedData", "OriginatorInfo"]


@sequence
class OriginatorInfo:
    """Certificates and revocation lists that recipients may need (RFC 5652 section 6.1)."""

    certs: Annotated[SetOf[TLV] | None, Implicit(0)] = None
    crls: Annotated[SetOf[TLV] | None, Implicit(1)] = None


@sequence
class EncryptedContentInfo:
    """What is encrypted, how, and the ciphertext unless it is elsewhere (RFC 5652 section 6.1)."""

    content_type: ObjectIdentifier
    content_encryption_algorithm: AlgorithmIdentifier
    encrypted_content: Annotated[bytes | None, Implicit(0)] = None


@sequence
class EnvelopedData:
    """Content encrypted for recipients, each a RecipientInfo as unread element (RFC 5652 section 6.1)."""

    version: int
    originator_info: Annotated[OriginatorInfo | None, Implicit(0)] = None
    recipient_infos: Annotated[SetOf[TLV], Size(1, None)]
    encrypted_content_info: EncryptedContentInfo
    unprotected_attrs: Annotated[SetOf[TLV] | None, Implicit(1)] = None
