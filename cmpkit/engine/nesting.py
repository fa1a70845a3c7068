"""Nested messages: how a registration authority makes them, and what is wrong with one that came. Values only.

RFC 9810 sections 5.1.1.3 and 5.1.3.4, RFC 9483 section 5.2.2. A nested message of *one* message adds the protection of
whoever forwards it: it has the transactionID and the senderNonce of that message, and is answered by what answers that
message, which is not nested. One of *several* messages is a batch: it has a transactionID and a senderNonce of its own,
and is answered by a nested message with theirs, in which the answers are found by their transactionIDs.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    GeneralName,
    InfoTypeAndValue,
    PKIBody,
    PKIHeader,
    PKIMessage,
    read_value,
    to_tlv,
)
from cmpkit.engine.header import NONCE_SIZE, whole_seconds
from cmpkit.enums import PVNO, BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, fault_of
from cmpkit.parts import ProtectionKind, RandomOctets

__all__ = [
    "MAX_COUNT",
    "MAX_DEPTH",
    "NestingLimits",
    "count_faults",
    "find_answers",
    "is_batch",
    "nest",
    "nested_header",
    "nesting_faults",
    "original_faults",
    "signature_faults",
]

MAX_DEPTH: Final = 4
"""How many nested messages may be inside one another, unless the operator says otherwise; not in an RFC."""
MAX_COUNT: Final = 1000
"""How many messages may be in a nested message, at all depths together; not in an RFC."""

_NESTED = "RFC 9483 section 5.2.2"
_ONE = "RFC 9483 section 5.2.2.1"
_ORIGINAL = "RFC 9810 section 5.1.1.3"
_LIMIT = "a limit of this server"


@dataclass(frozen=True, slots=True)
class NestingLimits:
    """How much a nested message may hold.

    :param depth: how many nested messages may be inside one another, the outermost included.
    :param count: how many messages may be in it that are not nested themselves.
    """

    depth: int = MAX_DEPTH
    count: int = MAX_COUNT


def is_batch(outer: PKIMessage) -> bool:
    """Whether a nested message is a batch, which is answered by a nested message: whether it has several members."""
    return len(outer.body.content) > 1


def nest(messages: Iterable[PKIMessage]) -> PKIBody:
    """The body of a nested message: the messages, octet by octet, in that order.

    :raises CMPError: systemFailure if there are none, once the body is encoded.
    """
    return PKIBody(BodyType.NESTED, [to_tlv(message.raw) for message in messages])


def nested_header(
    messages: Sequence[PKIMessage],
    *,
    sender: GeneralName,
    recipient: GeneralName,
    sender_kid: bytes | None,
    protection_alg: AlgorithmIdentifier | None,
    now: datetime,
    general_info: Sequence[InfoTypeAndValue] = (),
    random: RandomOctets = secrets.token_bytes,
) -> PKIHeader:
    """The header of a nested message with requests: for one, with its identifiers; for several, with new ones.

    The version is the highest of the messages in it. An answer to a batch is made as other answers are.

    :param messages: what it holds, at least one.
    :param sender: of whoever forwards them.
    :param general_info: an origPKIMessage perhaps.
    :param random: where transactionID and senderNonce of a batch come from.
    """
    only = messages[0].header if len(messages) == 1 else None
    return PKIHeader(
        pvno=max(PVNO.CMP2000, *(message.header.pvno for message in messages)),
        sender=sender,
        recipient=recipient,
        message_time=whole_seconds(now),
        protection_alg=protection_alg,
        sender_kid=sender_kid,
        transaction_id=only.transaction_id if only else random(NONCE_SIZE),
        sender_nonce=only.sender_nonce if only else random(NONCE_SIZE),
        recip_nonce=only.recip_nonce if only else None,
        general_info=list(general_info) or None,
    )


def signature_faults(kind: ProtectionKind) -> Iterator[CMPError]:
    """Whether a nested message is signed, as whoever adds its protection to messages must (R-151).

    :param kind: of its protection.
    """
    if kind is not ProtectionKind.SIGNATURE:
        yield CMPError(
            f"a nested message is protected by {kind.value}, not signed",
            PKIFailureInfo.WRONG_INTEGRITY,
            rule=_NESTED,
            hint="whoever adds protection to messages must sign",
        )


def count_faults(outer: PKIMessage, limits: NestingLimits) -> Iterator[CMPError]:
    """Whether a nested message has too many members, for which none of them is read (R-155)."""
    count = len(outer.body.content)
    if count > limits.count:
        yield _too_many(count, limits)


def nesting_faults(outer: PKIMessage, limits: NestingLimits | None = None) -> Iterator[CMPError]:
    """What is wrong with a nested message and with those in it, as far as their nesting goes (R-151, R-155, R-159).

    Members are answered apart: what else is wrong with them is found there. One that is no message is a fault of the
    nested message only where it is the only one, for nothing could be compared with it then.

    :param limits: how much it may hold; the usual ones by default.
    :returns: faults, of which badRequest with the tolerance ``loose-nested`` says that identifiers are not those of the
        only message.
    """
    limits = limits or NestingLimits()
    too_many = tuple(count_faults(outer, limits))
    yield from too_many
    if not too_many:
        yield from _depth_faults(outer, limits)
        yield from _member_faults(outer)
        yield from original_faults(outer)


def _depth_faults(outer: PKIMessage, limits: NestingLimits) -> Iterator[CMPError]:
    """Layer by layer, so that nothing is read that is too deep or too much."""
    layer, flat = [outer], 0
    for _ in range(limits.depth):
        members = [member for nested in layer for member in nested.members]
        layer = [member for member in members if isinstance(member, PKIMessage) and _is_nested(member)]
        if flat + len(members) > limits.count:
            yield _too_many(flat + len(members), limits)
            return
        if not layer:
            return
        flat += len(members) - len(layer)
    yield CMPError(
        f"more than {limits.depth} nested messages are inside one another",
        rule=_LIMIT,
        hint="registration authorities should forward nested messages unchanged, or max_nesting of [server] be higher",
    )


def _is_nested(message: PKIMessage) -> bool:
    return message.body.type is BodyType.NESTED


def _member_faults(outer: PKIMessage) -> Iterator[CMPError]:
    """Whether the only message in it has the same identifiers."""
    if is_batch(outer):
        return
    (member,) = outer.members
    if isinstance(member, CMPError):
        yield member
        return
    for name, text, fail_info in (
        ("transaction_id", "transactionID", PKIFailureInfo.BAD_REQUEST),
        ("sender_nonce", "senderNonce", PKIFailureInfo.BAD_SENDER_NONCE),
    ):
        if getattr(outer.header, name) != getattr(member.header, name):
            yield CMPError(
                f"the {text} of a nested message of one message is not that of the message in it",
                fail_info,
                rule=_ONE,
                hint=f"whoever adds its protection to a message must repeat the {text}",
                tolerance="loose-nested",
            )


def _too_many(count: int, limits: NestingLimits) -> CMPError:
    return CMPError(
        f"{count} messages are in one nested message, at most {limits.count} are taken",
        rule=_LIMIT,
        hint="send smaller batches, or raise max_nested of [server]",
    )


def original_faults(message: PKIMessage) -> Iterator[CMPError]:
    """What is wrong with origPKIMessage, by which a registration authority shows what it changed (R-159).

    It holds one message; beside a batch perhaps several, each that of a member, in the same order. What it says is for
    people and for audits: nothing is granted because of it.
    """
    item = message.header.info(oids.ORIG_PKI_MESSAGE)
    if item is None:
        return
    if item.value is None:
        yield _bad_original("origPKIMessage has no value")
        return
    unread = tuple(fault_of(read_value, item))
    yield from unread
    if not unread:
        originals: list[PKIMessage] = read_value(item)
        if not _is_nested(message):
            if len(originals) != 1:
                yield _bad_original(f"origPKIMessage holds {len(originals)} messages, beside one message")
        elif not _in_order(originals, message.members):
            yield _bad_original("origPKIMessage does not hold the originals of the nested messages, in their order")


def _in_order(originals: Sequence[PKIMessage], members: Sequence[PKIMessage | CMPError]) -> bool:
    """Whether each original is that of a member: a registration authority must not change the transactionID."""
    rest = iter(members)
    return all(
        any(isinstance(member, PKIMessage) and _same_transaction(original, member) for member in rest)
        for original in originals
    )


def _same_transaction(one: PKIMessage, other: PKIMessage) -> bool:
    return one.header.transaction_id == other.header.transaction_id


def _bad_original(detail: str) -> CMPError:
    return CMPError(
        detail,
        PKIFailureInfo.BAD_DATA_FORMAT,
        rule=_ORIGINAL,
        hint="a registration authority may send the message that it changed, as it came, or leave it out",
    )


def find_answers(answer: PKIMessage, requests: Sequence[PKIMessage]) -> tuple[PKIMessage | None, ...]:
    """For each message of a batch what answers it, or ``None`` if nothing does; what answers none is passed over.

    Answers may come in any order. They are found by their transactionID; where several requests have the same one, by
    the senderNonce that they repeat (R-152, R-153).

    :param answer: the nested message that answers the batch, verified.
    :param requests: the members of the batch.
    :raises CMPError: badDataFormat if it is not a nested message.
    """
    if not _is_nested(answer):
        raise CMPError(
            f"{answer.body.type.wire_name} in answer to a batch",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule=_NESTED,
            hint="a batch is answered by a nested message, or refused as a whole by error",
        )
    found: dict[bytes | None, list[PKIMessage]] = {}
    for member in answer.members:
        if isinstance(member, PKIMessage):
            found.setdefault(member.header.transaction_id, []).append(member)
    ids = [request.header.transaction_id for request in requests]
    times = Counter(ids)
    return tuple(
        _answer_to(request, found.get(name, ()), alone=times[name] == 1)
        for request, name in zip(requests, ids, strict=True)
    )


def _answer_to(request: PKIMessage, answers: Sequence[PKIMessage], *, alone: bool) -> PKIMessage | None:
    """The answer among those with the transactionID of a request.

    After polling, a final answer may repeat the nonce of a message before (RFC 9483 section 4.4).
    """
    exact = [answer for answer in answers if answer.header.recip_nonce == request.header.sender_nonce]
    return next(iter(exact or (answers if alone else ())), None)
