"""``file`` addresses: the drop-directories that they name."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cmpkit.errors import ConfigurationError

__all__ = ["read_url"]

_EXAMPLE = "write file:///var/spool/cmp, or file:spool for a directory beside the configuration"


def read_url(url: str, directory: Path = Path()) -> Path:
    """The directory that a URL names (RFC 8089).

    :param url: ``file:///absolute/path`` or ``file:relative/path``.
    :param directory: where relative paths start.
    :raises ConfigurationError: if it names none.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}", hint=_EXAMPLE) from error
    if parts.netloc not in ("", "localhost"):
        raise ConfigurationError(f"{url!r} names the host {parts.netloc!r}, a directory is needed", hint=_EXAMPLE)
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{url!r} has a query or a fragment; ? and # are written %3F and %23", hint=_EXAMPLE)
    path = unquote(parts.path)
    if parts.scheme != "file" or not path.strip("/") or "\0" in path:
        raise ConfigurationError(f"{url!r} names no directory", hint=_EXAMPLE)
    return Path(directory, path)
