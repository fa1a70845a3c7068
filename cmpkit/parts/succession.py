"""Issuers whose key was replaced, so that what was issued under the former one lives on, or certified by others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from cmpkit.parts.issuing import Issuer, RootKeyUpdate

__all__ = [
    "CrossCertified",
    "SucceedingIssuer",
    "SuccessiveRoots",
    "cross_certificates_of",
    "issuers_of",
    "root_key_updates",
]


@runtime_checkable
class SucceedingIssuer(Protocol):
    """What an issuer may have besides: those with its former keys.

    They issue nothing any more. What they issued is confirmed and revoked through them, and is on a CRL of theirs.

    :ivar former: the latest first.
    """

    former: tuple[Issuer, ...]


@runtime_checkable
class SuccessiveRoots(Protocol):
    """What an issuer may have besides, if its root CA changed its key more than once.

    :ivar earlier_root_updates: what :meth:`cmpkit.parts.Issuer.root_key_update` gave before, the latest first.
    """

    earlier_root_updates: tuple[RootKeyUpdate, ...]


async def root_key_updates(issuer: Issuer) -> tuple[RootKeyUpdate, ...]:
    """The newest key of the root CA, then those before it; each is vouched for by the one that follows."""
    newest = await issuer.root_key_update()
    if newest is None:
        return ()
    return (newest, *issuer.earlier_root_updates) if isinstance(issuer, SuccessiveRoots) else (newest,)


@runtime_checkable
class CrossCertified(Protocol):
    """What an issuer may have besides: certificates that other CAs gave its key (RFC 9810 section 6.6).

    :ivar cross_certificates: DER of each, by the name that it is published under.
    """

    cross_certificates: Mapping[str, bytes]


def cross_certificates_of(issuer: Issuer) -> Mapping[str, bytes]:
    """The certificates that other CAs gave the key of an issuer, by their names."""
    return issuer.cross_certificates if isinstance(issuer, CrossCertified) else {}


def issuers_of(issuer: Issuer) -> tuple[Issuer, ...]:
    """An issuer, then those with its former keys."""
    return (issuer, *issuer.former) if isinstance(issuer, SucceedingIssuer) else (issuer,)
