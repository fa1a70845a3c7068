"""Whether a transport keeps its contract: checks for authors of transports, to be awaited in their tests.

They run on asyncio and on trio, and take about a second. A breach is an :exc:`AssertionError` that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import anyio

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import (
    Check,
    ClientTransport,
    ClientTransportFactory,
    Examination,
    ForwardingTransport,
    Handler,
    Road,
    RoadExaminer,
    ServerTransport,
    TransportOptions,
    Verdict,
)
from cmpkit.testing.contract import refused, require, require_schemes, success, task_group
from cmpkit.testing.forwarding import check_forwarding
from cmpkit.testing.partner import (
    FAIL,
    HOLD,
    MALFORMED_WITH_DER,
    MAX_MESSAGE_SIZE,
    SIZES,
    SPECIAL,
    STEP_SECONDS,
    Partner,
    answer_to,
    limit,
    message_of,
    require_server,
    start,
)

__all__ = ["check_client_transport", "check_client_transport_factory", "check_server_transport", "check_transport"]


async def check_transport(
    server: ServerTransport,
    url: str,
    *,
    clients: ClientTransportFactory,
    nowhere: str,
    options: TransportOptions | None = None,
    servers: int = 1,
) -> None:
    """Check a whole road, both sides, of either kind.

    A road with answers is checked as by :func:`check_server_transport`, :func:`check_client_transport` and
    :func:`check_client_transport_factory`. On a store-and-forward road (``server.delayed``) messages of 1 to 60,000
    octets and their answers come unchanged; an answer is there for whoever wants it until it is done, for other
    transports and later ones too; messages wait for a server; each is handled once, but again if the endpoint cannot
    serve or the server dies; what was put aside is not handled again; shutdown finishes what is in flight. The messages
    of the check are no CMP, which a road has to carry like any others.

    :param url: to listen on, best with port 0; nothing else uses what is there.
    :param nowhere: an address with one of the schemes of ``clients`` at which nobody serves.
    :param options: for the clients.
    :param servers: how many may serve one address of a store-and-forward road at once.
    :raises AssertionError: naming what is wrong.
    """
    options = options or TransportOptions(timeout=STEP_SECONDS)

    def connect(address: str) -> Road:
        return clients.open(address, options)

    await check_client_transport_factory(clients, nowhere, options=options)
    if server.delayed:
        await check_forwarding(server, url, connect=connect, schemes=clients.schemes, servers=servers)
        return
    await check_server_transport(server, url, connect=lambda address: _with_answers(connect(address)))
    async with task_group() as tasks:
        partner, shutdown = Partner(), anyio.Event()
        address, _ = await start(tasks, server, url, partner, shutdown)
        transport = _with_answers(connect(address))
        await _check_cancelled_exchange(transport, partner)
        await transport.aclose()
        await transport.aclose()
        shutdown.set()


def _with_answers(road: Road) -> ClientTransport:
    require(
        not isinstance(road, ForwardingTransport),
        "the server transport says that it is not delayed: its client must have exchange()",
    )
    assert not isinstance(road, ForwardingTransport)
    return road


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
    partner = Partner()
    async with open_transport_to(partner) as transport:
        await _check_exchanges(transport, partner)
        await _check_cancelled_exchange(transport, partner)
        await transport.aclose()
        await transport.aclose()


async def check_client_transport_factory(
    factory: ClientTransportFactory, nowhere: str, *, options: TransportOptions | None = None
) -> None:
    """Check what opens client transports.

    Opening one to where nobody listens is no error, an exchange there is a TransportError; an address without anything
    after its scheme, and an option that the road does not know, are a ConfigurationError. A
    :class:`~cmpkit.parts.RoadExaminer` reports what is wrong there.

    :param nowhere: an address with one of the factory's schemes at which nobody listens.
    :param options: that the road needs.
    :raises AssertionError: naming what is wrong.
    """
    options = options or TransportOptions(timeout=STEP_SECONDS)
    require_schemes(factory)
    scheme = nowhere.partition(":")[0]
    require(scheme in factory.schemes, f"the check needs an address of {factory.schemes}, not of {scheme!r}")
    with success("open() must open a transport before anything is sent"):
        transport = factory.open(nowhere, options)
    if isinstance(transport, ForwardingTransport):
        await transport.aclose()
    else:
        await _check_silence(transport, "an exchange with nobody")
    for address in ("", f"{scheme}:"):
        with refused(f"the address {address!r}", by=ConfigurationError):
            factory.open(address, options)
    with refused("an option of which the road knows nothing", by=ConfigurationError):
        factory.open(nowhere, replace(options, own={**options.own, "no-such-option": "x"}))
    if isinstance(factory, RoadExaminer):
        await _check_examiner(factory, nowhere, options)


async def _check_examiner(factory: RoadExaminer, nowhere: str, options: TransportOptions) -> None:
    found: list[Check] = []
    examination = Examination(options, lambda: b"request", found.append)
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
    require_server(transport, url)
    partner = Partner()
    shutdown = anyio.Event()
    async with task_group() as tasks:
        address, returned = await start(tasks, transport, url, partner, shutdown)
        require(address.partition(":")[0] in transport.schemes, f"started({address!r}) is of none of its schemes")
        client = connect(address)
        await _check_exchanges(client, partner)
        require(
            all(peer.road == transport.name for peer in partner.peers),
            f"Peer.road must be {transport.name!r}, its name",
        )
        await _check_oversized(client, partner)
        await _check_shutdown(client, partner, shutdown)
        with limit("serve() must return after shutdown"):
            await returned.wait()
        await client.aclose()
    await _check_silence(connect(address), "an exchange after shutdown of the server")
    await _check_cancellation(transport, url, connect)


async def _check_exchanges(transport: ClientTransport, partner: Partner) -> None:
    for size in SIZES:
        await _check_exchange(transport, message_of(size))
    async with task_group() as tasks:
        for number in range(20):
            tasks.start_soon(_check_exchange, transport, b"concurrent exchange %d" % number)
    for message in (FAIL, *(message for message, answer in SPECIAL.items() if answer.der is None)):
        await _check_refusal(transport, message, f"the handler's answer to {message!r}")
        await _check_exchange(transport, b"after " + message)
    await _check_exchange(transport, MALFORMED_WITH_DER, b"a CMP error message")
    calls = len(partner.peers)
    await _check_exchange(transport, b"once")
    require(len(partner.peers) == calls + 1, "the handler must be called once for each message")


async def _check_exchange(transport: ClientTransport, message: bytes, expected: bytes | None = None) -> None:
    start = message[:40]
    try:
        with limit(f"the answer to the message {start!r} did not come"):
            answer = await transport.exchange(message)
    except TransportError as error:
        raise AssertionError(
            f"the message {start!r} of {len(message)} octets must be answered, not: {error}"
        ) from error
    require(
        answer == (answer_to(message) if expected is None else expected),
        f"the message {start!r} of {len(message)} octets, or its answer, was changed on the way or taken for another",
    )


async def _check_refusal(transport: ClientTransport, message: bytes, what: str) -> None:
    try:
        with limit(f"{what} must be a TransportError at the client, not silence"):
            await transport.exchange(message)
    except TransportError:
        return
    raise AssertionError(f"{what} must be a TransportError at the client")


async def _check_cancelled_exchange(transport: ClientTransport, partner: Partner) -> None:
    async with task_group() as tasks:
        tasks.start_soon(transport.exchange, HOLD)
        with limit("the handler must be called"):
            await partner.held.wait()
        tasks.cancel_scope.cancel()
    partner.release.set()
    await _check_exchange(transport, b"after a cancelled exchange")


async def _check_oversized(client: ClientTransport, partner: Partner) -> None:
    await _check_exchange(client, bytes(MAX_MESSAGE_SIZE))
    await _check_refusal(client, bytes(MAX_MESSAGE_SIZE + 1), "a message that is too large")
    require(partner.largest <= MAX_MESSAGE_SIZE, "a message that is too large reached the handler")
    await _check_exchange(client, b"after one that was too large")


async def _check_shutdown(client: ClientTransport, partner: Partner, shutdown: anyio.Event) -> None:
    async with task_group() as tasks:
        tasks.start_soon(_check_exchange, client, HOLD)
        with limit("the handler must be called"):
            await partner.held.wait()
        shutdown.set()
        # Nothing tells when the server has seen it; too short a time here would only make the check milder.
        await anyio.sleep(0.05)
        partner.release.set()


async def _check_cancellation(transport: ServerTransport, url: str, connect: Callable[[str], ClientTransport]) -> None:
    with limit("a cancelled serve() must end"):
        async with task_group() as tasks:
            address, _ = await start(tasks, transport, url, Partner(), anyio.Event())
            tasks.cancel_scope.cancel()
    await _check_silence(connect(address), "an exchange after cancellation of the server")


async def _check_silence(client: ClientTransport, what: str) -> None:
    await _check_refusal(client, b"is anybody there?", what)
    await client.aclose()
