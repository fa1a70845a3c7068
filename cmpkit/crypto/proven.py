"""Issuers that were validated up to a trust anchor, so that of their next certificate only its own part is left to do.

An issuer that was proven is trusted as if it were the trust anchor: its own basicConstraints, keyUsage, path length,
validity and name constraints are then applied to each certificate as ever. What lies above it can concern a certificate
in two more ways: by its validity, which is kept here, and by name constraints: where there are any, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.x509.verification import PolicyBuilder

from cmpkit import oids
from cmpkit.crypto.x509 import CertificateOutline

__all__ = ["ProvenIssuers"]

_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class _Proof:
    trusting: PolicyBuilder
    not_before: datetime
    not_after: datetime


class ProvenIssuers:
    """The last issuers that were proven, by the octets of every certificate of their paths."""

    def __init__(self) -> None:
        self._proofs: dict[Hashable, _Proof] = {}

    def find(self, path: Hashable, now: datetime) -> PolicyBuilder | None:
        """A policy that trusts the issuer itself, or ``None`` if its path was not proven, or is not valid now.

        :param path: DER of the issuer and of what is above it, and whatever else the proof depends on.
        """
        proof = self._proofs.get(path)
        if proof is None or not proof.not_before <= now <= proof.not_after:
            return None
        return proof.trusting

    def add(self, path: Hashable, above: Sequence[CertificateOutline], trusting: PolicyBuilder) -> None:
        """Keep that a path was valid as part of a longer one; if there are too many, the oldest is forgotten.

        :param above: the certificates above the issuer, the trust anchor included.
        :param trusting: a policy that trusts the issuer itself.
        """
        if any(certificate.extension(oids.NAME_CONSTRAINTS) is not None for certificate in above):
            return
        starts, ends = zip(*(certificate.validity_period for certificate in above), strict=True)
        if len(self._proofs) >= _MOST:
            self._proofs.pop(next(iter(self._proofs)), None)
        self._proofs[path] = _Proof(trusting, max(starts), min(ends))
