"""The client's side; see :class:`cmpkit.parts.ClientTransport`."""

from __future__ import annotations

import ssl
import time
from typing import Final

import anyio
from anyio.abc import ByteStream

from cmpkit.errors import TransportError
from cmpkit.parts import Disposition, TransportOptions
from cmpkit_tcp.addresses import TCPAddress
from cmpkit_tcp.connection import Connection
from cmpkit_tcp.framing import ErrorType, Framing, FramingError, Later, Unit, UnitType

__all__ = ["TCPClient"]

_LONGEST_PAUSE: Final = 3600.0
_SHORTEST_PAUSE: Final = 0.05


class TCPClient:
    """Sends units one by one, over a connection that is kept for the next, or a new one.

    :param tls: for ``tcps``.
    """

    def __init__(
        self, address: TCPAddress, framing: Framing, options: TransportOptions, tls: ssl.SSLContext | None
    ) -> None:
        self._address, self._framing, self._options, self._tls = address, framing, options, tls
        self._kept: Connection | None = None
        self._closed = False

    async def exchange(self, request: bytes) -> bytes:
        """Send one DER message, return the one that answers it.

        :raises TransportError: if none came back.
        """
        answer = await self._ask(request)
        if answer.type is UnitType.NOTHING:
            raise TransportError(f"{self._address} has no answer to this message")
        return answer.value

    async def announce(self, message: bytes) -> Disposition:
        """Send an announcement; a server that took it has nothing to say.

        :raises TransportError: if it was not taken.
        """
        try:
            answer = await self._ask(message)
        except TransportError as error:
            if error.retryable and isinstance(error, _Refused):
                return Disposition.UNAVAILABLE
            raise
        if answer.type is not UnitType.NOTHING:
            raise TransportError(f"{self._address} answered an announcement, which has no answer")
        return Disposition.STORED

    async def aclose(self) -> None:
        """Close the connection."""
        self._closed = True
        await self._give_up(self._take_kept())

    async def _ask(self, message: bytes) -> Unit:
        if self._closed:
            raise TransportError("this transport is closed")
        try:
            with anyio.fail_after(self._options.timeout):
                return await self._ask_in_time(message)
        except TimeoutError as error:
            raise TransportError(
                f"{self._address}: no answer within {self._options.timeout:g} s", retryable=True
            ) from error

    async def _ask_in_time(self, message: bytes) -> Unit:
        kept = self._take_kept()
        request = Unit(self._framing, UnitType.MESSAGE, message)
        if kept is not None:
            try:
                return await self._converse(kept, request)
            except _Ended:
                # It was idle for too long: that says nothing about the server.
                pass
        return await self._converse(await self._connect(), request)

    async def _converse(self, connection: Connection, request: Unit) -> Unit:
        """Send a unit, and poll for the answer if need be."""
        partial: Unit | None = None
        keep = False
        try:
            while True:
                answer = await self._exchange(connection, request)
                keep = not answer.close
                if answer.type is UnitType.ERROR:
                    raise _Refused(self._address, answer)
                if answer.type is UnitType.NOTHING and partial is not None:
                    return partial
                if answer.type in (UnitType.REPLY, UnitType.MESSAGE, UnitType.NOTHING):
                    return answer
                later, value = self._later(answer)
                if answer.type is UnitType.PARTIAL:
                    partial = Unit(answer.framing, UnitType.REPLY, value)
                await anyio.sleep(min(max(later.at - time.time(), _SHORTEST_PAUSE), _LONGEST_PAUSE))
                if not keep:
                    await self._give_up(connection)
                    connection = await self._connect()
                request, keep = Unit(request.framing, UnitType.POLL_REQ, later.reference), False
        finally:
            if keep and self._kept is None and not self._closed:
                self._kept = connection
            else:
                await self._give_up(connection)

    def _later(self, answer: Unit) -> tuple[Later, bytes]:
        if answer.type not in (UnitType.POLL_REP, UnitType.PARTIAL):
            raise TransportError(f"{self._address} sent a unit of type {answer.type.name}, which only clients send")
        try:
            return Later.read(answer.value, time.time())
        except ValueError as error:
            raise TransportError(f"{self._address} sent a unit that is not whole: {error}") from error

    async def _exchange(self, connection: Connection, request: Unit) -> Unit:
        try:
            await connection.write(request)
            if not await connection.wait():
                raise _Ended(self._address, "it closed the connection without an answer")
        except OSError as error:
            raise _Ended(self._address, str(error)) from error
        try:
            return await connection.read()
        except (FramingError, EOFError, OSError) as error:
            raise TransportError(
                f"{self._address} sent what is no CMP over TCP: {error}", hint="is another protocol spoken there?"
            ) from error

    async def _connect(self) -> Connection:
        address = self._address
        try:
            stream: ByteStream
            if self._tls is None:
                stream = await anyio.connect_tcp(address.host, address.port)
            else:
                stream = await anyio.connect_tcp(
                    *(address.host, address.port),
                    tls=True,
                    ssl_context=self._tls,
                    tls_standard_compatible=False,
                    tls_hostname=self._options.tls_host or address.host,
                )
        except ssl.SSLError as error:
            raise TransportError(
                f"{address}: TLS failed: {getattr(error, 'verify_message', '') or error.reason or error}",
                hint="see --tls-trusted, --tls-cert and --tls-host",
                tls=True,
            ) from error
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise TransportError(f"{address} cannot be reached: {error}", retryable=True) from error
        # The value of a partial answer has a reference and a time before the message.
        return Connection(stream, most=self._options.max_response_size + 8)

    def _take_kept(self) -> Connection | None:
        kept, self._kept = self._kept, None
        return kept

    @staticmethod
    async def _give_up(connection: Connection | None) -> None:
        if connection is not None:
            with anyio.move_on_after(1, shield=True):
                await anyio.aclose_forcefully(connection.stream)


class _Ended(TransportError):
    """The connection ended before anything came back."""

    def __init__(self, address: TCPAddress, why: str) -> None:
        super().__init__(f"{address}: {why}", retryable=True)


class _Refused(TransportError):
    """The server says that something is wrong."""

    def __init__(self, address: TCPAddress, unit: Unit) -> None:
        later = unit.error_type == ErrorType.GENERAL_SERVER_ERROR
        super().__init__(f"{address} refused: {unit.text or 'without a reason'}", retryable=later)
