"""PKCS#8 for keys of any algorithm, parts of others included: plain and encrypted with PBES2 (RFC 5958, RFC 8018).

cryptography does it only for the kinds of keys that it knows itself, and RSA keys marked for PSS lose their mark there.
"""

from __future__ import annotations

import hashlib
import os
from typing import Annotated

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    BitString,
    Implicit,
    Null,
    PBKDF2Params,
    SetOf,
    Variant,
    decode,
    encode,
    sequence,
)
from cmpkit.errors import CMPError, ConfigurationError

__all__ = ["EncryptedPrivateKeyInfo", "PrivateKeyInfo", "decrypt_pkcs8", "encrypt_pkcs8"]

_ITERATIONS = 300_000
_SALT_SIZE = 16
_KEY_SIZES = {oids.AES128_CBC: 16, oids.AES192_CBC: 24, oids.AES256_CBC: 32}
_PRFS = {
    oids.HMAC_SHA1: "sha1",
    oids.HMAC_SHA224: "sha224",
    oids.HMAC_SHA256: "sha256",
    oids.HMAC_SHA384: "sha384",
    oids.HMAC_SHA512: "sha512",
}


@sequence
class PrivateKeyInfo:
    """A private key with its algorithm, OneAsymmetricKey (RFC 5958 section 2)."""

    version: int
    algorithm: AlgorithmIdentifier
    private_key: bytes
    attributes: Annotated[SetOf[TLV] | None, Implicit(0)] = None
    public_key: Annotated[BitString | None, Implicit(1)] = None


@sequence
class EncryptedPrivateKeyInfo:
    """A PrivateKeyInfo, encrypted (RFC 5958 section 3)."""

    encryption_algorithm: AlgorithmIdentifier
    encrypted_data: bytes


@sequence
class _PBES2Params:
    key_derivation_func: AlgorithmIdentifier
    encryption_scheme: AlgorithmIdentifier


def encrypt_pkcs8(plain: bytes, password: bytes) -> bytes:
    """DER of EncryptedPrivateKeyInfo: PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC.

    :param plain: DER of PrivateKeyInfo.
    """
    salt, iv = os.urandom(_SALT_SIZE), os.urandom(algorithms.AES.block_size // 8)
    key_size = _KEY_SIZES[oids.AES256_CBC]
    key = hashlib.pbkdf2_hmac("sha256", password, salt, _ITERATIONS, key_size)
    kdf = PBKDF2Params(
        salt=Variant(salt, "specified"),
        iteration_count=_ITERATIONS,
        prf=AlgorithmIdentifier(oids.HMAC_SHA256, Null()),
    )
    params = _PBES2Params(
        key_derivation_func=AlgorithmIdentifier(oids.PBKDF2, kdf),
        encryption_scheme=AlgorithmIdentifier(oids.AES256_CBC, encode(iv)),
    )
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    data = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    return encode(
        EncryptedPrivateKeyInfo(encryption_algorithm=AlgorithmIdentifier(oids.PBES2, params), encrypted_data=data)
    )


def decrypt_pkcs8(encrypted: EncryptedPrivateKeyInfo, password: bytes) -> bytes | None:
    """DER of PrivateKeyInfo, or ``None`` for an encryption that this module does not do.

    :raises ConfigurationError: if the password is wrong.
    :raises CMPError: badDataFormat if the parameters cannot be read.
    """
    algorithm = encrypted.encryption_algorithm
    if algorithm.algorithm != oids.PBES2:
        return None
    params = algorithm.parse(_PBES2Params)
    scheme, derivation = params.encryption_scheme, params.key_derivation_func
    if scheme.algorithm not in _KEY_SIZES or derivation.algorithm != oids.PBKDF2:
        return None
    kdf = derivation.parse(PBKDF2Params)
    prf = "sha1" if kdf.prf is None else _PRFS.get(kdf.prf.algorithm)
    salt = kdf.salt.value
    if prf is None or not isinstance(salt, bytes):
        return None
    key = hashlib.pbkdf2_hmac(prf, password, salt, kdf.iteration_count, _KEY_SIZES[scheme.algorithm])
    plain = _unpadded(key, scheme.parse(bytes), encrypted.encrypted_data)
    # Some wrong passwords give right padding by chance; what is then there is no PrivateKeyInfo.
    try:
        decode(PrivateKeyInfo, plain)
    except CMPError as error:
        raise _wrong_password() from error
    return plain


def _unpadded(key: bytes, iv: bytes, data: bytes) -> bytes:
    unpadder = padding.PKCS7(algorithms.AES.block_size).unpadder()
    try:
        decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    except ValueError as error:
        raise _wrong_password() from error


def _wrong_password() -> ConfigurationError:
    return ConfigurationError("the password of the private key is wrong, or the file is damaged")
