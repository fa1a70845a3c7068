"""Requesters who are not verified here: what they send goes on as it is, and the upstream judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cmpkit.asn1 import PKIMessage
from cmpkit.crypto.protection import find_protection
from cmpkit.engine.relaying import UNVERIFIED
from cmpkit.parts import Authenticated, Credential, Transaction
from cmpkit.plugins import Plugins
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["NoVerifier"]


@dataclass(frozen=True)
class NoVerifier:
    """A :class:`~cmpkit.endpoints.verifier.RequestVerifier` that believes nothing and refuses nothing.

    :param tolerances: names of what is allowed beyond the default (:mod:`cmpkit.tolerances`).
    """

    plugins: Plugins
    tolerances: frozenset[str] = field(default_factory=frozenset)

    async def verify(
        self, message: PKIMessage, transactions: Sequence[Transaction], now: datetime, leniency: Leniency = STRICT
    ) -> Authenticated:
        """Nobody in particular.

        :raises CMPError: badAlg if the protection is of a kind that is not known.
        """
        assert message.header.protection_alg is not None
        kind = find_protection(self.plugins, message.header.protection_alg.algorithm).kind
        return Authenticated("", Credential(kind, UNVERIFIED))
