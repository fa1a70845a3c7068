"""Options that only one road knows: declared as a dataclass, read from URLs, tables and command lines alike."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, urlsplit

from cmpkit.durations import parse_duration
from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions
from cmpkit.passwords import password_at

__all__ = [
    "TLS_OPTIONS",
    "Password",
    "named_options",
    "read_own_options",
    "refuse_other_options",
    "split_query",
]

T = TypeVar("T")

TLS_OPTIONS = ("tls_trusted", "tls_cert", "tls_key", "tls_keypass", "tls_host")
"""The options about TLS, for :func:`refuse_other_options`."""
_FOR_EVERY_ROAD = ("timeout", "max_response_size", "directory")


@dataclass(frozen=True, slots=True)
class Password:
    """A field of this type is written as where the password is: ``file:PATH`` (its first line) or ``env:NAME``.

    :param octets: the password itself; never shown.
    """

    octets: bytes = field(repr=False)


def read_own_options(kind: type[T], given: Mapping[str, Any], *, directory: Path) -> T:
    """The options of a road, as its own dataclass; what is not given has the default of the field.

    Fields may be ``str``, ``int``, ``float``, ``bool``, :class:`~pathlib.Path`, :class:`~datetime.timedelta` (written
    ``90s``, ``12h``), :class:`Password`, ``Literal`` of texts and ``tuple[str, ...]``, or one of these and ``None``.
    Numbers, truth and lists may be text, too (``5``, ``true``, ``a,b``), as command lines and URLs have them.

    :param kind: a dataclass with keyword fields.
    :param given: values by the names of fields.
    :param directory: where relative paths start.
    :raises ConfigurationError: naming every option that is unknown, missing or wrong.
    """
    hints = get_type_hints(kind)
    known = [member for member in fields(kind) if member.init]  # type: ignore[arg-type]
    names = ", ".join(member.name for member in known) or "none"
    mistakes = [f"{name}: there is no such option; there are: {names}" for name in given if name not in hints]
    values: dict[str, Any] = {}
    for member in known:
        if member.name in given:
            try:
                values[member.name] = _read(hints[member.name], given[member.name], directory)
            except (ValueError, ConfigurationError) as error:
                mistakes.append(f"{member.name}: {error}")
        elif member.default is MISSING and member.default_factory is MISSING:
            mistakes.append(f"{member.name}: is missing")
    if mistakes:
        raise ConfigurationError("; ".join(mistakes), hint="see the documentation of this road for its options")
    return kind(**values)


def named_options(texts: Iterable[str], key: str) -> dict[str, str]:
    """The options of a road's own that are written ``NAME=VALUE``.

    :param key: what they are the value of, for the message: ``--road-option``.
    :raises ConfigurationError: if one has no name, or a name is there twice. What may be a secret is not repeated.
    """
    options: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigurationError(f"{key}: NAME=VALUE is needed", hint="see the documentation of the road for names")
        if name in options:
            raise ConfigurationError(f"{key}: {name} is given twice")
        options[name] = value
    return options


def split_query(url: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A URL without its query, and the options with those of the query: for roads that have options in their URLs.

    :param given: the options that came by other ways.
    :raises ConfigurationError: naming an option that is given twice.
    """
    parts = urlsplit(url)
    options = dict(given)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in options:
            raise ConfigurationError(f"{name}: is given twice, in the URL and elsewhere or in the URL alone")
        options[name] = value
    return parts._replace(query="").geturl(), options


def refuse_other_options(options: TransportOptions, url: str, *taken: str) -> None:
    """Refuse what was given and would be ignored.

    :param taken: the fields of :class:`~cmpkit.parts.TransportOptions` that mean something to this road at this
        address, ``*TLS_OPTIONS`` and ``own`` for instance, besides those that every road takes.
    :raises ConfigurationError: naming the first option that is given and means nothing.
    """
    scheme = url.partition(":")[0]
    for member in fields(TransportOptions):
        if member.name in (*taken, *_FOR_EVERY_ROAD) or not getattr(options, member.name):
            continue
        name = ", ".join(options.own) if member.name == "own" else member.name
        hint = "write the scheme of the road with TLS" if member.name in TLS_OPTIONS else "leave it out"
        raise ConfigurationError(f"{name}: means nothing to the road {scheme}", hint=hint)


def _read(hint: Any, value: Any, directory: Path) -> Any:
    """The value of a field of that type.

    :raises ValueError: saying what is needed.
    """
    if get_origin(hint) is types.UnionType:
        (hint,) = (one for one in get_args(hint) if one is not types.NoneType)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"one of {', '.join(get_args(hint))} is needed")
        return value
    if get_origin(hint) is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError("a list is needed")
        return tuple(_text(item).strip() for item in items)
    return _READERS[hint](value, directory)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text is needed")
    return value


def _number(kind: type[int] | type[float], words: str) -> Callable[[Any, Path], Any]:
    def read(value: Any, directory: Path) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, kind, str)):
            raise ValueError(f"{words} is needed")
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"{words} is needed") from None

    return read


def _truth(value: Any, directory: Path) -> bool:
    truth = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
    if not isinstance(truth, bool):
        raise ValueError("true or false is needed")
    return truth


_READERS: Mapping[Any, Callable[[Any, Path], Any]] = {
    str: lambda value, directory: _text(value),
    int: _number(int, "a whole number"),
    float: _number(float, "a number"),
    bool: _truth,
    Path: lambda value, directory: Path(directory, _text(value)),
    timedelta: lambda value, directory: parse_duration(value),
    Password: lambda value, directory: Password(password_at(_text(value), directory)),
}
