"""The MACs that a derived key is for: HMAC, AES-GMAC and KMAC (RFC 9481 section 6.2)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    GMACParameters,
    KMACwithSHAKE128Params,
    KMACwithSHAKE256Params,
    Null,
)
from cmpkit.parts import RandomOctets
from cmpkit_mac.algorithms import bad_alg, hmac_name

__all__ = ["MAC_NAMES", "Mac", "new_mac", "read_mac", "with_fresh_nonce"]

_GMAC_KEYS = {oids.AES128_GMAC: 16, oids.AES192_GMAC: 24, oids.AES256_GMAC: 32}
_NONCE = 12
_NONCES = range(8, 129)
_TAG = 16
_TAGS = range(12, _TAG + 1)
_KMAC_OUTPUT = range(16, 129)
_MAX_CUSTOMIZATION = 128

MAC_NAMES: Final = {
    "hmac-sha224": oids.HMAC_SHA224,
    "hmac-sha256": oids.HMAC_SHA256,
    "hmac-sha384": oids.HMAC_SHA384,
    "hmac-sha512": oids.HMAC_SHA512,
    "hmac-sha3-256": oids.HMAC_SHA3_256,
    "hmac-sha3-384": oids.HMAC_SHA3_384,
    "hmac-sha3-512": oids.HMAC_SHA3_512,
    "aes128-gmac": oids.AES128_GMAC,
    "aes192-gmac": oids.AES192_GMAC,
    "aes256-gmac": oids.AES256_GMAC,
    "kmac128": oids.KMAC_WITH_SHAKE128,
    "kmac256": oids.KMAC_WITH_SHAKE256,
}
"""The names that people choose a MAC by."""


class Mac(Protocol):
    """A MAC with its parameters."""

    @property
    def hash_name(self) -> str:
        """The hashlib name of the hash that it is made of; empty for one that is made of none."""

    @property
    def usual_key(self) -> int:
        """Octets of the key where nothing says how long it is."""

    def fit_key(self, length: int) -> int:
        """The length of key next to ``length`` octets that it can take, no shorter one if there is a choice."""

    def compute(self, key: bytes, data: bytes) -> bytes:
        """The MAC over ``data``."""


@dataclass(frozen=True, slots=True)
class _HMAC:
    hash_name: str

    @property
    def usual_key(self) -> int:
        return hashlib.new(self.hash_name).digest_size

    def fit_key(self, length: int) -> int:
        return length

    def compute(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.hash_name)


@dataclass(frozen=True, slots=True)
class _GMAC:
    """AES-GCM of nothing, with the data as what is only authenticated (NIST SP 800-38D section 3)."""

    usual_key: int
    nonce: bytes
    length: int
    hash_name = ""

    def fit_key(self, length: int) -> int:
        return self.usual_key

    def compute(self, key: bytes, data: bytes) -> bytes:
        return AESGCM(key).encrypt(self.nonce, b"", data)[: self.length]


_KMAC_PARAMS: dict[ObjectIdentifier, Any] = {
    oids.KMAC_WITH_SHAKE128: KMACwithSHAKE128Params,
    oids.KMAC_WITH_SHAKE256: KMACwithSHAKE256Params,
}


@dataclass(frozen=True, slots=True)
class _KMAC:
    """KMAC (NIST SP 800-185 section 4).

    :param module: with the implementation.
    :param strength: octets of key that its security strength needs.
    :param length: octets of the MAC.
    """

    module: Any
    strength: int
    length: int
    customization: bytes
    hash_name = ""

    @property
    def usual_key(self) -> int:
        return 2 * self.strength

    def fit_key(self, length: int) -> int:
        return max(length, self.strength)

    def compute(self, key: bytes, data: bytes) -> bytes:
        mac: bytes = self.module.new(key=key, data=data, mac_len=self.length, custom=self.customization).digest()
        return mac


def read_mac(algorithm: AlgorithmIdentifier) -> Mac:
    """The MAC that an AlgorithmIdentifier asks for.

    :raises CMPError: badAlg if it is not known or its parameters are not accepted, badDataFormat if they cannot be
        read.
    """
    if algorithm.algorithm in _GMAC_KEYS:
        return _read_gmac(algorithm)
    if algorithm.algorithm in _KMAC_PARAMS:
        return _read_kmac(algorithm)
    return _HMAC(hmac_name(algorithm))


def _read_gmac(algorithm: AlgorithmIdentifier) -> _GMAC:
    params = algorithm.parse(GMACParameters)
    if len(params.nonce) not in _NONCES:
        raise bad_alg(f"AES-GMAC with a nonce of {len(params.nonce)} octets", "12 octets are usual")
    if params.length not in _TAGS:
        raise bad_alg(f"AES-GMAC of {params.length} octets", "12 to 16 are defined (RFC 9044 section 2)")
    return _GMAC(_GMAC_KEYS[algorithm.algorithm], params.nonce, params.length)


def _read_kmac(algorithm: AlgorithmIdentifier) -> _KMAC:
    kind = _KMAC_PARAMS[algorithm.algorithm]
    params = kind() if algorithm.parameters is None else algorithm.parse(kind)
    length, odd_bits = divmod(params.kmac_output_length, 8)
    if odd_bits or length not in _KMAC_OUTPUT:
        raise bad_alg(f"KMAC of {params.kmac_output_length} bits", "whole octets, 128 to 1024 bits, are accepted")
    if len(params.customization_string) > _MAX_CUSTOMIZATION:
        raise bad_alg(f"KMAC with a customization string of {len(params.customization_string)} octets")
    # 11 MB, and slow to load: not needed where nobody uses KMAC.
    try:
        from Cryptodome.Hash import KMAC128, KMAC256  # noqa: PLC0415
    except ImportError as error:  # pragma: no cover - the tests have it
        raise bad_alg("KMAC needs the package pycryptodomex", "pip install 'cmpkit[kmac]'") from error
    module, strength = (KMAC128, 16) if kind is KMACwithSHAKE128Params else (KMAC256, 32)
    return _KMAC(module, strength, length, params.customization_string)


def new_mac(name: str, random: RandomOctets) -> AlgorithmIdentifier:
    """The AlgorithmIdentifier of a MAC as we ask for it: whole MACs, fresh nonces.

    :param name: one of :data:`MAC_NAMES`.
    """
    oid = MAC_NAMES[name]
    if oid in _GMAC_KEYS:
        return AlgorithmIdentifier(oid, GMACParameters(nonce=random(_NONCE), length=_TAG))
    # RFC 8702 section 3.4: KMAC without parameters has the usual length and no customization string.
    return AlgorithmIdentifier(oid, None if oid in _KMAC_PARAMS else Null())


def with_fresh_nonce(algorithm: AlgorithmIdentifier, random: RandomOctets) -> AlgorithmIdentifier:
    """The same MAC for another message: one nonce of AES-GMAC under one key is for one message only (RFC 9044).

    :raises CMPError: as for :func:`read_mac`.
    """
    if algorithm.algorithm not in _GMAC_KEYS:
        return algorithm
    length = _read_gmac(algorithm).length
    return AlgorithmIdentifier(algorithm.algorithm, GMACParameters(nonce=random(_NONCE), length=length))
