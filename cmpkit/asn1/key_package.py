"""Private keys on the wire: the key package (RFC 5958) and a key with its owner's name (RFC 4211 section 4.2.1)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.cms import CMSAttribute
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.names import GeneralName
from cmpkit.asn1.primitives import TLV, BitString, Holds, Implicit, NonEmpty, Secret, SetOf, Variant

__all__ = ["AsymmetricKeyPackage", "EncKeyWithID", "OneAsymmetricKey"]


@sequence
class OneAsymmetricKey:
    """A private key (RFC 5958 section 2), which is the older PrivateKeyInfo if ``version`` is 0.

    ``private_key`` is what the algorithm says, in octets, and is not shown.
    """

    version: int
    private_key_algorithm: AlgorithmIdentifier
    private_key: Annotated[bytes, Secret]
    attributes: Annotated[SetOf[CMSAttribute] | None, Implicit(0)] = None
    public_key: Annotated[BitString | None, Implicit(1)] = None


AsymmetricKeyPackage: TypeAlias = Annotated[list[OneAsymmetricKey], NonEmpty]
"""Private keys; a key generation authority sends exactly one (RFC 5958 section 2, RFC 9483 section 4.1.6)."""


@sequence
class EncKeyWithID:
    """A private key and whose it is, to be encrypted as proof of possession (RFC 4211 section 4.2.1).

    ``identifier`` is a GeneralName as unread element, or a text; RFC 9810 section 5.2.8.3.1 wants it.
    """

    private_key: OneAsymmetricKey
    identifier: (
        Variant[str, Literal["string"]] | Annotated[Variant[TLV, Literal["general_name"]], Holds(GeneralName)] | None
    ) = None
