"""Information types and observers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import TLV, InfoTypeAndValue
from cmpkit.parts.identity import Authenticated
from cmpkit.parts.issuing import Issuer, Policy

__all__ = [
    "Event",
    "InfoContext",
    "InfoType",
    "Observer",
]


@dataclass(frozen=True, slots=True)
class InfoContext:
    """What an info type may ask to find its answer.

    :param profile: the certificate profile that the question is about (certProfile, or the label of the address).
    :param policy: says what the sender may have; ``None`` where nobody does.
    """

    issuer: Issuer
    auth: Authenticated
    now: datetime
    profile: str | None = None
    policy: Policy | None = None


class InfoType(Protocol):
    """Answers one id-it of a genm (RFC 9810 section 5.3.19)."""

    oid: ObjectIdentifier
    name: str

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """What the genp says to it; an absent value means "nothing to give".

        :raises CMPError: if the request cannot be answered.
        """


@dataclass(frozen=True, slots=True)
class Event:
    """Something that observers are told.

    :param name: ``message-received``, ``message-sent``, ``refused``, ``issued``, ``revoked`` ..., or ``checkpoint``;
        ``octets-sent`` where a :class:`~cmpkit.parts.Transform` made something of a message that is none.
    :param details: plain values; ``point`` names a checkpoint.
    """

    name: str
    transaction_id: bytes | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Observer(Protocol):
    """Is told of every message, decision and certificate: audit, metrics, traces.

    It must not block, and decides nothing.
    """

    def observe(self, event: Event) -> None:
        """Take note."""
