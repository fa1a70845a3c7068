"""Declared classes: :func:`sequence` turns a class with annotations into an immutable ASN.1 SEQUENCE.

The classes of hazmat.asn1 are mutable, without equality and repr, and know neither :class:`KeptElements` nor fields
that are read later. A declared class is a hazmat.asn1 class; one with :class:`Unread` fields is written by another one
beside it, its *wire class*.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, dataclass_transform

from cryptography import x509

from cmpkit.asn1.codec import READERS, KeptElements, decode_with_names, encode
from cmpkit.asn1.primitives import TLV, FrozenList, Holds, NonEmpty, Secret, SetOf, Unread, Variant, hazmat
from cmpkit.asn1.show import show
from cmpkit.values import install_init

__all__ = ["sequence"]

T = TypeVar("T")
Converter = Callable[[Any], Any]


@dataclass_transform(kw_only_default=True, frozen_default=True)
def sequence(cls: type[T]) -> type[T]:
    """Declare an ASN.1 SEQUENCE: keyword-only, frozen, with equality (same class, same DER), hash and repr.

    Fields may be :class:`KeptElements` classes (also optional, in lists and in sets) and carry :class:`NonEmpty`,
    :class:`Holds`, :class:`Secret` or :class:`Unread`. Lists become immutable. A class with :class:`Unread` fields
    can be a field only of one that is never written. A method ``_check`` of the class is called for each new value,
    and raises ValueError.
    """
    written = {**cls.__annotations__, "return": None}
    hints = typing.get_type_hints(cls, include_extras=True)
    unread = [name for name, hint in hints.items() if _unread(hint)]
    wire_types = {name: _wire_type(hint) for name, hint in hints.items()}
    members = {name: vars(cls)[name] for name in hints if name in vars(cls)}
    cls.__annotations__ = wire_types
    declared: Any = hazmat.sequence(cls)
    declared.__annotations__ = hints
    if unread:
        wire = type(f"_{cls.__name__}Wire", (), {"__annotations__": wire_types, **members})
        _install_writer(declared, hazmat.sequence(wire), unread)
    fields = dataclasses.fields(declared)
    if any(map(_holds_names, hints.values())):
        declared._holds_names = True
        READERS[declared] = functools.partial(decode_with_names, declared)
    converters = {name: convert for name, hint in hints.items() if (convert := _converter(hint)) is not None}
    install_init(declared, keyword_only=True, converters=converters)
    declared.__init__.__annotations__ = written
    _install_value_methods(declared, {field.name: _is_secret(hints[field.name]) for field in fields})
    return typing.cast(type[T], declared)


def _install_writer(cls: Any, wire: Any, unread: list[str]) -> None:
    """Have values with unread fields written as their image in the wire class, whose fields are elements."""

    def _to_der(self: Any) -> bytes:
        image = wire.__new__(wire)
        image.__dict__.update(self.__dict__)
        for name in unread:
            image.__dict__[name] = self.__dict__[name].element
        return hazmat.encode_der(image)

    cls._to_der = _to_der


def _install_value_methods(cls: Any, secrecy: dict[str, bool]) -> None:
    def __setattr__(self: Any, name: str, value: Any) -> None:
        raise AttributeError(f"{cls.__name__} is immutable: cannot set {name}")

    def __delattr__(self: Any, name: str) -> None:
        raise AttributeError(f"{cls.__name__} is immutable: cannot delete {name}")

    def __eq__(self: Any, other: object) -> bool:
        return self is other or (type(other) is type(self) and encode(self) == encode(other))

    def __hash__(self: Any) -> int:
        return hash(encode(self))

    def __repr__(self: Any) -> str:
        values = ((name, secret, getattr(self, name)) for name, secret in secrecy.items())
        shown = (
            f"{name}={'<not shown>' if secret else show(value)}" for name, secret, value in values if value is not None
        )
        return f"{cls.__name__}({', '.join(shown)})"

    for method in (__setattr__, __delattr__, __eq__, __hash__, __repr__):
        if method is not __repr__ or "__repr__" not in vars(cls):
            setattr(cls, method.__name__, method)


def _is_secret(hint: Any) -> bool:
    return typing.get_origin(hint) is Annotated and Secret in hint.__metadata__


def _is_kept(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, KeptElements)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _unread(hint: Any) -> Converter | None:
    if typing.get_origin(hint) is not Annotated:
        return None
    return next((mark.keep for mark in hint.__metadata__ if isinstance(mark, Unread)), None)


def _holds_names(hint: Any) -> bool:
    """Whether reading the field may read a distinguished name."""
    if _unread(hint):
        return False
    return hint is x509.Name or getattr(hint, "_holds_names", False) or any(map(_holds_names, typing.get_args(hint)))


def _wire_type(hint: Any) -> Any:
    """The annotation that hazmat.asn1 understands for one of ours."""
    if _unread(hint):
        return TLV
    if _is_kept(hint):
        return list[TLV]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        metadata = tuple(mark for mark in hint.__metadata__ if not _is_ours(mark))
        inner = _wire_type(args[0])
        return Annotated[(inner, *metadata)] if metadata else inner
    if origin in (list, SetOf):
        return origin[_wire_type(args[0])]
    if _is_union(hint):
        return functools.reduce(operator.or_, map(_wire_type, args))
    return hint


def _is_ours(mark: Any) -> bool:
    return mark in (NonEmpty, Secret) or isinstance(mark, Holds)


def _converter(hint: Any) -> Converter | None:
    """What turns a decoded (or given) field into ours, or ``None`` where nothing is to be done."""
    if keep := _unread(hint):
        return keep
    args = typing.get_args(hint)
    if typing.get_origin(hint) is Annotated:
        inner = _converter(args[0])
        return _not_empty(inner) if NonEmpty in hint.__metadata__ and inner else inner
    if _is_kept(hint):
        return lambda value: value if type(value) is hint else hint.from_elements(value)
    if typing.get_origin(hint) is list:
        return _frozen(_converter(args[0]))
    if typing.get_origin(hint) is SetOf:
        return _set_of(_converter(args[0]))
    return _union_converter(hint) if _is_union(hint) else None


def _union_converter(hint: Any) -> Converter | None:
    args = typing.get_args(hint)
    if any(map(_is_variant, args)):
        return _plain_variant if _holds_names(hint) else None
    return next((convert for arg in args if (convert := _converter(arg)) is not None), None)


def _is_variant(hint: Any) -> bool:
    return typing.get_origin(typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint) is Variant


def _plain_variant(value: Any) -> Any:
    """hazmat.asn1 takes no subclass of Variant, such as a name that keeps its octets."""
    return value if type(value) is Variant or not isinstance(value, Variant) else Variant(value.value, value.tag)


def _frozen(one: Converter | None) -> Converter:
    def frozen(values: Any) -> Any:
        if type(values) is FrozenList:
            return values
        return FrozenList(values if one is None else map(one, values))

    return frozen


def _set_of(one: Converter | None) -> Converter | None:
    return None if one is None else lambda values: SetOf(list(map(one, values.as_list())))


def _not_empty(convert: Converter) -> Converter:
    def checked(values: Any) -> Any:
        if not values:
            raise ValueError("an empty list where at least one element is needed")
        return convert(values)

    return checked
