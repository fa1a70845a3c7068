"""Password: the content key, wrapped with a key derived from a shared secret (RFC 5652 section 6.2.4, RFC 3211)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Null, PasswordRecipientInfo, PBKDF2Params, Variant
from cmpkit.crypto.enveloping.ciphers import BLOCK, ContentCipher, KeyWrap, block_cipher
from cmpkit.crypto.enveloping.failures import (
    TOLERATE_SHA1,
    bad_alg,
    bad_structure,
    one_failure,
    refuse_weak,
    undecipherable,
)
from cmpkit.crypto.enveloping.recipients import OpeningKey, PasswordRecipient, Recipient
from cmpkit.crypto.work import run_derivation
from cmpkit.parts import RandomOctets, SharedSecret
from cmpkit.plugins import Plugins

__all__ = ["PasswordRecipients"]

MAX_ITERATIONS: Final = 300_000
MAX_SALT: Final = 128
_VERSION = 0
_MAX_WRAPPED_KEY = 64
_OWN_ITERATIONS = 100_000
_OWN_SALT = 16
_PRFS: Final = {
    oids.HMAC_SHA1: "sha1",
    oids.HMAC_SHA224: "sha224",
    oids.HMAC_SHA256: "sha256",
    oids.HMAC_SHA384: "sha384",
    oids.HMAC_SHA512: "sha512",
}


@dataclass(frozen=True, slots=True)
class _Derivation:
    """PBKDF2, within limits."""

    hash_name: str
    salt: bytes
    iterations: int

    @classmethod
    def of(cls, algorithm: AlgorithmIdentifier | None, key_size: int, tolerances: frozenset[str]) -> Self:
        """What a keyDerivationAlgorithm asks for.

        :param key_size: octets of the key that is needed.
        :raises CMPError: badAlg for what is not known, too much, or not tolerated; badDataFormat if it cannot be read.
        """
        if algorithm is None or algorithm.algorithm != oids.PBKDF2:
            raise bad_alg("the key derivation from the password is not PBKDF2", "use PBKDF2")
        params = algorithm.parse(PBKDF2Params)
        salt = params.salt.value
        if not isinstance(salt, bytes) or not 1 <= len(salt) <= MAX_SALT:
            raise bad_alg(f"PBKDF2 with a salt of other than 1 to {MAX_SALT} octets")
        prf = "sha1" if params.prf is None else _PRFS.get(params.prf.algorithm)
        if prf is None:
            raise bad_alg("PBKDF2 with a function that is not known", "use HMAC with SHA-256")
        steps = params.iteration_count * -(-key_size // hashlib.new(prf).digest_size)
        if params.iteration_count < 1 or steps > MAX_ITERATIONS:
            raise bad_alg(
                f"PBKDF2 with {params.iteration_count} iterations",
                f"1 to {MAX_ITERATIONS} are accepted, counted for each block of the key",
            )
        if params.key_length not in (None, key_size):
            raise bad_alg(f"PBKDF2 with a key of {params.key_length} octets where {key_size} are needed")
        refuse_weak(prf == "sha1", TOLERATE_SHA1, "PBKDF2 with HMAC-SHA1", tolerances)
        return cls(prf, salt, params.iteration_count)

    async def derive(self, secret: SharedSecret, size: int) -> bytes:
        """The key that wraps."""
        derive = partial(hashlib.pbkdf2_hmac, self.hash_name, secret.value, self.salt, self.iterations, size)
        return await run_derivation(derive)


class PasswordRecipients:
    """PasswordRecipientInfo; a :class:`~cmpkit.crypto.enveloping.RecipientKind`.

    The salt is always fresh, so that the secret gives another key here than for a MAC (RFC 9483 section 4.1.6.3).
    """

    name = "pwri"
    # RFC 5652 section 6.1; RFC 9483 section 4.1.6.3 prints 0, which its erratum 7833 corrects.
    version = 3

    def serves(self, recipient: Recipient, plugins: Plugins) -> bool:
        """Whether there is a shared secret."""
        return isinstance(recipient, PasswordRecipient)

    async def wrap(
        self, content_key: bytes, recipient: PasswordRecipient, *, plugins: Plugins, random: RandomOctets
    ) -> Variant[Any, Any]:
        """The content key, wrapped with one of its own size from PBKDF2 with HMAC-SHA256."""
        key_wrap = KeyWrap(len(content_key))
        derivation = _Derivation("sha256", random(_OWN_SALT), _OWN_ITERATIONS)
        params = PBKDF2Params(
            salt=Variant(derivation.salt, "specified"),
            iteration_count=derivation.iterations,
            key_length=key_wrap.key_size,
            prf=AlgorithmIdentifier(oids.HMAC_SHA256, Null()),
        )
        key = await derivation.derive(recipient.secret, key_wrap.key_size)
        if recipient.by_pwri_kek:
            cipher = ContentCipher.new(len(content_key), random)
            algorithm = AlgorithmIdentifier(oids.PWRI_KEK, cipher.algorithm)
            encrypted = _wrap_twice(cipher.iv, key, content_key, random)
        else:
            algorithm, encrypted = key_wrap.algorithm, key_wrap.wrap(key, content_key)
        info = PasswordRecipientInfo(
            version=_VERSION,
            key_derivation_algorithm=AlgorithmIdentifier(oids.PBKDF2, params),
            key_encryption_algorithm=algorithm,
            encrypted_key=encrypted,
        )
        return Variant(info, self.name)

    def reads(self, info: Variant[Any, Any]) -> bool:
        """Whether it is a PasswordRecipientInfo."""
        return info.tag == self.name

    async def unwrap(
        self, info: PasswordRecipientInfo, key: OpeningKey, *, key_size: int, tolerances: frozenset[str]
    ) -> bytes:
        """The content key, wrapped by AES key wrap or, as older senders do it, by id-alg-PWRI-KEK."""
        if info.version != _VERSION or len(info.encrypted_key) > _MAX_WRAPPED_KEY:
            raise bad_structure("a PasswordRecipientInfo of another version than 0, or with too long a key")
        size, unwrap = _unwrapping(info.key_encryption_algorithm)
        derivation = _Derivation.of(info.key_derivation_algorithm, size, tolerances)
        if not isinstance(key, SharedSecret):
            raise undecipherable()
        return unwrap(await derivation.derive(key, size), info.encrypted_key)


def _unwrapping(algorithm: AlgorithmIdentifier) -> tuple[int, Callable[[bytes, bytes], bytes]]:
    """Octets of the key that is needed, and how the content key is had with it.

    :raises CMPError: badAlg for what is not known, badDataFormat if it cannot be read.
    """
    if algorithm.algorithm != oids.PWRI_KEK:
        key_wrap = KeyWrap.of(algorithm)
        return key_wrap.key_size, key_wrap.unwrap
    cipher = ContentCipher.of(algorithm.parse(AlgorithmIdentifier))
    return cipher.key_size, partial(_unwrap_twice, cipher.iv)


def _wrap_twice(iv: bytes, key: bytes, content_key: bytes, random: RandomOctets) -> bytes:
    """The content key by id-alg-PWRI-KEK (RFC 3211 section 2.3.1): with its length and a check, encrypted twice."""
    check = bytes(octet ^ 0xFF for octet in content_key[:3])
    padded = bytes((len(content_key),)) + check + content_key
    padded += random(-len(padded) % BLOCK)
    once = block_cipher(key, iv).encryptor().update(padded)
    return block_cipher(key, once[-BLOCK:]).encryptor().update(once)


def _unwrap_twice(iv: bytes, key: bytes, wrapped: bytes) -> bytes:
    """The content key from id-alg-PWRI-KEK (RFC 3211 section 2.3.2): CBC twice, the second begins where the first ends.

    :raises CMPError: badDataFormat, which says nothing of the reason.
    """
    if len(wrapped) < 2 * BLOCK or len(wrapped) % BLOCK:
        raise undecipherable()
    with one_failure():
        last = block_cipher(key, wrapped[-2 * BLOCK : -BLOCK]).decryptor().update(wrapped[-BLOCK:])
        once = block_cipher(key, last).decryptor().update(wrapped[:-BLOCK]) + last
        padded = block_cipher(key, iv).decryptor().update(once)
    length, check, content_key = padded[0], padded[1:4], padded[4 : 4 + padded[0]]
    inverted = bytes(octet ^ 0xFF for octet in content_key[:3])
    if not hmac.compare_digest(check, inverted) or len(content_key) != length:
        raise undecipherable()
    return content_key
