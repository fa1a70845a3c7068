"""Floor, engine, and engine with SQLite, in one process, so that their ratios hold on a noisy machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
    """Floor and engine, then engine with SQLite, every request another device's.

    Floor and engine take turns request by request, so that both meet the same disturbances and the same caches.

    :param directory: of the server.
    """
    async with open_servers(directory) as servers:
        figures = {name: Series() for name in ("floor", *servers)}
        prepared = {name: await prepare(factory, rounds * per_round) for name in servers}
        for server in servers.values():
            await _expect_certificates(server, await prepare(factory, _WARM_UP))
        engine, with_store = (_Answering(servers[name]) for name in ("engine", "engine_sqlite"))
        for requests in _in_rounds(prepared["engine"], per_round):
            await _measure((figures["floor"], do_floor, make_floor(per_round)), (figures["engine"], engine, requests))
        for requests in _in_rounds(prepared["engine_sqlite"], per_round):
            await _measure((figures["engine_sqlite"], with_store, requests))
    return figures


def _in_rounds(requests: Sequence[Request], per_round: int) -> Iterator[Sequence[Request]]:
    for start in range(0, len(requests), per_round):
        yield requests[start : start + per_round]


class _Answering:
    """Has a request answered."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, request: Request) -> None:
        await self._server.handle(request.der, _PEER)


async def _measure(*contenders: tuple[Series, Callable[[Any], Awaitable[None]], Sequence[Any]]) -> None:
    """One round of each, taking turns case by case."""
    # What the benchmark itself keeps is no work of the server's garbage collector.
    gc.collect()
    gc.freeze()
    spent = [0.0] * len(contenders)
    for turn in zip(*(cases for _, _, cases in contenders), strict=True):
        for number, case in enumerate(turn):
            work = contenders[number][1]
            start = time.process_time()
            await work(case)
            spent[number] += time.process_time() - start
    for (series, _, cases), seconds in zip(contenders, spent, strict=True):
        series.add(seconds, len(cases))


async def _expect_certificates(server: Server, requests: Sequence[Request]) -> None:
    for request in requests:
        message = decode_message((await server.handle(request.der, _PEER)).der or b"")
        if message.body.type is not BodyType.IP or message.body.content.response[0].certified_key_pair is None:
            raise RuntimeError(f"the server refused: {message!r}")
