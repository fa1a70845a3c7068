"""What the server does on each connection."""

from __future__ import annotations

import logging
import ssl

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskGroup
from anyio.streams.tls import TLSAttribute, TLSStream

from cmpkit.parts import Answer, Disposition, Handler, Peer
from cmpkit_tcp.connection import Connection
from cmpkit_tcp.framing import ErrorType, Framing, FramingError, Unit, UnitType, error_unit
from cmpkit_tcp.later import Desk
from cmpkit_tcp.options import TCPServerOptions

__all__ = ["Attendant"]

_log = logging.getLogger("cmpkit.road")
_FAULTS = {
    Disposition.MALFORMED: (ErrorType.GENERAL_CLIENT_ERROR, "this is no CMP message"),
    Disposition.TOO_LARGE: (ErrorType.GENERAL_CLIENT_ERROR, "this message is too large"),
    Disposition.REFUSED: (ErrorType.GENERAL_CLIENT_ERROR, "this announcement is not believed, or not wanted"),
    Disposition.UNAVAILABLE: (ErrorType.GENERAL_SERVER_ERROR, "not now; send it again later"),
}
_LINGER_SECONDS = 2.0
_PAUSE_SECONDS = 0.5
_FROM_SERVERS = "only servers send units of this type"


class Attendant:
    """Serves connections.

    :param ending: set when connections are to end after the unit that they are at.
    """

    def __init__(
        self,
        handler: Handler,
        desk: Desk,
        options: TCPServerOptions,
        *,
        road: str,
        tls: ssl.SSLContext | None,
        max_message_size: int,
    ) -> None:
        self.ending = False
        self._handler, self._desk, self._options, self._road, self._tls = handler, desk, options, road, tls
        self._most = max_message_size
        self._idle: set[anyio.CancelScope] = set()
        self._places = anyio.Semaphore(options.max_connections)

    async def attend_all(self, listener: Listener[SocketStream], in_flight: TaskGroup) -> None:
        """Serve whoever connects, until cancelled.

        :param in_flight: where connections are served.
        """
        while True:
            try:
                await listener.serve(self.attend, in_flight)
            except* OSError as errors:
                # The table of open files is full, say: those who are connected go on.
                _log.warning("%s: no connection is taken for a moment: %s", self._road, errors.exceptions[0])
            await anyio.sleep(_PAUSE_SECONDS)

    def end(self) -> None:
        """End connections that are silent now, and others after the unit that they are at."""
        self.ending = True
        for scope in self._idle:
            scope.cancel()

    async def attend(self, stream: SocketStream) -> None:
        """Serve one connection, to its end."""
        address = str(stream.extra(SocketAttribute.remote_address, ("",))[0])  # noqa: S610 - no database
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            _log.warning("%s: a connection from %s is one too many", self._road, address)
            await anyio.aclose_forcefully(stream)
            return
        try:
            await self._serve(stream, address)
        except (OSError, EOFError, ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            _log.info("%s: the connection from %s: %s", self._road, address, str(error) or type(error).__name__)
        finally:
            self._places.release()
            with anyio.move_on_after(1, shield=True):
                await stream.aclose()

    async def _serve(self, plain: SocketStream, address: str) -> None:
        if self._tls is None:
            await self._exchange_all(Connection(plain, most=self._most), Peer(self._road, address))
            return
        with anyio.fail_after(self._options.unit_timeout.total_seconds()):
            secured = await TLSStream.wrap(plain, server_side=True, ssl_context=self._tls, standard_compatible=False)
        certificate = secured.extra(TLSAttribute.peer_certificate_binary, None)  # noqa: S610 - no database
        await self._exchange_all(Connection(secured, most=self._most), Peer(self._road, address, certificate))

    async def _exchange_all(self, connection: Connection, peer: Peer) -> None:
        while not self.ending and await self._begins(connection):
            if not await self._exchange(connection, peer):
                return

    async def _begins(self, connection: Connection) -> bool:
        """Wait for a unit; whether there is one, before the connection has been silent for too long."""
        with anyio.move_on_after(self._options.idle_timeout.total_seconds()) as scope:
            self._idle.add(scope)
            try:
                return await connection.wait()
            finally:
                self._idle.discard(scope)
        return False

    async def _exchange(self, connection: Connection, peer: Peer) -> bool:
        """Read a unit and answer it; whether the connection goes on."""
        limit = self._options.unit_timeout.total_seconds()
        close, in_step = False, True
        try:
            with anyio.fail_after(limit):
                unit = await connection.read()
        except FramingError as error:
            answer, in_step = error_unit(error.framing, error.error_type, str(error)), error.in_step
            if not in_step and error.framing is Framing.RFC_2510:
                return False
        else:
            answer, close = await self._answer(unit, peer), unit.close
        with anyio.fail_after(limit):
            await connection.write(answer.closing(close or not in_step))
        if not in_step:
            await connection.end(_LINGER_SECONDS)
        return in_step and not close

    async def _answer(self, unit: Unit, peer: Peer) -> Unit:
        framing = unit.framing
        if unit.type is UnitType.POLL_REQ:
            found = await self._desk.collect(unit.value, framing)
            return found or error_unit(framing, ErrorType.INVALID_POLL_ID, "this polling reference is unknown")
        if unit.type is not UnitType.MESSAGE:
            return error_unit(framing, ErrorType.INVALID_MESSAGE_TYPE, _FROM_SERVERS)

        async def work() -> Unit:
            return await self._handle(unit, peer)

        return await self._desk.do(work, framing)

    async def _handle(self, unit: Unit, peer: Peer) -> Unit:
        try:
            answer = await self._handler(unit.value, peer)
        except Exception:
            _log.exception("%s: a message from %s cannot be handled", self._road, peer.address)
            return error_unit(unit.framing, ErrorType.GENERAL_SERVER_ERROR, "the server failed, see its log")
        return _to_unit(answer, unit.framing)


def _to_unit(answer: Answer, framing: Framing) -> Unit:
    fault = _FAULTS.get(answer.disposition)
    if answer.der is not None and answer.disposition is not Disposition.UNAVAILABLE:
        return Unit(framing, UnitType.REPLY, answer.der)
    if fault is not None:
        return error_unit(framing, *fault)
    return Unit(framing, UnitType.NOTHING, b"\0")
