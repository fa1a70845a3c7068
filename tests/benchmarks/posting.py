"""How the clients of the benchmarks send a message and get the answer, with as little of cmpkit as possible."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from cmpkit.asn1 import PKIMessage, decode_message

__all__ = ["Post", "posting"]

Post: TypeAlias = Callable[[bytes], PKIMessage]

_MEDIA_TYPE = "application/pkixcmp"
_VERSION, _REQUEST, _REPLIES = 10, 0, (3, 5)
_LOOK_SECONDS = 0.005


@contextlib.contextmanager
def posting(url: str) -> Iterator[Post]:
    """A connection to a server, by the scheme of its URL, for one enrolment."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    if parts.scheme == "file":
        yield _Folder(Path(unquote(parts.path)))
    elif parts.scheme == "tcp":
        with socket.create_connection((host, port)) as connection:
            yield _TCP(connection)
    elif parts.scheme == "https":
        # What it would cost to look at the certificate is the client's.
        context = ssl._create_unverified_context()
        with contextlib.closing(http.client.HTTPSConnection(host, port, context=context)) as secured:
            yield _HTTP(secured, parts.path)
    else:
        with contextlib.closing(http.client.HTTPConnection(host, port)) as plain:
            yield _HTTP(plain, parts.path)


class _HTTP:
    def __init__(self, connection: http.client.HTTPConnection, path: str) -> None:
        self._connection, self._path = connection, path

    def __call__(self, der: bytes) -> PKIMessage:
        headers = {"Content-Type": _MEDIA_TYPE, "Connection": "keep-alive"}
        self._connection.request("POST", self._path, der, headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"HTTP status {response.status}: {body!r}")
        return decode_message(body)


class _TCP:
    """The framing of version 10."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def __call__(self, der: bytes) -> PKIMessage:
        self._connection.sendall((len(der) + 3).to_bytes(4) + bytes((_VERSION, 0, _REQUEST)) + der)
        unit = self._receive(int.from_bytes(self._receive(4)))
        if unit[2] not in _REPLIES:
            raise RuntimeError(f"a unit of type {unit[2]}: {unit[3:]!r}")
        return decode_message(unit[3:])

    def _receive(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            more = self._connection.recv(count - len(octets))
            if not more:
                raise RuntimeError("the connection ended")
            octets += more
        return octets


class _Folder:
    """A drop-directory; what is put down here need not survive a power failure."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, der: bytes) -> PKIMessage:
        name = f"{secrets.token_hex(8)}.pki"
        partial = self._root / "in" / f".{name}.tmp"
        partial.write_bytes(der)
        partial.rename(self._root / "in" / name)
        answer = self._root / "out" / name
        while not answer.exists():
            time.sleep(_LOOK_SECONDS)
        return decode_message(answer.read_bytes())
