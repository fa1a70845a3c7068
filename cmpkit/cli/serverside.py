"""What the commands of a server's operator share: the configuration file, the server's packages, what they print."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cmpkit.errors import ConfigurationError

__all__ = [
    "ConfigOption",
    "Encoding",
    "JSONOption",
    "print_columns",
    "print_facts",
    "print_json",
    "read_moment",
    "server_packages",
    "shown_time",
    "write_out",
]


class Encoding(enum.Enum):
    """How certificates and CRLs are written."""

    PEM = "pem"
    DER = "der"


ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="Configuration file of the server.")]
JSONOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def server_packages() -> Iterator[None]:
    """Around imports of what needs the packages of ``cmpkit[server]``.

    :raises ConfigurationError: naming the package that is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"this command needs the package {error.name}", hint="pip install 'cmpkit[server]'"
        ) from error


def shown_time(moment: datetime | None) -> str | None:
    """A time as people and machines read it: ``2026-01-31T12:00:00+00:00``."""
    return None if moment is None else moment.replace(microsecond=0).isoformat()


def read_moment(text: str, option: str, now: datetime) -> datetime:
    """A time to come, as ``12h``, ``30d``, ``2026-01-31`` or ``2026-01-31T12:00Z``.

    :param option: what it was given by.
    :raises ConfigurationError: if it cannot be read, or has passed.
    """
    from cmpkit.durations import parse_duration

    try:
        moment = (now + parse_duration(text)).replace(microsecond=0)
    except ValueError as no_length:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigurationError(
                f"{option}: {text!r} is neither a length of time ({no_length}) nor a date"
            ) from None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment <= now:
        raise ConfigurationError(f"{option}: {shown_time(moment)} has passed")
    return moment


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns that are as wide as they must be, whatever the terminal: lines may be cut and searched.

    Names that others chose cannot make the screen show something else: control characters are escaped.
    """
    from cmpkit.inspection.text import printable

    shown = [titles, *([printable(text) for text in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print a label and a text in each line, with what others chose escaped as in :func:`print_columns`."""
    from cmpkit.inspection.text import printable

    lines = list(facts)
    width = max((len(label) for label, _ in lines), default=0)
    for label, text in lines:
        print(f"{label.ljust(width)}  {printable(text)}")


def write_out(data: bytes, path: Path | None) -> None:
    """Write a result to a file, whole or not at all, or else to standard output.

    :raises ConfigurationError: if the file cannot be written.
    """
    from cmpkit.crypto.keys import write_file_atomically

    if path is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        write_file_atomically(path, data)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
