"""Where the server listens: the parsed URL, and the sockets."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio

from cmpkit.errors import ConfigurationError
from cmpkit_http.addresses import WELL_KNOWN_PATH

__all__ = ["ListenAddress", "open_sockets"]

BACKLOG = 512
_PORTS = {False: 80, True: 443}


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A URL to listen on, in its parts.

    :param url: as it was given, for errors.
    :param host: a name or an address, IPv6 without brackets.
    :param port: 0 lets the system choose.
    :param secured: whether there is TLS.
    :param path: begins with a slash; ``/.well-known/cmp`` if the URL had none.
    """

    url: str
    host: str
    port: int
    path: str
    secured: bool = False

    @classmethod
    def parse(cls, url: str) -> ListenAddress:
        """Read a URL to listen on.

        :raises ConfigurationError: if it is none.
        """
        try:
            parts = urlsplit(url)
            secured = parts.scheme == "https"
            port = _PORTS[secured] if parts.port is None else parts.port
        except ValueError as error:
            raise ConfigurationError(f"cannot listen on {url}: {error}", hint="write http://HOST:PORT/PATH") from error
        if not parts.hostname:
            raise ConfigurationError(
                f"cannot listen on {url}: it names no host", hint="0.0.0.0 and [::] mean every address of this machine"
            )
        if parts.query or parts.fragment or parts.username is not None:
            raise ConfigurationError(
                f"cannot listen on {parts.scheme}://{parts.hostname}: a user, query or fragment has no meaning here",
                hint="write http://HOST:PORT/PATH",
            )
        if not parts.path.isascii() or "%" in parts.path:
            raise ConfigurationError(f"cannot listen on {url}: the path must be plain ASCII, without %-escapes")
        path = parts.path if parts.path.strip("/") else WELL_KNOWN_PATH
        return cls(url, parts.hostname, port, path, secured)

    def at_port(self, port: int) -> str:
        """The URL for clients, with the port that is really used."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secured else 'http'}://{host}:{port}{self.path}"


async def open_sockets(address: ListenAddress) -> list[socket.socket]:
    """Listening sockets, one for each address that the host name stands for, all on one port.

    :raises ConfigurationError: naming the URL and the cause.
    """
    try:
        found = await anyio.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise _refusal(address, error) from error
    sockets: list[socket.socket] = []
    refused = OSError(errno.EADDRNOTAVAIL, "the host name has no address")
    for family, _, _, _, target in dict.fromkeys(found):
        port = sockets[0].getsockname()[1] if sockets else address.port
        try:
            sockets.append(_listen(family, (target[0], port, *target[2:])))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                _close(sockets)
                raise _refusal(address, error) from error
            refused = error
    if not sockets:
        raise _refusal(address, refused) from refused
    return sockets


def _listen(family: int, target: tuple[object, ...]) -> socket.socket:
    # The protocol number is given, because asyncio sets TCP_NODELAY only on sockets that have it; without, an answer
    # waits 40 ms for the client's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(target)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _refusal(address: ListenAddress, error: OSError | UnicodeError) -> ConfigurationError:
    cause, hint = str(error), _OTHER_ADDRESS
    if isinstance(error, socket.gaierror):
        cause = f"the host name cannot be resolved ({error.strerror})"
    elif isinstance(error, OSError):
        cause = error.strerror or cause
        hint = _HINTS.get(error.errno or 0, hint)
    return ConfigurationError(f"cannot listen on {address.url}: {cause}", hint=hint)


_OTHER_ADDRESS = "give an address of this machine, e.g. 127.0.0.1 or [::1]"
_HINTS = {
    errno.EADDRINUSE: "another program has the port: stop it, or choose another port",
    errno.EACCES: "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE on Linux): choose a higher one",
}
