"""AES: CBC for contents, key wrap for content keys (RFC 9481 sections 4.3 and 5, RFC 3565)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, encode
from cmpkit.crypto.enveloping.failures import bad_alg, bad_structure, one_failure
from cmpkit.parts import RandomOctets

__all__ = ["KEY_SIZES", "ContentCipher", "KeyWrap", "block_cipher"]

BLOCK: Final = 16
KEY_SIZES: Final = (16, 24, 32)
"""Octets of the keys that AES has."""
MAX_CONTENT: Final = 1 << 20
_CBC: Final = MappingProxyType({oids.AES128_CBC: 16, oids.AES192_CBC: 24, oids.AES256_CBC: 32})
_WRAPS: Final = MappingProxyType({oids.AES128_WRAP: 16, oids.AES192_WRAP: 24, oids.AES256_WRAP: 32})


def _by_size(sizes: Mapping[ObjectIdentifier, int], size: int) -> ObjectIdentifier:
    return next(oid for oid, octets in sizes.items() if octets == size)


def block_cipher(key: bytes, iv: bytes) -> Cipher[modes.CBC]:
    """AES in CBC mode, without padding."""
    return Cipher(algorithms.AES(key), modes.CBC(iv))


@dataclass(frozen=True, slots=True)
class ContentCipher:
    """AES-CBC with PKCS#7 padding (RFC 5652 section 6.3).

    :param key_size: octets.
    """

    key_size: int
    iv: bytes

    @classmethod
    def new(cls, key_size: int, random: RandomOctets) -> Self:
        """With a fresh initialisation vector."""
        return cls(key_size, random(BLOCK))

    @classmethod
    def of(cls, algorithm: AlgorithmIdentifier) -> Self:
        """What a contentEncryptionAlgorithm asks for.

        :raises CMPError: badAlg for another one, badDataFormat if the initialisation vector cannot be read.
        """
        size = _CBC.get(algorithm.algorithm)
        if size is None:
            raise bad_alg(f"the cipher {algorithm.algorithm.dotted_string} is not known", "use AES-CBC")
        iv = algorithm.parse(bytes)
        if len(iv) != BLOCK:
            raise bad_structure(f"an initialisation vector of {len(iv)} octets")
        return cls(size, iv)

    @property
    def algorithm(self) -> AlgorithmIdentifier:
        """The contentEncryptionAlgorithm."""
        return AlgorithmIdentifier(_by_size(_CBC, self.key_size), encode(self.iv))

    def encrypt(self, key: bytes, content: bytes) -> bytes:
        """The content, padded and encrypted."""
        padder = padding.PKCS7(algorithms.AES.block_size).padder()
        encryptor = block_cipher(key, self.iv).encryptor()
        return encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()

    def decrypt(self, key: bytes, encrypted: bytes) -> bytes:
        """The content.

        :raises CMPError: badDataFormat, which says nothing of the reason.
        """
        unpadder = padding.PKCS7(algorithms.AES.block_size).unpadder()
        with one_failure():
            decryptor = block_cipher(key, self.iv).decryptor()
            return unpadder.update(decryptor.update(encrypted) + decryptor.finalize()) + unpadder.finalize()


@dataclass(frozen=True, slots=True)
class KeyWrap:
    """AES key wrap (RFC 3394).

    :param key_size: octets of the key that wraps.
    """

    key_size: int

    @classmethod
    def of(cls, algorithm: AlgorithmIdentifier) -> Self:
        """What a key wrap algorithm asks for.

        :raises CMPError: badAlg for another one.
        """
        size = _WRAPS.get(algorithm.algorithm) if algorithm.has_null_or_no_parameters else None
        if size is None:
            raise bad_alg(f"the key wrap {algorithm.algorithm.dotted_string} is not known", "use AES key wrap")
        return cls(size)

    @property
    def algorithm(self) -> AlgorithmIdentifier:
        """The AlgorithmIdentifier, without parameters (RFC 3565 section 2.3.2)."""
        return AlgorithmIdentifier(_by_size(_WRAPS, self.key_size))

    def wrap(self, key: bytes, content_key: bytes) -> bytes:
        """The wrapped content key, eight octets longer."""
        return aes_key_wrap(key, content_key)

    def unwrap(self, key: bytes, wrapped: bytes) -> bytes:
        """The content key.

        :raises CMPError: badDataFormat, which says nothing of the reason.
        """
        with one_failure():
            return aes_key_unwrap(key, wrapped)
