"""ML-DSA-44, ML-DSA-65 and ML-DSA-87 keys: for certificates, messages, proofs and path checks (RFC 9881)."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import KeyAlgorithm
from cmpkit_mldsa.keys import MLDSAKeys

__all__ = ["MLDSAKeys", "cmpkit_key_algorithms"]


@hookimpl
def cmpkit_key_algorithms() -> Iterable[KeyAlgorithm]:
    """The one key algorithm, with its three sizes."""
    return (MLDSAKeys(),)
