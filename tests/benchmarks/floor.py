"""The floor: the public-key work that no server can do without, by cryptography alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["FloorCase", "do_floor", "make_floor"]

_ECDSA = ec.ECDSA(hashes.SHA256())
# What is signed: protected part of an ir, certReq, device certificate; new certificate, protected part of an ip.
_REQUEST_SIZES = (520, 170, 380)
_ANSWER_SIZES = (400, 1020)


@dataclass(frozen=True, slots=True)
class FloorCase:
    """The signatures of one request, with the keys loaded, and what is signed for its answer."""

    signed: tuple[tuple[ec.EllipticCurvePublicKey, bytes, bytes], ...]
    to_sign: tuple[tuple[ec.EllipticCurvePrivateKey, bytes], ...]


def make_floor(count: int) -> list[FloorCase]:
    """Cases of which each has device keys of its own; CA and CMP signer have one key each."""
    factory, issuer, signer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    cases = []
    for _ in range(count):
        device, new = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        parts = [
            (key, secrets.token_bytes(size)) for key, size in zip((device, new, factory), _REQUEST_SIZES, strict=True)
        ]
        cases.append(
            FloorCase(
                tuple((key.public_key(), key.sign(data, _ECDSA), data) for key, data in parts),
                tuple(
                    (key, secrets.token_bytes(size)) for key, size in zip((issuer, signer), _ANSWER_SIZES, strict=True)
                ),
            )
        )
    return cases


async def do_floor(case: FloorCase) -> None:
    """Verify protection, proof of possession and device certificate; sign certificate and answer."""
    for public_key, signature, data in case.signed:
        public_key.verify(signature, data, _ECDSA)
    for private_key, data in case.to_sign:
        private_key.sign(data, _ECDSA)
