"""What an endpoint protects its messages with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cmpkit.asn1 import GeneralName, directory_name
from cmpkit.caching import cached_property
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.root_update import is_link
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.signer import subject_key_identifier
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey, SharedSecret

__all__ = [
    "Anchors",
    "Credentials",
    "SigningCredentials",
    "as_name",
    "is_self_signed",
    "read_anchors",
    "secret_sender",
]


@dataclass(frozen=True)
class SigningCredentials:
    """A certificate with its key.

    :param certificate: DER.
    :param key: its private key.
    :param chain: DER certificates above it, nearest first; self-signed ones are not sent (RFC 9483 section 3.3).
    """

    certificate: bytes
    key: PrivateKey = field(repr=False)
    chain: Sequence[bytes] = ()

    @cached_property
    def subject(self) -> x509.Name:
        """The subject of the certificate: the sender of what it protects."""
        return x509.load_der_x509_certificate(self.certificate).subject

    @cached_property
    def sender(self) -> GeneralName:
        """The subject as messages have it."""
        return directory_name(self.subject)

    @cached_property
    def issuer(self) -> x509.Name:
        """The issuer of the certificate."""
        return x509.load_der_x509_certificate(self.certificate).issuer

    @cached_property
    def key_identifier(self) -> bytes | None:
        """The SubjectKeyIdentifier of the certificate: the senderKID."""
        return subject_key_identifier(self.certificate)

    @cached_property
    def extra_certs(self) -> tuple[bytes, ...]:
        """The certificate and its chain, without self-signed ones, as they go into extraCerts."""
        above = tuple(der for der in self.chain if not is_self_signed(der))
        return (self.certificate, *above)


def is_self_signed(der: bytes) -> bool:
    """Whether a certificate in DER is signed by its own key, as root certificates are.

    One that ties the new key of a root to the old one (newWithOld) has its own subject as issuer, too, and is not.
    """
    certificate = x509.load_der_x509_certificate(der)
    return certificate.subject == certificate.issuer and not is_link(der)


Credentials: TypeAlias = SharedSecret | SigningCredentials
"""Either kind."""

Anchors: TypeAlias = str | Path | Sequence[bytes | x509.Certificate]
"""Trust anchors: the path of a PEM bundle or DER file, or certificates, as DER octets or read."""


def read_anchors(anchors: Anchors) -> tuple[bytes, ...]:
    """DER of trust anchors.

    :raises ConfigurationError: if they cannot be read.
    """
    if isinstance(anchors, str | Path):
        try:
            return load_certificates(Path(anchors).read_bytes())
        except OSError as error:
            raise ConfigurationError(f"the trust anchors in {anchors} cannot be read: {error.strerror}") from error
    return tuple(
        anchor if isinstance(anchor, bytes) else anchor.public_bytes(serialization.Encoding.DER) for anchor in anchors
    )


def secret_sender(secret: SharedSecret) -> x509.Name:
    """The sender of a message under a shared secret: its CN is the reference (RFC 9483 section 3.1).

    A reference that is no text cannot be in a name; the sender is the NULL-DN then (RFC 9810 section 5.1.1).
    """
    try:
        reference = secret.reference.decode()
    except UnicodeDecodeError:
        return x509.Name([])
    if not 1 <= len(reference) <= 64 or not reference.isprintable():
        return x509.Name([])
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, reference)])


def as_name(name: x509.Name | str) -> x509.Name:
    """A name from text (``/CN=x`` or RFC 4514), or as it is.

    :raises ConfigurationError: naming what is wrong with the text.
    """
    return parse_name(name) if isinstance(name, str) else name
