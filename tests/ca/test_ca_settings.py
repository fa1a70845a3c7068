from __future__ import annotations

from datetime import timedelta

import pytest

from cmpkit.ca.settings import Duration, Settings, read_settings
from cmpkit.errors import ConfigurationError


class Table(Settings):
    name: str
    length: Duration = timedelta(days=1)


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
