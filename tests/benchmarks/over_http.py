"""Clients that send ir and certConf over HTTP, and the CPU time that a server takes for it."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import anyio
import anyio.to_process
from factory import Factory, Request, cert_conf, prepare
from figures import Series, cpu_seconds

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.enums import BodyType
from cmpkit.plugins import Plugins, load_plugins

__all__ = ["measure_over_http"]

_MEDIA_TYPE = "application/pkixcmp"
_WARM_UP = 32


async def measure_over_http(
    url: str, process: int, factory: Factory, *, rounds: int, per_round: int, clients: int
) -> Series:
    """CPU time of a server process for ir, ip, certConf and pkiConf, of so many clients at once.

    The clients are spread over two other processes; their requests are prepared. Each enrolment has a connection of its
    own, as those of devices have, and as OpenSSL's mock server wants it.
    """
    series = Series()
    await _run_clients(url, await prepare(factory, _WARM_UP), clients)
    prepared = await prepare(factory, rounds * per_round)
    for start in range(0, len(prepared), per_round):
        before = cpu_seconds(process)
        await _run_clients(url, prepared[start : start + per_round], clients)
        series.add(cpu_seconds(process) - before, per_round)
    return series


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
        with _connection(url) as post:
            ip = post(request.der)
            if ip.body.type is not BodyType.IP or ip.body.content.response[0].certified_key_pair is None:
                raise RuntimeError(f"the server refused: {ip!r}")
            answer = post(anyio.run(cert_conf, plugins, request, ip))
        if answer.body.type is not BodyType.PKICONF:
            raise RuntimeError(f"the server did not take the certConf: {answer!r}")


@contextlib.contextmanager
def _connection(url: str) -> Iterator[_Post]:
    parts = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.hostname or "", parts.port)) as connection:
        yield _Post(connection, parts.path)


class _Post:
    """Sends a message over a connection and returns the answer."""

    def __init__(self, connection: http.client.HTTPConnection, path: str) -> None:
        self._connection = connection
        self._path = path

    def __call__(self, der: bytes) -> PKIMessage:
        headers = {"Content-Type": _MEDIA_TYPE, "Connection": "keep-alive"}
        self._connection.request("POST", self._path, der, headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"HTTP status {response.status}: {body!r}")
        return decode_message(body)
