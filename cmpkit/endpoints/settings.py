"""How a server behaves, as it and each road of it may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from cmpkit.asn1 import MAX_MESSAGE_SIZE
from cmpkit.engine.nesting import NestingLimits
from cmpkit.engine.responder import ResponderSettings

__all__ = ["ServerSettings"]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server behaves.

    :param responder: how its responder does.
    :param max_message_size: octets; more are refused.
    :param nesting: how much may be in a nested message.
    :param message_time_window: how far messageTime may be off; ``None`` does not check (RFC 9483 section 3.5).
    :param widest_time_window: the widest such window of all roads that lead to the same store: answers are kept for it.
    :param puts_off: whether it is left to the road to ask again, rather than refused, while nobody can be served.
    :param answer_retention: how long an answer is kept to be given again to the same octets.
    :param same_road: whether a transaction must go on over the road on which it began.
    :param paths: labels of addresses that choose a rule of the policy, and name no profile.
    :param max_open: how many transactions may be open at once; whoever opens another one is to come again later.
    :param max_open_per_peer: how many of them may be of one requester.
    :param housekeeping_interval: how often expired transactions are ended and old answers dropped.
    """

    responder: ResponderSettings = field(default_factory=ResponderSettings)
    max_message_size: int = MAX_MESSAGE_SIZE
    nesting: NestingLimits = field(default_factory=NestingLimits)
    message_time_window: timedelta | None = timedelta(seconds=300)
    widest_time_window: timedelta | None = timedelta(0)
    puts_off: bool = False
    answer_retention: timedelta = timedelta(days=7)
    same_road: bool = False
    paths: frozenset[str] = frozenset()
    max_open: int = 100_000
    max_open_per_peer: int = 1000
    housekeeping_interval: timedelta = timedelta(seconds=60)
