"""What parts have begun elsewhere: kept until it is over, so that any process can go on with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from cmpkit.parts.identity import CertificateRecord
from cmpkit.parts.issuing import Pending

__all__ = ["Abandoned", "AbandoningIssuer", "Undertaking"]


@dataclass(frozen=True, slots=True)
class Undertaking:
    """How far a part has come with something that it does elsewhere; a store keeps it encrypted.

    :param kind: what it is; a part chooses a name of its own: ``example.org/order``.
    :param key: by which it is found again, such as the idempotency key of a request.
    :param state: what the part needs to go on; empty: it is over, and is forgotten, whatever its version.
    :param version: of the stored value; 0 before it was stored.
    :param until: until when it is kept at least; ``None`` means for ever.
    """

    kind: str
    key: str
    state: bytes = field(repr=False)
    version: int = 0
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Abandoned:
    """What became of a request that nobody waits for any more.

    :param certificate: the one that came too late, revoked or valid, to be stored; ``None`` if none did, and none will.
    """

    certificate: CertificateRecord | None = None


@runtime_checkable
class AbandoningIssuer(Protocol):
    """What an :class:`Issuer` has besides if a certificate may come when its requester is gone.

    It is asked for each request whose requester gave up, or never heard what came of it.
    """

    async def abandon(self, idempotency_key: str, *, now: datetime) -> Abandoned | Pending:
        """See to it that nothing is left of a request. After *pending* it is asked again.

        :param idempotency_key: as :meth:`Issuer.issue` got it.
        """
