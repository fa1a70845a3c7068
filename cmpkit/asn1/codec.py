"""The codec: ASN.1 types as declared, frozen classes over ``cryptography.hazmat.asn1``.

That module decodes strict DER in Rust, at microseconds a message, but its classes are mutable, without equality and
repr, and it cannot express "SEQUENCE { OID, ANY OPTIONAL }". :func:`sequence` adds the first, :class:`OpenSequence` the
second. Nothing outside ``cmpkit.asn1`` imports it, so that a change of that young module stays in this file.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar, dataclass_transform

from cryptography.x509 import ObjectIdentifier

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

try:
    from cryptography.hazmat import asn1 as _asn1
    from cryptography.hazmat.asn1 import (
        TLV,
        BitString,
        Default,
        Explicit,
        GeneralizedTime,
        IA5String,
        Implicit,
        Null,
        PrintableString,
        SetOf,
        Size,
        UTCTime,
        Variant,
        value_set,
    )
except ImportError as error:  # pragma: no cover - needs another release of cryptography
    raise ImportError(
        "cmpkit needs cryptography >= 50 (its module cryptography.hazmat.asn1 with TLV and Variant); "
        "run: pip install -U 'cryptography>=50'"
    ) from error

__all__ = [
    "MAX_OPEN_SEQUENCE",
    "TLV",
    "BitString",
    "Default",
    "Explicit",
    "GeneralizedTime",
    "IA5String",
    "Implicit",
    "NonEmpty",
    "Null",
    "OpenSequence",
    "PrintableString",
    "SetOf",
    "Size",
    "UTCTime",
    "Variant",
    "decode",
    "decode_list",
    "der_wrap",
    "encode",
    "encode_list",
    "parse_tlv",
    "sequence",
    "to_tlv",
    "value_set",
]

T = TypeVar("T")
MAX_OPEN_SEQUENCE = 2


class NonEmpty:
    """Marks ``SEQUENCE SIZE (1..MAX) OF ... OPTIONAL``: hazmat.asn1 has no SIZE for optional lists."""


class OpenSequence(list[TLV]):
    """``SEQUENCE { OID, ANY DEFINED BY OID OPTIONAL }``: an identifier and a value that depends on it.

    It is a list of one or two elements only because that is how hazmat.asn1 reads and writes such a sequence; treat it
    as the immutable pair that it means. Subclasses give the two fields their ASN.1 names.

    :param oid: the identifier.
    :param value: the element, or a value of a declared class, or ``None`` for "absent".
    """

    __slots__ = ("_oid",)

    def __init__(self, oid: ObjectIdentifier, value: Any = None) -> None:
        super().__init__([_oid_tlv(oid)] if value is None else [_oid_tlv(oid), to_tlv(value)])
        self._oid = oid

    @classmethod
    def from_elements(cls, elements: list[TLV]) -> typing.Self:
        """Wrap what was decoded.

        :raises ValueError: if it is not an OID with at most one element after it.
        """
        if not 1 <= len(elements) <= MAX_OPEN_SEQUENCE:
            raise ValueError(f"{cls.__name__} has {len(elements)} elements, expected an OID and at most one more")
        self = cls.__new__(cls)
        list.__init__(self, elements)
        self._oid = elements[0].parse(ObjectIdentifier)
        return self

    @property
    def oid(self) -> ObjectIdentifier:
        """The identifier."""
        return self._oid

    @property
    def value(self) -> TLV | None:
        """The element after the identifier, or ``None``."""
        return self[1] if len(self) == MAX_OPEN_SEQUENCE else None

    def parse(self, kind: type[T]) -> T:
        """Read the value as a declared class.

        :raises CMPError: badDataFormat if there is none, or it does not fit.
        """
        if self.value is None:
            raise CMPError(
                f"{type(self).__name__} {self.oid.dotted_string} has no value", PKIFailureInfo.BAD_DATA_FORMAT
            )
        return parse_tlv(self.value, kind)

    def parse_list(self, kind: type[T]) -> list[T]:
        """Read the value as ``SEQUENCE OF kind``.

        :raises CMPError: badDataFormat if there is none, or it does not fit.
        """
        return decode_list(kind, encode(self.parse(TLV)))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and [_asn1.encode_der(e) for e in self] == [_asn1.encode_der(e) for e in other]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(_asn1.encode_der(element) for element in self))

    def __repr__(self) -> str:
        value = "" if self.value is None else f", {_show(self.value)}"
        return f"{type(self).__name__}({self.oid.dotted_string}{value})"


@dataclass_transform(kw_only_default=True, frozen_default=True)
def sequence(cls: type[T]) -> type[T]:
    """Declare an ASN.1 SEQUENCE: keyword-only, frozen, with equality (same class, same DER), hash and repr.

    Fields may be :class:`OpenSequence` classes (also optional and in lists) and carry :class:`NonEmpty`.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    converters = {name: convert for name, hint in hints.items() if (convert := _converter(hint)) is not None}
    cls.__annotations__ = {name: _wire_type(hint) for name, hint in hints.items()}
    declared = _asn1.sequence(cls)
    declared.__annotations__ = hints
    fields = dataclasses.fields(declared)  # type: ignore[arg-type]
    names = frozenset(field.name for field in fields)
    defaults = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}

    def __init__(self: Any, **values: Any) -> None:
        state = self.__dict__
        state.update(defaults)
        state.update(values)
        if len(state) != len(names) or not values.keys() <= names:
            wrong = sorted(names.symmetric_difference(state))
            raise TypeError(f"{cls.__name__}: missing or unknown fields {', '.join(wrong)}")
        for name, convert in converters.items():
            state[name] = convert(state[name])

    _install(declared, __init__, [field.name for field in fields])
    return declared


def _install(cls: Any, init: Callable[..., None], names: list[str]) -> None:
    def __setattr__(self: Any, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name}")

    def __eq__(self: Any, other: object) -> bool:
        return self is other or (type(other) is type(self) and encode(self) == encode(other))

    def __hash__(self: Any) -> int:
        return hash(encode(self))

    def __repr__(self: Any) -> str:
        shown = ((name, getattr(self, name)) for name in names)
        return f"{cls.__name__}({', '.join(f'{name}={_show(value)}' for name, value in shown if value is not None)})"

    cls.__init__, cls.__setattr__, cls.__eq__, cls.__hash__, cls.__repr__ = (
        init,
        __setattr__,
        __eq__,
        __hash__,
        __repr__,
    )


def _is_open(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, OpenSequence)


def _wire_type(hint: Any) -> Any:
    """The annotation that hazmat.asn1 understands for one of ours."""
    if _is_open(hint):
        return list[TLV]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        metadata = tuple(mark for mark in hint.__metadata__ if mark is not NonEmpty)
        inner = _wire_type(args[0])
        return Annotated[(inner, *metadata)] if metadata else inner
    if origin is list:
        return list[_wire_type(args[0])]  # type: ignore[misc]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_wire_type(arg) for arg in args)]
    return hint


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    """What turns a decoded (or given) field into ours, or ``None`` where nothing is to be done."""
    if typing.get_origin(hint) is Annotated:
        inner = _converter(typing.get_args(hint)[0])
        if NonEmpty in hint.__metadata__:
            return lambda value: _non_empty(inner(value) if inner else value)
        return inner
    if _is_open(hint):
        return lambda value: value if value is None or type(value) is hint else hint.from_elements(value)
    args = typing.get_args(hint)
    if typing.get_origin(hint) is list and _is_open(args[0]):
        one = _converter(args[0])
        assert one is not None
        return lambda values: None if values is None else [one(value) for value in values]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((convert for arg in args if (convert := _converter(arg)) is not None), None)
    return None


def _non_empty(values: list[Any] | None) -> list[Any] | None:
    if values is not None and not values:
        raise ValueError("an empty list where at least one element is needed")
    return values


def decode(kind: type[T], der: bytes) -> T:
    """Read strict DER as ``kind``: a class made by :func:`sequence`, or a base type.

    :param der: exactly one element, nothing after it.
    :raises CMPError: badDataFormat on anything else.
    """
    try:
        if issubclass(kind, OpenSequence):
            return typing.cast(T, kind.from_elements(_asn1.decode_der(_Elements, der_wrap(0x30, der)).elements))
        return _asn1.decode_der(kind, der)
    except (ValueError, TypeError, OverflowError) as error:
        raise _bad_format(kind, error) from error


@_asn1.sequence
class _Elements:
    elements: list[TLV]


def decode_list(kind: type[T], der: bytes) -> list[T]:
    """Read strict DER as ``SEQUENCE OF kind``.

    :raises CMPError: badDataFormat on anything else.
    """
    elements = decode(_Elements, der_wrap(0x30, der)).elements
    return [parse_tlv(element, kind) for element in elements]


def parse_tlv(tlv: TLV, kind: type[T]) -> T:
    """Read an element that was left unread.

    :raises CMPError: badDataFormat if it is not a ``kind``.
    """
    if issubclass(kind, OpenSequence):
        return decode(kind, encode(tlv))
    try:
        return typing.cast(T, tlv.parse(kind))
    except (ValueError, TypeError, OverflowError) as error:
        raise _bad_format(kind, error) from error


def _bad_format(kind: type[Any], error: Exception) -> CMPError:
    name = getattr(kind, "__name__", str(kind))
    return CMPError(f"not a DER encoded {name}: {error}", PKIFailureInfo.BAD_DATA_FORMAT, rule="RFC 9483 section 3.5")


def encode(value: Any) -> bytes:
    """The DER octets of a value.

    :raises CMPError: systemFailure if a field holds what its type does not allow.
    """
    try:
        if isinstance(value, OpenSequence):
            return der_wrap(0x30, b"".join(_asn1.encode_der(element) for element in value))
        return _asn1.encode_der(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise CMPError(f"cannot encode {type(value).__name__}: {error}", PKIFailureInfo.SYSTEM_FAILURE) from error


def encode_list(values: Iterable[Any]) -> bytes:
    """DER of a ``SEQUENCE OF`` the values; octets are taken as DER.

    :raises CMPError: systemFailure if a field holds what its type does not allow.
    """
    return der_wrap(0x30, b"".join(value if isinstance(value, bytes) else encode(value) for value in values))


def to_tlv(value: Any) -> TLV:
    """A value as one unread element; octets are taken as DER.

    :raises CMPError: if the octets are not exactly one element, or the value cannot be encoded.
    """
    if isinstance(value, TLV):
        return value
    return decode(TLV, bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else encode(value))


def der_wrap(tag: int, content: bytes) -> bytes:
    """``content`` under a one-octet tag, with its definite length in the shortest form (X.690 section 10.1)."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


_OID_TLVS: dict[ObjectIdentifier, TLV] = {}
_OID_TLVS_LIMIT = 512


def _oid_tlv(oid: ObjectIdentifier) -> TLV:
    tlv = _OID_TLVS.get(oid)
    if tlv is None:
        tlv = to_tlv(oid)
        if len(_OID_TLVS) < _OID_TLVS_LIMIT:
            _OID_TLVS[oid] = tlv
    return tlv


def _show(value: Any) -> str:
    if isinstance(value, TLV):
        der = _asn1.encode_der(value)
        return f"<{len(der)} octets {der[:8].hex()}…>" if len(der) > 16 else f"<{der.hex()}>"
    if isinstance(value, bytes):
        return value.hex() if len(value) <= 32 else f"<{len(value)} octets {value[:8].hex()}…>"
    if isinstance(value, BitString):
        return f"<{len(value.as_bytes()) * 8 - value.padding_bits()} bits>"
    if isinstance(value, (GeneralizedTime, UTCTime)):
        return value.as_datetime().isoformat()
    if isinstance(value, Variant):
        return f"{value.tag}:{_show(value.value)}"
    if isinstance(value, list) and not isinstance(value, OpenSequence):
        return f"[{', '.join(_show(item) for item in value)}]"
    rfc4514 = getattr(value, "rfc4514_string", None)
    return repr(rfc4514()) if rfc4514 else repr(value)
