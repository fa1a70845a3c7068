"""X25519 and X448 (RFC 7748, RFC 8410): keys that agree on secrets, and do not sign."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x448, x25519
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, read_public_key_info
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit_signature.common import bad_alg, load_curve_key, load_public_key, to_pkcs8

__all__ = ["MontgomeryCurveKey", "MontgomeryCurveKeys"]

_Private: TypeAlias = x25519.X25519PrivateKey | x448.X448PrivateKey
_Public: TypeAlias = x25519.X25519PublicKey | x448.X448PublicKey

_KEY_TYPES = {oids.X25519: "x25519", oids.X448: "x448"}
_KINDS: dict[ObjectIdentifier, type[_Private]] = {
    oids.X25519: x25519.X25519PrivateKey,
    oids.X448: x448.X448PrivateKey,
}
_SCHEMES = {oids.X25519: oids.STD_DH_HKDF_SHA256, oids.X448: oids.STD_DH_HKDF_SHA512}


class MontgomeryCurveKey:
    """A private key in memory; a :class:`cmpkit.parts.AgreementKey`."""

    def __init__(self, key: _Private) -> None:
        self._key = key
        self.public_key_info = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._oid = _public_key(self.public_key_info)[1]
        self.key_type = _KEY_TYPES[self._oid]

    @property
    def signature_algorithm(self) -> AlgorithmIdentifier:
        """There is none.

        :raises CMPError: badAlg.
        """
        raise _cannot_sign()

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        """These keys do not sign.

        :raises CMPError: badAlg.
        """
        raise _cannot_sign()

    async def agree(self, public_key_info: bytes) -> bytes:
        """The shared secret; see :class:`cmpkit.parts.AgreementKey`."""
        other, oid = _public_key(public_key_info)
        if oid != self._oid:
            raise CMPError("the other key is not on the same curve", PKIFailureInfo.BAD_DATA_FORMAT)
        return _exchange(self._key, other)

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        """DER of PKCS#8; see :class:`cmpkit.parts.PrivateKey`."""
        return to_pkcs8(self._key, password)


class MontgomeryCurveKeys:
    """The key algorithm; see :class:`cmpkit.parts.KeyAlgorithm` and :class:`cmpkit.parts.KeyAgreement`."""

    name = "XDH"
    key_oids: tuple[ObjectIdentifier, ...] = tuple(_KEY_TYPES)
    signature_oids: tuple[ObjectIdentifier, ...] = ()
    key_types: tuple[str, ...] = tuple(_KEY_TYPES.values())
    # RFC 9295 section 3.
    key_usages: frozenset[str] = frozenset({"keyAgreement", "encipherOnly", "decipherOnly"})

    def generate(self, key_type: str) -> MontgomeryCurveKey:
        """A new key on the curve that the type names."""
        oid = next(oid for oid, name in _KEY_TYPES.items() if name == key_type)
        return MontgomeryCurveKey(_KINDS[oid].generate())

    def load_private_key(self, pkcs8: bytes) -> MontgomeryCurveKey:
        """A key from DER PKCS#8."""
        return MontgomeryCurveKey(load_curve_key(pkcs8, _KINDS, "X25519 or X448"))

    def key_type(self, public_key_info: bytes) -> str:
        """``x25519`` or ``x448``."""
        return _KEY_TYPES[_public_key(public_key_info)[1]]

    def verify(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> bool:
        """These keys do not sign.

        :raises CMPError: badAlg.
        """
        raise _cannot_sign()

    def cert_hash(self, algorithm: AlgorithmIdentifier) -> str | None:
        """There is none: these keys sign no certificates."""
        return None

    def agreement_scheme(self, public_key_info: bytes) -> ObjectIdentifier:
        """HKDF with SHA-256 for X25519, with SHA-512 for X448 (RFC 8418 section 2)."""
        return _SCHEMES[_public_key(public_key_info)[1]]

    def agree(self, public_key_info: bytes) -> tuple[bytes, bytes]:
        """A new key on the same curve, and the shared secret."""
        other, oid = _public_key(public_key_info)
        ours = _KINDS[oid].generate()
        return MontgomeryCurveKey(ours).public_key_info, _exchange(ours, other)


def _exchange(ours: _Private, other: _Public) -> bytes:
    try:
        return ours.exchange(other)  # type: ignore[arg-type]
    except ValueError as error:
        # RFC 7748 section 6: a key of small order makes the secret all zeros.
        raise CMPError(f"no secret can be agreed on: {error}", PKIFailureInfo.BAD_DATA_FORMAT) from error


def _cannot_sign() -> CMPError:
    return bad_alg("X25519 and X448 keys do not sign", "prove possession of the key in another way")


@lru_cache(maxsize=256)
def _public_key(public_key_info: bytes) -> tuple[_Public, ObjectIdentifier]:
    """The key and its OID."""
    oid = read_public_key_info(public_key_info).algorithm.algorithm
    key = load_public_key(public_key_info, "X25519 or X448")
    if not isinstance(key, _Public):
        raise bad_alg("this needs an X25519 or X448 key, the key is of another kind")
    return key, oid
