"""When certificates are due, and when it is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.renewal.schedule import Lifetime, Span, renewal_time, retry_pause

START = datetime(2026, 1, 1, tzinfo=UTC)
lengths = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=36_500))
lifetimes = lengths.map(lambda length: Lifetime(START, START + length))
spans = st.one_of(
    st.integers(1, 99).map(lambda share: Span.parse(f"{share}%")),
    st.integers(1, 10**8).map(lambda seconds: Span.parse(f"{seconds}s")),
)
seeds = st.binary(max_size=40)


@given(lifetimes, spans, spans, seeds)
def test_a_certificate_is_due_within_the_second_half_of_its_life(
    lifetime: Lifetime, window: Span, jitter: Span, seed: bytes
) -> None:
    due = renewal_time(lifetime, window, jitter, seed=seed)
    assert lifetime.not_before + lifetime.length / 2 <= due + timedelta(microseconds=2)
    assert due <= lifetime.not_after


@given(lifetimes, spans, spans, seeds)
def test_jitter_leaves_half_of_the_window_for_attempts(
    lifetime: Lifetime, window: Span, jitter: Span, seed: bytes
) -> None:
    length = lifetime.window(window)
    opens = lifetime.not_after - length
    put_off = renewal_time(lifetime, window, jitter, seed=seed) - opens
    assert timedelta() <= put_off <= min(jitter.of(length), length / 2) + timedelta(microseconds=2)


def test_a_fleet_is_spread_over_the_jitter() -> None:
    lifetime = Lifetime(START, START + timedelta(days=90))
    span, jitter = Span.parse("30d"), Span.parse("10d")
    hours = {
        (renewal_time(lifetime, span, jitter, seed=bytes([number])) - START).total_seconds() // 3600
        for number in range(240)
    }
    assert len(hours) > 120
    assert max(hours) - min(hours) > 200


def test_the_default_window_of_ninety_days_begins_at_sixty() -> None:
    lifetime = Lifetime(START, START + timedelta(days=90))
    due = renewal_time(lifetime, Span.parse("33%"), Span.parse("1s"), seed=b"")
    assert (due - START).days == 60


def test_a_window_longer_than_the_certificate_does_not_renew_without_end() -> None:
    lifetime = Lifetime(START, START + timedelta(seconds=60))
    due = renewal_time(lifetime, Span.parse("30d"), Span.parse("1s"), seed=b"")
    assert timedelta(seconds=30) <= due - START <= timedelta(seconds=31)


@given(st.integers(1, 10_000), st.timedeltas(min_value=timedelta(), max_value=timedelta(days=10_000)), seeds)
def test_pauses_are_at_least_a_second_and_at_most_a_part_of_the_window(
    attempts: int, window: timedelta, seed: bytes
) -> None:
    pause = retry_pause(attempts, window, seed=seed)
    assert pause >= timedelta(seconds=1)
    assert pause <= timedelta(hours=6) * 1.25
    if window:
        assert pause <= max(timedelta(seconds=1), window / 4 * 1.25 + timedelta(microseconds=2))


@given(st.integers(1, 30), seeds)
def test_each_pause_is_longer_until_the_longest(attempts: int, seed: bytes) -> None:
    """Twice as long, a quarter up and down: never shorter than 2 * 0.75 / 1.25 of the one before."""
    window = timedelta(days=30)
    before, after = (retry_pause(number, window, seed=seed) for number in (attempts, attempts + 1))
    assert after >= min(before * 1.19, timedelta(hours=6) * 0.75)


def test_a_certificate_of_a_minute_has_several_attempts_in_its_window() -> None:
    window = Lifetime(START, START + timedelta(seconds=60)).window(Span.parse("33%"))
    assert sum((retry_pause(number, window, seed=b"x") for number in range(1, 5)), timedelta()) < window


@pytest.mark.parametrize("text", ["", "0%", "100%", "1", "-3d", "33 %", "0s", "200y", 30, None])
def test_what_is_no_span_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a share from 1% to 99%"):
        Span.parse(text)


@given(spans)
def test_a_span_keeps_its_text(span: Span) -> None:
    assert Span.parse(span.text) == span
