"""Certificate lists, built from wire types (RFC 5280 section 5).

cryptography's builder knows only its own kinds of keys, and takes quadratic time for long lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509

from cmpkit.asn1 import Extension, encode, encode_list
from cmpkit.asn1.codec import der_wrap
from cmpkit.crypto.x509 import as_time, extension
from cmpkit.enums import CRLReason
from cmpkit.parts import PrivateKey

__all__ = ["build_crl", "crl_entries", "crl_entry_extensions"]

_VERSION_2 = bytes.fromhex("020101")
_EXTENSIONS = 0xA0
_SEQUENCE = 0x30
_INTEGER = 0x02
_BIT_STRING = 0x03
_DIGITS = tuple(f"{number:02}".encode() for number in range(60))
_TIME_OF_DAY = len("000000Z")


async def build_crl(
    *,
    issuer: bytes,
    issuer_key: PrivateKey,
    this_update: datetime,
    next_update: datetime,
    number: int,
    entries: bytes,
    authority_key_identifier: bytes,
    extensions: Sequence[Extension] = (),
) -> bytes:
    """DER of a version 2 certificate list, signed with the issuer's key (RFC 5280 section 5).

    :param issuer: DER of the issuer's subject, octet for octet as in its certificate.
    :param number: the CRL number.
    :param entries: what :func:`crl_entries` gives.
    :param authority_key_identifier: the issuer's key identifier.
    :param extensions: more of them, for the list as a whole.
    :raises CMPError: if a field holds what its type does not allow.
    """
    algorithm_der = encode(issuer_key.signature_algorithm)
    own = (
        extension(x509.AuthorityKeyIdentifier(authority_key_identifier, None, None)),
        extension(x509.CRLNumber(number)),
    )
    tbs = encode_list(
        (
            _VERSION_2,
            algorithm_der,
            issuer,
            encode(as_time(this_update)),
            encode(as_time(next_update)),
            der_wrap(_SEQUENCE, entries) if entries else b"",
            der_wrap(_EXTENSIONS, encode_list((*own, *extensions))),
        )
    )
    signature = await issuer_key.sign(tbs)
    return encode_list((tbs, algorithm_der, der_wrap(_BIT_STRING, b"\x00" + signature)))


def crl_entries(entries: Iterable[tuple[int, datetime, CRLReason | None, datetime | None]]) -> bytes:
    """DER of the entries of a certificate list, one after the other, for :func:`build_crl`.

    Put together from octets: there may be hundreds of thousands.

    :param entries: serial number, date, reason and invalidity date of each revoked certificate; a reason that is
        unspecified is left out (RFC 5280 section 5.3.1).
    """
    reasons = {reason: _entry_extensions(reason, None) for reason in (None, *CRLReason)}
    days: dict[int, bytes] = {}
    found: list[bytes] = []
    for serial_number, date, reason, since in entries:
        size = serial_number.bit_length() // 8 + 1
        moment = date if date.tzinfo is UTC else date.astimezone(UTC)
        day = days.get(number := moment.toordinal())
        if day is None:
            day = days[number] = encode(as_time(moment))[:-_TIME_OF_DAY]
        extensions = reasons[reason] if since is None else _entry_extensions(reason, since)
        content = b"".join(
            (
                der_wrap(_INTEGER, serial_number.to_bytes(size, "big", signed=True)),
                day,
                _DIGITS[moment.hour],
                _DIGITS[moment.minute],
                _DIGITS[moment.second],
                b"Z",
                extensions,
            )
        )
        found.append(der_wrap(_SEQUENCE, content))
    return b"".join(found)


def crl_entry_extensions(reason: CRLReason | None, invalidity_date: datetime | None) -> list[Extension]:
    """What is said of a revocation besides its date (RFC 5280 section 5.3).

    :param reason: left out if it is unspecified (RFC 5280 section 5.3.1).
    """
    found: list[Extension] = []
    if reason is not None and reason is not CRLReason.UNSPECIFIED:
        flag = next(flag for flag in x509.ReasonFlags if flag.value == reason.wire_name)
        found.append(extension(x509.CRLReason(flag)))
    if invalidity_date is not None:
        found.append(extension(x509.InvalidityDate(invalidity_date.astimezone(UTC).replace(microsecond=0))))
    return found


def _entry_extensions(reason: CRLReason | None, invalidity_date: datetime | None) -> bytes:
    found = crl_entry_extensions(reason, invalidity_date)
    return encode_list(found) if found else b""
