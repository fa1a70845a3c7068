"""What a person sees while a command waits."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cmpkit.cli.watching import Progress, split_names
from cmpkit.enums import BodyType
from cmpkit.parts import Event

SENT = Event("message-sent", b"1", {"message": SimpleNamespace(body=SimpleNamespace(type=BodyType.IR))})


def waiting(until: datetime | None, reason: str = "") -> Event:
    return Event("waiting", b"1", {"until": until, "reason": reason})


def test_lines_are_printed_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.observe(SENT)
        progress.observe(waiting(datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC), "a person looks at it"))
        progress.observe(waiting(None))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("the server needs time, waiting until ")
    assert first.endswith(":05: a person looks at it")
    assert second == "the server needs time, waiting"


def test_a_terminal_has_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Terminal(Console):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options, force_terminal=True)

        def status(self, status: Any, **options: Any) -> Any:
            shown.append(str(status))
            return SimpleNamespace(
                start=lambda: shown.append("start"), update=shown.append, stop=lambda: shown.append("stop")
            )

    monkeypatch.setattr("cmpkit.cli.watching.Console", Terminal)
    with Progress() as progress:
        progress.observe(SENT)
        progress.observe(waiting(None, "[bold]no markup"))
    assert shown[0] == "ir sent, waiting for the answer"
    assert shown[-2] == r"the server needs time, waiting: \[bold]no markup"
    assert shown[-1] == "stop"


def test_file_names_come_by_comma_and_repeated() -> None:
    assert [str(path) for path in split_names(["a,b", "c"])] == ["a", "b", "c"]
    assert split_names(None) == []
