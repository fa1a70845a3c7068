from __future__ import annotations

from datetime import timedelta

import pytest

from cmpkit.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("60s", timedelta(seconds=60)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("365d", timedelta(days=365)),
        ("4w", timedelta(weeks=4)),
        ("1y", timedelta(days=365)),
    ],
)
def test_a_length_of_time_has_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "365", "d", "1.5d", "-1d", "1 d", "1D", "365days", 365, None, "0d", "101y", "²d"])
def test_other_lengths_of_time_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"length of time|more than nothing"):
        parse_duration(text)
