"""What is renewed and how: the file ``NAME.toml``, made for people to read and change."""

from __future__ import annotations

import json
import re
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cmpkit.durations import parse_duration
from cmpkit.errors import ConfigurationError
from cmpkit.renewal.schedule import Span

__all__ = ["Definition", "dump_definition", "load_definition"]

T = TypeVar("T")
DEFAULT_WINDOW = Span("33%", share=0.33)
DEFAULT_JITTER = Span("10%", share=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One certificate that is kept valid. Names are those of the options, ``-`` written as ``_``.

    :param url: where the server is.
    :param trusted: trust anchors, for its answers and for new certificates.
    :param ref: reference of the shared secret that gets a first certificate, and another if the last one expired.
    :param secret: where that secret is: ``file:PATH`` or ``env:NAME``.
    :param subject: of the certificate that the secret gets.
    :param sans: its alternative names.
    :param mac: the MAC under the secret, as for :class:`~cmpkit.endpoints.options.ClientOptions`.
    :param key: URI of a private key that is in no file: it is kept, and certified again.
    :param keypass: where the password of the private keys is.
    :param newkey_type: of new keys; ``None``: as the last one.
    :param reuse_key: whether the key stays.
    :param window: how long before the end of the certificate, or for which last share of its life, it is due.
    :param jitter: by how much that is put off at most, drawn for each certificate; as a share: of the window.
    :param deploy_hook: shell command that is run when there is a new certificate.
    :param hook_timeout: how long it may take.

    The rest is as for the commands ``enroll`` and ``update``; timeouts are seconds.
    """

    url: str
    trusted: tuple[Path, ...]
    ref: str | None = None
    secret: str | None = None
    subject: str | None = None
    sans: str | None = None
    mac: str | None = None
    key: str | None = None
    keypass: str | None = None
    newkey_type: str | None = None
    reuse_key: bool = False
    window: Span = DEFAULT_WINDOW
    jitter: Span = DEFAULT_JITTER
    deploy_hook: str | None = None
    hook_timeout: timedelta = timedelta(seconds=60)
    profile: str | None = None
    implicit_confirm: bool = False
    extracerts: tuple[Path, ...] = ()
    untrusted: tuple[Path, ...] = ()
    srvcert: Path | None = None
    expect_sender: str | None = None
    unprotected_errors: bool = False
    crl: tuple[str, ...] = ()
    ocsp: str | None = None
    crl_download: bool = False
    tolerate: tuple[str, ...] = ()
    peer: str | None = None
    recipient: str | None = None
    total_timeout: float = 120.0
    msg_timeout: float = 60.0
    proxy: str | None = None
    no_proxy: str | None = None
    tls_trusted: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_keypass: str | None = None
    tls_host: str | None = None
    road_option: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Look for what contradicts itself.

        :raises ConfigurationError: naming it.
        """
        for wrong, text in (
            ((self.ref is None) != (self.secret is None), "ref and secret: both or neither are needed"),
            (self.key is not None and not self.reuse_key, "key: a key that is in no file needs reuse_key"),
            (not self.trusted, "trusted: a trust anchor is needed: a new certificate could not be checked"),
            (self.total_timeout <= 0, "total_timeout: must be more than 0"),
            (self.msg_timeout <= 0, "msg_timeout: must be more than 0"),
        ):
            if wrong:
                raise ConfigurationError(text)
        for name in ("secret", "keypass", "tls_keypass"):
            source = getattr(self, name)
            if source is not None and not re.match("(file|env):.", source, re.DOTALL):
                # What was written here may be the secret itself: it is not repeated.
                raise ConfigurationError(f"{name}: file:PATH or env:NAME is needed, never the secret itself")


def load_definition(path: Path) -> Definition:
    """Read a file; relative paths in it start in its directory.

    :raises ConfigurationError: naming every mistake with its key.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error
    hints = get_type_hints(Definition)
    mistakes = [f"{key}: there is no such key" for key in table if key not in hints]
    values: dict[str, Any] = {}
    for field in fields(Definition):
        if field.name in table:
            try:
                values[field.name] = _read(hints[field.name], table[field.name], path.parent)
            except ValueError as error:
                mistakes.append(f"{field.name}: {error}")
        elif field.default is MISSING:
            mistakes.append(f"{field.name}: is missing")
    if not mistakes:
        try:
            return Definition(**values)
        except ConfigurationError as error:
            mistakes.append(error.detail)
    raise ConfigurationError(f"{path}: {'; '.join(mistakes)}", hint="see cmpkit renew add --help for the keys")


def _read(hint: Any, value: Any, directory: Path) -> Any:
    """The value of a field of that type.

    :raises ValueError: saying what is needed.
    """
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError("a list is needed")
        return tuple(_read(get_args(hint)[0], item, directory) for item in value)
    if get_origin(hint) is types.UnionType:
        hint = get_args(hint)[0]
    return _READERS[hint](value, directory)


def _plain(kind: type[T], words: str) -> Callable[[Any, Path], T]:
    def read(value: Any, directory: Path) -> T:
        if type(value) is not kind:
            raise ValueError(f"{words} is needed")
        return value

    return read


def _text(value: Any, directory: Path) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text is needed")
    return value


def _number(value: Any, directory: Path) -> float:
    if type(value) not in (int, float):
        raise ValueError("a number of seconds is needed")
    return float(value)


_READERS: Mapping[Any, Callable[[Any, Path], Any]] = {
    str: _text,
    Path: lambda value, directory: directory / _text(value, directory),
    bool: _plain(bool, "true or false"),
    float: _number,
    Span: lambda value, directory: Span.parse(value),
    timedelta: lambda value, directory: parse_duration(value),
}

_GROUPS = (
    ("The server, and what answers and certificates must lead to.", ("url", "trusted")),
    ("Gets a first certificate, and another if the last one expired.", ("ref", "secret", "mac", "subject", "sans")),
    ("The private key: a new one each time, unless reuse_key.", ("key", "keypass", "newkey_type", "reuse_key")),
    ("When: a length of time before the end, or a share of the lifetime; put off by up to jitter.",
     ("window", "jitter")),
    ("Run when there is a new certificate; see CMPKIT_CERTIFICATE and others in its environment.",
     ("deploy_hook", "hook_timeout")),
)  # fmt: skip


def dump_definition(definition: Definition) -> str:
    """The file for a definition: what differs from the defaults, and when it is due.

    :raises ConfigurationError: if something in it is no text.
    """
    named = [name for _, names in _GROUPS for name in names]
    rest = tuple(field.name for field in fields(Definition) if field.name not in named)
    lines: list[str] = []
    for title, names in (*_GROUPS, ("As for cmpkit enroll and cmpkit update.", rest)):
        written = [f"{name} = {_toml(getattr(definition, name))}" for name in names if _matters(definition, name)]
        if written:
            lines += [f"# {title}", *written, ""]
    text = "\n".join(lines)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"this cannot be written as UTF-8: {error.object[error.start]!a}") from error
    return text


def _matters(definition: Definition, name: str) -> bool:
    default = Definition.__dataclass_fields__[name].default
    return name in ("window", "jitter") or getattr(definition, name) != default


def _toml(value: Any) -> str:
    if isinstance(value, bool | float):
        return json.dumps(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, timedelta):
        return f'"{value // timedelta(seconds=1)}s"'
    text = value.text if isinstance(value, Span) else str(value)
    # A JSON string is a TOML basic string, but for one control character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
