"""Resources beside CMP: which one a path leads to, and its documents as HTTP answers (RFC 9110, RFC 9111, RFC 5019)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Final

from cmpkit.parts import Document, Resource
from cmpkit_http.media import media_type

__all__ = ["NO_STORE", "Header", "Place", "Reply", "ResourceTable", "document_headers", "is_unchanged", "reply"]

Header = tuple[bytes, bytes]

NO_STORE: Final[Header] = (b"cache-control", b"no-store")
"""What must not be kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """A resource, and what of the path is below it."""

    resource: Resource
    rest: str


class ResourceTable:
    """Which resource a path leads to.

    :param resources: by their paths; one whose path ends in a slash has everything below it.
    """

    def __init__(self, resources: Mapping[str, Resource]) -> None:
        self._exact = {path.rstrip("/") or "/": resource for path, resource in resources.items()}
        below = [(path, resource) for path, resource in resources.items() if path.endswith("/")]
        self._below = sorted(below, key=lambda item: len(item[0]), reverse=True)

    def find(self, raw_path: bytes) -> Place | None:
        """What is at a path, as it was sent; ``None`` if there is nothing."""
        if not raw_path.isascii():
            return None
        path = raw_path.decode("ascii")
        if path in self._exact:
            return Place(self._exact[path], "")
        for prefix, resource in self._below:
            if path.startswith(prefix):
                return Place(resource, path[len(prefix) :])
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer.

    :param length: octets of its content, for an answer without it.
    """

    status: int
    content: bytes = b""
    headers: tuple[Header, ...] = ()
    length: int | None = None


async def reply(place: Place, method: str, headers: Mapping[bytes, bytes], body: bytes) -> Reply:
    """The answer of a resource to a request that came in whole.

    :param headers: of the request, their names in lower case.
    """
    resource = place.resource
    if method == "POST" and resource.posts and not place.rest:
        if media_type(headers.get(b"content-type", b"").decode("latin-1")) != resource.posts:
            return _plain(415, f"the Content-Type must be {resource.posts}")
        answer = await resource.post(body)
        return Reply(200, answer.content, ((b"content-type", answer.media_type.encode()), NO_STORE))
    if method not in ("GET", "HEAD"):
        methods = b"GET, HEAD, POST" if resource.posts else b"GET, HEAD"
        return _plain(405, "this is not answered here", (b"allow", methods))
    document = await resource.get(place.rest)
    if document is None:
        return _plain(404, "there is no such document")
    return _fetched(document, headers, whole=method == "GET")


def _fetched(document: Document, headers: Mapping[bytes, bytes], *, whole: bool) -> Reply:
    found = document_headers(document)
    if is_unchanged(document, headers):
        return Reply(304, headers=found)
    typed = ((b"content-type", document.media_type.encode()), *found)
    return Reply(200, document.content if whole else b"", typed, len(document.content))


def _plain(status: int, text: str, *headers: Header) -> Reply:
    return Reply(status, f"{text}\n".encode(), ((b"content-type", b"text/plain; charset=utf-8"), NO_STORE, *headers))


def document_headers(document: Document) -> tuple[Header, ...]:
    """How long a document may be kept, and by what it is recognised."""
    if document.expires is None or document.last_modified is None:
        return (NO_STORE,)
    left = max(0, int((document.expires - document.asked_at).total_seconds()))
    return (
        (b"cache-control", b"max-age=%d, public, no-transform, must-revalidate" % left),
        (b"last-modified", _http_date(document.last_modified)),
        (b"expires", _http_date(document.expires)),
        (b"etag", _entity_tag(document.content)),
    )


def is_unchanged(document: Document, headers: Mapping[bytes, bytes]) -> bool:
    """Whether the client has this very document already (RFC 9110 section 13.2.2)."""
    if document.expires is None or document.last_modified is None:
        return False
    if (known := headers.get(b"if-none-match")) is not None:
        tags = [tag.strip().removeprefix(b"W/") for tag in known.split(b",")]
        return b"*" in tags or _entity_tag(document.content) in tags
    since = _read_date(headers.get(b"if-modified-since", b""))
    return since is not None and document.last_modified.replace(microsecond=0) <= since


@lru_cache(maxsize=8)
def _entity_tag(content: bytes) -> bytes:
    """Kept, because a revocation list may have megabytes."""
    return b'"%s"' % hashlib.sha256(content).hexdigest().encode()


def _http_date(moment: datetime) -> bytes:
    return format_datetime(moment.astimezone(UTC), usegmt=True).encode()


def _read_date(value: bytes) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value.decode("latin-1"))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
