"""Keys of RSA and elliptic curves: for certificates, messages, proofs and content keys (RFC 9481 sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import KeyAlgorithm
from cmpkit_signature.ec import EllipticCurveKeys
from cmpkit_signature.eddsa import EdwardsCurveKeys
from cmpkit_signature.rsa import RSAKeys
from cmpkit_signature.xdh import MontgomeryCurveKeys

__all__ = ["EdwardsCurveKeys", "EllipticCurveKeys", "MontgomeryCurveKeys", "RSAKeys", "cmpkit_key_algorithms"]


@hookimpl
def cmpkit_key_algorithms() -> Iterable[KeyAlgorithm]:
    """The four key algorithms."""
    return (RSAKeys(), EllipticCurveKeys(), EdwardsCurveKeys(), MontgomeryCurveKeys())
