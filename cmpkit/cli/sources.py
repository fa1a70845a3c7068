"""Where secrets and passwords come from: never from the command line itself."""

from __future__ import annotations

import os
from pathlib import Path

import anyio.to_thread

from cmpkit.errors import ConfigurationError

__all__ = ["absolute_address", "absolute_source", "read_secret"]

_MAX_OCTETS = 1 << 16


async def read_secret(source: str, option: str) -> bytes:
    """The secret that ``file:PATH`` (its first line), ``env:NAME`` or ``fd:N`` (its first line) leads to.

    :param option: for the message: the option that had the source.
    :raises ConfigurationError: if it is none of these, or nothing is there; what was given is not repeated.
    """
    # Heavy for `cmpkit --help`.
    from cmpkit.passwords import read_password

    kind, _, rest = source.partition(":")
    if kind not in ("file", "env", "fd") or not rest:
        # What was written here may be the secret itself: it is not repeated.
        raise ConfigurationError(
            f"{option} takes file:PATH, env:NAME or fd:N, never the secret itself",
            hint="a command line can be read by every user of this machine; if this was the secret, change it",
        )
    if kind == "fd":
        secret = await anyio.to_thread.run_sync(_read_descriptor, rest, option)
    else:
        secret = await read_password(source, Path())
    if not secret:
        raise ConfigurationError(f"{option}: {kind}:{rest} is empty")
    return secret


def _read_descriptor(number: str, option: str) -> bytes:
    if not number.isdecimal():
        raise ConfigurationError(f"{option}: fd: takes the number of an open file descriptor")
    try:
        with open(int(number), "rb", closefd=False) as file:
            return file.readline(_MAX_OCTETS).rstrip(b"\r\n")
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{option}: file descriptor {number} cannot be read: {said}") from error


def absolute_source(source: str) -> str | None:
    """The source as another process may use it, from another directory; ``None`` if it has none such (``fd:``)."""
    kind, _, rest = source.partition(":")
    if kind == "file":
        return f"file:{os.path.abspath(rest)}"
    return source if kind == "env" else None


def absolute_address(text: str) -> str:
    """A URL, or the path of a file as another process may use it, from another directory."""
    return text if "://" in text else os.path.abspath(text)
