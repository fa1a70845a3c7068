"""The key algorithm ML-DSA (FIPS 204, RFC 9881): the pure variant with an empty context, as certificates want it."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import SIGNING_USAGES, AlgorithmIdentifier, read_public_key_info
from cmpkit.crypto.pkcs8 import encrypt_pkcs8
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit_mldsa.forms import read_private_key
from cmpkit_mldsa.sizes import SIZES, PrivateKey, PublicKey, Size

__all__ = ["MLDSAKey", "MLDSAKeys"]

_BY_OID = {size.oid: size for size in SIZES}


class MLDSAKey:
    """A private key in memory."""

    def __init__(self, key: PrivateKey, size: Size) -> None:
        self._key = key
        self._size = size
        self.key_type = size.key_type
        self.signature_algorithm = AlgorithmIdentifier(size.oid)
        self.public_key_info = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        """The signature over ``data``; see :class:`cmpkit.parts.PrivateKey`."""
        _check(algorithm or self.signature_algorithm, self._size)
        return self._key.sign(data)

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        """DER of PKCS#8 with the seed (RFC 9881 section 6); see :class:`cmpkit.parts.PrivateKey`."""
        plain = self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return plain if password is None else encrypt_pkcs8(plain, password)


class MLDSAKeys:
    """The key algorithm; see :class:`cmpkit.parts.KeyAlgorithm`. The OIDs of keys and signatures are the same."""

    name = "ML-DSA"
    key_oids: tuple[ObjectIdentifier, ...] = tuple(_BY_OID)
    signature_oids: tuple[ObjectIdentifier, ...] = tuple(_BY_OID)
    key_types: tuple[str, ...] = tuple(size.key_type for size in SIZES)
    # RFC 9881 section 5.
    key_usages: frozenset[str] = SIGNING_USAGES

    def generate(self, key_type: str) -> MLDSAKey:
        """A new key of the size that the type names."""
        size = next(size for size in SIZES if size.key_type == key_type)
        return MLDSAKey(size.private_key.generate(), size)

    def load_private_key(self, pkcs8: bytes) -> MLDSAKey:
        """A key from DER PKCS#8 with the seed, alone or together with the expanded key."""
        return MLDSAKey(*read_private_key(pkcs8, _BY_OID))

    def key_type(self, public_key_info: bytes) -> str:
        """``mldsa44``, ``mldsa65`` or ``mldsa87``."""
        return _public_key(public_key_info)[1].key_type

    def verify(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> bool:
        """Whether the signature fits."""
        key, size = _public_key(public_key_info)
        _check(algorithm, size)
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def cert_hash(self, algorithm: AlgorithmIdentifier) -> str | None:
        """``None``: the algorithm names no hash (RFC 9810 section 5.3.18)."""
        return None


@lru_cache(maxsize=256)
def _public_key(public_key_info: bytes) -> tuple[PublicKey, Size]:
    info = read_public_key_info(public_key_info)
    size = _BY_OID.get(info.algorithm.algorithm)
    if size is None:
        raise CMPError(
            "an ML-DSA signature needs an ML-DSA key, this key is of another kind",
            PKIFailureInfo.BAD_ALG,
            rule="RFC 9881 section 4",
        )
    if info.algorithm.parameters is not None or info.subject_public_key.padding_bits():
        raise _unreadable(size, "it has parameters or unused bits")
    try:
        return size.public_key.from_public_bytes(info.subject_public_key.as_bytes()), size
    except ValueError as error:
        raise _unreadable(size, error) from error


def _unreadable(size: Size, error: object) -> CMPError:
    return CMPError(
        f"the {size.name} public key cannot be read: {error}",
        PKIFailureInfo.BAD_CERT_TEMPLATE,
        rule="RFC 9881 section 4",
    )


def _check(algorithm: AlgorithmIdentifier, size: Size) -> None:
    """Whether the signature is by the algorithm of the key; the parameters MUST be absent."""
    if algorithm.algorithm != size.oid or algorithm.parameters is not None:
        raise CMPError(
            f"{size.name} keys cannot verify or make signatures by {algorithm.algorithm.dotted_string} "
            "with these parameters",
            PKIFailureInfo.BAD_ALG,
            rule="RFC 9881 section 2",
        )
