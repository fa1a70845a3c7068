"""How values of the wire types are shown to people: short, and complete where that is short."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from cryptography.x509 import Name, ObjectIdentifier

from cmpkit.asn1.primitives import (
    TLV,
    BitString,
    GeneralizedTime,
    IA5String,
    PrintableString,
    SetOf,
    UTCTime,
    Variant,
    hazmat,
)
from cmpkit.errors import CMPError

__all__ = ["show"]


def show(value: Any) -> str:
    """One value, for a repr: octets in hexadecimal and cut, times in ISO 8601, names as RFC 4514 has them."""
    for kinds, shown in _WAYS:
        if isinstance(value, kinds):
            return shown(value)
    return repr(value)


def _octets(octets: bytes, most: int = 32) -> str:
    return f"<{octets.hex()}>" if len(octets) <= most else f"<{len(octets)} octets {octets[:8].hex()}…>"


def _integer(number: int) -> str:
    if isinstance(number, enum.Enum):
        return number.name
    if number.bit_length() <= _SHOWN_BITS:
        return repr(number)
    return f"<integer of {number.bit_length()} bits>"


def _items(values: list[Any]) -> str:
    if type(values).__repr__ is not list.__repr__:
        return repr(values)
    return f"[{', '.join(map(show, values))}]"


def _variant(variant: Variant[Any, Any]) -> str:
    try:
        return f"{variant.tag}:{show(variant.value)}"
    except CMPError:
        return f"{variant.tag}:<unreadable>"


_SHOWN_BITS = 128
_WAYS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (TLV, lambda element: _octets(hazmat.encode_der(element), 16)),
    (bytes, _octets),
    (int, _integer),
    (list, _items),
    (Variant, _variant),
    (BitString, lambda bits: f"<{len(bits.as_bytes()) * 8 - bits.padding_bits()} bits>"),
    ((GeneralizedTime, UTCTime), lambda time: time.as_datetime().isoformat()),
    ((IA5String, PrintableString), lambda text: repr(text.as_str())),
    (SetOf, lambda values: f"{{{', '.join(map(show, values.as_list()))}}}"),
    (ObjectIdentifier, lambda oid: oid.dotted_string),
    (Name, lambda name: repr(name.rfc4514_string())),
)
