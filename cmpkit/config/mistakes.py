"""Mistakes of a configuration file are collected, so that all of them are reported at once."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from cmpkit.ca.settings import InvalidSettings
from cmpkit.errors import CMPError, ConfigurationError

__all__ = ["Mistakes"]


class Mistakes:
    """What is wrong with one configuration file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, text: str) -> None:
        """Note a mistake: ``[table] key: what is wrong``."""
        self._found.append(text)

    def __enter__(self) -> None:
        """Note the CMPError that the block raises, and go on after it."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if isinstance(error, InvalidSettings):
            self._found.extend(error.mistakes)
        elif isinstance(error, CMPError):
            self._found.append(str(error))
        return isinstance(error, CMPError)

    def check(self) -> None:
        """Report everything that was noted.

        :raises ConfigurationError: with one line for each mistake, if there are any.
        """
        if not self._found:
            return
        one = len(self._found) == 1
        separator = " " if one else "\n  "
        text = separator.join(
            [f"{self._path}:" if one else f"{self._path} has {len(self._found)} mistakes:", *self._found]
        )
        raise ConfigurationError(text)
