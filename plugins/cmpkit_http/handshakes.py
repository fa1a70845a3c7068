"""TLS of a server, looked at by handshakes after which nothing is sent: does it hold, is it there at all?"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio
from anyio.streams.tls import TLSAttribute, TLSStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cmpkit.crypto.names import format_name
from cmpkit.errors import TransportError
from cmpkit.parts import Check, Examination, Layer, Verdict
from cmpkit.transports import client_context
from cmpkit_http.failures import transport_errors

__all__ = ["examine_tls", "speaks_tls"]

_SOON = timedelta(days=14)
"""A certificate that ends sooner is worth a warning."""
_VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a handshake agreed on.

    :param certificate: DER of the server's certificate.
    """

    version: str
    cipher: str
    certificate: bytes


async def examine_tls(
    host: str, port: int, examination: Examination, *, speaks_http: Callable[[], Awaitable[bool]]
) -> bool:
    """Whether a client with these options gets through the handshake; versions and certificate are reported.

    :param speaks_http: whether the port speaks plain HTTP; asked if the handshake fails.
    """
    try:
        found = await _handshake(host, port, client_context(examination.options), examination)
    except TransportError as error:
        examination.report(await _explain(host, port, error, examination, speaks_http))
        return False
    examination.report(Check("TLS", Layer.TLS, Verdict.GOOD, f"{found.version}, {found.cipher}"))
    await _report_versions(host, port, examination)
    _report_certificate(found.certificate, examination)
    return True


async def _explain(
    host: str, port: int, error: TransportError, examination: Examination, speaks_http: Callable[[], Awaitable[bool]]
) -> Check:
    refused = isinstance(error.__cause__, ssl.SSLCertVerificationError)
    if refused:
        seen = await speaks_tls(host, port, examination)
        detail = f"{error.detail}; it is {_describe(seen.certificate)}" if seen is not None else error.detail
        return Check(
            *("certificate", Layer.TLS, Verdict.BAD, detail, error.hint),
            cmpkit=("--tls-trusted", "FILE"),
            openssl=("-tls_used", "-tls_trusted", "FILE"),
        )
    if await speaks_http():
        detail, advice = f"{host} port {port} speaks plain HTTP, not TLS", "write http://, or use the port for TLS"
        return Check("TLS", Layer.TLS, Verdict.BAD, detail, advice)
    return Check("TLS", Layer.TLS, Verdict.BAD, error.detail, error.hint)


async def speaks_tls(host: str, port: int, examination: Examination) -> Handshake | None:
    """The handshake, if the server speaks TLS at all: whatever its certificate, for nothing is sent to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return await _handshake(host, port, context, examination)
    except TransportError:
        return None


async def _handshake(host: str, port: int, context: ssl.SSLContext, examination: Examination) -> Handshake:
    place, timeout = f"{host} port {port}", examination.options.timeout
    with transport_errors(place, timeout):
        with anyio.move_on_after(timeout):
            stream = await anyio.connect_tcp(host, port)
            try:
                secured = await TLSStream.wrap(stream, hostname=host, ssl_context=context, standard_compatible=False)
            except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
                raise ConnectionResetError("the server closed the connection during the handshake") from error
            finally:
                await anyio.aclose_forcefully(stream)
            agreed = secured.extra
            return Handshake(
                agreed(TLSAttribute.tls_version).replace("TLSv", "TLS "),
                agreed(TLSAttribute.cipher)[0],
                agreed(TLSAttribute.peer_certificate_binary) or b"",
            )
    hint = "does the port speak TLS? if not, write http://"
    raise TransportError(f"no TLS handshake with {place} within {timeout:g} seconds", hint=hint, tls=True)


async def _report_versions(host: str, port: int, examination: Examination) -> None:
    spoken = []
    for name, version in _VERSIONS.items():
        context = client_context(examination.options)
        context.minimum_version = context.maximum_version = version
        try:
            await _handshake(host, port, context, examination)
        except TransportError:
            continue
        spoken.append(name)
    missing = [name for name in _VERSIONS if name not in spoken]
    detail = ", ".join(spoken) + (f"; not {', '.join(missing)}" if missing else "")
    examination.report(Check("TLS versions", Layer.TLS, Verdict.NOTE if missing else Verdict.GOOD, detail))


def _report_certificate(der: bytes, examination: Examination) -> None:
    left = x509.load_der_x509_certificate(der).not_valid_after_utc - datetime.now(UTC)
    verdict = Verdict.WARNING if left < _SOON else Verdict.GOOD
    advice = f"it ends in {left.days} days: the server needs a new one" if left < _SOON else ""
    examination.report(Check("certificate", Layer.TLS, verdict, _describe(der), advice))


def _describe(der: bytes) -> str:
    try:
        certificate = x509.load_der_x509_certificate(der)
        digest = certificate.fingerprint(hashes.SHA256()).hex()
        return (
            f"{format_name(certificate.subject)} by {format_name(certificate.issuer)}, "
            f"until {certificate.not_valid_after_utc:%Y-%m-%d}, SHA-256 {digest}"
        )
    except ValueError:
        return "its certificate cannot be read"
