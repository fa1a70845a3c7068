"""Whether a transport keeps its contract: checks for authors of transports, to be awaited in their tests.

They run on asyncio and on trio, and take about a second. A breach is an :exc:`AssertionError` that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import anyio
from anyio.abc import TaskGroup, TaskStatus

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import (
    Answer,
    Check,
    ClientTransport,
    ClientTransportFactory,
    Disposition,
    Examination,
    Handler,
    Peer,
    RoadExaminer,
    ServerTransport,
    TransportOptions,
    Verdict,
)
from cmpkit.testing.contract import refused, require, require_name, require_schemes, success, task_group

__all__ = ["check_client_transport", "check_client_transport_factory", "check_server_transport"]

STEP_SECONDS = 30.0
MAX_MESSAGE_SIZE = 100_000
_SIZES = (1, 2, 127, 128, 1460, 16_384, 60_000)
_HOLD, _FAIL, _MALFORMED_WITH_DER = b"hold", b"fail", b"malformed, with an answer"
_SPECIAL = {
    b"nothing more": Answer(None, Disposition.NOTHING_MORE),
    b"malformed": Answer(None, Disposition.MALFORMED),
    b"too large": Answer(None, Disposition.TOO_LARGE),
    b"unavailable": Answer(None, Disposition.UNAVAILABLE),
    _MALFORMED_WITH_DER: Answer(b"a CMP error message", Disposition.MALFORMED),
}


async def check_client_transport(
    open_transport_to: Callable[[Handler], AbstractAsyncContextManager[ClientTransport]],
) -> None:
    """Check a client transport, with whatever server it talks to.

    Messages of 1 to 60,000 octets come and go unchanged, twenty exchanges at once do not mix, every way of having no
    CMP answer is a TransportError after which the transport still works, an exchange may be cancelled, and closing
    twice does no harm.

    :param open_transport_to: gives, for a handler, an async context manager with an open transport to a server that
        calls that handler with each message. It must take messages and answers of 60,000 octets.
    :raises AssertionError: naming what is wrong.
    """
    partner = _Partner()
    async with open_transport_to(partner) as transport:
        await _check_exchanges(transport, partner)
        await _check_cancelled_exchange(transport, partner)
        await transport.aclose()
        await transport.aclose()


async def check_client_transport_factory(factory: ClientTransportFactory, nowhere: str) -> None:
    """Check what opens client transports.

    Opening one to where nobody listens is no error, an exchange there is a TransportError; an address without anything
    after its scheme is a ConfigurationError. A :class:`~cmpkit.parts.RoadExaminer` reports what is wrong there.

    :param nowhere: an address with one of the factory's schemes at which nobody listens.
    :raises AssertionError: naming what is wrong.
    """
    require_schemes(factory)
    scheme = nowhere.partition(":")[0]
    require(scheme in factory.schemes, f"the check needs an address of {factory.schemes}, not of {scheme!r}")
    with success("open() must open a transport before anything is sent"):
        transport = factory.open(nowhere, TransportOptions(timeout=STEP_SECONDS))
    await _check_silence(transport, "an exchange with nobody")
    for address in ("", f"{scheme}:"):
        with refused(f"the address {address!r}", by=ConfigurationError):
            factory.open(address, TransportOptions())
    if isinstance(factory, RoadExaminer):
        await _check_examiner(factory, nowhere)


async def _check_examiner(factory: RoadExaminer, nowhere: str) -> None:
    found: list[Check] = []
    examination = Examination(TransportOptions(timeout=STEP_SECONDS), lambda: b"request", found.append)
    with success("examine() must report what is wrong, not raise it"):
        address = await factory.examine(nowhere, examination)
    require(address is None, f"examine() says that CMP answers at {address!r}, where nobody listens")
    require(
        [check.verdict for check in found[-1:]] == [Verdict.BAD],
        f"the last thing that examine() reports must be what is wrong, it reports {found}",
    )
    require(all(check.name and check.detail for check in found), f"a check needs a name and a detail: {found}")


async def check_server_transport(
    transport: ServerTransport, url: str, *, connect: Callable[[str], ClientTransport]
) -> None:
    """Check a server transport, through a client of the same road.

    Beside what :func:`check_client_transport` checks of the exchanges: the address that it reports is of its schemes
    and usable, the handler learns the road, a message of more than the permitted octets never reaches the handler,
    shutdown finishes what is in flight, and after shutdown or cancellation nothing is served any more.

    :param url: to listen on, best with port 0.
    :param connect: opens a client transport to the address that the server reports.
    :raises AssertionError: naming what is wrong.
    """
    require_name(transport)
    require_schemes(transport)
    with success(f"check() must accept {url!r}, on which it can listen"):
        transport.check(url)
    with refused("a URL with nothing after its scheme", by=ConfigurationError):
        transport.check(f"{transport.schemes[0]}:")
    partner = _Partner()
    shutdown = anyio.Event()
    async with task_group() as tasks:
        address, returned = await _start(tasks, transport, url, partner, shutdown)
        require(address.partition(":")[0] in transport.schemes, f"started({address!r}) is of none of its schemes")
        client = connect(address)
        await _check_exchanges(client, partner)
        require(
            all(peer.road == transport.name for peer in partner.peers),
            f"Peer.road must be {transport.name!r}, its name",
        )
        await _check_oversized(client, partner)
        await _check_shutdown(client, partner, shutdown)
        with _limit("serve() must return after shutdown"):
            await returned.wait()
        await client.aclose()
    await _check_silence(connect(address), "an exchange after shutdown of the server")
    await _check_cancellation(transport, url, connect)


class _Partner:
    """The handler of the checks; some messages have it do special things."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.largest = 0
        self.held = anyio.Event()
        self.release = anyio.Event()

    async def __call__(self, message: bytes, peer: Peer) -> Answer:
        self.peers.append(peer)
        self.largest = max(self.largest, len(message))
        if message == _FAIL:
            raise RuntimeError("the handler fails, as the check of the transport wants it")
        if message == _HOLD:
            self.held.set()
            await self.release.wait()
        return _SPECIAL.get(message) or Answer(_answer_to(message))


def _answer_to(message: bytes) -> bytes:
    return b"answer to " + message[::-1]


async def _start(
    tasks: TaskGroup, transport: ServerTransport, url: str, handler: Handler, shutdown: anyio.Event
) -> tuple[str, anyio.Event]:
    """Start to serve; returns the reported address, and what is set when ``serve`` has returned."""
    returned = anyio.Event()

    async def serve(*, task_status: TaskStatus[str]) -> None:
        await transport.serve(
            url, handler, max_message_size=MAX_MESSAGE_SIZE, shutdown=shutdown, task_status=task_status
        )
        returned.set()

    with _limit("serve() must call started()"):
        address: str = await tasks.start(serve)
    return address, returned


async def _check_exchanges(transport: ClientTransport, partner: _Partner) -> None:
    for size in _SIZES:
        await _check_exchange(transport, bytes(index % 251 for index in range(size)))
    async with task_group() as tasks:
        for number in range(20):
            tasks.start_soon(_check_exchange, transport, b"concurrent exchange %d" % number)
    for message in (_FAIL, *(message for message, answer in _SPECIAL.items() if answer.der is None)):
        await _check_refusal(transport, message, f"the handler's answer to {message!r}")
        await _check_exchange(transport, b"after " + message)
    await _check_exchange(transport, _MALFORMED_WITH_DER, b"a CMP error message")
    calls = len(partner.peers)
    await _check_exchange(transport, b"once")
    require(len(partner.peers) == calls + 1, "the handler must be called once for each message")


async def _check_exchange(transport: ClientTransport, message: bytes, expected: bytes | None = None) -> None:
    start = message[:40]
    try:
        with _limit(f"the answer to the message {start!r} did not come"):
            answer = await transport.exchange(message)
    except TransportError as error:
        raise AssertionError(
            f"the message {start!r} of {len(message)} octets must be answered, not: {error}"
        ) from error
    require(
        answer == (_answer_to(message) if expected is None else expected),
        f"the message {start!r} of {len(message)} octets, or its answer, was changed on the way or taken for another",
    )


async def _check_refusal(transport: ClientTransport, message: bytes, what: str) -> None:
    try:
        with _limit(f"{what} must be a TransportError at the client, not silence"):
            await transport.exchange(message)
    except TransportError:
        return
    raise AssertionError(f"{what} must be a TransportError at the client")


async def _check_cancelled_exchange(transport: ClientTransport, partner: _Partner) -> None:
    async with task_group() as tasks:
        tasks.start_soon(transport.exchange, _HOLD)
        with _limit("the handler must be called"):
            await partner.held.wait()
        tasks.cancel_scope.cancel()
    partner.release.set()
    await _check_exchange(transport, b"after a cancelled exchange")


async def _check_oversized(client: ClientTransport, partner: _Partner) -> None:
    await _check_exchange(client, bytes(MAX_MESSAGE_SIZE))
    await _check_refusal(client, bytes(MAX_MESSAGE_SIZE + 1), "a message that is too large")
    require(partner.largest <= MAX_MESSAGE_SIZE, "a message that is too large reached the handler")
    await _check_exchange(client, b"after one that was too large")


async def _check_shutdown(client: ClientTransport, partner: _Partner, shutdown: anyio.Event) -> None:
    async with task_group() as tasks:
        tasks.start_soon(_check_exchange, client, _HOLD)
        with _limit("the handler must be called"):
            await partner.held.wait()
        shutdown.set()
        # Nothing tells when the server has seen it; too short a time here would only make the check milder.
        await anyio.sleep(0.05)
        partner.release.set()


async def _check_cancellation(transport: ServerTransport, url: str, connect: Callable[[str], ClientTransport]) -> None:
    with _limit("a cancelled serve() must end"):
        async with task_group() as tasks:
            address, _ = await _start(tasks, transport, url, _Partner(), anyio.Event())
            tasks.cancel_scope.cancel()
    await _check_silence(connect(address), "an exchange after cancellation of the server")


async def _check_silence(client: ClientTransport, what: str) -> None:
    await _check_refusal(client, b"is anybody there?", what)
    await client.aclose()


@contextmanager
def _limit(otherwise: str) -> Iterator[None]:
    """Fail with that text if what is in the block takes too long."""
    try:
        with anyio.fail_after(STEP_SECONDS):
            yield
    except TimeoutError as error:
        raise AssertionError(otherwise) from error
