"""RSA, ECDSA and EdDSA keys: for certificates, messages, proofs and path checks (RFC 9481 section 3)."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import KeyAlgorithm
from cmpkit_signature.ec import EllipticCurveKeys
from cmpkit_signature.eddsa import EdwardsCurveKeys
from cmpkit_signature.rsa import RSAKeys

__all__ = ["EdwardsCurveKeys", "EllipticCurveKeys", "RSAKeys", "cmpkit_key_algorithms"]


@hookimpl
def cmpkit_key_algorithms() -> Iterable[KeyAlgorithm]:
    """The three key algorithms."""
    return (RSAKeys(), EllipticCurveKeys(), EdwardsCurveKeys())
