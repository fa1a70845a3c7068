"""Issuers whose key was replaced: what was issued under the former key lives on."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from cmpkit.parts.issuing import Issuer, RootKeyUpdate

__all__ = ["SucceedingIssuer", "SuccessiveRoots", "issuers_of", "root_key_updates"]


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


def issuers_of(issuer: Issuer) -> tuple[Issuer, ...]:
    """An issuer, then those with its former keys."""
    return (issuer, *issuer.former) if isinstance(issuer, SucceedingIssuer) else (issuer,)
