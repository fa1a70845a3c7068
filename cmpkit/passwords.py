"""Passwords, which are never given themselves: where they are is."""

from __future__ import annotations

import os
from pathlib import Path

import anyio.to_thread

from cmpkit.errors import ConfigurationError

__all__ = ["password_at", "read_password"]


async def read_password(source: str, directory: Path) -> bytes:
    """The password that a source leads to; see :func:`password_at`."""
    return await anyio.to_thread.run_sync(password_at, source, directory)


def password_at(source: str, directory: Path) -> bytes:
    """The password that ``file:PATH`` (its first line) or ``env:NAME`` leads to.

    :raises ConfigurationError: if it is neither, or nothing is there.
    """
    kind, _, rest = source.partition(":")
    if kind == "file" and rest:
        path = Path(directory, rest)
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
        return lines[0] if lines else b""
    if kind == "env" and rest:
        value = os.environ.get(rest)
        if value is None:
            raise ConfigurationError(f"the environment variable {rest} is not set")
        return value.encode()
    # What was written here may be the password itself: it is not repeated.
    raise ConfigurationError("a password is given as file:PATH or env:NAME, never by itself")
