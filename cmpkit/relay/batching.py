"""Batches: messages of several requesters go upstream in one nested message (RFC 9483 section 5.2.2.2)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import anyio

from cmpkit.asn1 import MAX_MESSAGE_SIZE, PKIBody, PKIMessage, PollReq, decode_message
from cmpkit.engine.answers import answer_statuses
from cmpkit.engine.header import NONCE_SIZE, response_header, whole_seconds
from cmpkit.engine.nesting import MAX_COUNT, find_answers, is_batch
from cmpkit.engine.replies import refusal
from cmpkit.engine.states import WHOLE_MESSAGE
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Batch, Relayed
from cmpkit.relay.wrapping.adding import add_protection
from cmpkit.relay.wrapping.own import OwnProtection

__all__ = [
    "BatchLimits",
    "Collector",
    "make_batch",
    "open_batch",
    "pause_before_polling",
    "poll_for_batch",
    "refuse_member",
]

_log = logging.getLogger("cmpkit.relay")
_LONGEST_PAUSE: Final = 86_400
_MOST_OCTETS: Final = MAX_MESSAGE_SIZE // 4
"""Answers are up to four times as large as what they answer, and have to be read, too."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is complete.

    :param count: how many messages are in one at most.
    :param seconds: how long the first of them waits for others at most.
    :param octets: how many octets they have together at most; one message that has more goes alone.
    :raises ConfigurationError: if there would be no batch.
    """

    count: int = 100
    seconds: float = 2.0
    octets: int = _MOST_OCTETS

    def __post_init__(self) -> None:
        """Look whether they can be kept."""
        if not 1 <= self.count <= MAX_COUNT:
            raise ConfigurationError(f"batches of {self.count} messages: from 1 to {MAX_COUNT} are possible")
        if self.seconds < 0:
            raise ConfigurationError("a batch cannot wait for less than no time")


class _Waiting(NamedTuple):
    """A message that waits, since when by the clock of the event loop."""

    key: str
    octets: int
    since: float


class Collector:
    """Messages that wait until they are enough for a batch, or until the first of them waited long enough.

    It decides when, and knows of a message its key and its size only.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._waiting: deque[_Waiting] = deque()
        self._octets = 0
        self._changed = anyio.Event()

    def put(self, key: str, octets: int) -> None:
        """Add a message that is to go upstream.

        :param octets: how large it is.
        """
        self._waiting.append(_Waiting(key, octets, anyio.current_time()))
        self._octets += octets
        self._changed.set()

    async def take(self) -> tuple[str, ...]:
        """The keys of the next messages that go together, in the order in which they came, once it is time for them."""
        while not self._waiting:
            await self._change()
        with anyio.move_on_after(self._waiting[0].since + self._limits.seconds - anyio.current_time()):
            while len(self._waiting) < self._limits.count and self._octets < self._limits.octets:
                await self._change()
        taken: list[str] = []
        room = self._limits.octets
        while self._waiting and len(taken) < self._limits.count:
            if taken and self._waiting[0].octets > room:
                break
            one = self._waiting.popleft()
            taken.append(one.key)
            room -= one.octets
            self._octets -= one.octets
        return tuple(taken)

    async def _change(self) -> None:
        self._changed = anyio.Event()
        await self._changed.wait()


async def make_batch(members: Sequence[Relayed], own: OwnProtection, *, now: datetime) -> Batch:
    """The batch of messages to one upstream; one message alone gets the protection of the authority (R-151, R-152).

    Only once it is stored may it leave, and it is sent again with the same octets.

    :param members: at least one.
    """
    outer = await add_protection([decode_message(one.outgoing) for one in members], own, now=now)
    return Batch(
        key=outer.digest.hex(),
        upstream=members[0].upstream,
        transaction_id=outer.header.transaction_id or b"",
        sender_nonce=outer.header.sender_nonce or b"",
        outgoing=outer.raw,
        at=now,
    )


def open_batch(
    outer: PKIMessage, answer: PKIMessage, members: Sequence[Relayed]
) -> Mapping[str, PKIMessage | CMPError]:
    """What becomes of each message of a batch, by :attr:`cmpkit.parts.Relayed.key`: its answer, or why there is none.

    Whether an answer is to be believed is to be seen for each apart; one that is not concerns its own requester only.

    :param outer: the batch.
    :param answer: to the batch as a whole, verified, with its transactionID and nonce. What refuses the batch refuses
        each message in it (RFC 9483 section 3.6.3; R-154); who is missing in it gets systemUnavail (R-153).
    :param members: those of its messages that are not answered yet.
    :raises CMPError: if it is no answer to a batch.
    """
    if not is_batch(outer):
        return {one.key: answer for one in members}
    if answer.body.type is BodyType.ERROR:
        return dict.fromkeys((one.key for one in members), _refused(answer))
    requests = outer.nested
    answers = find_answers(answer, requests)
    surplus = len(answer.body.content) - sum(found is not None for found in answers)
    if surplus:
        _log.warning("%d answers in a batch from %s answer nothing in it: dropped", surplus, members[0].upstream)
    found = {request.raw: answer for request, answer in zip(requests, answers, strict=True)}
    return {one.key: found[one.outgoing] or _missing(one) for one in members}


def _refused(answer: PKIMessage) -> CMPError:
    """What the refusal of a batch is to each of its messages."""
    status = answer_statuses(answer)[0]
    said = "; ".join(status.texts)
    names = ", ".join(status.failures.wire_names) or "no failInfo"
    return CMPError(f"the upstream refused the batch: {names}: {said or 'no text'}", status.failures, status_text=said)


def pause_before_polling(answer: PKIMessage, usual: timedelta) -> float | None:
    """How many seconds the upstream needs for a batch, if that is what an answer to it as a whole says.

    It does by ``error`` with the status waiting, and then by pollRep (RFC 9810 section 5.3.22).

    :param usual: how soon to ask where it does not say.
    """
    if answer.body.type is BodyType.POLL_REP:
        return float(min(max(answer.body.content[0].check_after, 0), _LONGEST_PAUSE)) if answer.body.content else None
    if answer.body.type is BodyType.ERROR and answer_statuses(answer)[0].status is PKIStatus.WAITING:
        return usual.total_seconds()
    return None


async def poll_for_batch(outer: PKIMessage, answer: PKIMessage, own: OwnProtection, *, now: datetime) -> PKIMessage:
    """The pollReq for a batch as a whole (RFC 9483 section 4.4).

    :param answer: what said that it takes time.
    """
    header = replace(
        outer.header,
        message_time=whole_seconds(now),
        protection_alg=own.algorithm(outer.header.transaction_id or b""),
        sender_nonce=own.random(NONCE_SIZE),
        recip_nonce=answer.header.sender_nonce,
    )
    body = PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=WHOLE_MESSAGE)])
    return await own.protect(PKIMessage(header, body))


async def refuse_member(request: PKIMessage, error: CMPError, own: OwnProtection, *, now: datetime) -> PKIMessage:
    """What the registration authority says in place of an answer that it cannot give (RFC 9483 section 3.6.3).

    :param request: the message of the batch.
    """
    reply, asked = refusal(error), request.header
    assert reply.body is not None
    header = response_header(
        asked,
        sender=own.sender,
        sender_kid=own.sender_kid,
        protection_alg=own.algorithm(asked.transaction_id or b""),
        recip_nonce=asked.sender_nonce,
        now=now,
        random=own.random,
    )
    return await own.protect(PKIMessage(header, reply.body))


def _missing(one: Relayed) -> CMPError:
    _log.warning("transaction %s: the batch from %s has no answer to it", one.transaction_id.hex(), one.upstream)
    return CMPError(
        "the answer to the batch has none to this message",
        PKIFailureInfo.SYSTEM_UNAVAIL,
        rule="RFC 9483 section 3.6.3",
        hint="look at the log of the upstream; the requester may ask again",
    )
