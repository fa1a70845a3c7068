"""Elements that were left unread: read as any kind, and made of any kind.

A *kind* is what stands for an ASN.1 type: a declared class, a base type, ``list[kind]`` for SEQUENCE OF
(``Annotated[list[kind], NonEmpty]`` for SIZE (1..MAX)), or a CHOICE, which is a union of :class:`Variant`.
"""

from __future__ import annotations

import functools
import types
import typing
from typing import Annotated, Any

from cmpkit.asn1.codec import decode, decode_list, der_wrap, encode, encode_list, parse_tlv, to_tlv
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.primitives import TLV, NonEmpty
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = ["is_choice", "make_element", "name_choice", "name_of_kind", "read_element"]

_SEQUENCE = 0x30
_NAMES: dict[Any, str] = {bytes: "OCTET STRING", int: "INTEGER", str: "UTF8String", bool: "BOOLEAN"}


def read_element(element: TLV, kind: Any) -> Any:
    """Read an element that was left unread.

    :param element: the element.
    :param kind: what it should be.
    :raises CMPError: badDataFormat if it is something else.
    """
    if typing.get_origin(kind) is Annotated:
        values = read_element(element, typing.get_args(kind)[0])
        _refuse_empty(values, kind, PKIFailureInfo.BAD_DATA_FORMAT)
        return values
    if typing.get_origin(kind) is list:
        (item,) = typing.get_args(kind)
        return [read_element(one, item) for one in decode_list(TLV, encode(element))]
    if is_choice(kind):
        return decode(_holder(kind), der_wrap(_SEQUENCE, encode(element))).value
    return parse_tlv(element, kind)


def make_element(value: Any, kind: Any) -> TLV:
    """A value as one element.

    :param value: for a CHOICE a :class:`Variant`, for SEQUENCE OF any iterable.
    :param kind: what it is.
    :raises CMPError: systemFailure if it is something else.
    """
    if typing.get_origin(kind) is Annotated:
        values = list(value)
        _refuse_empty(values, kind, PKIFailureInfo.SYSTEM_FAILURE)
        return make_element(values, typing.get_args(kind)[0])
    if typing.get_origin(kind) is list:
        (item,) = typing.get_args(kind)
        return to_tlv(encode_list(make_element(one, item) for one in value))
    if is_choice(kind):
        return decode(_ElementHolder, encode(_holder(kind)(value=value))).element
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise CMPError(f"{type(value).__name__} is no {name_of_kind(kind)}", PKIFailureInfo.SYSTEM_FAILURE)
    return to_tlv(encode(value))


def is_choice(kind: Any) -> bool:
    """Whether a kind is a CHOICE."""
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def name_choice(kind: Any, name: str) -> None:
    """Tell the ASN.1 name of a CHOICE, which is a union and has none, for errors and for who shows messages."""
    _NAMES[kind] = name


def name_of_kind(kind: Any) -> str:
    """The ASN.1 name of a kind, ``SEQUENCE OF CertId`` for a list."""
    if typing.get_origin(kind) is Annotated:
        return name_of_kind(typing.get_args(kind)[0])
    if typing.get_origin(kind) is list:
        return f"SEQUENCE OF {name_of_kind(typing.get_args(kind)[0])}"
    return _NAMES.get(kind) or str(getattr(kind, "__name__", "CHOICE"))


def _refuse_empty(values: list[Any], kind: Any, failure: PKIFailureInfo) -> None:
    if not values and NonEmpty in kind.__metadata__:
        raise CMPError(f"an empty {name_of_kind(kind)} where at least one element is needed", failure)


@functools.cache
def _holder(choice: Any) -> Any:
    """A SEQUENCE with the CHOICE as its only field: one cannot stand alone in hazmat.asn1."""
    return sequence(type(name_of_kind(choice), (), {"__annotations__": {"value": choice}, "__module__": __name__}))


@sequence
class _ElementHolder:
    element: TLV
