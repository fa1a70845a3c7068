"""Whether a store-and-forward road keeps its contract; see :func:`cmpkit.testing.check_transport`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio

from cmpkit.errors import TransportError
from cmpkit.parts import ForwardingTransport, Road, ServerTransport, Wanted
from cmpkit.testing.contract import require, task_group
from cmpkit.testing.partner import (
    FAIL_AT_FIRST,
    HOLD,
    MALFORMED_WITH_DER,
    MAX_MESSAGE_SIZE,
    SIZES,
    UNAVAILABLE_AT_FIRST,
    Partner,
    answer_to,
    limit,
    message_of,
    require_server,
    start,
)
from cmpkit.transports import Postbox

__all__ = ["check_forwarding"]

_WITHOUT_ANSWER = (b"nothing more", b"malformed", b"too large")
_AT_ONCE = 20


async def check_forwarding(
    server: ServerTransport, url: str, *, connect: Callable[[str], Road], schemes: tuple[str, ...], servers: int
) -> None:
    """Check both sides of a store-and-forward road.

    :param schemes: of the addresses of clients.
    :param servers: how many may serve an address at once; more than one are tried with two.
    :raises AssertionError: naming what is wrong.
    """
    require_server(server, url)
    place = _Place(server, url, connect, schemes)
    await _check_exchanges(place)
    await _check_correlation(place)
    await _check_trouble(place)
    await _check_shutdown(place)
    await _check_absence(place)
    await _check_crash(place)
    if servers > 1:
        await _check_two_servers(place)


@dataclass
class _Place:
    """Where it is served, over and over, with what is there staying there."""

    server: ServerTransport
    url: str
    connect: Callable[[str], Road]
    schemes: tuple[str, ...]
    address: str = ""

    @asynccontextmanager
    async def served(self, partner: Partner) -> AsyncIterator[anyio.Event]:
        """A server until the block ends; gives what ends it."""
        shutdown = anyio.Event()
        async with task_group() as tasks:
            self.address, returned = await start(tasks, self.server, self.url, partner, shutdown)
            scheme = self.address.partition(":")[0]
            require(scheme in self.schemes, f"started({self.address!r}) is no address for clients, {self.schemes}")
            yield shutdown
            shutdown.set()
            with limit("serve() must return after shutdown"):
                await returned.wait()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ForwardingTransport]:
        """A transport until the block ends."""
        transport = self.connect(self.address)
        require(
            isinstance(transport, ForwardingTransport),
            "the server transport says that it is delayed: its client must have send(), receive() and done()",
        )
        assert isinstance(transport, ForwardingTransport)
        try:
            yield transport
        finally:
            await transport.aclose()
            await transport.aclose()


def _exactly(*expected: bytes) -> Wanted:
    async def wanted(message: bytes) -> bool:
        return message in expected

    return wanted


async def _send(client: ForwardingTransport, message: bytes) -> None:
    try:
        with limit(f"send() of {message[:40]!r} must return when it is handed over"):
            await client.send(message)
    except TransportError as error:
        raise AssertionError(f"the message {message[:40]!r} must be taken, not: {error}") from error


async def _receive(client: ForwardingTransport, *expected: bytes) -> bytes:
    with limit(f"what was waited for did not come, or came changed: {expected[0][:40]!r}"):
        return await client.receive(_exactly(*expected))


async def _exchange(client: ForwardingTransport, message: bytes, answer: bytes | None = None) -> None:
    await _send(client, message)
    came = await _receive(client, answer_to(message) if answer is None else answer)
    await client.done(came)


async def _check_exchanges(place: _Place) -> None:
    partner = Partner()
    async with place.served(partner), place.client() as client:
        for size in SIZES:
            await _exchange(client, message_of(size))
        require(
            all(peer.road == place.server.name for peer in partner.peers), "Peer.road must be the name of the transport"
        )
        box = Postbox(client)

        async def ask(number: int) -> None:
            message = b"concurrent message %d" % number
            await box.send(message)
            with limit("twenty messages at once must all be answered"):
                await box.done(await box.fetch(_exactly(answer_to(message))))

        async with task_group() as tasks:
            for number in range(_AT_ONCE):
                tasks.start_soon(partial(ask, number))
        again = [message[:40] for message, calls in partner.calls.items() if calls > 1]
        require(not again, f"the handler must be called once for each message, not again for {again}")
        try:
            with limit("send() must return, also of what is too large"):
                await client.send(bytes(MAX_MESSAGE_SIZE + 1))
        except TransportError:
            pass
        await _exchange(client, bytes(MAX_MESSAGE_SIZE))
        require(partner.largest <= MAX_MESSAGE_SIZE, "a message that is too large reached the handler")


async def _check_correlation(place: _Place) -> None:
    async with place.served(Partner()), place.client() as client, place.client() as other:
        first, second = b"the first", b"the second"
        await _send(client, first)
        await _send(client, second)
        came = await _receive(other, answer_to(second))
        require(
            await _receive(client, answer_to(second)) == came, "what receive() returned must stay until it is done()"
        )
        await other.done(came)
        await other.done(came)
        await client.done(await _receive(client, answer_to(first), answer_to(second)))
        third = b"the third"
        await _send(client, third)
        came = await _receive(client, *(answer_to(message) for message in (first, second, third)))
        require(came == answer_to(third), f"what is done() must not come again: {came!r}")
        with anyio.move_on_after(0.2):
            await client.receive(_exactly(b"nothing like that will come"))
        require(await _receive(client, came) == came, "receive() must look at everything anew, also after cancellation")
    async with place.served(Partner()), place.client() as client:
        require(await _receive(client, came) == came, "an answer must still be there for another transport")
        await client.done(came)


async def _check_trouble(place: _Place) -> None:
    partner = Partner()
    async with place.served(partner), place.client() as client:
        for message in _WITHOUT_ANSWER:
            await _send(client, message)
            with limit("the handler must be called with each message"):
                await partner.called_with(message)
            await _exchange(client, b"after " + message)
        await _send(client, MALFORMED_WITH_DER)
        await _exchange(client, UNAVAILABLE_AT_FIRST)
        await _exchange(client, FAIL_AT_FIRST)
    for message in (UNAVAILABLE_AT_FIRST, FAIL_AT_FIRST):
        require(partner.calls[message] == 2, "a message that cannot be handled now must be handled again, until it is")
    later = Partner()
    async with place.served(later), place.client() as client:
        await _exchange(client, b"once more")
    require(
        set(later.calls) == {b"once more"},
        f"what was handled or put aside must not be handled again: {set(later.calls)}",
    )


async def _check_shutdown(place: _Place) -> None:
    partner = Partner()
    async with place.served(partner) as shutdown, place.client() as client:
        await _send(client, HOLD)
        with limit("the handler must be called"):
            await partner.held.wait()
        shutdown.set()
        # Nothing tells when the server has seen it; too short a time here would only make the check milder.
        await anyio.sleep(0.05)
        partner.release.set()
    async with place.client() as client:
        await client.done(await _receive(client, answer_to(HOLD)))


async def _check_absence(place: _Place) -> None:
    message = b"is anybody there?"
    async with place.client() as client:
        await _send(client, message)
    partner = Partner()
    async with place.served(partner), place.client() as client:
        await client.done(await _receive(client, answer_to(message)))
    require(partner.calls[message] == 1, "a message that was sent while nobody served must be handled later, once")


async def _check_crash(place: _Place) -> None:
    dying = Partner()
    with limit("a cancelled serve() must end"):
        async with task_group() as tasks:
            await start(tasks, place.server, place.url, dying, anyio.Event())
            async with place.client() as client:
                await _send(client, HOLD)
                await dying.held.wait()
            tasks.cancel_scope.cancel()
    living = Partner()
    living.release.set()
    async with place.served(living), place.client() as client:
        await client.done(await _receive(client, answer_to(HOLD)))
    require(living.calls[HOLD] == 1, "what a server that is gone had claimed must be handled by the next one")


async def _check_two_servers(place: _Place) -> None:
    partner = Partner()
    messages = [b"for either %d" % number for number in range(2 * _AT_ONCE)]
    async with place.served(partner), place.served(partner), place.client() as client:
        for message in messages:
            await _send(client, message)
        for message in messages:
            await client.done(await _receive(client, answer_to(message)))
    require(
        all(partner.calls[message] == 1 for message in messages),
        "two servers at one address must not handle a message twice",
    )
