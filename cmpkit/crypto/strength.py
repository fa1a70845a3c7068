"""How strong keys and shared secrets are, in bits (RFC 9810 section 8.7, NIST SP 800-57 part 1 section 5.6).

What protects messages should be at least as strong as the keys that are certified by them (R-176).
"""

from __future__ import annotations

import re
from typing import Final

from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.errors import CMPError
from cmpkit.parts import Credential, SharedSecret
from cmpkit.plugins import Plugins

__all__ = ["certificate_strength", "credential_strength", "key_strength", "secret_strength"]

_STRENGTHS: Final = {
    "p256": 128,
    "p384": 192,
    "p521": 256,
    "brainpoolp256r1": 128,
    "brainpoolp384r1": 192,
    "brainpoolp512r1": 256,
    "ed25519": 128,
    "ed448": 224,
    "x25519": 128,
    "x448": 224,
    "mldsa44": 128,
    "mldsa65": 192,
    "mldsa87": 256,
}
_RSA = re.compile(r"rsa([0-9]+)")
_RSA_STRENGTHS: Final = ((15360, 256), (7680, 192), (3072, 128), (2048, 112))


def key_strength(key_type: str) -> int | None:
    """The bits of security of a type of keys, as ``--newkey-type`` names it; ``None`` if that is not known."""
    if rsa := _RSA.fullmatch(key_type):
        return next((bits for length, bits in _RSA_STRENGTHS if int(rsa[1]) >= length), 80)
    return _STRENGTHS.get(key_type)


def secret_strength(secret: SharedSecret) -> int:
    """The bits of security of a shared secret, at most: as many as it has if it is random."""
    return 8 * len(secret.value)


def certificate_strength(der: bytes, plugins: Plugins) -> int | None:
    """The bits of security of the key in a certificate; ``None`` if that is not known."""
    try:
        key = certificate_public_key_info(der)
        return key_strength(plugins.key_algorithm_of(key).key_type(key))
    except CMPError:
        return None


def credential_strength(credential: Credential, plugins: Plugins) -> int | None:
    """The bits of security of what protects messages; ``None`` if that is not known."""
    if credential.secret is not None:
        return secret_strength(credential.secret)
    return None if credential.certificate is None else certificate_strength(credential.certificate, plugins)
