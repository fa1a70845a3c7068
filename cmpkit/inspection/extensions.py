"""What the extensions of certificates and revocation lists hold (RFC 5280 sections 4.2.1, 4.2.2 and 5.2)."""

from __future__ import annotations

from typing import Annotated, Any

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    BitString,
    Default,
    DistributionPointName,
    Extension,
    GeneralizedTime,
    GeneralName,
    Implicit,
    decode,
    encode,
    read_element,
    sequence,
    to_tlv,
)
from cmpkit.enums import CRLReason

__all__ = ["BITS", "read_extension"]


@sequence
class BasicConstraints:
    """Whether the subject is a CA."""

    c_a: Annotated[bool, Default(False)] = False
    path_len_constraint: int | None = None


@sequence
class AuthorityKeyIdentifier:
    """The key that signed."""

    key_identifier: Annotated[bytes | None, Implicit(0)] = None
    authority_cert_issuer: Annotated[list[GeneralName] | None, Implicit(1)] = None
    authority_cert_serial_number: Annotated[int | None, Implicit(2)] = None


@sequence
class AccessDescription:
    """Where more is to be had."""

    access_method: ObjectIdentifier
    access_location: GeneralName


@sequence
class DistributionPoint:
    """Where certificate lists are."""

    distribution_point: Annotated[DistributionPointName | None, Implicit(0)] = None
    reasons: Annotated[BitString | None, Implicit(1)] = None
    crl_issuer: Annotated[list[GeneralName] | None, Implicit(2)] = None


_KINDS: dict[str, Any] = {
    oids.SUBJECT_KEY_IDENTIFIER.dotted_string: bytes,
    oids.KEY_USAGE.dotted_string: BitString,
    oids.SUBJECT_ALTERNATIVE_NAME.dotted_string: list[GeneralName],
    "2.5.29.18": list[GeneralName],
    oids.BASIC_CONSTRAINTS.dotted_string: BasicConstraints,
    oids.CRL_NUMBER.dotted_string: int,
    "2.5.29.24": GeneralizedTime,
    oids.CRL_DISTRIBUTION_POINTS.dotted_string: list[DistributionPoint],
    oids.AUTHORITY_KEY_IDENTIFIER.dotted_string: AuthorityKeyIdentifier,
    oids.EXTENDED_KEY_USAGE.dotted_string: list[ObjectIdentifier],
    "2.5.29.46": list[DistributionPoint],
    "1.3.6.1.5.5.7.1.1": list[AccessDescription],
    "1.3.6.1.5.5.7.1.11": list[AccessDescription],
}
BITS = {
    "keyUsage": (
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ),
}
"""The names of the bits of those extensions that are BIT STRINGs, bit 0 first."""


def read_extension(extension: Extension) -> Any:
    """The value of an extension, read; an unread element where we do not know the OID.

    :raises CMPError: badDataFormat if the value does not fit the OID.
    """
    element = to_tlv(extension.extn_value)
    if extension.extn_id == oids.CRL_REASON and element.tag_bytes == b"\x0a":
        # ENUMERATED (tag 10) is an INTEGER but for its tag.
        number = decode(int, b"\x02" + encode(element)[1:])
        return CRLReason(number) if number in set(CRLReason) else number
    kind = _KINDS.get(extension.extn_id.dotted_string)
    return element if kind is None else read_element(element, kind)
