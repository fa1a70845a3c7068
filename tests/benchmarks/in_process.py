"""Floor, engine, and engine with SQLite, in turn in one process, so that their ratios hold on a noisy machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from factory import Factory, Request, prepare
from figures import Series
from floor import do_floor, make_floor
from served import open_servers

from cmpkit.asn1 import decode_message
from cmpkit.endpoints.server import Server
from cmpkit.enums import BodyType
from cmpkit.parts import Peer

__all__ = ["measure_in_process"]

_PEER = Peer("memory", "192.0.2.1")
_WARM_UP = 30


async def measure_in_process(directory: Path, factory: Factory, *, rounds: int, per_round: int) -> dict[str, Series]:
    """Floor, engine, and engine with SQLite: a round of each in turn, every request another device's.

    :param directory: of the server.
    """
    async with open_servers(directory) as servers:
        figures = {name: Series() for name in ("floor", *servers)}
        prepared = {name: await prepare(factory, rounds * per_round) for name in servers}
        for server in servers.values():
            await _expect_certificates(server, await prepare(factory, _WARM_UP))
        for start in range(0, rounds * per_round, per_round):
            await _measure(figures["floor"], do_floor, make_floor(per_round))
            for name, server in servers.items():
                await _measure(figures[name], _Answering(server), prepared[name][start : start + per_round])
    return figures


class _Answering:
    """Has each request answered, one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, requests: Sequence[Request]) -> None:
        for request in requests:
            await self._server.handle(request.der, _PEER)


async def _measure(series: Series, work: Callable[[Sequence], Awaitable[None]], cases: Sequence) -> None:
    # What the benchmark itself keeps is no work of the server's garbage collector.
    gc.collect()
    gc.freeze()
    start = time.process_time()
    await work(cases)
    series.add(time.process_time() - start, len(cases))


async def _expect_certificates(server: Server, requests: Sequence[Request]) -> None:
    for request in requests:
        message = decode_message((await server.handle(request.der, _PEER)).der or b"")
        if message.body.type is not BodyType.IP or message.body.content.response[0].certified_key_pair is None:
            raise RuntimeError(f"the server refused: {message!r}")
