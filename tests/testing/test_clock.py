"""A virtual clock stands still until it is told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import anyio
import pytest

from cmpkit.errors import ConfigurationError
from cmpkit.testing import VirtualClock


def test_time_passes_only_when_it_is_told_to() -> None:
    clock = VirtualClock()
    start = clock()
    assert start.tzinfo is UTC
    assert clock() == start
    assert clock.advance(1.5) == start + timedelta(seconds=1.5)
    assert clock.advance(timedelta(days=1)) == clock() == start + timedelta(days=1, seconds=1.5)


def test_its_time_is_in_utc_whatever_it_started_with() -> None:
    clock = VirtualClock(datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert clock() == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert repr(clock) == "VirtualClock(2026-07-01T10:00:00+00:00)"


def test_a_start_without_time_zone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no time zone"):
        VirtualClock(datetime(2026, 7, 1))


async def test_who_sleeps_lets_time_pass_without_waiting() -> None:
    clock = VirtualClock()
    start = clock()
    with anyio.fail_after(5):
        await clock.sleep(3600)
    assert clock() - start == timedelta(hours=1)


def test_time_does_not_go_back() -> None:
    clock = VirtualClock()
    with pytest.raises(ConfigurationError, match="does not go back by 0:00:01"):
        clock.advance(-1)
