"""Which messages belong together, in which order they were sent, and which answers which."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from cmpkit.asn1 import PKIMessage
from cmpkit.enums import BodyType
from cmpkit.inspection.findings import from_client

__all__ = ["answered_by", "arrange"]


def arrange(messages: Sequence[PKIMessage]) -> tuple[tuple[PKIMessage, ...], ...]:
    """The messages by transaction, each in the order in which its messages were sent.

    The order given is kept if it can be that: if no message comes before the one whose senderNonce it repeats.
    Otherwise the nonces tell the order, as for files that a shell lists by name.
    """
    transactions: dict[bytes, list[PKIMessage]] = {}
    for message in messages:
        transactions.setdefault(message.header.transaction_id or b"", []).append(message)
    return tuple(map(_in_order, transactions.values()))


def _in_order(messages: list[PKIMessage]) -> tuple[PKIMessage, ...]:
    at: dict[bytes | None, int] = {}
    for index, message in enumerate(messages):
        at.setdefault(message.header.sender_nonce, index)
    known = all(at.get(message.header.recip_nonce, -1) <= index for index, message in enumerate(messages))
    alternating = all(from_client(a) != from_client(b) for a, b in itertools.pairwise(messages))
    if known and alternating:
        return tuple(messages)
    by_nonce = {message.header.sender_nonce: message for message in messages if message.header.sender_nonce}
    steps = {id(message): _steps_before(message, by_nonce) for message in messages}
    return tuple(sorted(messages, key=lambda message: steps[id(message)]))


def _steps_before(message: PKIMessage, by_nonce: Mapping[bytes, PKIMessage]) -> int:
    """How many messages came before it, as the nonces tell."""
    seen, steps = {id(message)}, 0
    current: PKIMessage | None = message
    while current is not None:
        current = by_nonce.get(current.header.recip_nonce or b"")
        if current is None or id(current) in seen:
            break
        seen.add(id(current))
        steps += 1
    # After polling, the final answer may repeat the nonce of the first request (RFC 9483 section 4.4).
    polled = message.body.type not in (BodyType.POLL_REP, BodyType.ERROR) and not from_client(message)
    rounds = sum(1 for other in by_nonce.values() if other.body.type is BodyType.POLL_REQ)
    late = polled and steps == 1 and rounds and not _is_waiting(message)
    return steps + 2 * rounds if late else steps


def _is_waiting(message: PKIMessage) -> bool:
    statuses = [response.status for response in getattr(message.body.content, "response", ())]
    return any(status.status.wire_name == "waiting" for status in statuses)


def answered_by(transaction: Sequence[PKIMessage], number: int) -> PKIMessage | None:
    """The message that the one of that number answers or continues, or ``None`` if there is none.

    It is the one whose senderNonce it repeats, else the last one of the other side before it.
    """
    message = transaction[number]
    before = [other for other in transaction[:number] if _opposite(other, message)]
    named = [other for other in before if other.header.sender_nonce == message.header.recip_nonce]
    found = named or before
    return found[-1] if found else None


def _opposite(other: PKIMessage, message: PKIMessage) -> bool:
    return from_client(other) != from_client(message, other)
