"""GeneralName and what it is made of (RFC 5280 section 4.2.1.6)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cryptography import x509

from cmpkit.asn1.codec import (
    TLV,
    Explicit,
    IA5String,
    Implicit,
    PrintableString,
    Variant,
    decode,
    der_wrap,
    encode,
    sequence,
)

__all__ = [
    "AnotherName",
    "EDIPartyName",
    "GeneralName",
    "decode_general_name",
    "directory_name",
    "encode_general_name",
]


@sequence
class AnotherName:
    """The otherName alternative: a type and its value."""

    type_id: x509.ObjectIdentifier
    value: Annotated[TLV, Explicit(0)]


@sequence
class EDIPartyName:
    """The ediPartyName alternative."""

    name_assigner: Annotated[str | PrintableString | None, Explicit(0)] = None
    party_name: Annotated[str | PrintableString, Explicit(1)]


GeneralName: TypeAlias = (
    Annotated[Variant[AnotherName, Literal["other_name"]], Implicit(0)]
    | Annotated[Variant[IA5String, Literal["rfc822_name"]], Implicit(1)]
    | Annotated[Variant[IA5String, Literal["dns_name"]], Implicit(2)]
    | Annotated[Variant[x509.Name, Literal["directory_name"]], Explicit(4)]
    | Annotated[Variant[EDIPartyName, Literal["edi_party_name"]], Implicit(5)]
    | Annotated[Variant[IA5String, Literal["uniform_resource_identifier"]], Implicit(6)]
    | Annotated[Variant[bytes, Literal["ip_address"]], Implicit(7)]
    | Annotated[Variant[x509.ObjectIdentifier, Literal["registered_id"]], Implicit(8)]
)
"""A name: ``.tag`` says of which kind, ``.value`` holds it. x400Address is not known."""


@sequence
class _GeneralNameHolder:
    name: GeneralName


def directory_name(name: x509.Name) -> GeneralName:
    """A distinguished name as GeneralName; ``x509.Name([])`` is the NULL-DN (RFC 9810 section 5.1.1)."""
    return Variant(name, "directory_name")


def decode_general_name(tlv: TLV) -> GeneralName:
    """Read an element as GeneralName (a CHOICE cannot stand alone in hazmat.asn1).

    :raises CMPError: badDataFormat if it is none.
    """
    return decode(_GeneralNameHolder, der_wrap(0x30, encode(tlv))).name


def encode_general_name(name: GeneralName) -> TLV:
    """A GeneralName as one unread element."""
    return decode(_ElementHolder, encode(_GeneralNameHolder(name=name))).element


@sequence
class _ElementHolder:
    element: TLV
