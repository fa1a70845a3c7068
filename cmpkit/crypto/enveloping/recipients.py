"""For whom a content is encrypted, and what a way to hand over its key must be able to do (RFC 9810 section 5.2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import BitString, IssuerAndSerialNumber, Variant, decode
from cmpkit.crypto.x509 import key_identifier, outline
from cmpkit.parts import PrivateKey, RandomOctets, SharedSecret
from cmpkit.plugins import Plugins

__all__ = ["KeyRecipient", "OpeningKey", "PasswordRecipient", "Recipient", "RecipientKind"]

_USAGES = {"keyEncipherment": 0x20, "keyAgreement": 0x08}
"""Bits of the first octet of keyUsage (RFC 5280 section 4.2.1.3)."""

OpeningKey: TypeAlias = PrivateKey | SharedSecret
"""What content is opened with."""


@dataclass(frozen=True, slots=True)
class KeyRecipient:
    """The holder of a private key.

    :param public_key_info: DER of its SubjectPublicKeyInfo.
    :param identifier: by which the recipient finds the key: its certificate, or the key identifier (octets).
    :param key_usages: which of ``keyEncipherment`` and ``keyAgreement`` the key may be used for; ``None`` restricts
        nothing.
    """

    public_key_info: bytes
    identifier: IssuerAndSerialNumber | bytes
    key_usages: frozenset[str] | None = None

    @classmethod
    def of_certificate(cls, certificate: bytes) -> Self:
        """The holder of a certificate, found by its subjectKeyIdentifier if it has one (RFC 9483 section 4.1.6.1).

        :param certificate: DER.
        :raises CMPError: badDataFormat if it cannot be read.
        """
        found = outline(certificate)
        identifier = found.extension(oids.SUBJECT_KEY_IDENTIFIER)
        usage = found.extension(oids.KEY_USAGE)
        by: IssuerAndSerialNumber | bytes
        if identifier is not None:
            by = decode(bytes, identifier)
        else:
            by = IssuerAndSerialNumber(issuer=decode(x509.Name, found.issuer_der), serial_number=found.serial_number)
        return cls(found.public_key_info, by, None if usage is None else _read_usages(usage))

    @classmethod
    def of_key(cls, public_key_info: bytes) -> Self:
        """The holder of a key, found by its key identifier.

        :raises CMPError: badDataFormat if the key cannot be read.
        """
        return cls(public_key_info, key_identifier(public_key_info))

    def may(self, usage: str) -> bool:
        """Whether the key may be used for that."""
        return self.key_usages is None or usage in self.key_usages


def _read_usages(usage: bytes) -> frozenset[str]:
    octets = decode(BitString, usage).as_bytes()
    return frozenset(name for name, bit in _USAGES.items() if octets and octets[0] & bit)


@dataclass(frozen=True, slots=True)
class PasswordRecipient:
    """Whoever shares a secret with us.

    :param by_pwri_kek: whether the content key is wrapped by id-alg-PWRI-KEK (RFC 3211), which is all that OpenSSL
        reads, in place of AES key wrap, which RFC 9481 section 4.4 asks for.
    """

    secret: SharedSecret
    by_pwri_kek: bool = False


Recipient: TypeAlias = KeyRecipient | PasswordRecipient
"""For whom a content is encrypted."""


class RecipientKind(Protocol):
    """One way to hand over a content key: a key management technique (RFC 9483 section 4.1.6).

    :ivar name: of the alternative of RecipientInfo.
    :ivar version: of an EnvelopedData with such a recipient (RFC 5652 section 6.1).
    """

    name: str
    version: int

    def serves(self, recipient: Recipient, plugins: Plugins) -> bool:
        """Whether a key can be handed over to that recipient in this way."""

    async def wrap(
        self, content_key: bytes, recipient: Any, *, plugins: Plugins, random: RandomOctets
    ) -> Variant[Any, Any]:
        """The RecipientInfo for a recipient that it serves.

        :raises CMPError: badAlg if it cannot be made.
        """

    def reads(self, info: Variant[Any, Any]) -> bool:
        """Whether a RecipientInfo is of this kind."""

    async def unwrap(self, info: Any, key: OpeningKey, *, key_size: int, tolerances: frozenset[str]) -> bytes:
        """The content key in a RecipientInfo; every limit is checked before work is done.

        :param info: the value of the alternative.
        :param key_size: octets that the content key must have.
        :raises CMPError: badAlg for what is not accepted; badDataFormat where the content key cannot be had.
        """
