"""What was encrypted before there was EnvelopedData: RSA with PKCS#1 v1.5 padding (RFC 4211 section 2.1, pvno 2).

That is EncryptedValue, around certificates, and what is short enough for RSA itself, as a challenge is. Which algorithm
encrypts a challenge is said nowhere; this one is what the key of such a requester can do.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final, TypeVar

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, BitString, EncryptedValue, Null
from cmpkit.crypto.enveloping.ciphers import MAX_CONTENT, ContentCipher
from cmpkit.crypto.enveloping.failures import bad_alg, bad_structure, one_failure, refuse_weak, undecipherable
from cmpkit.crypto.enveloping.transport import decrypt_content_key
from cmpkit.parts import KeyTransport, PrivateKey, RandomOctets, TransportKey
from cmpkit.plugins import Plugins

__all__ = [
    "TOLERATE_LEGACY_ENCRYPTION",
    "decrypt_by_rsa",
    "encrypt_by_rsa",
    "encrypt_value",
    "open_value",
]

T = TypeVar("T")
TOLERATE_LEGACY_ENCRYPTION: Final = "legacy-encryption"
"""The name in ``tolerances`` that allows all of this."""
_RSA: Final = AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null())
_KEY_SIZE: Final = 32


def encrypt_by_rsa(content: bytes, public_key_info: bytes, plugins: Plugins) -> bytes:
    """A short content, encrypted to an RSA key.

    :param public_key_info: DER of the key.
    :raises CMPError: badAlg if the key is of another kind, or too short for the content.
    """
    part = plugins.key_algorithm_of(public_key_info)
    if not isinstance(part, KeyTransport):
        raise bad_alg("only RSA keys encrypt without EnvelopedData", "set pvno to 3")
    return part.encrypt(public_key_info, _RSA, content)


async def decrypt_by_rsa(
    encrypted: bytes, key: PrivateKey, *, read: Callable[[bytes], T], tolerances: frozenset[str]
) -> T:
    """What :func:`encrypt_by_rsa` encrypted.

    :param read: reads the content; see :func:`cmpkit.crypto.enveloping.open_envelope`.
    :param tolerances: names of what is accepted beyond the default; ``legacy-encryption`` is needed.
    :raises CMPError: badAlg if it is not tolerated, badDataFormat for everything else, in one text.
    """
    refuse_weak(True, TOLERATE_LEGACY_ENCRYPTION, "RSA without EnvelopedData", tolerances)
    if not isinstance(key, TransportKey):
        raise undecipherable()
    with one_failure():
        return read(await key.decrypt(_RSA, encrypted))


def encrypt_value(
    content: bytes, public_key_info: bytes, *, plugins: Plugins, random: RandomOctets = secrets.token_bytes
) -> EncryptedValue:
    """A content under a fresh AES key, which is encrypted to an RSA key.

    :param public_key_info: DER of the key.
    :raises CMPError: badAlg if the key is of another kind.
    """
    content_key = random(_KEY_SIZE)
    cipher = ContentCipher.new(_KEY_SIZE, random)
    return EncryptedValue(
        symm_alg=cipher.algorithm,
        enc_symm_key=BitString(encrypt_by_rsa(content_key, public_key_info, plugins), 0),
        key_alg=_RSA,
        enc_value=BitString(cipher.encrypt(content_key, content), 0),
    )


async def open_value(
    value: EncryptedValue, key: PrivateKey, *, read: Callable[[bytes], T], tolerances: frozenset[str]
) -> T:
    """The content of an EncryptedValue.

    :param read: reads the content; see :func:`cmpkit.crypto.enveloping.open_envelope`.
    :param tolerances: names of what is accepted beyond the default; ``legacy-encryption`` is needed.
    :raises CMPError: badAlg for algorithms that are not accepted, badDataFormat for everything else, in one text.
    """
    refuse_weak(True, TOLERATE_LEGACY_ENCRYPTION, "EncryptedValue", tolerances)
    if value.key_alg is not None and value.key_alg.algorithm != oids.RSA_ENCRYPTION:
        raise bad_alg(f"key transport by {value.key_alg.algorithm.dotted_string} is not known in EncryptedValue")
    if value.symm_alg is None or value.enc_symm_key is None:
        raise bad_structure("an EncryptedValue without cipher or key")
    encrypted = value.enc_value.as_bytes()
    if len(encrypted) > MAX_CONTENT:
        raise bad_structure("an EncryptedValue that is too long")
    cipher = ContentCipher.of(value.symm_alg)
    content_key = await decrypt_content_key(value.enc_symm_key.as_bytes(), _RSA, key, key_size=cipher.key_size)
    content = cipher.decrypt(content_key, encrypted)
    with one_failure():
        return read(content)
