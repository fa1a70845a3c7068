"""ECDSA over the NIST and Brainpool curves (RFC 5480, RFC 5639), with SHA-2, SHA-3 or SHAKE (RFC 5758, 9688, 8692).

The same keys agree on secrets, if their certificates allow it (RFC 5753).
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import SIGNING_USAGES, AlgorithmIdentifier
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit_signature.common import (
    HASHES,
    bad_alg,
    load_public_key,
    refuse_sha1,
    to_pkcs8,
    wrong_algorithm,
)

__all__ = ["EllipticCurveKey", "EllipticCurveKeys"]

_CURVES: dict[str, tuple[str, ec.EllipticCurve, AlgorithmIdentifier]] = {
    "secp256r1": ("p256", ec.SECP256R1(), AlgorithmIdentifier(oids.ECDSA_SHA256)),
    "secp384r1": ("p384", ec.SECP384R1(), AlgorithmIdentifier(oids.ECDSA_SHA384)),
    "secp521r1": ("p521", ec.SECP521R1(), AlgorithmIdentifier(oids.ECDSA_SHA512)),
    "brainpoolP256r1": ("brainpoolp256r1", ec.BrainpoolP256R1(), AlgorithmIdentifier(oids.ECDSA_SHA256)),
    "brainpoolP384r1": ("brainpoolp384r1", ec.BrainpoolP384R1(), AlgorithmIdentifier(oids.ECDSA_SHA384)),
    "brainpoolP512r1": ("brainpoolp512r1", ec.BrainpoolP512R1(), AlgorithmIdentifier(oids.ECDSA_SHA512)),
}
_HASH_NAMES = {
    oids.ECDSA_SHA1: "sha1",
    oids.ECDSA_SHA224: "sha224",
    oids.ECDSA_SHA256: "sha256",
    oids.ECDSA_SHA384: "sha384",
    oids.ECDSA_SHA512: "sha512",
    oids.ECDSA_SHA3_224: "sha3_224",
    oids.ECDSA_SHA3_256: "sha3_256",
    oids.ECDSA_SHA3_384: "sha3_384",
    oids.ECDSA_SHA3_512: "sha3_512",
    oids.ECDSA_SHAKE128: "shake_128",
    oids.ECDSA_SHAKE256: "shake_256",
}
_AGREEMENTS = {
    oids.ECDSA_SHA256: oids.STD_DH_SHA256_KDF,
    oids.ECDSA_SHA384: oids.STD_DH_SHA384_KDF,
    oids.ECDSA_SHA512: oids.STD_DH_SHA512_KDF,
}
_SCHEMES = {oid: ec.ECDSA(HASHES[name]) for oid, name in _HASH_NAMES.items() if name in HASHES}


class EllipticCurveKey:
    """A private key in memory."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.key_type, _, self.signature_algorithm = _curve(key.curve)
        self.public_key_info = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        """The signature over ``data``; see :class:`cmpkit.parts.PrivateKey`."""
        return self._key.sign(data, _scheme(algorithm or self.signature_algorithm))

    async def agree(self, public_key_info: bytes) -> bytes:
        """The shared secret; see :class:`cmpkit.parts.AgreementKey`."""
        other = _public_key(public_key_info)[0]
        try:
            return self._key.exchange(ec.ECDH(), other)
        except ValueError as error:
            raise CMPError(f"no secret can be agreed on: {error}", PKIFailureInfo.BAD_DATA_FORMAT) from error

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        """DER of PKCS#8; see :class:`cmpkit.parts.PrivateKey`."""
        return to_pkcs8(self._key, password)


class EllipticCurveKeys:
    """The key algorithm; see :class:`cmpkit.parts.KeyAlgorithm`."""

    name = "EC"
    key_oids: tuple[ObjectIdentifier, ...] = (oids.EC_PUBLIC_KEY,)
    signature_oids: tuple[ObjectIdentifier, ...] = tuple(_HASH_NAMES)
    key_types: tuple[str, ...] = tuple(key_type for key_type, _, _ in _CURVES.values())
    # RFC 8813 section 3.
    key_usages: frozenset[str] = SIGNING_USAGES | {"keyAgreement", "encipherOnly", "decipherOnly"}

    def generate(self, key_type: str) -> EllipticCurveKey:
        """A new key on the curve that the type names."""
        curve = next(curve for name, curve, _ in _CURVES.values() if name == key_type)
        return EllipticCurveKey(ec.generate_private_key(curve))

    def load_private_key(self, pkcs8: bytes) -> EllipticCurveKey:
        """A key from DER PKCS#8."""
        try:
            key = serialization.load_der_private_key(pkcs8, None)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise CMPError(f"the EC private key cannot be read: {error}", PKIFailureInfo.BAD_DATA_FORMAT) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CMPError("the private key is not an EC key", PKIFailureInfo.BAD_DATA_FORMAT)
        return EllipticCurveKey(key)

    def key_type(self, public_key_info: bytes) -> str:
        """``p256``, ``brainpoolp256r1`` and so on."""
        return _public_key(public_key_info)[1]

    def verify(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> bool:
        """Whether the signature fits."""
        scheme = _scheme(algorithm)
        try:
            _public_key(public_key_info)[0].verify(signature, data, scheme)
        except InvalidSignature:
            return False
        return True

    def cert_hash(self, algorithm: AlgorithmIdentifier) -> str | None:
        """The hash that the signature algorithm names."""
        return _HASH_NAMES[algorithm.algorithm]

    def agreement_scheme(self, public_key_info: bytes) -> ObjectIdentifier:
        """The X9.63 derivation with a hash as strong as the curve (RFC 5753 section 7.1.4)."""
        return _AGREEMENTS[_curve(_public_key(public_key_info)[0].curve)[2].algorithm]

    def agree(self, public_key_info: bytes) -> tuple[bytes, bytes]:
        """A new key on the same curve, and the shared secret."""
        other = _public_key(public_key_info)[0]
        ours = ec.generate_private_key(other.curve)
        return EllipticCurveKey(ours).public_key_info, ours.exchange(ec.ECDH(), other)


@lru_cache(maxsize=256)
def _public_key(public_key_info: bytes) -> tuple[ec.EllipticCurvePublicKey, str]:
    """The key and its type."""
    key = load_public_key(public_key_info, "EC")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise bad_alg("an ECDSA signature needs an EC key, this key is of another kind")
    return key, _curve(key.curve)[0]


def _curve(curve: ec.EllipticCurve) -> tuple[str, ec.EllipticCurve, AlgorithmIdentifier]:
    found = _CURVES.get(curve.name)
    if found is None:
        raise bad_alg(
            f"EC keys on the curve {curve.name} are not accepted", f"use {', '.join(EllipticCurveKeys.key_types)}"
        )
    return found


def _scheme(algorithm: AlgorithmIdentifier) -> ec.ECDSA:
    # RFC 5758 section 3.2, RFC 9688 section 3, RFC 8692 section 3: the parameters MUST be absent.
    scheme = _SCHEMES.get(algorithm.algorithm)
    if scheme is not None and algorithm.parameters is None:
        return scheme
    if algorithm.parameters is None:
        refuse_sha1(_HASH_NAMES.get(algorithm.algorithm, ""), algorithm.algorithm)
    raise wrong_algorithm(algorithm, "EC keys")
