"""The way to a CMP server over HTTP, layer by layer: name, connection, TLS, HTTP, and the paths that answer."""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from cmpkit.asn1 import decode_message
from cmpkit.errors import CMPError, TransportError
from cmpkit.parts import Check, Examination, Layer, Verdict
from cmpkit.transports import examine_connection, examine_name
from cmpkit_http.addresses import CMP_PATH, WELL_KNOWN_PATH
from cmpkit_http.answers import shown
from cmpkit_http.client import HTTPClient, Reply, is_direct, read_url
from cmpkit_http.handshakes import examine_tls, speaks_tls
from cmpkit_http.media import CMP_MEDIA_TYPE, media_type

__all__ = ["examine_http"]

_PATHS = (WELL_KNOWN_PATH, CMP_PATH, "/pkix/")
"""Where CMP is found: by the RFC, by custom, and at OpenSSL's mock server."""
_SAID_TO_PLAIN = (400, 421, 426, 497)
"""HTTP statuses that servers answer to who speaks plain HTTP at a port for TLS; some just close the connection."""
_PORTS = {"http": 80, "https": 443}


async def examine_http(url: str, examination: Examination) -> str | None:
    """Report each layer; see :meth:`cmpkit.parts.RoadExaminer.examine`."""
    address = read_url(url)
    async with _client(address, examination) as client:
        if not await _examine_below(address, examination):
            return None
        reply = await _ask(client, examination)
        if not isinstance(reply, Reply):
            tls = await _tls_instead(address, examination)
            if tls is None:
                layer = Layer.TLS if reply.tls else Layer.ROAD
                tls = Check("TLS" if reply.tls else "HTTP", layer, Verdict.BAD, reply.detail, reply.hint)
            examination.report(tls)
            return None
        if reply.head.status in _SAID_TO_PLAIN and (tls := await _tls_instead(address, examination)) is not None:
            examination.report(tls)
            return None
        others = [await _try(address.copy_with(path=path, query=None), examination) for path in _others(address)]
        examination.report(_judge(reply, [other.path for other in others if not other.fault]))
        if reply.head.is_cmp:
            await _examine_keeping(client, reply, examination)
    tried = [_tried(address, reply), *others]
    _report_paths(tried, examination)
    return next((str(one.address) for one in tried if not one.fault), None)


@asynccontextmanager
async def _client(address: httpx.URL, examination: Examination) -> AsyncIterator[HTTPClient]:
    client = HTTPClient(str(address), examination.options)
    try:
        yield client
    finally:
        await client.aclose()


async def _ask(client: HTTPClient, examination: Examination, *, keep: bool = False) -> Reply | TransportError:
    """What comes back for a probe, or what goes wrong on the way."""
    try:
        return await client.ask(examination.probe(), keep=keep, whole=True)
    except TransportError as error:
        return error


async def _examine_below(address: httpx.URL, examination: Examination) -> bool:
    """Name, connection and, without a proxy, TLS."""
    proxy = _proxy(address, examination)
    if proxy is not None:
        place = f"{proxy.scheme}://{proxy.host}:{_port(proxy)}"
        detail = f"by the proxy {place}; the next two are the way there"
        examination.report(Check("proxy", Layer.CONNECTION, Verdict.NOTE, detail))
    first = address if proxy is None else proxy
    reached = await examine_name(first.host, examination) and await examine_connection(
        first.host, _port(first), examination
    )
    if not reached or address.scheme != "https" or proxy is not None:
        return reached

    async def speaks_http() -> bool:
        plain = address.copy_with(scheme="http", port=_port(address))
        if _proxy(plain, examination) is not None:
            return False
        async with _client(plain, examination) as client:
            return isinstance(await _ask(client, examination), Reply)

    return await examine_tls(address.host, _port(address), examination, speaks_http=speaks_http)


def _port(address: httpx.URL) -> int:
    return address.port or _PORTS.get(address.scheme, 80)


def _proxy(address: httpx.URL, examination: Examination) -> httpx.URL | None:
    """The proxy of the options, else that of the environment, as httpx takes it."""
    if is_direct(address, examination.options):
        return None
    if examination.options.proxy is not None:
        return httpx.URL(examination.options.proxy)
    if urllib.request.proxy_bypass(address.host):
        return None
    named = urllib.request.getproxies()
    found = named.get(address.scheme) or named.get("all")
    return httpx.URL(found if "://" in found else f"http://{found}") if found else None


async def _tls_instead(address: httpx.URL, examination: Examination) -> Check | None:
    """The diagnosis if the port of an ``http`` address speaks TLS."""
    if address.scheme != "http" or _proxy(address, examination) is not None:
        return None
    seen = await speaks_tls(address.host, _port(address), examination)
    if seen is None:
        return None
    return Check(
        *("TLS", Layer.TLS, Verdict.BAD, f"{address.host} port {_port(address)} speaks TLS ({seen.version})"),
        f"write https://: {_shown(address.copy_with(scheme='https', port=_port(address)))}",
    )


def _judge(reply: Reply, elsewhere: list[str]) -> Check:
    """What HTTP brought back at the address that was given.

    :param elsewhere: paths of the same server that answer CMP.
    """
    head = reply.head
    kind = shown(head.content_type) or "no media type"
    summary = (
        f"{reply.version} {head.status}, {kind}, {f'server: {reply.server}' if reply.server else 'no server header'}"
    )
    if not head.is_cmp or not reply.body:
        error = head.error(reply.body)
        detail, advice = error.detail.removeprefix(f"{head.url} "), error.hint
        if _is_message(reply.body):
            detail = f"{summary}: a CMP message, under the wrong media type or status"
            advice = f"the server must send it as {CMP_MEDIA_TYPE}, with status 200 (RFC 9811 sections 3.1 and 3.2)"
        elif elsewhere:
            advice = f"this server answers CMP at {', '.join(elsewhere)}: use that path"
        return Check("HTTP", Layer.ROAD, Verdict.BAD, detail, advice)
    if media_type(head.content_type) != CMP_MEDIA_TYPE:
        advice = f"the media type is {CMP_MEDIA_TYPE} (RFC 9811 section 3.2); older ones are not taken by every client"
        return Check("HTTP", Layer.ROAD, Verdict.WARNING, summary, advice)
    return Check("HTTP", Layer.ROAD, Verdict.GOOD, summary)


def _is_message(octets: bytes) -> bool:
    try:
        decode_message(octets)
    except CMPError:
        return False
    return True


async def _examine_keeping(client: HTTPClient, first: Reply, examination: Examination) -> None:
    """Whether connections are kept. Those to HTTP/1.0 are never asked to be; see :meth:`HTTPClient.exchange`."""
    detail = "connections are closed after each answer: HTTP/1.0"
    if first.version != "HTTP/1.0":
        again = await _ask(client, examination, keep=True)
        kept = isinstance(again, Reply) and again.kept
        detail = "connections are kept for further requests" if kept else "connections are closed after each answer"
    examination.report(Check("keep-alive", Layer.ROAD, Verdict.NOTE, detail))


def _others(address: httpx.URL) -> list[str]:
    return [path for path in _PATHS if path.rstrip("/") != address.path.rstrip("/")]


@dataclass(frozen=True, slots=True)
class _Tried:
    """An address that a probe was sent to.

    :param fault: what came in place of CMP, empty if CMP did.
    """

    address: httpx.URL
    fault: str = ""

    @property
    def path(self) -> str:
        return shown(self.address.path)


def _tried(address: httpx.URL, reply: Reply | TransportError) -> _Tried:
    if isinstance(reply, TransportError):
        return _Tried(address, reply.detail)
    if reply.head.is_cmp and reply.body:
        return _Tried(address)
    return _Tried(address, f"HTTP {reply.head.status}, {shown(reply.head.content_type) or 'no media type'}")


async def _try(address: httpx.URL, examination: Examination) -> _Tried:
    """A probe at another path; what is no CMP message there is none, whatever its media type."""
    async with _client(address, examination) as client:
        reply = await _ask(client, examination)
    if isinstance(reply, Reply) and reply.head.is_cmp and not _is_message(reply.body):
        return _Tried(address, "no CMP message")
    return _tried(address, reply)


def _report_paths(tried: list[_Tried], examination: Examination) -> None:
    for number, one in enumerate(tried):
        name, verdict, advice = f"path {one.path}", Verdict.GOOD, ""
        if one.fault:
            verdict = Verdict.NOTE
            if number and one.path == WELL_KNOWN_PATH and any(not other.fault for other in tried):
                verdict = Verdict.WARNING
                advice = "every server should answer there (RFC 9811 section 3.4), for who knows only the host"
        examination.report(Check(name, Layer.ROAD, verdict, one.fault or "answers CMP", advice))


def _shown(address: httpx.URL) -> str:
    """The URL without user and password."""
    return str(address.copy_with(username=None, password=None))
