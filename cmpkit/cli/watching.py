"""What a client command does with events: saves the messages, shows progress, remembers the transaction."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.status import Status

from cmpkit.crypto.keys import write_file_atomically
from cmpkit.parts import Event

__all__ = ["MessageSaver", "Progress", "TransactionTracker", "split_names"]


def split_names(given: Sequence[str] | None) -> list[Path]:
    """The files of an option that may be repeated, and have several by comma."""
    return [Path(name) for text in given or () for name in text.split(",") if name]


class MessageSaver:
    """Writes messages to files as they come and go, each to the next file that was named.

    If there are more messages than names, the further ones go beside the last file, with a number: ``req.2.der``.

    :param event: ``message-sent`` or ``message-received``.
    """

    def __init__(self, event: str, files: Sequence[Path]) -> None:
        self._event = event
        self._files = files
        self._count = 0

    def observe(self, event: Event) -> None:
        """Save the message of the event."""
        if event.name != self._event or not self._files:
            return
        self._count += 1
        beyond = self._count - len(self._files)
        path = self._files[min(self._count, len(self._files)) - 1]
        if beyond > 0:
            path = path.with_name(f"{path.stem}.{beyond + 1}{path.suffix}")
        write_file_atomically(path, event.details["message"].raw)


class TransactionTracker:
    """Remembers which transaction was the last one that something was sent for."""

    transaction_id: bytes | None = None

    def observe(self, event: Event) -> None:
        """Take note."""
        if event.name == "message-sent":
            self.transaction_id = event.transaction_id


class Progress(AbstractContextManager["Progress"]):
    """Tells a person on standard error what is being waited for: one line that changes, if it is a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status: Status | None = None

    def observe(self, event: Event) -> None:
        """Show what the event means to who waits."""
        if event.name == "message-sent":
            self._show(f"{event.details['message'].body.type.wire_name} sent, waiting for the answer")
        elif event.name == "waiting":
            until: datetime | None = event.details["until"]
            when = f" until {until.astimezone():%H:%M:%S}" if until else ""
            reason = f": {event.details['reason']}" if event.details["reason"] else ""
            text = f"the server needs time, waiting{when}{reason}"
            if self._console.is_terminal:
                self._show(text)
            else:
                print(text, file=sys.stderr, flush=True)

    def _show(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        # A server's text is no markup.
        shown = text.replace("[", r"\[")
        if self._status is None:
            self._status = self._console.status(shown)
            self._status.start()
        self._status.update(shown)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
