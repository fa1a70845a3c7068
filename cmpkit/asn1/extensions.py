"""What the extensions of certificates hold (RFC 5280 sections 4.2.1 and 4.2.2)."""

from __future__ import annotations

from typing import Annotated, Final

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.declare import sequence
from cmpkit.asn1.information import DistributionPointName
from cmpkit.asn1.names import GeneralName
from cmpkit.asn1.primitives import TLV, BitString, Default, Holds, Implicit, NonEmpty

__all__ = [
    "KEY_USAGES",
    "SIGNING_USAGES",
    "AccessDescription",
    "AuthorityKeyIdentifier",
    "BasicConstraints",
    "DistributionPoint",
    "GeneralSubtree",
    "NameConstraints",
]

KEY_USAGES: Final = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
"""The bits of KeyUsage, bit 0 first (RFC 5280 section 4.2.1.3)."""
SIGNING_USAGES: Final = frozenset({"digitalSignature", "nonRepudiation", "keyCertSign", "cRLSign"})
"""The bits for keys that do nothing but sign (RFC 9295 section 3, RFC 9881 section 5)."""


@sequence
class BasicConstraints:
    """Whether the subject is a CA (RFC 5280 section 4.2.1.9)."""

    c_a: Annotated[bool, Default(False)] = False
    path_len_constraint: int | None = None


@sequence
class AuthorityKeyIdentifier:
    """The key that signed (RFC 5280 section 4.2.1.1)."""

    key_identifier: Annotated[bytes | None, Implicit(0)] = None
    authority_cert_issuer: Annotated[list[Annotated[TLV, Holds(GeneralName)]] | None, Implicit(1)] = None
    authority_cert_serial_number: Annotated[int | None, Implicit(2)] = None


@sequence
class DistributionPoint:
    """Where certificate lists are (RFC 5280 section 4.2.1.13)."""

    distribution_point: Annotated[DistributionPointName | None, Implicit(0)] = None
    reasons: Annotated[BitString | None, Implicit(1)] = None
    crl_issuer: Annotated[list[GeneralName] | None, Implicit(2)] = None


@sequence
class GeneralSubtree:
    """The names below a base (RFC 5280 section 4.2.1.10)."""

    base: GeneralName
    minimum: Annotated[int, Implicit(0), Default(0)] = 0
    maximum: Annotated[int | None, Implicit(1)] = None


@sequence
class NameConstraints:
    """Which names there may be below a CA (RFC 5280 section 4.2.1.10)."""

    permitted_subtrees: Annotated[list[GeneralSubtree] | None, Implicit(0), NonEmpty] = None
    excluded_subtrees: Annotated[list[GeneralSubtree] | None, Implicit(1), NonEmpty] = None


@sequence
class AccessDescription:
    """Where more is to be had (RFC 5280 section 4.2.2.1)."""

    access_method: ObjectIdentifier
    access_location: GeneralName
