"""What the extensions of certificates and revocation lists hold (RFC 5280 sections 4.2.1, 4.2.2 and 5.2)."""

from __future__ import annotations

from typing import Any

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    KEY_USAGES,
    AccessDescription,
    AuthorityKeyIdentifier,
    BasicConstraints,
    BitString,
    DistributionPoint,
    Extension,
    GeneralizedTime,
    GeneralName,
    NameConstraints,
    decode,
    encode,
    read_element,
    to_tlv,
)
from cmpkit.enums import CRLReason

__all__ = ["BITS", "read_extension"]


_KINDS: dict[ObjectIdentifier, Any] = {
    oids.SUBJECT_KEY_IDENTIFIER: bytes,
    oids.KEY_USAGE: BitString,
    oids.SUBJECT_ALTERNATIVE_NAME: list[GeneralName],
    oids.ISSUER_ALTERNATIVE_NAME: list[GeneralName],
    oids.BASIC_CONSTRAINTS: BasicConstraints,
    oids.CRL_NUMBER: int,
    oids.NAME_CONSTRAINTS: NameConstraints,
    oids.INVALIDITY_DATE: GeneralizedTime,
    oids.CRL_DISTRIBUTION_POINTS: list[DistributionPoint],
    oids.AUTHORITY_KEY_IDENTIFIER: AuthorityKeyIdentifier,
    oids.EXTENDED_KEY_USAGE: list[ObjectIdentifier],
    oids.FRESHEST_CRL: list[DistributionPoint],
    oids.AUTHORITY_INFO_ACCESS: list[AccessDescription],
    oids.SUBJECT_INFO_ACCESS: list[AccessDescription],
}
BITS = {"keyUsage": KEY_USAGES}
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
    kind = _KINDS.get(extension.extn_id)
    return element if kind is None else read_element(element, kind)
