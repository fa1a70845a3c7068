"""How the messages of a client's operation get to the server and the answers back, whichever kind of road there is."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from cmpkit.asn1 import PKIMessage
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.reading import read_answer
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.errors import CMPError, TransportError
from cmpkit.parts import ClientTransport
from cmpkit.tolerances import Leniency
from cmpkit.transports.postbox import Postbox, answers_to

__all__ = ["Carrier", "carrier_for"]

T = TypeVar("T")

_log = logging.getLogger("cmpkit.client")
_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before a message that did not get through is sent again, and again."""


class Carrier(Protocol):
    """Carries the messages of one operation.

    :ivar doubts: why answers that came were not believed, while it was waited for others.
    :ivar apart: whether messages and answers travel apart, so that waiting for one is nothing unusual.
    """

    doubts: list[CMPError]
    apart: bool

    async def deliver(self, transaction: ClientTransaction) -> ClientTransaction:
        """Send the last message of a transaction, if that can be told from waiting for its answer and is not done yet.

        :returns: the transaction, with that noted; it is to be saved.
        :raises TransportError: if it cannot be sent.
        """

    async def answer(self, transaction: ClientTransaction) -> bytes:
        """What answers the last message of a transaction; it may come again until :meth:`settle`.

        :raises TransportError: if nothing comes.
        """

    def doubt(self, answer: bytes, error: CMPError) -> None:
        """An answer is not to be believed: wait for another one, if another one may come.

        :raises CMPError: the error, if none can.
        """

    async def settle(self) -> None:
        """What the answers meant is saved: they are not needed any more."""


def carrier_for(transport: ClientTransport, options: ClientOptions) -> Carrier:
    """What carries messages over a transport."""
    if isinstance(transport, Postbox):
        return _PostalCarrier(transport, options)
    return _DirectCarrier(transport, options)


async def _insist(attempt: Callable[[], Awaitable[T]], sleep: Callable[[float], Awaitable[None]]) -> T:
    """Try again a few times what fails and may not fail later."""
    for pause in _PAUSES:
        try:
            return await attempt()
        except TransportError as error:
            if not error.retryable:
                raise
            _log.info("%s; trying again", error)
            await sleep(pause)
    return await attempt()


@dataclass
class _DirectCarrier:
    """Over a road on which the answer comes back where the message goes."""

    transport: ClientTransport
    options: ClientOptions
    doubts: list[CMPError] = field(default_factory=list)
    apart: bool = False

    async def deliver(self, transaction: ClientTransaction) -> ClientTransaction:
        return transaction

    async def answer(self, transaction: ClientTransaction) -> bytes:
        return await _insist(lambda: self.transport.exchange(transaction.message), self.options.sleep)

    def doubt(self, answer: bytes, error: CMPError) -> None:
        raise error

    async def settle(self) -> None:
        """The answer is nowhere but here."""


@dataclass
class _PostalCarrier:
    """Over a store-and-forward road: what is sent is not sent again, and anybody may have put there what comes."""

    box: Postbox
    options: ClientOptions
    doubts: list[CMPError] = field(default_factory=list)
    apart: bool = True
    _doubted: set[bytes] = field(default_factory=set)
    _taken: list[bytes] = field(default_factory=list)

    async def deliver(self, transaction: ClientTransaction) -> ClientTransaction:
        if transaction.is_sent:
            return transaction
        await _insist(lambda: self.box.send(transaction.message), self.options.sleep)
        return replace(transaction, is_sent=True)

    async def answer(self, transaction: ClientTransaction) -> bytes:
        expected = transaction.correlation
        fits = answers_to(expected.transaction_id, expected.nonces, read=self._read)

        async def wanted(octets: bytes) -> bool:
            return _digest(octets) not in self._doubted and await fits(octets)

        answer = await self.box.fetch(wanted)
        self._taken.append(answer)
        return answer

    async def _read(self, octets: bytes) -> PKIMessage:
        return await read_answer(octets, Leniency(self.options.tolerances))

    def doubt(self, answer: bytes, error: CMPError) -> None:
        # It stays where it is: with other options it may be believed.
        self._taken.remove(answer)
        self._doubted.add(_digest(answer))
        self.doubts.append(error)
        _log.warning("an answer that came is not believed: %s; waiting for another one", error)

    async def settle(self) -> None:
        while self._taken:
            try:
                await self.box.done(self._taken[-1])
            except TransportError as error:
                _log.warning("an answer stays where it is, although it is read: %s", error)
            self._taken.pop()


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
