"""What a CA publishes over HTTP: its CRLs, its certificate, and the OCSP responder (RFC 5280 section 4.2, RFC 5019)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography import x509

from cmpkit.ca.ocsp import OCSPAnswer, OCSPResponder
from cmpkit.parts import Document

__all__ = ["CRL_TYPE", "CRLDocument", "CertificateDocument", "OCSPService"]

CRL_TYPE: Final = "application/pkix-crl"
_CERTIFICATE_TYPE: Final = "application/pkix-cert"
_REQUEST_TYPE: Final = "application/ocsp-request"
_RESPONSE_TYPE: Final = "application/ocsp-response"
_CERTIFICATE_KEPT: Final = timedelta(days=1)
_MAX_REQUEST: Final = 16_384


class _ReadOnly:
    """A resource that is only fetched."""

    posts = ""
    max_size = 0

    async def post(self, body: bytes) -> Document:
        """Never called: it takes no questions."""
        raise NotImplementedError


class CRLDocument(_ReadOnly):
    """A CRL, which may be kept until its nextUpdate.

    :param fetch: gives DER of the current one, or ``None`` if there is none.
    :param clock: gives the time, in UTC.
    """

    def __init__(self, fetch: Callable[[datetime], Awaitable[bytes | None]], *, clock: Callable[[], datetime]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._last: Document | None = None

    async def get(self, path: str) -> Document | None:
        """The current one; see :meth:`cmpkit.parts.Resource.get`."""
        now = self._clock()
        der = None if path else await self._fetch(now)
        if der is None:
            return None
        if self._last is None or self._last.content != der:
            crl = x509.load_der_x509_crl(der)
            self._last = Document(der, CRL_TYPE, now, crl.last_update_utc, crl.next_update_utc)
        last = self._last
        return Document(last.content, CRL_TYPE, now, last.last_modified, last.expires)


class CertificateDocument(_ReadOnly):
    """A certificate of a CA, which may be kept for a day.

    :param der: the certificate.
    :param clock: gives the time, in UTC.
    """

    def __init__(self, der: bytes, *, clock: Callable[[], datetime]) -> None:
        self._der = der
        self._clock = clock
        self._since = x509.load_der_x509_certificate(der).not_valid_before_utc

    async def get(self, path: str) -> Document | None:
        """The certificate; see :meth:`cmpkit.parts.Resource.get`."""
        now = self._clock()
        return None if path else Document(self._der, _CERTIFICATE_TYPE, now, self._since, now + _CERTIFICATE_KEPT)


class OCSPService:
    """An OCSP responder under a path: questions come by POST, or in Base64 as the path of a GET (RFC 6960 appendix A).

    :param clock: gives the time, in UTC.
    """

    posts = _REQUEST_TYPE
    max_size = _MAX_REQUEST

    def __init__(self, responder: OCSPResponder, *, clock: Callable[[], datetime]) -> None:
        self._responder = responder
        self._clock = clock

    async def get(self, path: str) -> Document | None:
        """The answer to the question in the path; see :meth:`cmpkit.parts.Resource.get`."""
        return await self._answer(_question(path)) if path else None

    async def post(self, body: bytes) -> Document:
        """The answer to a question; see :meth:`cmpkit.parts.Resource.post`."""
        return await self._answer(body)

    async def _answer(self, question: bytes) -> Document:
        now = self._clock()
        answer: OCSPAnswer = await self._responder.respond(question, now=now)
        return Document(answer.der, _RESPONSE_TYPE, now, answer.this_update, answer.next_update)


def _question(path: str) -> bytes:
    """What the path encodes; nothing, which is no question, if it is no Base64."""
    if len(path) > _MAX_REQUEST:
        return b""
    try:
        return base64.b64decode(unquote_to_bytes(path), validate=True)
    except binascii.Error:
        return b""
