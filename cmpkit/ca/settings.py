"""Tables of the configuration file as values: every mistake is reported with its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from cmpkit.durations import parse_duration
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.plugins import Plugins

__all__ = ["Duration", "InvalidSettings", "Settings", "check_key_types", "naming", "read_settings"]

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""A field that is written as for :func:`~cmpkit.durations.parse_duration`."""


class Settings(BaseModel):
    """The base of tables: immutable, and no key that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class InvalidSettings(ConfigurationError):
    """A table with mistakes.

    :param mistakes: each of them, as ``[table] key: what is wrong``.
    """

    def __init__(self, where: str, mistakes: tuple[str, ...]) -> None:
        super().__init__(f"[{where}] {'; '.join(mistakes)}", hint="see the reference of the configuration file")
        self.mistakes = tuple(f"[{where}] {mistake}" for mistake in mistakes)


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Put ``[table] key:`` before what the block complains about, and make it a mistake of the configuration.

    :raises ConfigurationError: if the block raises a CMPError.
    """
    try:
        yield
    except CMPError as error:
        raise ConfigurationError(f"{key}: {error.detail}", error.fail_info, rule=error.rule, hint=error.hint) from error


S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S], table: Mapping[str, Any], where: str) -> S:
    """A table as ``kind``.

    :param where: the name of the table, for messages: ``profiles.device``.
    :raises InvalidSettings: naming every key that is wrong.
    """
    try:
        return kind.model_validate(dict(table))
    except ValidationError as error:
        raise InvalidSettings(where, tuple(_mistake(details) for details in error.errors())) from error


def check_key_types(where: str, key_types: Sequence[str], plugins: Plugins) -> None:
    """Whether there are key algorithms for the key types of a table.

    :param where: the name of the table, for messages: ``profiles.device``.
    :raises ConfigurationError: naming those that there are not.
    """
    unknown = [key_type for key_type in key_types if key_type not in plugins.key_types]
    if unknown:
        raise ConfigurationError(
            f"[{where}] key_types: {', '.join(unknown)}: is none of {', '.join(sorted(plugins.key_types))}",
            hint="a plugin may bring a key type, see: cmpkit plugins",
        )


def _mistake(details: Any) -> str:
    key = ".".join(str(part) for part in details["loc"])
    text = {"extra_forbidden": "there is no such key", "missing": "is missing"}.get(
        details["type"], details["msg"].removeprefix("Value error, ")
    )
    return f"{key}: {text}" if key else text
