"""Units over a stream, with bounds on their size and time."""

from __future__ import annotations

import contextlib

import anyio
from anyio.abc import ByteStream, SocketStream

from cmpkit_tcp.framing import PREFIX_SIZE, Prefix, Unit

__all__ = ["Connection"]


class Connection:
    """A connection on which units come and go.

    :param most: octets that the value of a unit may have; nothing longer is read.
    """

    def __init__(self, stream: ByteStream, *, most: int) -> None:
        self.stream, self._most = stream, most
        self._octets = bytearray()

    async def wait(self) -> bool:
        """Wait until a unit begins; whether one does, or the other side is done."""
        return bool(self._octets) or await self._receive()

    async def read(self) -> Unit:
        """The next unit.

        :raises FramingError: if what comes is none.
        :raises EOFError: if the connection ends before it is whole.
        :raises OSError: if the connection fails.
        """
        prefix = Prefix.read(await self._take(PREFIX_SIZE), self._most)
        return Unit.read(prefix, await self._take(prefix.rest))

    async def write(self, unit: Unit) -> None:
        """Send a unit.

        :raises OSError: if the connection fails.
        """
        try:
            await self.stream.send(unit.to_octets())
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise ConnectionError("the connection broke") from error

    async def end(self, seconds: float) -> None:
        """Say that nothing more comes, and pass over what the other side is still sending.

        A connection that is closed with octets unread is reset, and the last unit may never be seen.

        :param seconds: how long that may take.
        """
        with anyio.move_on_after(seconds), contextlib.suppress(ConnectionError):
            if isinstance(self.stream, SocketStream):
                await self.stream.send_eof()
            while await self._receive():
                self._octets.clear()

    async def _take(self, count: int) -> bytes:
        while len(self._octets) < count:
            if not await self._receive():
                raise EOFError("the connection ended in the middle")
        taken = bytes(self._octets[:count])
        del self._octets[:count]
        return taken

    async def _receive(self) -> bool:
        try:
            self._octets += await self.stream.receive()
        except anyio.EndOfStream:
            return False
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise ConnectionError("the connection broke") from error
        return True
