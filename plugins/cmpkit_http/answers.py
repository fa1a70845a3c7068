"""Is what came back over HTTP a CMP message, and if not, what does it tell (RFC 9811 section 3.1)?"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from cmpkit.errors import TransportError
from cmpkit_http.addresses import CMP_PATH, WELL_KNOWN_PATH
from cmpkit_http.media import CMP_MEDIA_TYPE, CMP_MEDIA_TYPES, media_type

__all__ = ["EXCERPT_OCTETS", "HTTPAnswer", "shown"]

EXCERPT_OCTETS = 64
"""How much of a body is shown in an error."""
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class HTTPAnswer:
    """The head of an HTTP answer.

    :param url: that was asked, as it may be shown.
    :param status: HTTP status code.
    :param content_type: the header, empty if there was none.
    :param content_encoding: the header, empty if there was none.
    :param location: of a redirection, as an absolute URL.
    :param retry_after: the header, empty if there was none.
    """

    url: str
    status: int
    content_type: str = ""
    content_encoding: str = ""
    location: str = ""
    retry_after: str = ""

    @property
    def is_cmp(self) -> bool:
        """Whether the body is to be read as a CMP message: by any status of 2xx, 4xx and 5xx."""
        return (
            self.status // 100 in (2, 4, 5)
            and media_type(self.content_type) in CMP_MEDIA_TYPES
            and self.content_encoding.lower() in ("", "identity")
        )

    def too_large(self, limit: int) -> TransportError:
        """The error for an answer of more octets than are read."""
        return TransportError(
            f"{self.url} answered HTTP {self.status} with more than {limit} octets",
            hint="is this a CMP server? if so, allow larger answers (max_response_size)",
        )

    def error(self, body: bytes) -> TransportError:
        """The error for an answer that is no CMP message.

        :param body: the body, or its start.
        """
        if 300 <= self.status < 400:
            return self._redirection()
        kind = shown(self.content_type) if self.content_type else "none"
        encoding = f" ({shown(self.content_encoding)})" if self.content_encoding else ""
        return TransportError(
            f"{self.url} answered HTTP {self.status}, media type {kind}{encoding}, body: {excerpt(body)}",
            hint=self._hint(body),
            retryable=self.status in (429, 502, 503, 504),
        )

    def _redirection(self) -> TransportError:
        if not self.location:
            return TransportError(f"{self.url} answered HTTP {self.status} without a Location")
        return TransportError(
            f"{self.url} answered HTTP {self.status}, Location: {shown(self.location)}",
            hint="redirections are not followed (RFC 9811 section 5): if that address is right, use it",
        )

    def _hint(self, body: bytes) -> str:
        hints = []
        if self.retry_after:
            hints.append(f"try again later: Retry-After says {shown(self.retry_after)}")
        elif self.status in _STATUS_HINTS:
            hints.append(_STATUS_HINTS[self.status])
        elif self.status >= 500:
            hints.append("the server failed: its log says more")
        elif self.is_cmp and not body:
            hints.append("the server has no answer to this message")
        if media_type(self.content_type) in ("text/html", "application/xhtml+xml"):
            hints.append("this is a page of a web server or proxy, not CMP")
        elif not hints:
            hints.append(f"a CMP server answers with media type {CMP_MEDIA_TYPE}")
        return "; ".join(hints)


_ACCESS = "access is refused before CMP is reached: a TLS client certificate (tls_cert, tls_key) may be wanted"
_STATUS_HINTS = {
    400: "the server could not read the message",
    401: _ACCESS,
    403: _ACCESS,
    404: f"the path may be wrong: try {WELL_KNOWN_PATH} or {CMP_PATH}",
    405: f"POST is not taken at this path: try {WELL_KNOWN_PATH} or {CMP_PATH}",
    407: "the proxy wants a user and password, in its URL (--proxy)",
    408: "the message did not reach the server in time: send it again",
    413: "the message is larger than the server reads: send fewer certificates with it",
    415: f"the server does not take {CMP_MEDIA_TYPE}: is CMP at this path?",
    429: "the server asks for fewer requests: try again later",
    503: "the server cannot serve now: try again later",
}


def excerpt(body: bytes) -> str:
    """The start of a body for people: text as text, anything else as hexadecimal digits."""
    start = body[:EXCERPT_OCTETS]
    if not start:
        return "empty"
    more = "..." if len(body) > EXCERPT_OCTETS else ""
    try:
        # The cut may go through a character: an incremental decoder leaves half of one alone.
        text = codecs.getincrementaldecoder("utf-8")().decode(start, final=not more)
    except UnicodeDecodeError:
        return f"{start.hex()}{more}"
    text = " ".join(text.split())
    return f'"{text}{more}"' if text.isprintable() else f"{start.hex()}{more}"


def shown(text: str) -> str:
    """A header's value for people: printable, and not endless."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_SHOWN])
