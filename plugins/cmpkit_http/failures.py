"""What goes wrong on the way to a server and back, as TransportError: httpx's, the ssl module's and the system's."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from cmpkit.errors import TransportError

__all__ = ["transport_errors"]

_FOREIGN = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict, OSError)


@contextmanager
def transport_errors(url: str, timeout: float) -> Iterator[None]:
    """Turn every exception of the libraries below into a TransportError that says what to try.

    :param url: the address as it may be shown.
    :param timeout: seconds that one exchange has.
    """
    try:
        yield
    except _FOREIGN as error:
        raise _explain(url, error, timeout) from error


def _explain(url: str, error: Exception, timeout: float) -> TransportError:
    causes = list(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        return _explain_tls(url, tls)
    if isinstance(error, httpx.ConnectTimeout):
        return TransportError(
            f"no connection to {url} in time",
            hint="is the host up? a firewall may drop the packets, or a proxy be needed (--proxy)",
            retryable=True,
        )
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return TransportError(
            f"no whole answer from {url} within {timeout:g} seconds", hint="allow more time", retryable=True
        )
    if isinstance(error, httpx.ProxyError):
        return TransportError(f"the proxy gave no way to {url}: {error}", hint="see the option proxy (--proxy)")
    return _explain_network(url, error, causes)


def _explain_network(url: str, error: Exception, causes: list[BaseException]) -> TransportError:
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    said = (system is not None and system.strerror) or str(error) or type(error).__name__
    if isinstance(system, socket.gaierror):
        return TransportError(f"the host of {url} cannot be resolved: {said}", hint="check the name, or the proxy's")
    if isinstance(system, ConnectionRefusedError):
        return TransportError(
            f"connection to {url} refused", hint="is the server running, and the port right?", retryable=True
        )
    if isinstance(error, httpx.ConnectError):
        return TransportError(f"no connection to {url}: {said}", hint="check the host and the port", retryable=True)
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError):
        return TransportError(
            f"the connection to {url} broke off before an answer was whole: {said}",
            hint=f"the same message may be sent again; {_what_else(url)}",
            retryable=True,
        )
    return TransportError(f"the exchange with {url} failed: {said}", hint="check the URL and the proxy")


def _what_else(url: str) -> str:
    if url.startswith("https:"):
        return (
            "if it fails again, the server may want a client certificate: tls_cert and tls_key (--tls-cert, --tls-key)"
        )
    return "if the port is one for TLS, write https://"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and everything below it, nearest first."""
    yield error
    below = error.__cause__ or error.__context__
    if below is not None:
        yield from _causes(below)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _causes(part)


def _explain_tls(url: str, error: ssl.SSLError) -> TransportError:
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = error.verify_message or str(error)
        hint = _VERIFICATION_HINTS.get(error.verify_code, "look at the certificate of the server")
        return TransportError(f"TLS certificate of {url} refused: {cause}", hint=hint, tls=True)
    reason = error.reason or str(error)
    hint = next((text for part, text in _ALERT_HINTS.items() if part in reason), "see the log of the server")
    return TransportError(f"TLS with {url} failed: {reason.lower().replace('_', ' ')}", hint=hint, tls=True)


_UNKNOWN_CA = "give its CA as trust anchor: tls_trusted (--tls-trusted)"
_OTHER_NAME = "is the host of the URL right? else say what name to expect: tls_host (--tls-host)"
# X509_V_ERR_* of OpenSSL, as ssl.SSLCertVerificationError.verify_code has them.
_VERIFICATION_HINTS = {
    2: _UNKNOWN_CA,
    18: _UNKNOWN_CA,
    19: _UNKNOWN_CA,
    20: _UNKNOWN_CA,
    21: _UNKNOWN_CA,
    9: "the certificate is not valid yet: check the clock of this machine",
    10: "the certificate has expired: the server needs a new one, or the clock of this machine is wrong",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
_CLIENT_CERTIFICATE = "the server wants another client certificate: tls_cert and tls_key (--tls-cert, --tls-key)"
# Parts of OpenSSL's reason names; the first that fits is taken.
_ALERT_HINTS = {
    "CERTIFICATE_REQUIRED": "the server wants a client certificate: tls_cert and tls_key (--tls-cert, --tls-key)",
    "WRONG_VERSION_NUMBER": "the port may be one for plain HTTP: write http://",
    "HTTP_REQUEST": "the port may be one for plain HTTP: write http://",
    "RECORD_LAYER_FAILURE": "the port may be one for plain HTTP: write http://",
    "PROTOCOL": "client and server share no TLS version; TLS 1.2 and later are spoken here",
    "ALERT_UNKNOWN_CA": _CLIENT_CERTIFICATE,
    "CERTIFICATE": _CLIENT_CERTIFICATE,
    "HANDSHAKE_FAILURE": "the server may want a client certificate: tls_cert and tls_key (--tls-cert, --tls-key)",
}
