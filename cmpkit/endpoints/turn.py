"""One message on its way through a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from cmpkit.asn1 import PKIMessage
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Answer, Authenticated, Disposition, Peer
from cmpkit.tolerances import Leniency

__all__ = ["InnerHandler", "Turn", "given_answer"]

InnerHandler: TypeAlias = Callable[[bytes, Peer, ServerSettings], Awaitable[Answer]]
"""What answers a message that was inside another one, as the road of that one has it."""


@dataclass
class Turn:
    """One message, and what is known of it so far.

    :param now: when it came.
    :param leniency: what was let pass.
    :param settings: those of the road on which it came.
    :param inner: what answers the messages in it, if it is nested.
    :param auth: who sent it, once that is known.
    :param was_open: whether its transaction was open before.
    :param settled: keys of the intents that are done with.
    """

    message: PKIMessage
    peer: Peer
    now: datetime
    leniency: Leniency
    settings: ServerSettings
    inner: InnerHandler
    auth: Authenticated | None = None
    was_open: bool = False
    settled: list[str] = field(default_factory=list)

    @property
    def time_window(self) -> timedelta | None:
        """How old it may be: of a pollReq, that may have been saved and sent later, the nonces tell (R-015)."""
        return None if self.message.body.type is BodyType.POLL_REQ else self.settings.message_time_window

    @property
    def profile(self) -> str | None:
        """The profile that the address names."""
        return None if self.peer.label in self.settings.paths else self.peer.label

    @property
    def keep_until(self) -> datetime | None:
        """Until when it would be accepted if the store did not know it: for ever, if nothing dates it."""
        retention = self.settings.answer_retention
        if self.message.body.type is BodyType.POLL_REQ:
            # Its recipNonce is over, so that it can open and continue nothing.
            return self.now + retention
        here, anywhere = self.settings.message_time_window, self.settings.widest_time_window
        if here is None or anywhere is None or self.message.header.time is None:
            return None
        return self.now + max(retention, 2 * here, 2 * anywhere)


def given_answer(response: PKIMessage, turn: Turn, refused: CMPError | None) -> Answer:
    """The answer; or, where a road waits and nobody at all can be served now, that it should ask again.

    What is refused to somebody in particular is an answer: who was authenticated could stop a road otherwise.
    """
    nobody_can = refused is not None and PKIFailureInfo.SYSTEM_UNAVAIL in refused.fail_info and turn.auth is None
    later = turn.settings.puts_off and nobody_can
    return Answer(response.raw, Disposition.UNAVAILABLE if later else Disposition.ANSWERED)
