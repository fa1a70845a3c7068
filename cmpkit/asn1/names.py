"""GeneralName and what it is made of (RFC 5280 section 4.2.1.6)."""

from __future__ import annotations

import typing
from typing import Annotated, Any, Literal, TypeAlias

from cryptography import x509

from cmpkit.asn1.codec import KeptElements, decode, der_wrap, encode, to_tlv
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.primitives import TLV, Explicit, IA5String, Implicit, PrintableString, Variant
from cmpkit.asn1.show import show
from cmpkit.caching import cached_property, keep_last
from cmpkit.errors import CMPError

__all__ = [
    "AnotherName",
    "EDIPartyName",
    "GeneralName",
    "RDNSequence",
    "UnreadGeneralName",
    "decode_general_name",
    "directory_name",
    "distinguished_name",
    "encode_general_name",
    "keep_general_name",
    "read_name",
]


@keep_last
def read_name(der: bytes) -> x509.Name:
    """A name from its DER; the last ones are kept, for each is looked at several times while one message is answered.

    :raises CMPError: badDataFormat if it is none.
    """
    return decode(x509.Name, der)


class RDNSequence(KeptElements):
    """A distinguished name that keeps its octets and is read when it is asked for (RFC 5280 section 4.1.2.4)."""

    @classmethod
    def of(cls, name: x509.Name) -> RDNSequence:
        """From the name as value.

        :raises CMPError: systemFailure if it cannot be encoded.
        """
        kept = decode(cls, encode(name))
        kept.__dict__["name"] = name
        return kept

    @cached_property
    def der(self) -> bytes:
        """DER of the name."""
        return encode(self)

    @cached_property
    def name(self) -> x509.Name:
        """The name itself.

        :raises CMPError: badDataFormat if it cannot be read.
        """
        return read_name(self.der)

    def __repr__(self) -> str:
        try:
            return show(self.name)
        except CMPError:
            return "<unreadable>"


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
name_choice(GeneralName, "GeneralName")


@sequence
class _GeneralNameHolder:
    name: GeneralName


class UnreadGeneralName(Variant[Any, Any]):
    """A GeneralName that keeps its octets, and whose value is read when it is asked for.

    Most names of a message are never looked at, and what answers a message names its sender with the octets that came.
    It equals a :class:`Variant` with the same tag and value.

    :ivar element: the name as one element.
    """

    element: TLV

    def __init__(self, element: TLV, tag: str) -> None:
        self.__dict__.update(element=element, tag=tag)

    @cached_property
    def value(self) -> Any:
        """The name itself.

        :raises CMPError: badDataFormat if it cannot be read.
        """
        return decode_general_name(self.element).value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a GeneralName is immutable: cannot set {name}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Variant):
            return NotImplemented
        if isinstance(other, UnreadGeneralName) and encode(self.element) == encode(other.element):
            return True
        return self.tag == other.tag and _same_value(self, other)

    def __hash__(self) -> int:
        try:
            return hash((self.value, self.tag))
        except CMPError:
            return hash((encode(self.element), self.tag))

    def __repr__(self) -> str:
        return f"GeneralName({show(self)})"


def _same_value(name: UnreadGeneralName, other: Variant[Any, Any]) -> bool:
    try:
        return bool(name.value == other.value)
    except CMPError:
        return False


_DIRECTORY_NAME = 0xA4
_TAGS = {
    b"\xa0": "other_name",
    b"\x81": "rfc822_name",
    b"\x82": "dns_name",
    b"\xa4": "directory_name",
    b"\xa5": "edi_party_name",
    b"\x86": "uniform_resource_identifier",
    b"\x87": "ip_address",
    b"\x88": "registered_id",
}


def keep_general_name(name: TLV | GeneralName) -> UnreadGeneralName:
    """A GeneralName that keeps its octets.

    :param name: an element, which is not read yet, or a GeneralName as value.
    :raises ValueError: if the element has the tag of none.
    :raises CMPError: systemFailure if the value does not fit its tag.
    """
    if isinstance(name, UnreadGeneralName):
        return name
    if isinstance(name, TLV):
        tag = _TAGS.get(name.tag_bytes)
        if tag is None:
            raise ValueError(f"no GeneralName has the tag {name.tag_bytes.hex()}")
        return UnreadGeneralName(name, tag)
    kept = UnreadGeneralName(encode_general_name(name), name.tag)
    kept.__dict__["value"] = name.value
    return kept


def directory_name(name: x509.Name) -> GeneralName:
    """A distinguished name as GeneralName; ``x509.Name([])`` is the NULL-DN (RFC 9810 section 5.1.1)."""
    kept = UnreadGeneralName(to_tlv(der_wrap(_DIRECTORY_NAME, encode(name))), "directory_name")
    kept.__dict__["value"] = name
    return kept


def distinguished_name(name: GeneralName) -> x509.Name | None:
    """The distinguished name in a GeneralName, or ``None`` if it is of another kind.

    :raises CMPError: badDataFormat if it cannot be read.
    """
    return typing.cast(x509.Name, name.value) if name.tag == "directory_name" else None


def decode_general_name(tlv: TLV) -> GeneralName:
    """Read an element as GeneralName (a CHOICE cannot stand alone in hazmat.asn1).

    :raises CMPError: badDataFormat if it is none.
    """
    return decode(_GeneralNameHolder, der_wrap(0x30, encode(tlv))).name


def encode_general_name(name: GeneralName) -> TLV:
    """A GeneralName as one unread element.

    :raises CMPError: systemFailure if the value does not fit its tag.
    """
    if isinstance(name, UnreadGeneralName):
        return name.element
    return decode(_ElementHolder, encode(_GeneralNameHolder(name=name))).element


@sequence
class _ElementHolder:
    element: TLV
