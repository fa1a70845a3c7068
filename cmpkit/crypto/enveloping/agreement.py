"""Key agreement: the content key, wrapped with a key that both sides derive (RFC 5753, RFC 8418, RFC 9481 section 4.1).

Only ephemeral-static: the sender's key is made for one content (static-static is forbidden).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    Explicit,
    KeyAgreeRecipientInfo,
    OriginatorPublicKey,
    RecipientEncryptedKey,
    RecipientKeyIdentifier,
    SubjectPublicKeyInfo,
    Variant,
    encode,
    read_public_key_info,
    sequence,
)
from cmpkit.crypto.enveloping.ciphers import KeyWrap
from cmpkit.crypto.enveloping.failures import (
    TOLERATE_SHA1,
    bad_alg,
    bad_structure,
    one_failure,
    refuse_weak,
    undecipherable,
)
from cmpkit.crypto.enveloping.recipients import KeyRecipient, OpeningKey, Recipient
from cmpkit.parts import AgreementKey, KeyAgreement, RandomOctets
from cmpkit.plugins import Plugins

__all__ = ["KeyAgreementRecipients"]

_VERSION = 3
_MAX_UKM = 1024
_MAX_WRAPPED_KEY = 64


@sequence
class _SharedInfo:
    """ECC-CMS-SharedInfo (RFC 5753 section 7.2)."""

    key_info: AlgorithmIdentifier
    entity_u_info: Annotated[bytes | None, Explicit(0)] = None
    supp_pub_info: Annotated[bytes, Explicit(2)]


def _x963(digest: hashes.HashAlgorithm) -> Callable[[bytes, int, bytes, bytes | None], bytes]:
    def derive(secret: bytes, size: int, info: bytes, ukm: bytes | None) -> bytes:
        return X963KDF(digest, size, info).derive(secret)

    return derive


def _hkdf(digest: hashes.HashAlgorithm) -> Callable[[bytes, int, bytes, bytes | None], bytes]:
    def derive(secret: bytes, size: int, info: bytes, ukm: bytes | None) -> bytes:
        # RFC 8418 section 2.2: the keying material of the sender, where there is some, is the salt, too.
        return HKDF(digest, size, ukm, info).derive(secret)

    return derive


_DERIVATIONS: Final = {
    oids.STD_DH_SHA1_KDF: _x963(hashes.SHA1()),  # noqa: S303 - refused unless it is tolerated
    oids.STD_DH_SHA224_KDF: _x963(hashes.SHA224()),
    oids.STD_DH_SHA256_KDF: _x963(hashes.SHA256()),
    oids.STD_DH_SHA384_KDF: _x963(hashes.SHA384()),
    oids.STD_DH_SHA512_KDF: _x963(hashes.SHA512()),
    oids.STD_DH_HKDF_SHA256: _hkdf(hashes.SHA256()),
    oids.STD_DH_HKDF_SHA384: _hkdf(hashes.SHA384()),
    oids.STD_DH_HKDF_SHA512: _hkdf(hashes.SHA512()),
}


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How a shared secret becomes the key that wraps the content key.

    :param wrap_algorithm: as it came: the derivation is over its octets.
    """

    oid: ObjectIdentifier
    wrap_algorithm: AlgorithmIdentifier
    key_wrap: KeyWrap

    @classmethod
    def of(cls, algorithm: AlgorithmIdentifier, tolerances: frozenset[str]) -> Self:
        """What a keyEncryptionAlgorithm asks for.

        :raises CMPError: badAlg for what is not known or not tolerated, badDataFormat if it cannot be read.
        """
        if algorithm.algorithm not in _DERIVATIONS:
            raise bad_alg(
                f"key agreement by {algorithm.algorithm.dotted_string} is not known",
                "use dhSinglePass-stdDH with SHA-2",
            )
        weak = algorithm.algorithm == oids.STD_DH_SHA1_KDF
        refuse_weak(weak, TOLERATE_SHA1, "key derivation with SHA-1", tolerances)
        wrap_algorithm = algorithm.parse(AlgorithmIdentifier)
        return cls(algorithm.algorithm, wrap_algorithm, KeyWrap.of(wrap_algorithm))

    def derive(self, secret: bytes, ukm: bytes | None) -> bytes:
        """The key that wraps."""
        size = self.key_wrap.key_size
        info = _SharedInfo(key_info=self.wrap_algorithm, entity_u_info=ukm, supp_pub_info=(size * 8).to_bytes(4, "big"))
        return _DERIVATIONS[self.oid](secret, size, encode(info), ukm)


class KeyAgreementRecipients:
    """KeyAgreeRecipientInfo; a :class:`~cmpkit.crypto.enveloping.RecipientKind`."""

    name = "kari"
    version = 2

    def serves(self, recipient: Recipient, plugins: Plugins) -> bool:
        """Whether the key agrees, and may."""
        return (
            isinstance(recipient, KeyRecipient)
            and recipient.may("keyAgreement")
            and isinstance(plugins.key_algorithm_of(recipient.public_key_info), KeyAgreement)
        )

    async def wrap(
        self, content_key: bytes, recipient: KeyRecipient, *, plugins: Plugins, random: RandomOctets
    ) -> Variant[Any, Any]:
        """The content key, wrapped with one of its own size (RFC 9481 section 4.3)."""
        part = plugins.key_algorithm_of(recipient.public_key_info)
        assert isinstance(part, KeyAgreement)
        key_wrap = KeyWrap(len(content_key))
        scheme = _Scheme(part.agreement_scheme(recipient.public_key_info), key_wrap.algorithm, key_wrap)
        ours, secret = part.agree(recipient.public_key_info)
        originator = read_public_key_info(ours)
        wrapped = key_wrap.wrap(scheme.derive(secret, None), content_key)
        info = KeyAgreeRecipientInfo(
            version=_VERSION,
            originator=Variant(
                OriginatorPublicKey(algorithm=originator.algorithm, public_key=originator.subject_public_key),
                "originator_key",
            ),
            key_encryption_algorithm=AlgorithmIdentifier(scheme.oid, key_wrap.algorithm),
            recipient_encrypted_keys=[RecipientEncryptedKey(rid=_identifier(recipient), encrypted_key=wrapped)],
        )
        return Variant(info, self.name)

    def reads(self, info: Variant[Any, Any]) -> bool:
        """Whether it is a KeyAgreeRecipientInfo."""
        return info.tag == self.name

    async def unwrap(
        self, info: KeyAgreeRecipientInfo, key: OpeningKey, *, key_size: int, tolerances: frozenset[str]
    ) -> bytes:
        """The content key; it is for one recipient, and the sender's key is in it."""
        if info.version != _VERSION or len(info.recipient_encrypted_keys) != 1:
            raise bad_structure("a KeyAgreeRecipientInfo that is not of version 3, or not for one recipient")
        originator = info.originator.value
        if not isinstance(originator, OriginatorPublicKey):
            raise bad_alg("the sender's key for the agreement is not there", "use a fresh key for each content")
        wrapped = info.recipient_encrypted_keys[0].encrypted_key
        if len(info.ukm or b"") > _MAX_UKM or len(wrapped) > _MAX_WRAPPED_KEY:
            raise bad_structure("a KeyAgreeRecipientInfo with fields of excessive length")
        scheme = _Scheme.of(info.key_encryption_algorithm, tolerances)
        if not isinstance(key, AgreementKey):
            raise undecipherable()
        with one_failure():
            secret = await key.agree(_originator_key(originator, key))
        return scheme.key_wrap.unwrap(scheme.derive(secret, info.ukm), wrapped)


def _originator_key(originator: OriginatorPublicKey, key: Any) -> bytes:
    """The sender's key; absent or NULL parameters are those of our key (RFC 5753 section 3.1.1)."""
    algorithm, own = originator.algorithm, read_public_key_info(key.public_key_info).algorithm
    if algorithm.algorithm == own.algorithm and algorithm.has_null_or_no_parameters:
        algorithm = own
    return encode(SubjectPublicKeyInfo(algorithm=algorithm, subject_public_key=originator.public_key))


def _identifier(recipient: KeyRecipient) -> Variant[Any, Any]:
    if isinstance(recipient.identifier, bytes):
        return Variant(RecipientKeyIdentifier(subject_key_identifier=recipient.identifier), "r_key_id")
    return Variant(recipient.identifier, "issuer_and_serial_number")
