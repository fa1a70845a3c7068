"""For whom the content of an EnvelopedData is encrypted (RFC 5652 section 6.2, RFC 9629 section 3)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.codec import OpenSequence
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.primitives import TLV, BitString, Explicit, GeneralizedTime, Implicit, Variant

__all__ = [
    "CMSORIforKEMOtherInfo",
    "IssuerAndSerialNumber",
    "KEKIdentifier",
    "KEKRecipientInfo",
    "KEMRecipientInfo",
    "KeyAgreeRecipientIdentifier",
    "KeyAgreeRecipientInfo",
    "KeyTransRecipientInfo",
    "OriginatorIdentifierOrKey",
    "OriginatorPublicKey",
    "OtherKeyAttribute",
    "OtherRecipientInfo",
    "PasswordRecipientInfo",
    "RecipientEncryptedKey",
    "RecipientIdentifier",
    "RecipientInfo",
    "RecipientKeyIdentifier",
    "SignerIdentifier",
]


@sequence
class IssuerAndSerialNumber:
    """A certificate by its issuer and number (RFC 5652 section 10.2.4)."""

    issuer: x509.Name
    serial_number: int


RecipientIdentifier: TypeAlias = (
    Variant[IssuerAndSerialNumber, Literal["issuer_and_serial_number"]]
    | Annotated[Variant[bytes, Literal["subject_key_identifier"]], Implicit(0)]
)
"""A recipient by its certificate or by the identifier of its key (RFC 5652 section 6.2.1)."""
name_choice(RecipientIdentifier, "RecipientIdentifier")
SignerIdentifier: TypeAlias = RecipientIdentifier
"""A signer by the certificate or by the identifier of its key (RFC 5652 section 5.3)."""


@sequence
class KeyTransRecipientInfo:
    """The content key, encrypted with the recipient's public key (RFC 5652 section 6.2.1)."""

    version: int
    rid: RecipientIdentifier
    key_encryption_algorithm: AlgorithmIdentifier
    encrypted_key: bytes


@sequence
class OriginatorPublicKey:
    """The sender's key for one agreement (RFC 5652 section 6.2.2)."""

    algorithm: AlgorithmIdentifier
    public_key: BitString


OriginatorIdentifierOrKey: TypeAlias = (
    Variant[IssuerAndSerialNumber, Literal["issuer_and_serial_number"]]
    | Annotated[Variant[bytes, Literal["subject_key_identifier"]], Implicit(0)]
    | Annotated[Variant[OriginatorPublicKey, Literal["originator_key"]], Implicit(1)]
)
"""The sender's side of a key agreement (RFC 5652 section 6.2.2)."""
name_choice(OriginatorIdentifierOrKey, "OriginatorIdentifierOrKey")


class OtherKeyAttribute(OpenSequence):
    """What else tells which key is meant (RFC 5652 section 10.2.7)."""

    __slots__ = ()

    @property
    def key_attr_id(self) -> ObjectIdentifier:
        """What the attribute is."""
        return self.oid

    @property
    def key_attr(self) -> TLV | None:
        """Its value as one unread element, or ``None`` if it is absent."""
        return self.value


@sequence
class RecipientKeyIdentifier:
    """A recipient of a key agreement by its key (RFC 5652 section 6.2.2)."""

    subject_key_identifier: bytes
    date: GeneralizedTime | None = None
    other: OtherKeyAttribute | None = None


KeyAgreeRecipientIdentifier: TypeAlias = (
    Variant[IssuerAndSerialNumber, Literal["issuer_and_serial_number"]]
    | Annotated[Variant[RecipientKeyIdentifier, Literal["r_key_id"]], Implicit(0)]
)
"""A recipient of a key agreement (RFC 5652 section 6.2.2)."""
name_choice(KeyAgreeRecipientIdentifier, "KeyAgreeRecipientIdentifier")


@sequence
class RecipientEncryptedKey:
    """The content key, wrapped for one recipient of a key agreement (RFC 5652 section 6.2.2)."""

    rid: KeyAgreeRecipientIdentifier
    encrypted_key: bytes


@sequence
class KeyAgreeRecipientInfo:
    """The content key, wrapped with an agreed key (RFC 5652 section 6.2.2)."""

    version: int
    originator: Annotated[OriginatorIdentifierOrKey, Explicit(0)]
    ukm: Annotated[bytes | None, Explicit(1)] = None
    key_encryption_algorithm: AlgorithmIdentifier
    recipient_encrypted_keys: list[RecipientEncryptedKey]


@sequence
class KEKIdentifier:
    """A symmetric key that both sides have (RFC 5652 section 6.2.3)."""

    key_identifier: bytes
    date: GeneralizedTime | None = None
    other: OtherKeyAttribute | None = None


@sequence
class KEKRecipientInfo:
    """The content key, wrapped with a symmetric key that both sides have (RFC 5652 section 6.2.3)."""

    version: int
    kekid: KEKIdentifier
    key_encryption_algorithm: AlgorithmIdentifier
    encrypted_key: bytes


@sequence
class PasswordRecipientInfo:
    """The content key, wrapped with a key derived from a password (RFC 5652 section 6.2.4)."""

    version: int
    key_derivation_algorithm: Annotated[AlgorithmIdentifier | None, Implicit(0)] = None
    key_encryption_algorithm: AlgorithmIdentifier
    encrypted_key: bytes


@sequence
class OtherRecipientInfo:
    """Another way, by its OID (RFC 5652 section 6.2.5); id-ori-kem holds a :class:`KEMRecipientInfo`."""

    ori_type: ObjectIdentifier
    ori_value: TLV


@sequence
class KEMRecipientInfo:
    """The content key, wrapped with a key from a key encapsulation mechanism (RFC 9629 section 3).

    ``kek_length`` counts octets.
    """

    version: int
    rid: RecipientIdentifier
    kem: AlgorithmIdentifier
    kemct: bytes
    kdf: AlgorithmIdentifier
    kek_length: int
    ukm: Annotated[bytes | None, Explicit(0)] = None
    wrap: AlgorithmIdentifier
    encrypted_key: bytes


@sequence
class CMSORIforKEMOtherInfo:
    """What the key derivation of a :class:`KEMRecipientInfo` binds (RFC 9629 section 5); ``kek_length`` in octets."""

    wrap: AlgorithmIdentifier
    kek_length: int
    ukm: Annotated[bytes | None, Explicit(0)] = None


RecipientInfo: TypeAlias = (
    Variant[KeyTransRecipientInfo, Literal["ktri"]]
    | Annotated[Variant[KeyAgreeRecipientInfo, Literal["kari"]], Implicit(1)]
    | Annotated[Variant[KEKRecipientInfo, Literal["kekri"]], Implicit(2)]
    | Annotated[Variant[PasswordRecipientInfo, Literal["pwri"]], Implicit(3)]
    | Annotated[Variant[OtherRecipientInfo, Literal["ori"]], Implicit(4)]
)
"""One recipient (RFC 5652 section 6.2)."""
name_choice(RecipientInfo, "RecipientInfo")
