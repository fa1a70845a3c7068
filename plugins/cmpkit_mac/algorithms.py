"""The hashes and MACs that both protections know, and how weak ones are refused (RFC 9481 sections 2 and 6)."""

from __future__ import annotations

import hashlib
from typing import Final

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier
from cmpkit.crypto.digests import HASH_NAMES, SHAKE_SIZES
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = ["RULE", "TOLERATE_SHA1", "bad_alg", "hash_name", "hash_repeatedly", "hmac_name", "refuse_weak"]


RULE: Final = "RFC 9481 section 6"
TOLERATE_SHA1: Final = "hmac-sha1"
"""The name in ``tolerances`` that allows SHA-1 and HMAC-SHA1."""

# OpenSSL 3.0 to 3.6 know only the first name of the MAC; people and its documentation use the second.
_OPENSSL = "openssl cmp -digest sha256 -mac hmacWithSHA256, or -mac hmac-sha256 where that name is known"
_HMACS = {
    oids.HMAC_SHA1: "sha1",
    oids.HMAC_SHA1_RFC4210: "sha1",
    oids.HMAC_SHA224: "sha224",
    oids.HMAC_SHA256: "sha256",
    oids.HMAC_SHA384: "sha384",
    oids.HMAC_SHA512: "sha512",
    oids.HMAC_SHA3_224: "sha3_224",
    oids.HMAC_SHA3_256: "sha3_256",
    oids.HMAC_SHA3_384: "sha3_384",
    oids.HMAC_SHA3_512: "sha3_512",
}


def bad_alg(detail: str, hint: str = "") -> CMPError:
    """A refusal of an algorithm or of its parameters."""
    return CMPError(detail, PKIFailureInfo.BAD_ALG, rule=RULE, hint=hint)


def hash_name(algorithm: AlgorithmIdentifier) -> str:
    """The hashlib name of a one-way function.

    :raises CMPError: badAlg if it is not known, MD5 for instance.
    """
    name = HASH_NAMES.get(algorithm.algorithm) if algorithm.has_null_or_no_parameters else None
    if name is None:
        raise bad_alg(f"the one-way function {algorithm.algorithm.dotted_string} is not known", "use SHA-256")
    return name


def hash_repeatedly(name: str, data: bytes, times: int) -> bytes:
    """A one-way function of its own result, as often as asked: no call of ours for each, so it takes no longer.

    :param name: from :func:`hash_name`.
    """
    new, size = getattr(hashlib, name), SHAKE_SIZES.get(name)
    if size is None:
        for _ in range(times):
            data = new(data).digest()
    else:
        for _ in range(times):
            data = new(data).digest(size)
    return data


def hmac_name(algorithm: AlgorithmIdentifier) -> str:
    """The hashlib name of the hash of an HMAC.

    :raises CMPError: badAlg if it is not known.
    """
    name = _HMACS.get(algorithm.algorithm) if algorithm.has_null_or_no_parameters else None
    if name is None:
        raise bad_alg(f"the MAC {algorithm.algorithm.dotted_string} is not known", "use HMAC with SHA-256")
    return name


def refuse_weak(names: tuple[str, ...], tolerances: frozenset[str]) -> None:
    """Refuse SHA-1, unless the operator allows it.

    :param names: the hashlib names that are about to be used.
    :raises CMPError: badAlg, telling the peer and the operator what each can change.
    """
    if "sha1" in names and TOLERATE_SHA1 not in tolerances:
        raise CMPError(
            "the message is protected with SHA-1 or HMAC-SHA1",
            PKIFailureInfo.BAD_ALG,
            rule=RULE,
            hint=f"have the peer use SHA-256 ({_OPENSSL})",
            status_text=f"SHA-1 is not accepted for the MAC; use SHA-256 ({_OPENSSL})",
            tolerance=TOLERATE_SHA1,
        )
