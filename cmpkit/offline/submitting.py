"""Where a road begins, or at the CA itself: bundles of requests go in, one bundle of answers comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import anyio

from cmpkit.errors import CMPError, TransportError
from cmpkit.offline.bundle import Bundle, digest_of, name_of
from cmpkit.offline.manifest import MAX_ENTRIES, MAX_MESSAGE_SIZE, Entry, Kind, Manifest
from cmpkit.offline.packing import new_series

__all__ = ["Submission", "submit"]

_Answers: TypeAlias = dict[bytes, tuple[bytes, bytes]]
"""Answers with the series that they are for, by the digest of what they answer."""
MAX_AT_ONCE = 16
"""Messages that are on the road at the same time."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What came of bundles that were submitted.

    :param manifest: of the bundle with the answers.
    :param messages: the answers, by their entries.
    :param asked: how many messages were sent just now.
    :param failures: why messages have no answer, by the entries of the requests.
    :param refused: why bundles were not submitted as a whole.
    """

    manifest: Manifest
    messages: dict[Entry, bytes]
    asked: int = 0
    failures: dict[Entry, CMPError] = field(default_factory=dict)
    refused: tuple[tuple[Bundle, str], ...] = ()


async def submit(
    bundles: Sequence[Bundle],
    exchange: Callable[[bytes], Awaitable[bytes]],
    *,
    before: Bundle | None = None,
    now: datetime,
    expires: datetime,
) -> Submission:
    """Have the messages of bundles answered.

    What is answered already in ``before`` is not sent again. Answers of senders whose bundles are not here now are
    kept; those of a sender whose later bundle is here and does not ask for them any more are dropped.

    :param bundles: of requests, from any senders.
    :param exchange: sends a message and gives its answer; it raises TransportError if there is none.
    :param before: the bundle of answers that this one takes the place of.
    :param expires: until when the answers are of use.
    :raises CMPError: if there are more answers than a bundle holds.
    """
    seen = dict(before.manifest.seen) if before is not None else {}
    taken, refused = _choose(bundles, seen, now)
    seen |= {bundle.manifest.series: bundle.manifest.sequence for bundle in taken}
    wanted = {entry.digest: (bundle, entry) for bundle in taken for entry in bundle.messages}
    answers = _still_wanted(before, taken)
    missing = {digest: found for digest, found in wanted.items() if digest not in answers}
    if len(answers) + len(missing) > MAX_ENTRIES:
        raise CMPError(f"there are more than {MAX_ENTRIES} answers", hint="name another file for the answers")
    came, failures = await _ask(missing, exchange)
    answers |= {digest: came[digest] for digest in missing if digest in came}
    messages = {
        Entry(
            name=name_of(octets, number), size=len(octets), digest=digest_of(octets), answers=digest, series=series
        ): octets
        for number, (digest, (series, octets)) in enumerate(answers.items(), start=1)
    }
    manifest = Manifest(
        kind=Kind.ANSWERS,
        series=new_series() if before is None else before.manifest.series,
        sequence=1 if before is None else before.manifest.sequence + 1,
        created=now.replace(microsecond=0),
        expires=expires.replace(microsecond=0),
        entries=tuple(messages),
        seen=seen,
    )
    return Submission(manifest, messages, len(missing), failures, refused)


def _choose(
    bundles: Sequence[Bundle], seen: dict[bytes, int], now: datetime
) -> tuple[list[Bundle], tuple[tuple[Bundle, str], ...]]:
    """The bundles that count, and why others do not."""
    newest = dict(seen)
    for bundle in bundles:
        manifest = bundle.manifest
        newest[manifest.series] = max(manifest.sequence, newest.get(manifest.series, 0))
    taken: dict[bytes, Bundle] = {}
    refused = []
    for bundle in bundles:
        manifest = bundle.manifest
        if manifest.kind is not Kind.REQUESTS:
            refused.append((bundle, "it has answers, and goes to the devices"))
        elif manifest.sequence < newest[manifest.series]:
            refused.append(
                (bundle, f"it is number {manifest.sequence} of its sender, {newest[manifest.series]} is there")
            )
        elif manifest.expires < now:
            refused.append((bundle, f"it expired at {manifest.expires:%Y-%m-%d %H:%M} UTC: have it written again"))
        else:
            taken.setdefault(manifest.series, bundle)
    return list(taken.values()), tuple(refused)


def _still_wanted(before: Bundle | None, taken: Sequence[Bundle]) -> _Answers:
    """The answers from before that somebody may still need."""
    if before is None:
        return {}
    asked = {bundle.manifest.series: {entry.digest for entry in bundle.manifest.entries} for bundle in taken}
    return {
        entry.answers: (entry.series, octets)
        for entry, octets in before.messages.items()
        if entry.series not in asked or entry.answers in asked[entry.series]
    }


async def _ask(
    missing: Mapping[bytes, tuple[Bundle, Entry]], exchange: Callable[[bytes], Awaitable[bytes]]
) -> tuple[_Answers, dict[Entry, CMPError]]:
    came: _Answers = {}
    failures: dict[Entry, CMPError] = {}
    limit = anyio.CapacityLimiter(MAX_AT_ONCE)

    async def ask(bundle: Bundle, entry: Entry) -> None:
        async with limit:
            try:
                answer = await exchange(bundle.messages[entry])
                if not 0 < len(answer) <= MAX_MESSAGE_SIZE:
                    raise TransportError(f"the answer has {len(answer)} octets, no bundle holds that")
                came[entry.digest] = bundle.manifest.series, answer
            except CMPError as error:
                failures[entry] = error

    async with anyio.create_task_group() as tasks:
        for bundle, entry in missing.values():
            tasks.start_soon(ask, bundle, entry)
    return came, failures
