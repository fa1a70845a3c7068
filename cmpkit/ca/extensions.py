"""The extensions that a request asks for, read; and those of a profile, written (RFC 5280 section 4.2.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    KEY_USAGES,
    TLV,
    BasicConstraints,
    BitString,
    Extension,
    IA5String,
    NameConstraints,
    decode,
    decode_general_name,
    decode_list,
    encode,
    encode_list,
    to_tlv,
)
from cmpkit.crypto.x509 import extension
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.values import quick

__all__ = [
    "ISSUER_EXTENSIONS",
    "AskedExtensions",
    "alternative_names_extension",
    "check_name_constraints",
    "key_usage_extension",
    "name_keys",
    "purposes_extension",
    "read_alternative_names",
    "read_extensions",
    "read_key_identifier",
]

T = TypeVar("T")

_NO_CONSTRAINTS = BasicConstraints()

ISSUER_EXTENSIONS = frozenset(
    {
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.CRL_DISTRIBUTION_POINTS,
        oids.FRESHEST_CRL,
        oids.AUTHORITY_INFO_ACCESS,
    }
)
"""The extensions that the issuer adds."""


@quick
@dataclass(frozen=True)
class AskedExtensions:
    """What a request asks for; ``None`` where it does not say.

    :param names: DER of each GeneralName of the subjectAltName.
    :param key_usage: names out of :data:`cmpkit.asn1.KEY_USAGES`.
    :param purposes: the extended key usages, in their order.
    :param ca: whether it asks to be a CA.
    :param path_length: how many CAs it asks to have below it.
    """

    names: tuple[bytes, ...] | None = None
    key_usage: frozenset[str] | None = None
    purposes: tuple[ObjectIdentifier, ...] | None = None
    ca: bool = False
    path_length: int | None = None


_NOTHING = AskedExtensions()


def read_extensions(extensions: Sequence[Extension]) -> AskedExtensions:
    """Read those that a CA has to understand; others are left alone.

    :raises CMPError: badCertTemplate if one cannot be read or is there twice (RFC 5280 section 4.2).
    """
    if not extensions:
        return _NOTHING
    values: dict[ObjectIdentifier, bytes] = {}
    for item in extensions:
        if item.extn_id in values:
            raise _bad(f"the extension {item.extn_id.dotted_string} is asked for twice", "RFC 5280 section 4.2")
        values[item.extn_id] = item.extn_value
    usage = values.get(oids.KEY_USAGE)
    purposes = values.get(oids.EXTENDED_KEY_USAGE)
    names = values.get(oids.SUBJECT_ALTERNATIVE_NAME)
    der = values.get(oids.BASIC_CONSTRAINTS)
    constraints = _NO_CONSTRAINTS if der is None else _read(BasicConstraints, der)
    return AskedExtensions(
        names=None if names is None else _read_names(names),
        key_usage=None if usage is None else _read_key_usage(usage),
        purposes=None if purposes is None else _read_list(ObjectIdentifier, purposes),
        ca=constraints.c_a,
        path_length=constraints.path_len_constraint,
    )


def read_alternative_names(extensions: Iterable[Extension]) -> tuple[bytes, ...] | None:
    """DER of each GeneralName of the subjectAltName, or ``None`` if there is none.

    :raises CMPError: badCertTemplate if it cannot be read.
    """
    found = next((item for item in extensions if item.extn_id == oids.SUBJECT_ALTERNATIVE_NAME), None)
    return None if found is None else _read_names(found.extn_value)


def _read_names(der: bytes) -> tuple[bytes, ...]:
    return tuple(encode(name) for name in _read_list(TLV, der))


def check_name_constraints(der: bytes) -> None:
    """Whether the value of nameConstraints that is asked for can be read (RFC 5280 section 4.2.1.10).

    :raises CMPError: badCertTemplate if not, or if it constrains nothing.
    """
    found = _read(NameConstraints, der)
    if found.permitted_subtrees is None and found.excluded_subtrees is None:
        raise _unreadable("nameConstraints without any")


def read_key_identifier(extensions: Iterable[Extension]) -> bytes | None:
    """The subjectKeyIdentifier, or ``None`` if there is none.

    :raises CMPError: badCertTemplate if it cannot be read.
    """
    found = next((item for item in extensions if item.extn_id == oids.SUBJECT_KEY_IDENTIFIER), None)
    return None if found is None else _read(bytes, found.extn_value)


def _bad(detail: str, rule: str) -> CMPError:
    return CMPError(detail, PKIFailureInfo.BAD_CERT_TEMPLATE, rule=rule)


def _read(kind: type[T], der: bytes) -> T:
    try:
        return decode(kind, der)
    except CMPError as error:
        raise _unreadable(error.detail) from error


def _read_list(kind: type[T], der: bytes) -> tuple[T, ...]:
    """A SEQUENCE SIZE (1..MAX) OF ``kind``."""
    try:
        values = tuple(decode_list(kind, der))
    except CMPError as error:
        raise _unreadable(error.detail) from error
    if not values:
        raise _unreadable("an empty list")
    return values


def _unreadable(why: str) -> CMPError:
    return _bad(f"an extension that is asked for cannot be read: {why}", "RFC 5280 section 4.2.1")


def _read_key_usage(der: bytes) -> frozenset[str]:
    octets = _read(BitString, der).as_bytes()
    return frozenset(
        name for bit, name in enumerate(KEY_USAGES) if bit // 8 < len(octets) and octets[bit // 8] & (0x80 >> (bit % 8))
    )


def name_keys(names: Iterable[bytes]) -> frozenset[object]:
    """What makes GeneralNames equal (RFC 5280 section 7): the case of host names does not matter.

    :param names: DER of each.
    :raises CMPError: badCertTemplate if one cannot be read.
    """
    return frozenset(_name_key(name) for name in names)


def _name_key(der: bytes) -> object:
    try:
        name = decode_general_name(to_tlv(der))
    except CMPError as error:
        raise _bad(f"a subjectAltName cannot be read: {error.detail}", "RFC 5280 section 4.2.1.6") from error
    if not isinstance(name.value, IA5String) or name.tag == "uniform_resource_identifier":
        return der
    local, at, host = name.value.as_str().rpartition("@")
    return name.tag, local + at + host.lower()


def alternative_names_extension(names: Sequence[bytes]) -> Extension:
    """subjectAltName with these names.

    :param names: DER of each.
    """
    return Extension(extn_id=oids.SUBJECT_ALTERNATIVE_NAME, extn_value=encode_list(names))


def key_usage_extension(usages: Collection[str]) -> Extension:
    """keyUsage, critical.

    :param usages: names out of :data:`cmpkit.asn1.KEY_USAGES`.
    :raises ValueError: for encipherOnly or decipherOnly without keyAgreement.
    """
    return extension(x509.KeyUsage(*(name in usages for name in KEY_USAGES)), critical=True)


def purposes_extension(purposes: Sequence[ObjectIdentifier]) -> Extension:
    """extKeyUsage with these purposes."""
    return extension(x509.ExtendedKeyUsage(purposes), critical=False)
