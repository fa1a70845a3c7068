"""What may be said of content that is not accepted: an algorithm is named, a failed decryption is not explained."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = [
    "RULE",
    "TOLERATE_RSA_PKCS1",
    "TOLERATE_SHA1",
    "bad_alg",
    "bad_structure",
    "is_elsewhere",
    "one_failure",
    "refuse_weak",
    "undecipherable",
]

_log = logging.getLogger("cmpkit.enveloping")

RULE: Final = "RFC 9810 section 5.2.2"
TOLERATE_SHA1: Final = "envelope-sha1"
"""The name in ``tolerances`` that allows SHA-1 in OAEP, key derivation and PBKDF2."""
TOLERATE_RSA_PKCS1: Final = "envelope-rsa-pkcs1"
"""The name in ``tolerances`` that allows content keys that are encrypted by RSA with PKCS#1 v1.5 padding."""
_ELSEWHERE = PKIFailureInfo.SYSTEM_UNAVAIL | PKIFailureInfo.SYSTEM_FAILURE


def bad_alg(detail: str, hint: str = "") -> CMPError:
    """The refusal of an algorithm or of its parameters, which are no secret."""
    return CMPError(f"encrypted content: {detail}", PKIFailureInfo.BAD_ALG, rule="RFC 9481 section 4", hint=hint)


def bad_structure(detail: str) -> CMPError:
    """The refusal of an EnvelopedData for what can be seen without a key."""
    return CMPError(f"encrypted content: {detail}", PKIFailureInfo.BAD_DATA_FORMAT, rule=RULE)


def undecipherable() -> CMPError:
    """The one refusal of what cannot be decrypted, whatever the reason is.

    A peer that learns whether padding, key wrap or content was at fault can decrypt with our help.
    """
    return CMPError(
        "the encrypted content cannot be decrypted",
        PKIFailureInfo.BAD_DATA_FORMAT,
        rule=RULE,
        hint="is it encrypted for this key or secret?",
    )


@contextmanager
def one_failure() -> Iterator[None]:
    """Turn whatever fails in a decryption into :func:`undecipherable`, but not that a key cannot be reached.

    :raises CMPError: badDataFormat.
    """
    try:
        yield
    except (ValueError, InvalidUnwrap):
        raise undecipherable() from None
    except CMPError as error:
        if is_elsewhere(error):
            raise
        raise undecipherable() from None


def is_elsewhere(error: CMPError) -> bool:
    """Whether an error is that a key cannot be reached, which says nothing of the content."""
    return bool(error.fail_info & _ELSEWHERE)


def refuse_weak(weak: bool, tolerance: str, what: str, tolerances: frozenset[str]) -> None:
    """Refuse a weak algorithm, unless the operator allows it.

    :param tolerance: the name in ``tolerances`` that allows it.
    :param what: the algorithm, for people.
    :raises CMPError: badAlg, naming the tolerance.
    """
    if weak and tolerance not in tolerances:
        raise CMPError(
            f"encrypted content: {what} is used",
            PKIFailureInfo.BAD_ALG,
            rule="RFC 9481 section 4",
            hint="have the peer use something stronger",
            tolerance=tolerance,
        )
    if weak:
        _log.warning("%s is tolerated: %s", what, tolerance)
