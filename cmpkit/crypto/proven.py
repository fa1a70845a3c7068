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

__all__ = ["Proof", "ProvenIssuers"]

_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class Proof:
    """That an issuer is trusted.

    :param trusting: a policy that trusts the issuer itself.
    :param path: DER of its path, itself and the trust anchor included.
    :param not_before: from when what is above it is valid.
    :param not_after: until when.
    """

    trusting: PolicyBuilder
    path: tuple[bytes, ...]
    not_before: datetime
    not_after: datetime


class ProvenIssuers:
    """The last issuers that were proven, by their octets and what their trust rests on."""

    def __init__(self) -> None:
        self._proofs: dict[Hashable, Proof] = {}

    def find(self, issuer: Hashable, now: datetime) -> Proof | None:
        """The proof of an issuer, or ``None`` if it was not proven, or what is above it is not valid now.

        :param issuer: its DER, and whatever else the proof depends on.
        """
        proof = self._proofs.get(issuer)
        return proof if proof is not None and proof.not_before <= now <= proof.not_after else None

    def add(
        self,
        issuer: Hashable,
        trusting: PolicyBuilder,
        *,
        path: tuple[bytes, ...],
        above: Sequence[CertificateOutline],
    ) -> None:
        """Keep that an issuer was valid as part of a path; if there are too many, the oldest is forgotten.

        :param trusting: a policy that trusts the issuer itself.
        :param path: DER of its path, itself and the trust anchor included.
        :param above: the certificates above the issuer, the trust anchor included.
        """
        if any(certificate.extension(oids.NAME_CONSTRAINTS) is not None for certificate in above):
            return
        starts, ends = zip(*(certificate.validity_period for certificate in above), strict=True)
        if len(self._proofs) >= _MOST:
            self._proofs.pop(next(iter(self._proofs)), None)
        self._proofs[issuer] = Proof(trusting, path, max(starts), min(ends))
