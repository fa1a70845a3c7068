"""pyasn1 beside our codec: types that a researcher declares with it, and our own types as specs for it.

An information type, a control or the parameters of an algorithm may be declared by a pyasn1 spec instead of a class of
:func:`cmpkit.asn1.sequence`::

    class Colour(univ.Sequence):
        componentType = namedtype.NamedTypes(namedtype.NamedType("name", char.UTF8String()))

    colour = Colour()
    colour["name"] = "red"
    info = InfoTypeAndValue(COLOUR, make_pyasn1(colour))
    assert str(read_pyasn1(info.info_value, Colour())["name"]) == "red"

This module is not imported by :mod:`cmpkit.asn1`: who needs no pyasn1 does not load it.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from cryptography import x509
from pyasn1.codec.ber import decoder as ber_decoder
from pyasn1.codec.der import decoder as der_decoder
from pyasn1.codec.der import encoder as der_encoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import base, char, namedtype, tag, univ, useful

from cmpkit.asn1.codec import OpenSequence, encode, to_tlv
from cmpkit.asn1.elements import is_choice
from cmpkit.asn1.fields import fields_of
from cmpkit.asn1.names import RDNSequence
from cmpkit.asn1.primitives import (
    TLV,
    BitString,
    Default,
    Explicit,
    GeneralizedTime,
    Holds,
    IA5String,
    Implicit,
    Null,
    PrintableString,
    SetOf,
    UTCTime,
    Variant,
)
from cmpkit.asn1.x509 import CertificateList, CertificateWire, CertificationRequest
from cmpkit.enums import PKIFailureInfo, PKIStatus, SubsequentMessage
from cmpkit.errors import CMPError

__all__ = ["make_pyasn1", "pyasn1_spec", "read_pyasn1", "rewrite_ber"]

_UNREADABLE = (PyAsn1Error, ValueError, TypeError, OverflowError, IndexError, KeyError, AttributeError)


def read_pyasn1(element: TLV, spec: Any) -> Any:
    """Read an element that was left unread as what a pyasn1 spec says.

    :param element: the element, such as ``info.info_value``, ``control.value`` or ``algorithm.parameters``.
    :param spec: an instance of a pyasn1 type.
    :raises CMPError: badDataFormat if it is something else.
    """
    try:
        value, _ = der_decoder.decode(encode(element), asn1Spec=spec)
    except _UNREADABLE as error:
        why = f"pyasn1 reads no {type(spec).__name__}: {error}"
        raise CMPError(why, PKIFailureInfo.BAD_DATA_FORMAT) from error
    return value


def make_pyasn1(value: Any) -> TLV:
    """A value of pyasn1 as one element, in DER.

    :raises CMPError: systemFailure if something in it is missing, or does not fit.
    """
    try:
        return to_tlv(bytes(der_encoder.encode(value)))
    except _UNREADABLE as error:
        name = type(value).__name__
        raise CMPError(f"pyasn1 cannot encode {name}: {error}", PKIFailureInfo.SYSTEM_FAILURE) from error


@functools.cache
def pyasn1_spec(kind: Any) -> Any:
    """One of our kinds as a spec for pyasn1.

    The signed parts of certificates, lists and PKCS#10 requests, and what depends on an OID, are ``Any``.

    :param kind: see :func:`cmpkit.asn1.read_element`.
    """
    marks = kind.__metadata__ if typing.get_origin(kind) is Annotated else ()
    spec = _untagged(typing.get_args(kind)[0] if marks else kind, marks)
    for mark in marks:
        if isinstance(mark, Explicit):
            spec = spec.subtype(explicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, _number(mark)))
        elif isinstance(mark, Implicit):
            spec = spec.subtype(implicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatSimple, _number(mark)))
    return spec


def _number(mark: Any) -> int:
    return int(mark[0])


def _untagged(kind: Any, marks: tuple[Any, ...]) -> Any:
    if kind is TLV:
        return next((pyasn1_spec(mark.kind) for mark in marks if isinstance(mark, Holds)), univ.Any())
    if kind in _BASE:
        return _BASE[kind]()
    if is_choice(kind):
        return _choice([part for part in typing.get_args(kind) if part is not type(None)])
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return univ.SequenceOf(componentType=pyasn1_spec(args[0]))
    if origin is SetOf:
        return univ.SetOf(componentType=pyasn1_spec(args[0]))
    return _sequence(kind)


def _choice(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return pyasn1_spec(parts[0])
    return univ.Choice(
        componentType=namedtype.NamedTypes(
            *(namedtype.NamedType(f"alternative-{number}", _alternative(part)) for number, part in enumerate(parts))
        )
    )


def _alternative(part: Any) -> Any:
    marks = part.__metadata__ if typing.get_origin(part) is Annotated else ()
    plain = typing.get_args(part)[0] if marks else part
    if typing.get_origin(plain) is Variant:
        plain = typing.get_args(plain)[0]
    return pyasn1_spec(Annotated[(plain, *marks)] if marks else plain)


def _sequence(cls: Any) -> Any:
    if issubclass(cls, OpenSequence):
        fields = [namedtype.NamedType("oid", univ.ObjectIdentifier()), namedtype.OptionalNamedType("value", univ.Any())]
    else:
        hints = typing.get_type_hints(cls, include_extras=True)
        if cls in _SIGNED:
            hints = {name: TLV if _plain(hint) is TLV else hint for name, hint in hints.items()}
        fields = [_field(field.name, hints[field.attribute], field.optional) for field in fields_of(cls)]
    return univ.Sequence(componentType=namedtype.NamedTypes(*fields))


_SIGNED = (CertificateWire, CertificateList, CertificationRequest)


def _plain(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def _field(name: str, hint: Any, optional: bool) -> Any:
    marks = hint.__metadata__ if typing.get_origin(hint) is Annotated else ()
    spec = pyasn1_spec(hint)
    for mark in marks:
        if isinstance(mark, Default):
            return namedtype.DefaultedNamedType(name, spec.clone(mark.value))
    return namedtype.OptionalNamedType(name, spec) if optional else namedtype.NamedType(name, spec)


def _name() -> Any:
    attribute = univ.Sequence(
        componentType=namedtype.NamedTypes(
            namedtype.NamedType("type", univ.ObjectIdentifier()), namedtype.NamedType("value", univ.Any())
        )
    )
    return univ.SequenceOf(componentType=univ.SetOf(componentType=attribute))


_BASE: dict[Any, Callable[[], Any]] = {
    int: univ.Integer,
    PKIStatus: univ.Integer,
    SubsequentMessage: univ.Integer,
    bool: univ.Boolean,
    bytes: univ.OctetString,
    str: char.UTF8String,
    BitString: univ.BitString,
    Null: univ.Null,
    x509.ObjectIdentifier: univ.ObjectIdentifier,
    x509.Name: _name,
    RDNSequence: _name,
    IA5String: char.IA5String,
    PrintableString: char.PrintableString,
    GeneralizedTime: useful.GeneralizedTime,
    UTCTime: useful.UTCTime,
}
"""The pyasn1 types of the base types."""


class _SequenceEncoder(der_encoder.encoder.SequenceEncoder):  # type: ignore[misc]
    """Writes the OPTIONAL fields that are there: pyasn1's own leaves out empty ones, such as a NULL-DN."""

    def encodeValue(self, value: Any, asn1Spec: Any, encodeFun: Any, **options: Any) -> tuple[bytes, bool, bool]:
        parts = []
        for position, field in enumerate(value.componentType.namedTypes):
            part = value.getComponentByPosition(position, instantiate=False)
            if part is not base.noValue and not (field.isDefaulted and part == field.asn1Object):
                parts.append(encodeFun(part, None, **options))
        return b"".join(parts), True, True


class _ItemEncoder(der_encoder.SingleItemEncoder):  # type: ignore[misc]
    TYPE_MAP: ClassVar[dict[Any, Any]] = {
        **der_encoder.SingleItemEncoder.TYPE_MAP,
        univ.Sequence.typeId: _SequenceEncoder(),
    }


class _Encoder(der_encoder.Encoder):  # type: ignore[misc]
    SINGLE_ITEM_ENCODER = _ItemEncoder


_encode = _Encoder()


def rewrite_ber(octets: bytes, kind: Any) -> bytes:
    """Octets in BER as DER.

    :param octets: one element in BER with definite lengths.
    :param kind: what it is.
    :raises CMPError: badDataFormat if pyasn1 cannot read it.
    """
    try:
        value, rest = ber_decoder.decode(octets, asn1Spec=pyasn1_spec(kind))
        if rest:
            raise ValueError(f"{len(rest)} octets follow")
        return bytes(_encode(value))
    except _UNREADABLE as error:
        raise CMPError(f"pyasn1 reads no BER: {error}", PKIFailureInfo.BAD_DATA_FORMAT) from error
