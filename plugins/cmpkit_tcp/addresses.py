"""``tcp`` and ``tcps`` addresses."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from cmpkit.errors import ConfigurationError

__all__ = ["DEFAULT_PORT", "TCPAddress"]

DEFAULT_PORT = 829
_EXAMPLE = "write tcp://HOST or tcp://HOST:PORT"


@dataclass(frozen=True, slots=True)
class TCPAddress:
    """Host and port.

    :param secured: whether TLS is spoken there.
    """

    host: str
    port: int
    secured: bool

    @classmethod
    def parse(cls, url: str) -> TCPAddress:
        """Read a URL.

        :raises ConfigurationError: if it is none, or has more than host and port.
        """
        try:
            parts = urlsplit(url)
            port = DEFAULT_PORT if parts.port is None else parts.port
        except ValueError as error:
            raise ConfigurationError(f"{url!r} is no address: {error}", hint=_EXAMPLE) from error
        if parts.scheme not in ("tcp", "tcps") or not parts.hostname:
            raise ConfigurationError(f"{url!r} names no host", hint=_EXAMPLE)
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise ConfigurationError(
                f"{parts.scheme}://{parts.hostname}: only host and port mean something", hint=_EXAMPLE
            )
        return cls(parts.hostname, port, parts.scheme == "tcps")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tcps' if self.secured else 'tcp'}://{host}:{self.port}"
