"""A road that leads straight to a handler, for tests and for endpoints within one process."""

from __future__ import annotations

from cmpkit.errors import TransportError
from cmpkit.parts import Disposition, Handler, Peer

__all__ = ["MemoryRoad"]


class MemoryRoad:
    """A client transport whose other end is a handler in the same process.

    :param handler: called with each message.
    :param peer: what the handler is told about where messages come from.
    :param max_message_size: octets; larger messages do not reach the handler.
    :param max_response_size: octets; larger answers are refused.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        peer: Peer = Peer("memory"),  # noqa: B008 - immutable
        max_message_size: int = 1 << 20,
        max_response_size: int = 1 << 20,
    ) -> None:
        self._handler = handler
        self._peer = peer
        self._max_message_size = max_message_size
        self._max_response_size = max_response_size

    async def exchange(self, request: bytes) -> bytes:
        """Hand one message to the handler, return its answer.

        :raises TransportError: if it has none, fails, or the message or the answer is too large.
        """
        if len(request) > self._max_message_size:
            raise TransportError(f"the message has {len(request)} octets, {self._max_message_size} are taken")
        try:
            answer = await self._handler(request, self._peer)
        except Exception as error:
            raise TransportError(f"the handler failed: {error!r}") from error
        if answer.der is None:
            said = answer.disposition.value
            raise TransportError(
                f"the handler has no CMP answer: {said}", retryable=answer.disposition is Disposition.UNAVAILABLE
            )
        if len(answer.der) > self._max_response_size:
            raise TransportError(f"the answer has {len(answer.der)} octets, {self._max_response_size} are taken")
        return answer.der

    async def announce(self, message: bytes) -> Disposition:
        """Hand an announcement to the handler; what became of it.

        :raises TransportError: if it was not taken.
        """
        answer = await self._handler(message, self._peer)
        if answer.disposition not in (Disposition.STORED, Disposition.UNAVAILABLE):
            raise TransportError(f"the announcement was not taken: {answer.disposition.value}")
        return answer.disposition

    async def aclose(self) -> None:
        """Nothing is held, so nothing is given up."""
