"""A source of shared secrets: a TOML file, read once, when the server starts.

::

    [dev-42]
    secret = "correct horse battery staple"
    subject = "CN=dev-42,O=Example"
    profile = "device"              # may be absent: any
    expires = 2027-01-01T00:00:00Z  # may be absent: never

A file cannot count, so these secrets grant certificates without limit: give them an expiry.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio

from cmpkit.crypto.names import parse_name
from cmpkit.errors import ConfigurationError
from cmpkit.parts import Grant, OpenContext, SecretRecord, SharedSecret

__all__ = ["TOMLSecrets", "TOMLSecretsFactory"]

_OTHERS = 0o077


class TOMLSecrets:
    """The part; see :class:`cmpkit.parts.SecretSource`."""

    name = "toml"

    def __init__(self, records: Mapping[bytes, SecretRecord]) -> None:
        self._records = dict(records)

    async def find(self, reference: bytes) -> SecretRecord | None:
        """The secret with that reference, or ``None``."""
        return self._records.get(reference)


class TOMLSecretsFactory:
    """Opens it from ``[[secrets]]`` with ``kind = "toml"`` and a ``path``."""

    kind = "toml"

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> TOMLSecrets:
        """The source; see :meth:`cmpkit.parts.SecretSourceFactory.open`."""
        unknown = ", ".join(settings.keys() - {"path"})
        if unknown:
            raise ConfigurationError(f"[[secrets]] {unknown}: the kind toml has no such key", hint="it has path")
        if not isinstance(settings.get("path"), str):
            raise ConfigurationError("[[secrets]] path: it must be there, and be a text", hint='path = "secrets.toml"')
        path = context.directory / settings["path"]
        tables = _parse(path, await _read(path))
        return TOMLSecrets(dict(_record(path, name, table) for name, table in tables.items()))


async def _read(path: Path) -> str:
    try:
        status = await anyio.Path(path).stat()
        text = await anyio.Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"[[secrets]] path: {path} cannot be read: {error}") from error
    if status.st_mode & _OTHERS:
        raise ConfigurationError(f"[[secrets]] path: others may read {path}", hint=f"chmod 600 {path}")
    return text


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error


def _record(path: Path, name: str, table: Any) -> tuple[bytes, SecretRecord]:
    """The secret of one table. No error repeats what it holds."""
    wanted = {"secret": str, "subject": str, "profile": str, "expires": datetime}
    if not isinstance(table, dict) or not {"secret", "subject"} <= table.keys() <= wanted.keys():
        raise ConfigurationError(f"{path} [{name}]: secret and subject must be there, profile and expires may")
    for key, value in table.items():
        if not isinstance(value, wanted[key]) or (isinstance(value, datetime) and value.tzinfo is None):
            raise ConfigurationError(f"{path} [{name}] {key}: must be a text; expires, a time with its zone")
    secret = SharedSecret(name, table["secret"])
    grant = Grant(parse_name(table["subject"]), table.get("profile"), uses=None, expires=table.get("expires"))
    return secret.reference, SecretRecord(secret, grant)
