"""Where the configuration file says that things are: relative paths start at its directory, no password is in it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio

from cmpkit.crypto.x509 import load_certificates
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey
from cmpkit.passwords import read_password
from cmpkit.plugins import Plugins

__all__ = [
    "load_key",
    "read_certificates",
    "read_file",
    "resolve_key_uri",
    "resolve_store_url",
]

_SQLITE = "sqlite:///"


async def read_file(path: str | Path, directory: Path) -> bytes:
    """The octets of a file.

    :raises ConfigurationError: naming the file, if it cannot be read.
    """
    try:
        return await anyio.Path(directory, path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{Path(directory, path)} cannot be read: {error.strerror}") from error


async def read_certificates(path: str, directory: Path) -> tuple[bytes, ...]:
    """The DER certificates of a PEM bundle or DER file.

    :raises ConfigurationError: naming the file, if it cannot be read.
    """
    data = await read_file(path, directory)
    try:
        return load_certificates(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{Path(directory, path)}: {error.detail}", hint=error.hint) from error


async def load_key(uri: str, password: str | None, directory: Path, plugins: Plugins) -> PrivateKey:
    """The private key behind a URI; ``file:`` takes a path that may be relative.

    :param password: where its password is (:func:`read_password`), or ``None``.
    :raises ConfigurationError: if there is none, or the password is wrong.
    """
    provider = plugins.require("key provider", urlsplit(uri).scheme)
    secret = None if password is None else await read_password(password, directory)
    key: PrivateKey = await provider.load(resolve_key_uri(uri, directory), secret, plugins.all("key algorithm"))
    return key


def resolve_key_uri(uri: str, directory: Path) -> str:
    """The URI of a key; the path of a file (``file:keys/signer.key.pem``) may be relative."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and not parts.netloc and not parts.path.startswith("/"):
        return Path(directory, unquote(parts.path)).absolute().as_uri()
    return uri


def resolve_store_url(url: str, directory: Path) -> str:
    """The URL of a store; the path of an SQLite file (``sqlite:///cmpkit.db``) may be relative."""
    if url.startswith(_SQLITE) and not url.startswith(f"{_SQLITE}/") and ":memory:" not in url:
        return f"{_SQLITE}{Path(directory, url.removeprefix(_SQLITE)).absolute()}"
    return url
