"""The client's side of CMP over HTTP (RFC 9811), by httpx."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies

import anyio
import httpx

from cmpkit.errors import ConfigurationError
from cmpkit.parts import Disposition, TransportOptions
from cmpkit.transports import client_context
from cmpkit_http.addresses import WELL_KNOWN_PATH
from cmpkit_http.answers import EXCERPT_OCTETS, HTTPAnswer, shown
from cmpkit_http.failures import transport_errors
from cmpkit_http.kept import KeptConnections
from cmpkit_http.media import CMP_MEDIA_TYPE

__all__ = [
    "HTTPClient",
    "Reply",
    "is_direct",
    "is_proxied",
    "open_client",
    "post",
    "read_body",
    "read_url",
    "shown_url",
]

_OK, _ACCEPTED = 200, 202


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP, whatever it is.

    :param body: whole if it is CMP; else its start.
    :param version: of HTTP, as ``HTTP/1.1``.
    :param server: the header, empty if there was none.
    :param kept: whether the server keeps the connection for further requests.
    """

    head: HTTPAnswer
    body: bytes
    version: str
    server: str
    kept: bool


class HTTPClient:
    """A client transport to one ``http`` or ``https`` address.

    Connections are kept and used again once the server has answered with HTTP/1.1, redirections are never followed,
    and proxies are those of the options or else of the environment (``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``).

    :param url: without a path, ``/.well-known/cmp`` is meant.
    :raises ConfigurationError: if the URL or an option cannot be used.
    """

    def __init__(self, url: str, options: TransportOptions) -> None:
        self._url = read_url(url)
        self._shown_url = shown_url(self._url)
        self._options = options
        self._client = open_client(self._url, options)
        self._kept = (
            None if self._url.scheme != "http" or is_proxied(self._url, options) else KeptConnections(self._url)
        )
        self._persistent = False

    @property
    def host(self) -> str:
        """The name or address of the host, IPv6 without brackets."""
        return self._url.host

    async def exchange(self, request: bytes) -> bytes:
        """POST one message, return the one that answers it, whatever the HTTP status (RFC 9811 section 3.1).

        :raises TransportError: if no CMP message came back.
        """
        # OpenSSL's server takes a transaction for aborted if a connection that it was to keep is closed; and h11 closes
        # it, since that server answers with HTTP/1.0. So a server has to show HTTP/1.1 first.
        if self._persistent and self._kept is not None:
            reply = await self._ask_again(request, self._kept)
        else:
            reply = await self.ask(request, keep=self._persistent)
        self._persistent = reply.version != "HTTP/1.0"
        if not reply.head.is_cmp or not reply.body:
            raise reply.head.error(reply.body)
        return reply.body

    async def announce(self, message: bytes) -> Disposition:
        """POST an announcement; its answer has no body (RFC 9811 section 3.5).

        :raises TransportError: if it was not taken, or nothing came back.
        """
        reply = await self.ask(message, keep=False)
        if reply.head.status // 100 != 2 or (reply.head.status == _OK and reply.body):
            raise reply.head.error(reply.body)
        return Disposition.UNAVAILABLE if reply.head.status == _ACCEPTED else Disposition.STORED

    async def ask(self, request: bytes, *, keep: bool, whole: bool = False) -> Reply:
        """POST one message, return what comes back, be it CMP or not.

        :param keep: whether the server is asked to keep the connection.
        :param whole: whether to read all of a body that is no CMP, up to the limit.
        :raises TransportError: if nothing comes back, or too much.
        """
        headers = {"connection": "keep-alive" if keep else "close"}
        with transport_errors(self._shown_url, self._options.timeout), anyio.fail_after(self._options.timeout):
            response = await self._client.send(post(self._client, self._url, request, headers), stream=True)
            try:
                head = self._head(response)
                body = await self._read(response, head, whole=whole)
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
        return Reply(
            head,
            body,
            response.http_version,
            shown(response.headers.get("server", "")),
            response.http_version != "HTTP/1.0" and response.headers.get("connection", "").lower() != "close",
        )

    async def _ask_again(self, request: bytes, kept: KeptConnections) -> Reply:
        """POST one message over a connection that is kept."""
        limit = self._options.max_response_size
        with transport_errors(self._shown_url, self._options.timeout), anyio.fail_after(self._options.timeout):
            answer = await kept.post(request, limit)
        named = answer.headers.get
        location = named("location", "")
        head = HTTPAnswer(
            self._shown_url,
            answer.status,
            content_type=named("content-type", ""),
            content_encoding=named("content-encoding", ""),
            location=shown_url(self._url.join(location)) if location else "",
            retry_after=named("retry-after", ""),
        )
        if head.is_cmp and len(answer.body) > limit:
            raise head.too_large(limit)
        closes = answer.version == "HTTP/1.0" or named("connection", "").lower() == "close"
        return Reply(head, answer.body, answer.version, shown(named("server", "")), not closes)

    def _head(self, response: httpx.Response) -> HTTPAnswer:
        headers = response.headers
        redirected = response.next_request
        return HTTPAnswer(
            self._shown_url,
            response.status_code,
            content_type=headers.get("content-type", ""),
            content_encoding=headers.get("content-encoding", ""),
            location="" if redirected is None else shown_url(redirected.url),
            retry_after=headers.get("retry-after", ""),
        )

    async def _read(self, response: httpx.Response, answer: HTTPAnswer, *, whole: bool) -> bytes:
        """The body if it is CMP and not too large, of anything else the start."""
        limit = self._options.max_response_size if answer.is_cmp or whole else EXCERPT_OCTETS
        body = await read_body(response, limit)
        if answer.is_cmp and len(body) > limit:
            raise answer.too_large(limit)
        return body

    async def aclose(self) -> None:
        """Close the connections."""
        if self._kept is not None:
            await self._kept.aclose()
        await self._client.aclose()


def post(client: httpx.AsyncClient, url: httpx.URL, content: bytes, headers: Mapping[str, str]) -> httpx.Request:
    """A request with that content."""
    request = client.build_request("POST", url, content=content, headers=headers)
    request.stream = _Octets(content)
    return request


class _Octets(httpx.ByteStream):
    """The content of a request, without a generator: httpx leaves that of its own behind if the connection breaks."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Iteration(iter(self))


class _Iteration(AsyncIterator[bytes]):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body as it comes, or more than ``limit`` octets of one that is larger."""
    body = bytearray()
    # Cancelled rather than left: httpx reads through nested generators, which only what is raised innermost ends.
    with anyio.CancelScope() as scope:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                scope.cancel()
    return bytes(body)


def read_url(url: str) -> httpx.URL:
    """The address of a server; without a path, ``/.well-known/cmp`` is meant.

    :raises ConfigurationError: if it cannot be used.
    """
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:
            raise ValueError("it names no host" if not parts.hostname else "it names port 0")
        parsed = httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigurationError(f"unusable URL: {error}", hint="write http://HOST[:PORT]/PATH or https://…") from error
    return parsed.copy_with(path=WELL_KNOWN_PATH) if parts.path in ("", "/") else parsed


def shown_url(url: httpx.URL) -> str:
    """The URL without user and password."""
    return str(url.copy_with(username=None, password=None))


def is_direct(url: httpx.URL, options: TransportOptions) -> bool:
    """Whether the options say that a host is reached without a proxy; that of the environment included."""
    hosts = (options.no_proxy or "").lower().replace(",", " ").split()
    return any(url.host == host.strip("[]") or (host[0] == "." and url.host.endswith(host)) for host in hosts)


def is_proxied(url: httpx.URL, options: TransportOptions) -> bool:
    """Whether messages may go by a proxy, of the options or of the environment."""
    return not is_direct(url, options) and (options.proxy is not None or bool(getproxies()))


def open_client(url: httpx.URL, options: TransportOptions) -> httpx.AsyncClient:
    """An HTTP client for messages to one address; what is no message needs other headers.

    :raises ConfigurationError: if an option cannot be used.
    """
    # For plain HTTP the context is never used; an empty one is made at once, one with the system's CAs takes long.
    context = client_context(options) if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    direct = is_direct(url, options)
    try:
        return httpx.AsyncClient(
            headers={
                "content-type": CMP_MEDIA_TYPE,
                "accept": CMP_MEDIA_TYPE,
                "accept-encoding": "identity",
                "user-agent": "cmpkit",
            },
            verify=context,
            proxy=None if direct else options.proxy,
            # Of the environment, only proxies have a meaning here.
            trust_env=not direct,
            timeout=httpx.Timeout(options.timeout, connect=options.timeout / 2),
            follow_redirects=False,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"the proxy cannot be used: {error}", hint="write proxy as http://HOST:PORT (--proxy)"
        ) from error
