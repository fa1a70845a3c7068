"""Certificates: read, built from wire types, and told apart (RFC 5280).

They are built from wire types because cryptography's builders know only its own kinds of keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    BitString,
    CertificateWire,
    Default,
    Explicit,
    Extension,
    GeneralizedTime,
    Implicit,
    OptionalValidity,
    Time,
    UTCTime,
    Validity,
    decode,
    encode,
    encode_list,
    parse_tlv,
    read_public_key_info,
    sequence,
)
from cmpkit.asn1.codec import der_wrap, encode_integer
from cmpkit.caching import cached_property, keep_last
from cmpkit.crypto.digests import HASH_NAMES, digest
from cmpkit.crypto.names import format_name
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import PrivateKey, RandomOctets
from cmpkit.plugins import Plugins
from cmpkit.values import quick

__all__ = [
    "CertificateContent",
    "CertificateOutline",
    "as_time",
    "build_certificate",
    "cert_hash",
    "certificate_public_key_info",
    "extension",
    "fingerprint",
    "issuer_key_id",
    "key_identifier",
    "load_certificates",
    "outline",
    "random_serial",
    "to_pem",
    "wished_validity",
]

_VERSION_3 = bytes.fromhex("a003020102")
_EXTENSIONS = 0xA3
_BIT_STRING = 0x03
_FIRST_GENERALIZED_YEAR = 2050
_SERIAL_OCTETS = 20
_PEM = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----(.*?)-----END (?:X509 )?CERTIFICATE-----", re.DOTALL)
CERT_HASH_RULE = "RFC 9810 section 5.3.18"


@sequence
class CertificateOutline:
    """The signed part of a certificate; names and key, which are compared by their octets, are left unread, and so is
    its validity, which concerns only refusals.
    """

    version: Annotated[int, Explicit(0), Default(0)] = 0
    serial_number: int
    signature: TLV
    issuer: TLV
    validity: TLV
    subject: TLV
    subject_public_key_info: TLV
    issuer_unique_id: Annotated[BitString | None, Implicit(1)] = None
    subject_unique_id: Annotated[BitString | None, Implicit(2)] = None
    extensions: Annotated[list[Extension] | None, Explicit(3)] = None

    @cached_property
    def subject_der(self) -> bytes:
        """DER of the subject, the octets that came."""
        return encode(self.subject)

    @cached_property
    def issuer_der(self) -> bytes:
        """DER of the issuer, the octets that came."""
        return encode(self.issuer)

    @cached_property
    def public_key_info(self) -> bytes:
        """DER of the SubjectPublicKeyInfo, the octets that came."""
        return encode(self.subject_public_key_info)

    def extension(self, oid: ObjectIdentifier) -> bytes | None:
        """The DER of the first extension with that OID, or ``None``."""
        return self._extension_values.get(oid)

    @cached_property
    def _extension_values(self) -> dict[ObjectIdentifier, bytes]:
        found: dict[ObjectIdentifier, bytes] = {}
        for extension in self.extensions or ():
            found.setdefault(extension.extn_id, extension.extn_value)
        return found

    @property
    def title(self) -> str:
        """The subject, for people; the serial number if it is empty or cannot be read."""
        try:
            name = format_name(parse_tlv(self.subject, x509.Name))
        except CMPError:
            name = ""
        return repr(name) if name else f"with serial number {self.serial_number}"

    @property
    def validity_period(self) -> tuple[datetime, datetime]:
        """notBefore and notAfter.

        :raises CMPError: badDataFormat if they cannot be read.
        """
        validity = parse_tlv(self.validity, Validity)
        return validity.not_before.as_datetime(), validity.not_after.as_datetime()


@sequence
class _OutlinedCertificate:
    tbs_certificate: CertificateOutline
    signature_algorithm: TLV
    signature_value: BitString


@keep_last
def outline(der: bytes) -> CertificateOutline:
    """The signed part of a certificate, read but for names and key, which stay elements.

    The same few certificates are looked at several times while one message is checked, so the last ones are kept.

    :raises CMPError: badDataFormat if it is no certificate.
    """
    return decode(_OutlinedCertificate, der).tbs_certificate


def certificate_public_key_info(der: bytes) -> bytes:
    """DER of the SubjectPublicKeyInfo, the octets that are in the certificate.

    :raises CMPError: badDataFormat if it is no certificate.
    """
    return outline(der).public_key_info


def key_identifier(public_key_info: bytes) -> bytes:
    """SHA-1 over the BIT STRING of the key, 20 octets (RFC 5280 section 4.2.1.2, method 1).

    :param public_key_info: DER of the SubjectPublicKeyInfo.
    :raises CMPError: badDataFormat if it is none.
    """
    key = read_public_key_info(public_key_info).subject_public_key
    return hashlib.sha1(key.as_bytes(), usedforsecurity=False).digest()


@quick
@dataclass(frozen=True)
class CertificateContent:
    """What a certificate says.

    :param issuer: DER of the issuer's subject, octet for octet as in its certificate.
    :param not_before: aware; fractions of a second are cut off.
    :param public_key_info: DER of the SubjectPublicKeyInfo.
    """

    serial_number: int
    issuer: bytes
    subject: x509.Name
    not_before: datetime
    not_after: datetime
    public_key_info: bytes
    extensions: tuple[Extension, ...] = ()


async def build_certificate(content: CertificateContent, issuer_key: PrivateKey) -> bytes:
    """DER of a version 3 certificate, signed with the issuer's key.

    :raises CMPError: if a field holds what its type does not allow.
    """
    algorithm = issuer_key.signature_algorithm
    algorithm_der = encode(algorithm)
    read_public_key_info(content.public_key_info)  # a plugin may have given it
    fields: list[Any] = [
        _VERSION_3,
        encode_integer(content.serial_number),
        algorithm_der,
        content.issuer,
        encode_list((_time_der(content.not_before), _time_der(content.not_after))),
        content.subject,
        content.public_key_info,
    ]
    if content.extensions:
        fields.append(der_wrap(_EXTENSIONS, encode_list([item.der for item in content.extensions])))
    tbs = encode_list(fields)
    signature = await issuer_key.sign(tbs)
    return encode_list((tbs, algorithm_der, der_wrap(_BIT_STRING, b"\x00" + signature)))


@lru_cache(maxsize=16)
def _time_der(moment: datetime) -> bytes:
    """Kept, because what is issued within a second has the same validity."""
    return encode(as_time(moment))


def as_time(moment: datetime) -> Time:
    """UTCTime through 2049, GeneralizedTime after, in whole seconds (RFC 5280 section 4.1.2.5)."""
    moment = moment.astimezone(UTC).replace(microsecond=0)
    return UTCTime(moment) if moment.year < _FIRST_GENERALIZED_YEAR else GeneralizedTime(moment)


def wished_validity(not_before: datetime | None, not_after: datetime | None) -> OptionalValidity | None:
    """The validity that a template asks for; ``None`` if it asks for none (RFC 4211 section 5)."""
    if not_before is None and not_after is None:
        return None
    return OptionalValidity(
        not_before=None if not_before is None else as_time(not_before),
        not_after=None if not_after is None else as_time(not_after),
    )


def extension(ext: x509.ExtensionType, *, critical: bool = False) -> Extension:
    """A wire extension from one of cryptography's extension types.

    :param critical: whether who does not know it must refuse the certificate.
    """
    return Extension(extn_id=ext.oid, critical=critical, extn_value=ext.public_bytes())


def load_certificates(data: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM bundle, or the one of a DER file, as DER octets in their order.

    Text around and between the certificates of a bundle is skipped.

    :raises ConfigurationError: if there is none, or one cannot be read.
    """
    found = [match.group(1) for match in _PEM.finditer(data)]
    try:
        ders = tuple(base64.b64decode(b"".join(body.split()), validate=True) for body in found) or (data,)
    except binascii.Error as error:
        raise ConfigurationError(f"a PEM certificate is not Base64: {error}") from error
    for number, der in enumerate(ders, 1):
        try:
            outline(der)
        except CMPError as error:
            what = f"certificate {number} of the file" if found else "the file, which has no PEM certificate,"
            raise ConfigurationError(
                f"{what} cannot be read: {error.detail}", hint="give certificates in PEM, or one in DER"
            ) from error
    return ders


def to_pem(*ders: bytes) -> bytes:
    """A PEM bundle of certificates."""
    return "".join(map(ssl.DER_cert_to_PEM_cert, ders)).encode()


def fingerprint(der: bytes) -> bytes:
    """SHA-256 over a certificate, 32 octets."""
    return hashlib.sha256(der).digest()


def issuer_key_id(public_key_info: bytes) -> str:
    """Hex SHA-256 over a SubjectPublicKeyInfo: names the key of an issuer (:attr:`CertificateRecord.issuer_key`)."""
    return hashlib.sha256(public_key_info).hexdigest()


def cert_hash(der: bytes, plugins: Plugins, hash_algorithm: AlgorithmIdentifier | None = None) -> bytes:
    """The certHash of a certificate for certConf (RFC 9810 section 5.3.18).

    :param hash_algorithm: the hashAlg of the CertStatus; without it the certificate's signature names the hash.
    :raises CMPError: badAlg for a hash that is weak or unknown, and where a hashAlg is needed and there is none.
    """
    if hash_algorithm is not None:
        name = HASH_NAMES.get(hash_algorithm.algorithm) if hash_algorithm.has_null_or_no_parameters else None
        if name is None or name == "sha1":
            raise CMPError(
                f"hashAlg {hash_algorithm.algorithm.dotted_string} is weak or unknown",
                PKIFailureInfo.BAD_ALG,
                rule=CERT_HASH_RULE,
                hint="use SHA-256, SHA-384 or SHA-512",
            )
        return digest(name, der)
    algorithm = decode(CertificateWire, der).signature_algorithm
    name = plugins.key_algorithm(algorithm.algorithm).cert_hash(algorithm)
    if name is None:
        raise CMPError(
            f"the signature algorithm {algorithm.algorithm.dotted_string} of the certificate names no hash",
            PKIFailureInfo.BAD_ALG,
            rule=CERT_HASH_RULE,
            hint="send hashAlg in certConf, with pvno 3",
        )
    return digest(name, der)


def random_serial(random: RandomOctets = secrets.token_bytes) -> int:
    """A serial number: positive, of 159 random bits (RFC 5280 section 4.1.2.2)."""
    return int.from_bytes(random(_SERIAL_OCTETS)) >> 1
