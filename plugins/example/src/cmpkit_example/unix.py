"""A road: one message and its answer through a Unix domain socket, ``unix:///run/cmp.sock``.

Each exchange has a connection of its own. A request is its length (4 octets, the most significant first) and the
message; an answer is one octet that says what became of the request, its length (4 octets), and a message or nothing.
"""

from __future__ import annotations

import contextlib
import logging
import struct
from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio
from anyio.abc import ByteStream, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Answer, Disposition, Handler, Peer, TransportOptions
from cmpkit.transports import refuse_other_options

__all__ = ["UnixClient", "UnixClients", "UnixServer"]

_log = logging.getLogger("cmpkit_example.unix")
_REQUEST, _ANSWER = struct.Struct(">I"), struct.Struct(">BI")
_DISPOSITIONS = (
    Disposition.ANSWERED,
    Disposition.NOTHING_MORE,
    Disposition.MALFORMED,
    Disposition.TOO_LARGE,
    Disposition.UNAVAILABLE,
)
_LOST = (OSError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)
_REQUEST_SECONDS = 10.0


def _socket_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "unix" or parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ConfigurationError(f"{url!r} names no socket", hint="write unix:///PATH")
    return Path(unquote(parts.path))


class UnixClients:
    """The part for clients; see :class:`cmpkit.parts.ClientTransportFactory`."""

    schemes: tuple[str, ...] = ("unix",)

    def open(self, url: str, options: TransportOptions) -> UnixClient:
        """A transport to the socket; it is connected to with each exchange."""
        refuse_other_options(options, url)
        return UnixClient(_socket_path(url), options)


class UnixClient:
    """See :class:`cmpkit.parts.ClientTransport`."""

    def __init__(self, path: Path, options: TransportOptions) -> None:
        self._path, self._options = path, options

    async def exchange(self, request: bytes) -> bytes:
        """Send one message, return the one that answers it."""
        try:
            with anyio.fail_after(self._options.timeout):
                async with await anyio.connect_unix(self._path) as stream:
                    disposition, der = await self._talk(stream, request)
        except TimeoutError as error:
            raise TransportError(
                f"no answer within {self._options.timeout} s at {self._path}", retryable=True
            ) from error
        except _LOST as error:
            raise TransportError(f"nobody answers at {self._path}: {error!r}", retryable=True) from error
        if not der:
            retryable = disposition is Disposition.UNAVAILABLE
            raise TransportError(f"there is no CMP answer at {self._path}: {disposition.value}", retryable=retryable)
        return der

    async def _talk(self, stream: ByteStream, request: bytes) -> tuple[Disposition, bytes]:
        await stream.send(_REQUEST.pack(len(request)) + request)
        received = BufferedByteReceiveStream(stream)
        code, size = _ANSWER.unpack(await received.receive_exactly(_ANSWER.size))
        if code >= len(_DISPOSITIONS) or size > self._options.max_response_size:
            raise TransportError(f"what answers at {self._path} is too large, or is no CMP server")
        return _DISPOSITIONS[code], await received.receive_exactly(size) if size else b""

    async def aclose(self) -> None:
        """Between exchanges nothing is open."""


class UnixServer:
    """The part for servers; see :class:`cmpkit.parts.ServerTransport`."""

    name = "unix"
    schemes: tuple[str, ...] = ("unix",)
    delayed = False

    def check(self, url: str) -> None:
        """Whether the URL names a socket."""
        _socket_path(url)

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """Listen on a new socket, which only the owner of this process may use, until ``shutdown``."""
        path = _socket_path(url)
        conversation = _Conversation(handler, Peer(self.name, str(path)), max_message_size)
        try:
            listener = await anyio.create_unix_listener(path, mode=0o600)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot listen on {path}: {error}", hint="choose a shorter path") from error
        try:
            # Left in reverse: no more connections, the listener closes, what is in flight ends.
            async with anyio.create_task_group() as conversations, listener, anyio.create_task_group() as accepting:
                accepting.start_soon(listener.serve, conversation.hold, conversations)
                task_status.started(url)
                await shutdown.wait()
                accepting.cancel_scope.cancel()
        finally:
            path.unlink(missing_ok=True)


class _Conversation:
    """The server's side of one connection."""

    def __init__(self, handler: Handler, peer: Peer, max_message_size: int) -> None:
        self._handler, self._peer, self._max_message_size = handler, peer, max_message_size

    async def hold(self, stream: ByteStream) -> None:
        async with stream:
            # A peer that is gone, or too slow, gets no answer; nobody waits for it.
            with contextlib.suppress(TimeoutError, *_LOST):
                answer = await self._answer(stream)
                der = answer.der or b""
                await stream.send(_ANSWER.pack(_DISPOSITIONS.index(answer.disposition), len(der)) + der)

    async def _answer(self, stream: ByteStream) -> Answer:
        received = BufferedByteReceiveStream(stream)
        with anyio.fail_after(_REQUEST_SECONDS):
            (size,) = _REQUEST.unpack(await received.receive_exactly(_REQUEST.size))
            if size > self._max_message_size:
                return Answer(None, Disposition.TOO_LARGE)
            message = await received.receive_exactly(size)
        try:
            return await self._handler(message, self._peer)
        except Exception:
            _log.exception("a message of %d octets could not be handled", size)
            return Answer(None, Disposition.UNAVAILABLE)
