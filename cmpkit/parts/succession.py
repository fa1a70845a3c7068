"""Issuers whose key was replaced: what was issued under the former key lives on."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from cmpkit.parts.issuing import Issuer

__all__ = ["SucceedingIssuer", "issuers_of"]


@runtime_checkable
class SucceedingIssuer(Protocol):
    """What an issuer may have besides: those with its former keys.

    They issue nothing any more. What they issued is confirmed and revoked through them, and is on a CRL of theirs.

    :ivar former: the latest first.
    """

    former: tuple[Issuer, ...]


def issuers_of(issuer: Issuer) -> tuple[Issuer, ...]:
    """An issuer, then those with its former keys."""
    return (issuer, *issuer.former) if isinstance(issuer, SucceedingIssuer) else (issuer,)
