"""CMP over HTTP as an ASGI application; it needs no framework and runs under any ASGI server."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

import anyio

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Answer, Disposition, Handler, Peer, Resource
from cmpkit_http.addresses import CMP_PATH, WELL_KNOWN_PATH, PathTable
from cmpkit_http.media import CMP_MEDIA_TYPE, CMP_MEDIA_TYPES, media_type
from cmpkit_http.resources import NO_STORE, Header, Place, Reply, ResourceTable, reply

__all__ = ["ASGIApplication", "CMPApplication", "Receive", "Scope", "Send", "with_certificate"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

RETRY_AFTER_SECONDS = 5
LINGER_SECONDS = 1.0
LINGER_OCTETS = 1 << 24
_STATUS = {
    Disposition.ANSWERED: 200,
    Disposition.NOTHING_MORE: 200,
    Disposition.MALFORMED: 400,
    Disposition.TOO_LARGE: 413,
    # An announcement (RFC 9811 section 3.5).
    Disposition.STORED: 201,
    Disposition.REFUSED: 403,
    Disposition.UNAVAILABLE: 503,
}
_CMP_TYPE = (b"content-type", CMP_MEDIA_TYPE.encode())
_TEXT_TYPE = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE = (b"connection", b"close")
_KEEP_ALIVE = (b"connection", b"keep-alive")
_RETRY_AFTER = (b"retry-after", str(RETRY_AFTER_SECONDS).encode())

log = logging.getLogger("cmpkit.http")


class CMPApplication:
    """An ASGI application that hands CMP messages to a handler and sends its answers.

    Served are the paths ``/.well-known/cmp`` and ``/cmp``, each alone and followed by ``/<operation>``, ``/p/<name>``
    or ``/p/<name>/<operation>`` (RFC 9811 section 3.4), and those of the resources that are given.

    :param handler: called once with each message that came in whole; ``None`` if CMP is not served.
    :param resources: what is served besides, by paths; one whose path ends in a slash has everything below it. CMP goes
        first.
    :param path: one more path that is served, with the same forms below it.
    :param max_message_size: octets; a larger message is refused with status 413 before it is read.
    :param read_timeout: seconds that a client may take to send a message, then status 408.
    """

    def __init__(
        self,
        handler: Handler | None,
        *,
        path: str = WELL_KNOWN_PATH,
        resources: Mapping[str, Resource] | None = None,
        max_message_size: int = 1 << 20,
        read_timeout: float = 30.0,
    ) -> None:
        self._handler = handler
        self._paths = PathTable(*((WELL_KNOWN_PATH, CMP_PATH, path) if handler is not None else ()))
        self._resources = ResourceTable(resources or {})
        self._max_message_size = max_message_size
        self._read_timeout = read_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope: a request, or the server's start and end."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        # OpenSSL's client speaks HTTP/1.0, where both sides must say that they keep a connection. A server that does
        # not keep it corrects the answer.
        persistence = (_KEEP_ALIVE,) if headers.get(b"connection", b"").lower() == b"keep-alive" else ()
        path = _raw_path(scope)
        found = self._paths.find(path)
        resource = self._resources.find(path) if found is None else None
        limit = self._max_message_size if resource is None else resource.resource.max_size
        try:
            # Read first, also what is then refused: a client that is still sending would miss the reason.
            message = await self._read(headers, receive, limit)
            if resource is not None:
                await _send_reply(send, await _fetch(resource, scope["method"], headers, message), persistence)
                return
            label, operation = self._check_place(found, scope["method"], headers)
            client = scope.get("client")
            address = "" if client is None else client[0]
            peer = Peer("http", address, _client_certificate(scope), label=label, operation=operation)
            answer = await self._ask(message, peer)
        except _Gone:
            return
        except _Refusal as refusal:
            if _CLOSE in refusal.headers:
                await _refuse_and_close(refusal, receive, send)
            else:
                await _respond(send, refusal.status, refusal.body, _TEXT_TYPE, *refusal.headers, *persistence)
            return
        await _send_answer(send, answer, persistence)

    async def _read(self, headers: dict[bytes, bytes], receive: Receive, limit: int) -> bytes:
        """The whole body, within the limits of size and time."""
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit():
            raise _Refusal(400, "Content-Length is no number", _CLOSE)
        if int(declared) > limit:
            raise _too_large(limit)
        body: bytes = b""
        try:
            with anyio.fail_after(self._read_timeout):
                while True:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise _Gone
                    body += event.get("body", b"")
                    if len(body) > limit:
                        raise _too_large(limit)
                    if not event.get("more_body", False):
                        return body
        except TimeoutError:
            raise _Refusal(408, f"the message did not come within {self._read_timeout:g} seconds", _CLOSE) from None

    def _check_place(
        self, place: tuple[str | None, str | None] | None, method: str, headers: dict[bytes, bytes]
    ) -> tuple[str | None, str | None]:
        """The label and the operation that are addressed, if this is a request for CMP at all."""
        if place is None:
            hint = f"; CMP is at {WELL_KNOWN_PATH}" if self._handler is not None else ""
            raise _Refusal(404, f"nothing is served at this path{hint}")
        if method != "POST":
            raise _Refusal(405, "CMP messages are sent with POST (RFC 9811 section 3)", (b"allow", b"POST"))
        given = headers.get(b"content-type", b"")
        if given != _CMP_TYPE[1] and media_type(given.decode("latin-1")) not in CMP_MEDIA_TYPES:
            raise _Refusal(415, f"the Content-Type must be {CMP_MEDIA_TYPE} (RFC 9811 section 3.2)")
        return place

    async def _ask(self, message: bytes, peer: Peer) -> Answer:
        assert self._handler is not None
        try:
            return await self._handler(message, peer)
        except Exception:
            log.exception("the handler failed on a message of %d octets from %s", len(message), peer.address)
            raise _Refusal(500, "the service failed, try later") from None


class _Refusal(Exception):
    """An answer that says in HTTP why there is none in CMP."""

    def __init__(self, status: int, text: str, *headers: Header) -> None:
        super().__init__(text)
        self.status = status
        self.body = f"{text}\n".encode()
        self.headers = headers


class _Gone(Exception):
    """The client left before its message was whole: it counts as not sent (RFC 9811 section 3.3)."""


def _too_large(limit: int) -> _Refusal:
    return _Refusal(413, f"messages of at most {limit} octets are read here", _CLOSE)


async def _fetch(place: Place, method: str, headers: dict[bytes, bytes], body: bytes) -> Reply:
    try:
        return await reply(place, method, headers, body)
    except CMPError as error:
        log.error("a resource is not available: %s", error)
        if PKIFailureInfo.SYSTEM_UNAVAIL in error.fail_info:
            raise _Refusal(503, "not available now, try later", _RETRY_AFTER) from None
        raise _Refusal(500, "the service failed, try later") from None
    except Exception:
        log.exception("a resource failed")
        raise _Refusal(500, "the service failed, try later") from None


def with_certificate(application: ASGIApplication, certificate: bytes | None) -> ASGIApplication:
    """An application that is told of the client's TLS certificate as the TLS extension of ASGI has it.

    :param certificate: DER; ``None`` if the client showed none.
    """
    chain = [] if certificate is None else [ssl.DER_cert_to_PEM_cert(certificate)]

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**(scope.get("extensions") or {}), "tls": {"client_cert_chain": chain}}
        await application({**scope, "extensions": extensions}, receive, send)

    return told


def _client_certificate(scope: Scope) -> bytes | None:
    """DER of the certificate that the client showed in TLS, if the ASGI server has the TLS extension and tells."""
    chain = (scope.get("extensions") or {}).get("tls", {}).get("client_cert_chain")
    return ssl.PEM_cert_to_DER_cert(chain[0]) if chain else None


def _raw_path(scope: Scope) -> bytes:
    """The path as it was sent, below the mount point of the application."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        raw = quote(scope["path"]).encode()
    return raw.partition(b"?")[0].removeprefix(scope.get("root_path", "").encode())


async def _send_answer(send: Send, answer: Answer, headers: tuple[Header, ...]) -> None:
    if answer.disposition is Disposition.UNAVAILABLE:
        headers = (_RETRY_AFTER, *headers)
    status = _STATUS[answer.disposition]
    if answer.der is not None:
        await _respond(send, status, answer.der, _CMP_TYPE, *headers)
    elif status in (200, 201, 403):
        await _respond(send, status, b"", *headers)
    else:
        await _respond(send, status, f"{answer.disposition.value}\n".encode(), _TEXT_TYPE, *headers)


async def _refuse_and_close(refusal: _Refusal, receive: Receive, send: Send) -> None:
    """Say what is wrong, and see to it that a client which is still sending hears it.

    A connection closed with octets unread is reset, and the reset may overtake the answer.
    """
    await _respond(send, refusal.status, refusal.body, _TEXT_TYPE, *refusal.headers, more_body=True)
    unread = LINGER_OCTETS
    with anyio.move_on_after(LINGER_SECONDS):
        event = await receive()
        while event.get("more_body", False) and unread > 0:
            unread -= len(event.get("body", b""))
            event = await receive()
    await send({"type": "http.response.body"})


async def _send_reply(send: Send, answer: Reply, headers: tuple[Header, ...]) -> None:
    given = [*answer.headers, *headers]
    if answer.status != 304:
        length = len(answer.content) if answer.length is None else answer.length
        given.insert(0, (b"content-length", b"%d" % length))
    await send({"type": "http.response.start", "status": answer.status, "headers": given})
    await send({"type": "http.response.body", "body": answer.content})


async def _respond(send: Send, status: int, body: bytes, *headers: Header, more_body: bool = False) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, NO_STORE, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": more_body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """There is nothing to start or stop; say so."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
