"""The codec: values to DER and back, over ``cryptography.hazmat.asn1``.

That module decodes strict DER in Rust, at microseconds a message, but cannot express "SEQUENCE { OID, ANY OPTIONAL }":
that is :class:`OpenSequence`. Classes are declared with :func:`cmpkit.asn1.sequence`. Nothing outside ``cmpkit.asn1``
imports hazmat.asn1, so that a change of that young module stays here.
"""

from __future__ import annotations

import functools
import re
import threading
import typing
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1.primitives import TLV, FrozenList, hazmat
from cmpkit.asn1.show import show
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = [
    "MAX_OPEN_SEQUENCE",
    "READERS",
    "KeptElements",
    "OpenSequence",
    "bad_format",
    "content_start",
    "decode",
    "decode_list",
    "decode_with_names",
    "der_wrap",
    "encode",
    "encode_integer",
    "encode_list",
    "encode_octets",
    "has_odd_name",
    "parse_tlv",
    "quietly",
    "to_tlv",
]

T = TypeVar("T")
_INTEGER = 0x02
_OCTET_STRING = 0x04
_LONG_FORM = 0x80
MAX_OPEN_SEQUENCE = 2
"""Elements that "SEQUENCE { OID, ANY OPTIONAL }" may have."""


READERS: dict[Any, Callable[[bytes], Any]] = {}
"""How the kinds are read that hazmat.asn1 does not read alone."""


class KeptElements(FrozenList[TLV]):
    """A SEQUENCE that is kept as a list of its elements, because that is how hazmat.asn1 reads and writes it."""

    __slots__ = ()

    @classmethod
    def from_elements(cls, elements: list[TLV]) -> typing.Self:
        """Wrap what was decoded.

        :raises ValueError: if there cannot be such elements.
        """
        self = cls.__new__(cls)
        list.__init__(self, elements)
        return self

    def __init_subclass__(cls) -> None:
        READERS[cls] = cls._from_der

    @classmethod
    def _from_der(cls, der: bytes) -> typing.Self:
        return cls.from_elements(hazmat.decode_der(_Elements, der_wrap(0x30, der)).elements)

    def _to_der(self) -> bytes:
        held = hazmat.encode_der(_Elements(elements=self))
        return held[content_start(held, 0) :]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._to_der() == other._to_der()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._to_der())


class OpenSequence(KeptElements):
    """``SEQUENCE { OID, ANY DEFINED BY OID OPTIONAL }``: an identifier and a value that depends on it.

    It is an immutable list of one or two elements, because that is how hazmat.asn1 reads and writes such a sequence.
    Subclasses give the two fields their ASN.1 names.

    :param oid: the identifier.
    :param value: the element, or a value of a declared class, or ``None`` for "absent".
    """

    __slots__ = ("_der", "oid")

    oid: ObjectIdentifier
    """The identifier."""
    _der: bytes

    def __init__(self, oid: ObjectIdentifier, value: Any = None) -> None:
        super().__init__((_oid_tlv(oid),) if value is None else (_oid_tlv(oid), to_tlv(value)))
        object.__setattr__(self, "oid", oid)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name}")

    def _to_der(self) -> bytes:
        # Kept, because the same few algorithms are written into every certificate.
        try:
            return self._der
        except AttributeError:
            der = super()._to_der()
            object.__setattr__(self, "_der", der)
            return der

    @classmethod
    def from_elements(cls, elements: list[TLV]) -> typing.Self:
        """Wrap what was decoded.

        :raises ValueError: if it is not an OID with at most one element after it.
        """
        if not 1 <= len(elements) <= MAX_OPEN_SEQUENCE:
            raise ValueError(f"{cls.__name__} has {len(elements)} elements, expected an OID and at most one more")
        self = cls.__new__(cls)
        list.__init__(self, elements)
        object.__setattr__(self, "oid", _read_oid(elements[0]))
        return self

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

    def __repr__(self) -> str:
        value = "" if self.value is None else f", {show(self.value)}"
        return f"{type(self).__name__}({self.oid.dotted_string}{value})"


@hazmat.sequence
class _Elements:
    elements: list[TLV]


def decode(kind: type[T], der: bytes) -> T:
    """Read strict DER as ``kind``: a class made by :func:`cmpkit.asn1.sequence`, or a base type.

    :param der: exactly one element, nothing after it.
    :raises CMPError: badDataFormat on anything else.
    """
    read: Callable[[bytes], T] | None = READERS.get(kind)
    try:
        return hazmat.decode_der(kind, der) if read is None else read(der)
    except _UNREADABLE as error:
        raise bad_format(kind, error) from error


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
    if kind in READERS:
        return decode(kind, encode(tlv))
    try:
        return typing.cast(T, tlv.parse(kind))
    except _UNREADABLE as error:
        raise bad_format(kind, error) from error


def quietly(function: Callable[[], T]) -> T:
    """Call a function that only reads data, whose warnings about that data are of no use to anybody.

    Python keeps its warning filters per process: they are changed under a lock, and only here.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function()


# cryptography warns of a countryName of other than 2 octets, of a commonName of none or more than 64, and of odd
# certificates. They are data, not faults of a program: no warning may leave here, least of all as an exception.
_ODD_NAME = re.compile(
    rb"\x06\x03\x55\x04(?:\x06(?![^\x1c\x1e]\x02)|\x03(?![^\x1c\x1e][\x01-\x40]))"
    rb"|\x06\x0b\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x03(?![^\x1c\x1e]\x02)",
    re.DOTALL,
)
_warnings_lock = threading.Lock()
_UNREADABLE = (ValueError, TypeError, OverflowError, x509.InvalidVersion)


def has_odd_name(der: bytes) -> bool:
    """Whether there may be a distinguished name in the octets that cryptography warns of."""
    return _ODD_NAME.search(der) is not None


def decode_with_names(kind: type[T], der: bytes) -> T:
    """Read a class of hazmat.asn1 in which there may be distinguished names.

    :raises ValueError: or another error of hazmat.asn1 for anything else.
    """
    if has_odd_name(der):
        return quietly(lambda: hazmat.decode_der(kind, der))
    return hazmat.decode_der(kind, der)


def _read_quietly(kind: Any) -> Callable[[bytes], Any]:
    return lambda der: quietly(lambda: hazmat.decode_der(kind, der))


READERS[x509.Name] = functools.partial(decode_with_names, x509.Name)
for _kind in (x509.Certificate, x509.CertificateRevocationList, x509.CertificateSigningRequest):
    READERS[_kind] = _read_quietly(_kind)


def bad_format(kind: type[Any], error: Exception) -> CMPError:
    """The error for octets that are not a ``kind``."""
    name = getattr(kind, "__name__", str(kind)).lstrip("_")
    return CMPError(f"not a DER encoded {name}: {error}", PKIFailureInfo.BAD_DATA_FORMAT, rule="RFC 9483 section 3.5")


def encode(value: Any) -> bytes:
    """The DER octets of a value.

    :raises CMPError: systemFailure if a field holds what its type does not allow.
    """
    try:
        write: Callable[[], bytes] | None = getattr(value, "_to_der", None)
        return hazmat.encode_der(value) if write is None else write()
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise CMPError(f"cannot encode {type(value).__name__}: {error}", PKIFailureInfo.SYSTEM_FAILURE) from error


def encode_list(values: Iterable[Any]) -> bytes:
    """DER of a ``SEQUENCE OF`` the values; octets are taken as DER.

    :raises CMPError: systemFailure if a field holds what its type does not allow.
    """
    return der_wrap(0x30, b"".join([value if isinstance(value, bytes) else encode(value) for value in values]))


def encode_integer(value: int) -> bytes:
    """DER of an INTEGER that is not negative, such as a serial number, for which hazmat.asn1 takes ten times as long.

    :raises CMPError: systemFailure if it is negative.
    """
    if value < 0:
        raise CMPError(f"cannot encode {value} as a positive INTEGER", PKIFailureInfo.SYSTEM_FAILURE)
    return der_wrap(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def encode_octets(value: bytes) -> bytes:
    """DER of an OCTET STRING, for which hazmat.asn1 takes ten times as long."""
    return der_wrap(_OCTET_STRING, value)


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
    if length < _LONG_FORM:
        return b"%c%c%b" % (tag, length, content)
    if length < 0x100:
        return b"%c\x81%c%b" % (tag, length, content)
    size = (length.bit_length() + 7) // 8
    return b"%c%c%b%b" % (tag, _LONG_FORM | size, length.to_bytes(size), content)


def content_start(der: bytes, start: int) -> int:
    """Where the content of an element begins; ``der`` is well formed, and the tag of the element has one octet.

    :param start: where the element begins.
    """
    length = der[start + 1]
    return start + 2 + (0 if length < _LONG_FORM else length - _LONG_FORM)


_OBJECT_IDENTIFIER = b"\x06"
_OID_TLVS: dict[ObjectIdentifier, TLV] = {}
_CACHED_OIDS = 1024


def _oid_tlv(oid: ObjectIdentifier) -> TLV:
    tlv = _OID_TLVS.get(oid)
    if tlv is None:
        tlv = to_tlv(oid)
        if len(_OID_TLVS) < _CACHED_OIDS:
            _OID_TLVS[oid] = tlv
    return tlv


# By their contents. Only what we name is kept: octets of strangers must not fill it.
_OIDS = {encode(oid)[2:]: oid for oid in vars(oids).values() if isinstance(oid, ObjectIdentifier)}


def _read_oid(tlv: TLV) -> ObjectIdentifier:
    # A view of the contents finds them, without a copy.
    known = _OIDS.get(tlv.data) if tlv.tag_bytes == _OBJECT_IDENTIFIER else None  # type: ignore[call-overload]
    return known or typing.cast(ObjectIdentifier, tlv.parse(ObjectIdentifier))
