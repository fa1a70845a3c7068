"""Distinguished names: from text, to text, and compared (RFC 4514, RFC 5280 section 7.1)."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple, overload

from cryptography import x509
from cryptography.x509 import NameOID, ObjectIdentifier

from cmpkit.asn1 import IA5String, PrintableString, decode
from cmpkit.errors import CMPError, ConfigurationError

__all__ = ["attribute_type", "common_name", "fold_value", "format_name", "names_match", "new_attribute", "parse_name"]

_ATTRIBUTE_TYPES = {
    "CN": NameOID.COMMON_NAME,
    "COMMONNAME": NameOID.COMMON_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "USERID": NameOID.USER_ID,
    "SN": NameOID.SURNAME,
    "SURNAME": NameOID.SURNAME,
    "GN": NameOID.GIVEN_NAME,
    "GIVENNAME": NameOID.GIVEN_NAME,
    "INITIALS": NameOID.INITIALS,
    "GENERATIONQUALIFIER": NameOID.GENERATION_QUALIFIER,
    "TITLE": NameOID.TITLE,
    "PSEUDONYM": NameOID.PSEUDONYM,
    "DNQUALIFIER": NameOID.DN_QUALIFIER,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "EMAILADDRESS": NameOID.EMAIL_ADDRESS,
    "POSTALCODE": NameOID.POSTAL_CODE,
    "BUSINESSCATEGORY": NameOID.BUSINESS_CATEGORY,
    "ORGANIZATIONIDENTIFIER": NameOID.ORGANIZATION_IDENTIFIER,
}
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
_PRINTABLE_TYPES = frozenset(
    {NameOID.COUNTRY_NAME, NameOID.JURISDICTION_COUNTRY_NAME, NameOID.SERIAL_NUMBER, NameOID.DN_QUALIFIER}
)
_IA5_TYPES = frozenset({NameOID.EMAIL_ADDRESS, NameOID.DOMAIN_COMPONENT})
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


class _Character(NamedTuple):
    """One character of a name as written, and whether a backslash made it literal."""

    text: str
    escaped: bool


def parse_name(text: str) -> x509.Name:
    """A distinguished name from text: ``/O=Example/CN=device`` (OpenSSL) or ``CN=device,O=Example`` (RFC 4514).

    In the first form the RDNs come in the order of the encoding, in the second in reverse. In both ``+`` joins the
    attributes of one RDN and a backslash makes the next character literal; RFC 4514 also has ``\\`` with two hex digits
    for an octet of UTF-8, and ``#`` with hex digits for a DER value. Attribute types are short names, in any case, or
    OIDs. The empty text and ``/`` are the empty name.

    :raises ConfigurationError: naming the fault and where it is.
    """
    openssl_form = text.startswith("/")
    if text in ("", "/"):
        return x509.Name([])
    characters = list(_characters(text[1:] if openssl_form else text, text, hex_pairs=not openssl_form))
    rdns = [_rdn(part, text) for part in _split(characters, "/" if openssl_form else ",")]
    return x509.Name(rdns if openssl_form else list(reversed(rdns)))


def _characters(part: str, text: str, *, hex_pairs: bool) -> Iterator[_Character]:
    position = 0
    while position < len(part):
        if part[position] != "\\":
            yield _Character(part[position], escaped=False)
            position += 1
        elif hex_pairs and _is_hex_pair(part, position + 1):
            octets = bytearray()
            while part[position : position + 1] == "\\" and _is_hex_pair(part, position + 1):
                octets.append(int(part[position + 1 : position + 3], 16))
                position += 3
            try:
                yield from (_Character(character, escaped=True) for character in octets.decode())
            except UnicodeDecodeError:
                raise _fault(text, f"the escaped octets {octets.hex(' ')} are not UTF-8") from None
        elif position + 1 == len(part):
            raise _fault(text, "it ends in a backslash")
        else:
            yield _Character(part[position + 1], escaped=True)
            position += 2


def _is_hex_pair(part: str, position: int) -> bool:
    pair = part[position : position + 2]
    return len(pair) == 2 and _HEX_DIGITS.issuperset(pair)


def _split(characters: list[_Character], separator: str) -> list[list[_Character]]:
    parts: list[list[_Character]] = [[]]
    for character in characters:
        if character.text == separator and not character.escaped:
            parts.append([])
        else:
            parts[-1].append(character)
    return parts


def _rdn(characters: list[_Character], text: str) -> x509.RelativeDistinguishedName:
    attributes = [_attribute(part, text) for part in _split(characters, "+")]
    try:
        return x509.RelativeDistinguishedName(attributes)
    except ValueError as error:
        raise _fault(text, str(error)) from error


def _attribute(characters: list[_Character], text: str) -> x509.NameAttribute[str | bytes]:
    written = "".join(character.text for character in characters)
    equals = next((i for i, character in enumerate(characters) if character == ("=", False)), None)
    if equals is None:
        raise _fault(text, f"{written!r} has no '='; escape a '/', ',' or '+' that belongs to a value by a backslash")
    kind = written[:equals].strip()
    try:
        oid = attribute_type(kind)
    except ValueError as error:
        raise _fault(text, str(error)) from None
    value = _stripped(characters[equals + 1 :])
    if not value:
        raise _fault(text, f"{kind} has no value")
    if value[0] == ("#", False):
        shown = _hex_value("".join(character.text for character in value[1:]), kind, text)
    else:
        shown = "".join(character.text for character in value)
    try:
        return new_attribute(oid, shown)
    except ValueError as error:
        raise _fault(text, f"{kind} {error}") from error


def attribute_type(kind: str) -> ObjectIdentifier:
    """The type of attribute of that short name, in any case, or OID.

    :raises ValueError: if there is none.
    """
    oid = _ATTRIBUTE_TYPES.get(kind.upper())
    if oid is not None:
        return oid
    try:
        return ObjectIdentifier(kind.upper().removeprefix("OID."))
    except ValueError:
        raise ValueError(f"{kind!r} is not a known attribute type; its OID may be written instead") from None


def _stripped(value: list[_Character]) -> list[_Character]:
    start, end = 0, len(value)
    while start < end and value[start] == (" ", False):
        start += 1
    while end > start and value[end - 1] == (" ", False):
        end -= 1
    return value[start:end]


def _hex_value(digits: str, kind: str, text: str) -> str:
    string_types: tuple[type[Any], ...] = (str, PrintableString, IA5String)
    for string_type in string_types:
        with contextlib.suppress(CMPError, ValueError):
            value = decode(string_type, bytes.fromhex(digits))
            return value if isinstance(value, str) else str(value.as_str())
    raise _fault(text, f"the value of {kind} is not the DER of a character string")


def new_attribute(oid: ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    """An attribute of a distinguished name.

    :raises ValueError: if its type does not allow the value (length, characters), saying what it may only have.
    """
    if oid in _PRINTABLE_TYPES and not _PRINTABLE.issuperset(value):
        raise ValueError("may only have the characters of PrintableString")
    if oid in _IA5_TYPES and not value.isascii():
        raise ValueError("may only have ASCII characters")
    if any(unicodedata.category(character) == "Cs" for character in value):
        raise ValueError("has a character that UTF-8 cannot hold")
    try:
        return x509.NameAttribute(oid, value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot have that value: {error}") from error


def _fault(text: str, detail: str) -> ConfigurationError:
    return ConfigurationError(
        f"not a distinguished name: {text!r}: {detail}", hint="write it as CN=device,O=Example or /O=Example/CN=device"
    )


def format_name(name: x509.Name) -> str:
    """The name as text (RFC 4514), with OIDs for the attribute types that RFC 4514 does not name."""
    return name.rfc4514_string()


def names_match(a: x509.Name, b: x509.Name, *, any_order: bool = False) -> bool:
    """Whether two names are the same: RDN by RDN, without regard to case, string type and extra spaces.

    RFC 5280 section 7.1.

    :param any_order: whether the RDNs may come in another order.
    """
    if a is b or a == b:
        return True
    if len(a.rdns) != len(b.rdns):
        return False
    if not any_order:
        return all(map(_rdns_match, a.rdns, b.rdns))
    left = list(b.rdns)
    for rdn in a.rdns:
        same = next((other for other in left if _rdns_match(rdn, other)), None)
        if same is None:
            return False
        left.remove(same)
    return True


def _rdns_match(a: x509.RelativeDistinguishedName, b: x509.RelativeDistinguishedName) -> bool:
    if len(a) != len(b):
        return False
    return {(item.oid, fold_value(item.value)) for item in a} == {(item.oid, fold_value(item.value)) for item in b}


@overload
def fold_value(value: str) -> str: ...
@overload
def fold_value(value: bytes) -> bytes: ...
def fold_value(value: str | bytes) -> str | bytes:
    """The value of an attribute in the form in which values are compared (RFC 5280 section 7.1)."""
    if isinstance(value, bytes):
        return value
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).split())


def common_name(name: x509.Name) -> str | None:
    """The most specific commonName (the last one of the encoding), or ``None``."""
    values = [item.value for item in name.get_attributes_for_oid(NameOID.COMMON_NAME) if isinstance(item.value, str)]
    return values[-1] if values else None
