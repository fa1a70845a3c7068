"""Messages that a registration authority passes on, as its store keeps them (RFC 9483 section 5.2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from cmpkit.enums import BodyType

__all__ = ["Batch", "RelayChange", "RelayStage", "RelayState", "Relayed"]


class RelayState(enum.Enum):
    """Where a message stands that is passed on. Once its answer was given to the requester it is forgotten."""

    WAITING = "waiting"
    """It is to be sent, or was sent and is not answered."""
    ANSWERED = "answered"
    """The answer is here, and the requester has not got it yet."""
    GIVEN_UP = "given up"
    """The requester does not get the answer any more: if it brings a certificate, that comes too late."""


class RelayStage(enum.Enum):
    """How far a transaction is that is passed on: what may come next from the requester, and what becomes of it."""

    UNDER_WAY = "under way"
    """A message of the requester goes upstream, and the requester waits for its answer."""
    DELAYED = "delayed"
    """The same, but the requester was told here to come again: its pollReq is answered here."""
    POLLED = "polled"
    """The upstream told the requester to come again: its pollReq goes upstream."""
    CHALLENGED = "challenged"
    """The upstream wants the proof of possession by popdecr (RFC 9810 section 5.2.8.3.3)."""
    GRANTED = "granted"
    """The upstream gave a certificate that is to be confirmed."""
    OVER = "over"
    """The upstream gave its last answer."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """A message that is passed on, from before its first octet leaves until the requester has the answer.

    :param key: hex SHA-256 over the credential and the octets that came: the same message again has the same key.
    :param credential: :attr:`cmpkit.parts.Credential.id` of the requester.
    :param upstream: the name of the upstream.
    :param body_type: of the message.
    :param message: as the requester sent it; empty for one that the RA sends of its own.
    :param outgoing: as it goes upstream, inside the batch if there is one: always the same octets.
    :param at: when it came.
    :param deadline: until when an answer is waited for.
    :param is_sent: whether it was handed to a store-and-forward road.
    :param batch: :attr:`Batch.key` of the batch in which it went, if it went in one.
    :param answer: what the upstream answered, verified, and not yet as the requester gets it; empty until then.
    """

    key: str
    transaction_id: bytes
    credential: str
    upstream: str
    body_type: BodyType
    message: bytes = field(repr=False)
    outgoing: bytes = field(repr=False)
    at: datetime
    deadline: datetime
    state: RelayState = RelayState.WAITING
    is_sent: bool = False
    batch: str = ""
    answer: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class RelayChange:
    """What becomes of a message that is passed on. One that is in none of the expected states makes a conflict.

    :param key: :attr:`Relayed.key`.
    :param state: its new state; ``None`` if it is to be forgotten.
    :param answer: the answer that came.
    :param is_sent: that it was handed to a store-and-forward road.
    :param batch: the batch in which it goes.
    :param deadline: until when an answer is waited for from now.
    """

    key: str
    state: RelayState | None
    expected: tuple[RelayState, ...] = (RelayState.WAITING,)
    answer: bytes = field(default=b"", repr=False)
    is_sent: bool = False
    batch: str = ""
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of several requesters that go upstream in one (RFC 9483 section 5.2.2.2).

    :param key: names it: hex SHA-256 over ``outgoing``.
    :param upstream: the name of the upstream.
    :param transaction_id: of the outer message, as is ``sender_nonce``.
    :param outgoing: the outer message, always the same octets.
    :param at: when it was made.
    :param is_sent: whether it was handed to a store-and-forward road.
    """

    key: str
    upstream: str
    transaction_id: bytes
    sender_nonce: bytes
    outgoing: bytes = field(repr=False)
    at: datetime
    is_sent: bool = False
