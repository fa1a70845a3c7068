"""Secrets at rest: AES-256-GCM under a key that is not in the database."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConfigurationError

__all__ = ["SEALING_KEY_SIZE", "Sealer", "new_sealing_key"]

SEALING_KEY_SIZE = 32
"""Octets of a sealing key."""

_FORMAT = b"\x01"
_NONCE_SIZE = 12


def new_sealing_key() -> bytes:
    """A random sealing key."""
    return AESGCM.generate_key(SEALING_KEY_SIZE * 8)


class Sealer:
    """Encrypts secrets for the database, each bound to its reference.

    :param key: :data:`SEALING_KEY_SIZE` octets.
    :raises ConfigurationError: if the key has another size.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != SEALING_KEY_SIZE:
            raise ConfigurationError(
                f"the sealing key of the store has {len(key)} octets, not {SEALING_KEY_SIZE}",
                hint="use the key file that was made with the store",
            )
        self._cipher = AESGCM(key)

    def seal(self, reference: bytes, value: bytes) -> bytes:
        """The encrypted form: an octet for the format, a nonce of 12 octets, ciphertext and tag."""
        nonce = os.urandom(_NONCE_SIZE)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, value, reference)

    def unseal(self, reference: bytes, sealed: bytes) -> bytes:
        """The secret.

        :raises ConfigurationError: if it was sealed with another key, for another reference, or was changed.
        """
        sealed_format, nonce, ciphertext = sealed[:1], sealed[1 : 1 + _NONCE_SIZE], sealed[1 + _NONCE_SIZE :]
        try:
            if sealed_format == _FORMAT and len(nonce) == _NONCE_SIZE:
                return self._cipher.decrypt(nonce, ciphertext, reference)
        except InvalidTag:
            pass
        raise ConfigurationError(
            f"the secret {reference!r} in the store cannot be decrypted",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            hint="the sealing key is not the one that the secret was stored with, or the database was changed",
        )
