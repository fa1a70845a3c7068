"""Results are kept for small octets only, and never more than can be borne."""

from __future__ import annotations

import pytest

from cmpkit.caching import MAX_OCTETS, keep_last


@pytest.fixture
def calls() -> list[bytes]:
    return []


def test_a_result_is_worked_out_once(calls: list[bytes]) -> None:
    @keep_last
    def measure(octets: bytes) -> int:
        calls.append(octets)
        return len(octets)

    assert [measure(b"abc"), measure(b"abc")] == [3, 3]
    assert calls == [b"abc"]


def test_octets_that_are_too_many_are_not_kept(calls: list[bytes]) -> None:
    @keep_last
    def measure(octets: bytes) -> int:
        calls.append(octets)
        return len(octets)

    large = bytes(MAX_OCTETS + 1)
    assert [measure(large), measure(large)] == [MAX_OCTETS + 1] * 2
    assert len(calls) == 2


def test_only_the_last_are_kept(calls: list[bytes]) -> None:
    @keep_last
    def measure(octets: bytes) -> int:
        calls.append(octets)
        return len(octets)

    for number in range(300):
        measure(number.to_bytes(2))
    measure((0).to_bytes(2))
    assert len(calls) == 301


def test_an_error_is_raised_each_time(calls: list[bytes]) -> None:
    @keep_last
    def refuse(octets: bytes) -> int:
        calls.append(octets)
        raise ValueError(octets)

    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            refuse(b"x")
    assert len(calls) == 2
