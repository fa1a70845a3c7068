"""What a fuzzer found interesting for a CMP parser: each file is decoded or refused, quickly, and that is all."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

from rebuilding import rebuild

from cmpkit.asn1 import PKIMessage, decode_message, members_of
from cmpkit.asn1.ber import decode_ber_message
from cmpkit.errors import CMPError

MOST_SECONDS = 0.05
MOST_SECONDS_OF_BER = 2.0
LEAST_PARTS = 10
MOST_GROWTH = 16 * 1024 * 1024
TRUNCATED_FILES = 50


def decode_timed(der: bytes) -> tuple[PKIMessage | None, float]:
    """The message, or ``None`` if it is refused, and the seconds of the quickest of up to three tries."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        try:
            message = decode_message(der)
        except CMPError:
            message = None
        best = min(best, time.perf_counter() - start)
        if best < MOST_SECONDS:
            break
    return message, best


def test_every_file_decodes_or_is_refused_in_time(corpus: list[tuple[str, bytes]]) -> None:
    outcomes = [(name, *decode_timed(der)) for name, der in corpus]
    assert not [(name, seconds) for name, _, seconds in outcomes if seconds > MOST_SECONDS]
    assert any(message is not None for _, message, _ in outcomes)


def test_no_file_makes_memory_grow(corpus: list[tuple[str, bytes]]) -> None:
    tracemalloc.start()
    try:
        for name, der in corpus:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            decode_timed(der)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < MOST_GROWTH, name
    finally:
        tracemalloc.stop()


def test_what_decodes_is_encoded_from_its_values_to_the_same_octets(corpus: list[tuple[str, bytes]]) -> None:
    for name, der, message in decoded(corpus):
        assert rebuild(message).raw == der, name


def test_what_decodes_can_be_shown_and_compared(corpus: list[tuple[str, bytes]]) -> None:
    for _, _, message in decoded(corpus):
        again = rebuild(message)
        assert repr(message)
        assert message == again
        assert hash(message) == hash(again)


def test_everything_in_what_decodes_is_read_or_stays_an_element(corpus: list[tuple[str, bytes]]) -> None:
    walked = [walk(message) for _, _, message in decoded(corpus)]
    assert walked
    assert min(walked) > LEAST_PARTS


def walk(value: Any, depth: int = 40) -> int:
    """The number of parts of a value."""
    return sum(1 + (walk(member.value, depth - 1) if depth else 0) for member in members_of(value))


def test_every_file_is_ber_or_refused(corpus: list[tuple[str, bytes]]) -> None:
    """It may take longer than DER, but not long: a worker thread does it."""
    read, slow = 0, []
    for name, octets in corpus:
        start = time.perf_counter()
        try:
            message = decode_ber_message(octets)
        except CMPError:
            continue
        finally:
            if time.perf_counter() - start > MOST_SECONDS_OF_BER:
                slow.append(name)
        assert decode_message(message.raw) == message, name
        read += 1
    assert not slow
    assert read >= sum(1 for _ in decoded(corpus))


def decoded(corpus: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes, PKIMessage]]:
    """The files that decode, with their messages."""
    for name, der in corpus:
        message, _ = decode_timed(der)
        if message is not None:
            yield name, der, message


def test_truncated_files_decode_or_are_refused(corpus: list[tuple[str, bytes]]) -> None:
    chosen = random.Random(9810).sample(corpus, min(TRUNCATED_FILES, len(corpus)))
    chosen += [(name, der) for name, der, _ in decoded(corpus)][:TRUNCATED_FILES]
    for name, der in chosen:
        for length in range(len(der)):
            message, seconds = decode_timed(der[:length])
            assert message is None or message.raw == der[:length], name
            assert seconds < MOST_SECONDS, name
