"""Clients that send ir and certConf to servers, and the CPU time that these take for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_process
from factory import Factory, Request, cert_conf, prepare
from figures import Series, cpu_seconds
from posting import posting

from cmpkit.enums import BodyType
from cmpkit.plugins import Plugins, load_plugins

__all__ = ["Measured", "measure_over"]

_WARM_UP = 32
Measured = tuple[str, int]
"""URL and process ID of a server."""


async def measure_over(
    servers: Mapping[str, Measured], factory: Factory, *, rounds: int, per_round: int, clients: int
) -> dict[str, Series]:
    """CPU time of server processes for ir, ip, certConf and pkiConf, of so many clients at once.

    The clients are spread over two other processes; their requests are prepared. Each enrolment has a connection of its
    own, as those of devices have, and as OpenSSL's mock server wants it. Servers take turns, so that all meet the same
    disturbances.
    """
    found = {name: Series() for name in servers}
    for url, _ in servers.values():
        await _run_clients(url, await prepare(factory, _WARM_UP), clients)
    for _ in range(rounds):
        for name, (url, process) in servers.items():
            prepared = await prepare(factory, per_round)
            before = cpu_seconds(process)
            await _run_clients(url, prepared, clients)
            found[name].add(cpu_seconds(process) - before, per_round)
    return found


async def _run_clients(url: str, requests: Sequence[Request], clients: int) -> None:
    processes = min(2, clients)
    async with anyio.create_task_group() as group:
        for index in range(processes):
            share = list(requests[index::processes])
            group.start_soon(anyio.to_process.run_sync, _enrol_all, url, share, clients // processes)


def _enrol_all(url: str, requests: Sequence[Request], clients: int) -> None:
    plugins = load_plugins()
    shares = [requests[index::clients] for index in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        for finished in [pool.submit(_enrol_one_by_one, url, share, plugins) for share in shares]:
            finished.result()


def _enrol_one_by_one(url: str, requests: Sequence[Request], plugins: Plugins) -> None:
    for request in requests:
        with posting(url) as post:
            ip = post(request.der)
            if ip.body.type is not BodyType.IP or ip.body.content.response[0].certified_key_pair is None:
                raise RuntimeError(f"the server refused: {ip!r}")
            answer = post(anyio.run(cert_conf, plugins, request, ip))
        if answer.body.type is not BodyType.PKICONF:
            raise RuntimeError(f"the server did not take the certConf: {answer!r}")
