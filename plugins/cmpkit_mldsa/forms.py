"""The forms of an ML-DSA private key: seed, expanded key, or both (RFC 9881 section 6)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import decode, sequence
from cmpkit.crypto.pkcs8 import PrivateKeyInfo
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit_mldsa.expanding import expand
from cmpkit_mldsa.sizes import PrivateKey, Size

__all__ = ["read_private_key"]

_RULE = "RFC 9881 section 6"
_SEED_TAG = b"\x80\x20"
_SEED_SIZE = 32
_OCTET_STRING, _SEQUENCE = b"\x04", b"\x30"


@sequence
class _Both:
    seed: bytes
    expanded_key: bytes


def read_private_key(pkcs8: bytes, sizes: Mapping[ObjectIdentifier, Size]) -> tuple[PrivateKey, Size]:
    """The key of PKCS#8, and its size.

    :param sizes: by their OIDs.
    :raises CMPError: badDataFormat if it is none, has no seed, or seed and expanded key are not of one key.
    """
    info = decode(PrivateKeyInfo, pkcs8)
    size = sizes.get(info.algorithm.algorithm)
    if size is None or info.algorithm.parameters is not None:
        raise _unreadable("it is not an ML-DSA key")
    content = info.private_key
    if len(content) == len(_SEED_TAG) + _SEED_SIZE and content.startswith(_SEED_TAG):
        return size.private_key.from_seed_bytes(content[len(_SEED_TAG) :]), size
    if content.startswith(_SEQUENCE):
        both = decode(_Both, content)
        if len(both.seed) != _SEED_SIZE or len(both.expanded_key) != size.expanded:
            raise _unreadable("seed or expanded key have another length than they must have")
        if not hmac.compare_digest(expand(both.seed, size), both.expanded_key):
            raise _unreadable("seed and expanded key are not of one key", "make another key, or restore the file")
        return size.private_key.from_seed_bytes(both.seed), size
    if content.startswith(_OCTET_STRING) and len(decode(bytes, content)) == size.expanded:
        raise _unreadable(
            "there is only the expanded key, which cannot be used here, without the seed that it was made from",
            "use the file with the seed, or make another key; OpenSSL writes the seed unless it is told not to: "
            "openssl genpkey -algorithm " + size.name,
        )
    raise _unreadable("its form is none of seed, expandedKey and both")


def _unreadable(detail: str, hint: str = "") -> CMPError:
    return CMPError(
        f"the ML-DSA private key cannot be used: {detail}", PKIFailureInfo.BAD_DATA_FORMAT, rule=_RULE, hint=hint
    )
