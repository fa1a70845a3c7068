"""How values of the wire types are shown to people: short, and complete where that is short."""

from __future__ import annotations

from typing import Any

from cmpkit.asn1.primitives import TLV, BitString, GeneralizedTime, IA5String, PrintableString, UTCTime, Variant, hazmat
from cmpkit.errors import CMPError

__all__ = ["show"]

_SHOWN_TLV = 16
_SHOWN_OCTETS = 32
_SHOWN_BITS = 128


def show(value: Any) -> str:
    """One value, for a repr: octets in hexadecimal and cut, times in ISO 8601, names as RFC 4514 has them."""
    if isinstance(value, TLV):
        return _octets(hazmat.encode_der(value), _SHOWN_TLV)
    if isinstance(value, bytes):
        return _octets(value, _SHOWN_OCTETS)
    if isinstance(value, BitString):
        return f"<{len(value.as_bytes()) * 8 - value.padding_bits()} bits>"
    if isinstance(value, (GeneralizedTime, UTCTime)):
        return value.as_datetime().isoformat()
    if isinstance(value, (IA5String, PrintableString)):
        return repr(value.as_str())
    if isinstance(value, Variant):
        return _variant(value)
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"<integer of {value.bit_length()} bits>"
    if isinstance(value, list) and type(value).__repr__ is list.__repr__:
        return f"[{', '.join(map(show, value))}]"
    rfc4514 = getattr(value, "rfc4514_string", None)
    return repr(rfc4514()) if rfc4514 else repr(value)


def _octets(octets: bytes, most: int) -> str:
    return f"<{octets.hex()}>" if len(octets) <= most else f"<{len(octets)} octets {octets[:8].hex()}…>"


def _variant(variant: Variant[Any, Any]) -> str:
    try:
        return f"{variant.tag}:{show(variant.value)}"
    except CMPError:
        return f"{variant.tag}:<unreadable>"
