"""A diagnosis for people, for machines, and as an exit status."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cmpkit.cli.exits import ExitStatus
from cmpkit.doctor import Diagnosis
from cmpkit.inspection.text import printable
from cmpkit.parts import Check, Layer, Verdict

__all__ = ["Bulletin", "plain", "print_summary", "status"]

_STATUSES = {
    Layer.TLS: ExitStatus.TLS,
    Layer.TRUST: ExitStatus.NOT_TRUSTED,
    Layer.OPERATION: ExitStatus.REFUSED,
}
_MARKS = {
    Verdict.GOOD: ("✓", "ok", "green"),
    Verdict.NOTE: ("·", "--", "dim"),
    Verdict.WARNING: ("!", "!!", "yellow"),
    Verdict.BAD: ("✗", "XX", "bold red"),
}
_NAME_WIDTH = 21
_UNBROKEN = 10_000


class Bulletin:
    """Tells people of each finding as soon as there is one.

    :param silent: whether nobody is to be told.
    """

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._console = _console()

    def show(self, check: Check) -> None:
        """Print the finding and, if there is any, the advice under it."""
        if self._silent:
            return
        fine, simple, style = _MARKS[check.verdict]
        mark = fine if self._console.encoding.startswith("utf") else simple
        self._print_row(Text(mark, style), _text(check.name), _text(check.detail))
        if check.advice:
            self._print_row(Text(" " * len(mark)), Text(), _text(f"-> {check.advice}", style))

    def _print_row(self, mark: Text, name: Text, text: Text) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_column(no_wrap=True)
        row.add_column(width=_NAME_WIDTH)
        row.add_column(overflow="fold")
        row.add_row(mark, name, text)
        self._console.print(row)


def print_summary(diagnosis: Diagnosis) -> None:
    """Print what it comes to, and what to type."""
    console, failure = _console(), diagnosis.failure
    console.print()
    if failure is not None:
        console.print(_text(f"A client with these options fails: {failure.name}.", "bold red"))
    elif not diagnosis.complete:
        console.print(_text("The time was over before everything was examined (--total-timeout).", "yellow"))
    else:
        console.print(_text("Healthy: nothing is in the way of a client with these options.", "green"))
    if diagnosis.settings is not None:
        console.print("What clients need besides their credentials and trust anchors:")
        console.print(_text(f"  cmpkit enroll {shlex.join(diagnosis.settings.cmpkit)}"), soft_wrap=True)
        if diagnosis.settings.openssl:
            console.print(_text(f"  openssl cmp {shlex.join(diagnosis.settings.openssl)}"), soft_wrap=True)


def _console() -> Console:
    """Standard output; what is no terminal gets each finding on one line."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_UNBROKEN)


def _text(text: str, style: str = "") -> Text:
    """A server's text, which must not steer the terminal."""
    return Text(printable(text), style)


def plain(diagnosis: Diagnosis) -> dict[str, Any]:
    """A diagnosis as plain values."""
    return {
        "status": int(status(diagnosis)),
        "url": diagnosis.url,
        "healthy": diagnosis.healthy,
        "complete": diagnosis.complete,
        "checks": [
            {**asdict(check), "layer": check.layer.value, "verdict": check.verdict.value} for check in diagnosis.checks
        ],
        "settings": None if diagnosis.settings is None else asdict(diagnosis.settings),
    }


def status(diagnosis: Diagnosis) -> ExitStatus:
    """The exit status: that of the first layer where a client fails."""
    if diagnosis.failure is not None:
        return _STATUSES.get(diagnosis.failure.layer, ExitStatus.TRANSPORT)
    return ExitStatus.DONE if diagnosis.complete else ExitStatus.TIMED_OUT
