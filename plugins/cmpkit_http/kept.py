"""Connections that are kept between messages to one ``http`` address, for who sends many of them.

A registration authority passes every message on. By httpx, with its pool, that takes more CPU time than everything else
that is done for the message; here h11 reads and writes, and a connection is taken from a stack.
"""

from __future__ import annotations

import select
from collections import deque
from dataclasses import dataclass
from typing import Final

import anyio
import h11
import httpx
from anyio.abc import SocketAttribute, SocketStream

from cmpkit_http.media import CMP_MEDIA_TYPE

__all__ = ["KeptAnswer", "KeptConnections"]

_IDLE_SECONDS: Final = 4.0
"""Shorter than servers keep idle connections."""
_MOST_IDLE: Final = 64
_READ_OCTETS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What came back.

    :param headers: by their names in small letters; of several with one name the last.
    :param body: whole, or more than the limit of one that is larger.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    version: str


@dataclass(slots=True)
class _Connection:
    stream: SocketStream
    descriptor: int
    state: h11.Connection
    idle_since: float = 0.0

    def is_stale(self, now: float) -> bool:
        """Whether it is better not used: it was idle for long, or the server has closed it."""
        if now - self.idle_since > _IDLE_SECONDS:
            return True
        return _is_readable(self.descriptor)


def _is_readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([descriptor], [], [], 0)[0])
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))


class KeptConnections:
    """Connections to one address, without TLS and without a proxy.

    :param url: of the scheme ``http``.
    """

    def __init__(self, url: httpx.URL) -> None:
        self._url = url
        host = url.netloc.decode("ascii")
        self._headers = [
            ("host", host),
            ("content-type", CMP_MEDIA_TYPE),
            ("accept", CMP_MEDIA_TYPE),
            ("accept-encoding", "identity"),
            ("user-agent", "cmpkit"),
        ]
        self._idle: deque[_Connection] = deque()

    async def post(self, content: bytes, limit: int) -> KeptAnswer:
        """POST some octets; the connection is kept if the server keeps it.

        :param limit: octets of a body that are read at most.
        :raises httpx.HTTPError: if the connection breaks off, or what comes is no HTTP.
        :raises OSError: if there is no connection.
        """
        connection = await self._connection()
        try:
            answer = await self._exchange(connection, content, limit)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            await anyio.aclose_forcefully(connection.stream)
            raise httpx.ReadError(str(error)) from error
        except h11.RemoteProtocolError as error:
            await anyio.aclose_forcefully(connection.stream)
            raise httpx.RemoteProtocolError(str(error)) from error
        except BaseException:
            await anyio.aclose_forcefully(connection.stream)
            raise
        await self._give_back(connection)
        return answer

    async def _connection(self) -> _Connection:
        now = anyio.current_time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale(now):
                return connection
            await anyio.aclose_forcefully(connection.stream)
        stream = await anyio.connect_tcp(self._url.host, self._url.port or 80)
        descriptor: int = stream.extra(SocketAttribute.raw_socket).fileno()  # noqa: S610 - of anyio
        return _Connection(stream, descriptor, h11.Connection(h11.CLIENT))

    async def _exchange(self, connection: _Connection, content: bytes, limit: int) -> KeptAnswer:
        state = connection.state
        head = h11.Request(
            method="POST",
            target=self._url.raw_path,
            headers=[*self._headers, ("content-length", str(len(content)))],
        )
        octets = (state.send(head) or b"") + (state.send(h11.Data(data=content)) or b"")
        await connection.stream.send(octets + (state.send(h11.EndOfMessage()) or b""))
        response: h11.Response | None = None
        body = bytearray()
        while len(body) <= limit:
            event = state.next_event()
            if event is h11.NEED_DATA:
                try:
                    state.receive_data(await connection.stream.receive(_READ_OCTETS))
                except anyio.EndOfStream:
                    state.receive_data(b"")
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif not isinstance(event, h11.InformationalResponse):
                break
        if response is None:
            raise h11.RemoteProtocolError("the server sent no answer")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
        version = f"HTTP/{response.http_version.decode('latin-1')}"
        return KeptAnswer(response.status_code, headers, bytes(body), version)

    async def _give_back(self, connection: _Connection) -> None:
        state = connection.state
        if state.our_state is h11.DONE and state.their_state is h11.DONE and len(self._idle) < _MOST_IDLE:
            state.start_next_cycle()
            connection.idle_since = anyio.current_time()
            self._idle.append(connection)
        else:
            await anyio.aclose_forcefully(connection.stream)

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            await anyio.aclose_forcefully(self._idle.pop().stream)
