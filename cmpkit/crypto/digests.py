"""The hashes of RFC 9481 section 2 and RFC 9688: their OIDs, their names and their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids

__all__ = ["HASH_NAMES", "SHAKE_SIZES", "digest"]

HASH_NAMES: Final[Mapping[ObjectIdentifier, str]] = MappingProxyType(
    {
        oids.SHA1: "sha1",
        oids.SHA224: "sha224",
        oids.SHA256: "sha256",
        oids.SHA384: "sha384",
        oids.SHA512: "sha512",
        oids.SHA3_224: "sha3_224",
        oids.SHA3_256: "sha3_256",
        oids.SHA3_384: "sha3_384",
        oids.SHA3_512: "sha3_512",
        oids.SHAKE128: "shake_128",
        oids.SHAKE256: "shake_256",
    }
)
"""The names that hashlib has for them. SHA-1 is among them to be recognised, and refused where it matters."""

SHAKE_SIZES: Final[Mapping[str, int]] = MappingProxyType({"shake_128": 32, "shake_256": 64})
"""Octets of output of the hashes that have no size of their own (RFC 8702 section 3.1)."""


def digest(name: str, data: bytes) -> bytes:
    """The digest of ``data``.

    :param name: one of hashlib's; SHAKE128 gives 32 octets and SHAKE256 gives 64.
    """
    size = SHAKE_SIZES.get(name)
    # hashlib's types do not know that some hashes take a length.
    return hashlib.new(name, data).digest() if size is None else getattr(hashlib, name)(data).digest(size)
