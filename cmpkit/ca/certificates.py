"""The certificate of an issuing CA and what is above it, checked before anything is signed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509

from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.x509 import certificate_public_key_info, issuer_key_id, key_identifier, outline
from cmpkit.errors import ConfigurationError

__all__ = [
    "IssuerCertificate",
    "check_registration_authority",
    "is_self_issued",
    "path_length",
    "read_issuer_certificate",
    "room_below",
]

E = TypeVar("E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class IssuerCertificate:
    """The certificate of an issuing CA.

    :param der: the certificate.
    :param chain: DER of those above it, the root included if it is known.
    :param without_root: it and those above it, without what is self-issued, for who has the trust anchor already.
    :param subject: DER of its subject, octet for octet: the issuer of what it signs.
    :param public_key_info: DER of its SubjectPublicKeyInfo.
    :param key_id: see :attr:`cmpkit.parts.CertificateRecord.issuer_key`.
    :param key_identifier: its subjectKeyIdentifier: the authorityKeyIdentifier of what it signs.
    """

    der: bytes
    chain: tuple[bytes, ...]
    without_root: tuple[bytes, ...]
    name: x509.Name
    subject: bytes
    public_key_info: bytes
    key_id: str
    key_identifier: bytes
    not_after: datetime

    @property
    def all(self) -> tuple[bytes, ...]:
        """It, then what is above it."""
        return (self.der, *self.chain)


def read_issuer_certificate(ders: Sequence[bytes]) -> IssuerCertificate:
    """The first certificate as that of the issuing CA, the others as those above it.

    :raises ConfigurationError: if it is not a CA, or the others are not in their order.
    """
    certificate, *above = (_load(der) for der in ders)
    _check_authority(certificate)
    _check_order([certificate, *above])
    der = ders[0]
    public_key_info = certificate_public_key_info(der)
    own_identifier = _find(certificate, x509.SubjectKeyIdentifier)
    return IssuerCertificate(
        der=der,
        chain=tuple(ders[1:]),
        without_root=tuple(der for der in ders if not is_self_issued(der)),
        name=certificate.subject,
        subject=outline(der).subject_der,
        public_key_info=public_key_info,
        key_id=issuer_key_id(public_key_info),
        key_identifier=key_identifier(public_key_info) if own_identifier is None else own_identifier.digest,
        not_after=certificate.not_valid_after_utc,
    )


def is_self_issued(der: bytes) -> bool:
    """Whether issuer and subject are the same, as they are in a root certificate."""
    certificate = _load(der)
    return names_match(certificate.issuer, certificate.subject)


def check_registration_authority(der: bytes) -> None:
    """Whether a certificate may be listed as that of a registration authority: it is not that of a CA.

    :raises ConfigurationError: if it is, or is no certificate.
    """
    certificate = _load(der)
    constraints = _find(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise ConfigurationError(
            f"{format_name(certificate.subject)} is a CA",
            hint="name the certificates of registration authorities alone; those above them are not needed",
        )


def path_length(der: bytes) -> int | None:
    """How many CAs may be below one by its own certificate (pathLenConstraint); ``None`` for any number.

    :raises ConfigurationError: if it is no certificate.
    """
    constraints = _find(_load(der), x509.BasicConstraints)
    return None if constraints is None else constraints.path_length


def room_below(ders: Sequence[bytes]) -> int | None:
    """How many CAs may be below the first of a chain, by all certificates in it; ``None`` for any number.

    It is less than none where one above forbids the first itself.

    :raises ConfigurationError: if one is no certificate.
    """
    limits = [(path_length(der), above) for above, der in enumerate(ders)]
    rooms = [limit - above for limit, above in limits if limit is not None]
    return min(rooms, default=None)


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise ConfigurationError(f"the certificate of a CA cannot be read: {error}") from error


def _check_authority(certificate: x509.Certificate) -> None:
    name = format_name(certificate.subject)
    constraints = _find(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise ConfigurationError(
            f"{name or 'the certificate'} is not a CA: basicConstraints has no CA=TRUE",
            hint="give the certificate of a CA",
        )
    usage = _find(certificate, x509.KeyUsage)
    if usage is not None and not (usage.key_cert_sign and usage.crl_sign):
        raise ConfigurationError(
            f"{name} may not sign certificates and CRLs: keyUsage lacks keyCertSign or cRLSign",
            hint="give the certificate of a CA",
        )


def _check_order(certificates: Sequence[x509.Certificate]) -> None:
    for lower, upper in itertools.pairwise(certificates):
        if not names_match(lower.issuer, upper.subject):
            raise ConfigurationError(
                f"after the certificate of {format_name(lower.subject)} that of {format_name(upper.subject)} is given, "
                f"but {format_name(lower.issuer)} issued it",
                hint="put each certificate before that of its issuer",
            )


def _find(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:
        raise ConfigurationError(f"the extensions of the CA certificate cannot be read: {error}") from error
