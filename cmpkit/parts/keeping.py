"""Values that are kept for requesters, and who may have a passphrase kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from cmpkit.parts.identity import Authenticated

__all__ = ["KeptValue", "PassphrasePolicy"]


@dataclass(frozen=True, slots=True)
class KeptValue:
    """Something that a store keeps, encrypted. There is one for each kind and owner: a new one takes its place.

    :param kind: what it is; whoever keeps something of his own chooses a name of his own: ``example.org/ticket``.
    :param owner: whose it is, as text.
    :param key: by which it is found again; no two owners have one kind with the same key.
    """

    kind: str
    owner: str
    key: bytes
    value: bytes = field(repr=False)


@runtime_checkable
class PassphrasePolicy(Protocol):
    """What a :class:`Policy` has besides if requesters may choose passphrases for revocation (RFC 9810 appendix B)."""

    async def authorize_passphrase(self, auth: Authenticated, *, now: datetime) -> None:
        """Whether this sender may choose one, for its own certificates.

        :raises CMPError: notAuthorized if not.
        """
