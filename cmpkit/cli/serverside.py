"""What the commands of a server's operator share: the configuration file, the server's packages, what they print."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cmpkit.errors import ConfigurationError

__all__ = [
    "ConfigOption",
    "Encoding",
    "JSONOption",
    "print_columns",
    "print_json",
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


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns that are as wide as they must be, whatever the terminal: lines may be cut and searched."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


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
