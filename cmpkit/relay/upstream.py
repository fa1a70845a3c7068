"""A CMP server that messages are passed on to, and what was agreed about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from cmpkit.caching import cached_property
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.parts import Road, SharedSecret
from cmpkit.relay.wrapping.contract import Wrapping
from cmpkit.relay.wrapping.own import OwnProtection

__all__ = ["Upstream"]


@dataclass(frozen=True)
class Upstream:
    """One upstream of a registration authority.

    :param name: by which transactions know it.
    :param road: the way there, of either kind; whoever opened it closes it.
    :param verifier: judges its answers; its credentials are those of ``own``.
    :param wrapping: how messages go there, and answers come down.
    :param own: protects what this registration authority sends of its own.
    :param timeout: how long a requester is kept waiting for an answer before it is told to come again.
    :param check_after: how soon it may come again.
    :param deadline: how long an answer may take.
    :param late: whether certificates that come when nobody waits for them any more are revoked or kept.
    :param batch_count: how many messages go in one at most, where ``wrapping`` is ``batch``.
    :param batch_time: how long the first one of them waits for others.
    :param tolerances: names of what is accepted of its answers beyond the default (:mod:`cmpkit.tolerances`).
    :param at_once: how many messages are on a road with answers at once.
    """

    name: str
    road: Road
    verifier: AnswerVerifier
    wrapping: Wrapping
    own: OwnProtection
    timeout: timedelta = timedelta(seconds=20)
    check_after: timedelta = timedelta(seconds=10)
    deadline: timedelta = timedelta(days=7)
    late: Literal["revoke", "keep"] = "revoke"
    batch_count: int = 100
    batch_time: timedelta = timedelta(seconds=2)
    tolerances: frozenset[str] = field(default_factory=frozenset)
    at_once: int = 64

    def verifier_of(self, secret: SharedSecret | None) -> AnswerVerifier:
        """What judges answers to messages under a requester's own protection.

        :param secret: what that is, ``None`` if it is a signature.
        """
        return self._signed if secret is None else replace(self.verifier, credentials=secret)

    @cached_property
    def _signed(self) -> AnswerVerifier:
        return replace(self.verifier, credentials=None)
