"""Ed25519 and Ed448 (RFC 8032, RFC 8410)."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import SIGNING_USAGES, AlgorithmIdentifier, read_public_key_info
from cmpkit_signature.common import bad_alg, load_curve_key, load_public_key, to_pkcs8, wrong_algorithm

__all__ = ["EdwardsCurveKey", "EdwardsCurveKeys"]

_Private: TypeAlias = ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
_Public: TypeAlias = ed25519.Ed25519PublicKey | ed448.Ed448PublicKey

_KEY_TYPES = {oids.ED25519: "ed25519", oids.ED448: "ed448"}
_KINDS: dict[ObjectIdentifier, type[_Private]] = {
    oids.ED25519: ed25519.Ed25519PrivateKey,
    oids.ED448: ed448.Ed448PrivateKey,
}
# RFC 9481 section 3.3.
_CERT_HASHES = {oids.ED25519: "sha512", oids.ED448: "shake_256"}


class EdwardsCurveKey:
    """A private key in memory."""

    def __init__(self, key: _Private) -> None:
        self._key = key
        self.public_key_info = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.signature_algorithm = AlgorithmIdentifier(_public_key(self.public_key_info)[1])
        self.key_type = _KEY_TYPES[self.signature_algorithm.algorithm]

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        """The signature over ``data``; see :class:`cmpkit.parts.PrivateKey`."""
        _check(algorithm or self.signature_algorithm, self.signature_algorithm.algorithm)
        return self._key.sign(data)

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        """DER of PKCS#8; see :class:`cmpkit.parts.PrivateKey`."""
        return to_pkcs8(self._key, password)


class EdwardsCurveKeys:
    """The key algorithm; see :class:`cmpkit.parts.KeyAlgorithm`. The OIDs of keys and signatures are the same."""

    name = "EdDSA"
    key_oids: tuple[ObjectIdentifier, ...] = tuple(_KEY_TYPES)
    signature_oids: tuple[ObjectIdentifier, ...] = tuple(_KEY_TYPES)
    key_types: tuple[str, ...] = tuple(_KEY_TYPES.values())
    # RFC 9295 section 3.
    key_usages: frozenset[str] = SIGNING_USAGES

    def generate(self, key_type: str) -> EdwardsCurveKey:
        """A new key on the curve that the type names."""
        oid = next(oid for oid, name in _KEY_TYPES.items() if name == key_type)
        return EdwardsCurveKey(_KINDS[oid].generate())

    def load_private_key(self, pkcs8: bytes) -> EdwardsCurveKey:
        """A key from DER PKCS#8."""
        return EdwardsCurveKey(load_curve_key(pkcs8, _KINDS, "EdDSA"))

    def key_type(self, public_key_info: bytes) -> str:
        """``ed25519`` or ``ed448``."""
        return _KEY_TYPES[_public_key(public_key_info)[1]]

    def verify(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> bool:
        """Whether the signature fits."""
        key, oid = _public_key(public_key_info)
        _check(algorithm, oid)
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def cert_hash(self, algorithm: AlgorithmIdentifier) -> str | None:
        """SHA-512 for Ed25519, SHAKE256 with 64 octets for Ed448."""
        return _CERT_HASHES[algorithm.algorithm]


@lru_cache(maxsize=256)
def _public_key(public_key_info: bytes) -> tuple[_Public, ObjectIdentifier]:
    """The key and its OID."""
    oid = read_public_key_info(public_key_info).algorithm.algorithm
    key = load_public_key(public_key_info, "EdDSA")
    if not isinstance(key, _Public):
        raise bad_alg("an EdDSA signature needs an Ed25519 or Ed448 key, this key is of another kind")
    return key, oid


def _check(algorithm: AlgorithmIdentifier, oid: ObjectIdentifier) -> None:
    """Whether the signature is by the algorithm of the key; RFC 8410 section 3: the parameters MUST be absent."""
    if algorithm.algorithm != oid or algorithm.parameters is not None:
        raise wrong_algorithm(algorithm, f"{_KEY_TYPES[oid].capitalize()} keys")
