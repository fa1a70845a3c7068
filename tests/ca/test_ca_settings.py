from __future__ import annotations

from datetime import timedelta

import pytest

from cmpkit.ca.durations import parse_duration
from cmpkit.ca.settings import Duration, Settings, read_settings
from cmpkit.errors import ConfigurationError


class Table(Settings):
    name: str
    length: Duration = timedelta(days=1)


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


def test_a_mistake_names_table_and_key() -> None:
    with pytest.raises(ConfigurationError, match=r"^\[some\.table\] length: a length of time is needed"):
        read_settings(Table, {"name": "x", "length": "soon"}, "some.table")


def test_every_mistake_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(Table, {"lenght": "1d", "length": 7}, "table")
    assert "name: is missing" in caught.value.detail
    assert "lenght: there is no such key" in caught.value.detail
    assert "length: a length of time" in caught.value.detail


def test_a_mistake_does_not_show_the_value() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(Table, {"name": ["hunter2"]}, "table")
    assert "hunter2" not in str(caught.value)
