from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cmpkit.cli.serverside import print_columns, server_packages, shown_time, write_out
from cmpkit.errors import ConfigurationError


def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it() -> None:
    with pytest.raises(ConfigurationError, match="needs the package not_there_at_all") as caught, server_packages():
        importlib.import_module("not_there_at_all")
    assert caught.value.hint == "pip install 'cmpkit[server]'"


def test_columns_are_as_wide_as_they_must_be(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns(["A", "LONG TITLE", "C"], [["1", "2", "3"], ["a long text", "", ""]])
    assert capsys.readouterr().out == "A            LONG TITLE  C\n1            2           3\na long text\n"


def test_columns_without_rows_have_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns(["A", "B"], [])
    assert capsys.readouterr().out == "A  B\n"


def test_a_time_is_shown_to_the_second() -> None:
    assert shown_time(datetime(2026, 1, 31, 12, 0, 1, 999, tzinfo=UTC)) == "2026-01-31T12:00:01+00:00"
    assert shown_time(None) is None


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"file cannot be written: No such file or directory"):
        write_out(b"x", tmp_path / "nowhere" / "file")
