"""TLS of clients and servers, whatever the road. Nothing here turns verification off."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions
from cmpkit.passwords import password_at
from cmpkit.transports.own_options import Password

__all__ = ["ServerTLSOptions", "client_context", "server_context"]


def client_context(options: TransportOptions) -> ssl.SSLContext:
    """A context for TLS 1.2 and later, as the options of a client say.

    :raises ConfigurationError: naming the option and file that cannot be used.
    """
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = options.tls_host
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.tls_trusted is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_anchors(context, _text(options.directory, options.tls_trusted))
    if options.tls_keypass is not None and options.tls_cert is None:
        raise ConfigurationError("tls_keypass is given without tls_cert", hint="give the certificate of the key too")
    if options.tls_key is not None and options.tls_cert is None:
        raise ConfigurationError("tls_key is given without tls_cert", hint="give the certificate of the key too")
    if options.tls_cert is not None:
        password = None if options.tls_keypass is None else _password(options.tls_keypass, options.directory)
        key = None if options.tls_key is None else _text(options.directory, options.tls_key)
        _load_certificate(context, _text(options.directory, options.tls_cert), key, password)
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLSOptions:
    """The keys of a ``[[listen]]`` table whose road has TLS.

    :param tls_cert: PEM file with the server's TLS certificate and chain.
    :param tls_key: PEM file with its key, if it is not in the same file.
    :param tls_keypass: where the password of the key is.
    :param tls_trusted: PEM file with trust anchors for the certificates of clients.
    :param tls_client: whether clients need a certificate: ``none``, ``optional`` or ``required``.
    """

    tls_cert: Path
    tls_key: Path | None = None
    tls_keypass: Password | None = None
    tls_trusted: Path | None = None
    tls_client: Literal["none", "optional", "required"] = "none"


def server_context(options: ServerTLSOptions) -> ssl.SSLContext:
    """A context for TLS 1.2 and later, as the options of a server say.

    :raises ConfigurationError: naming the option and file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    key = None if options.tls_key is None else str(options.tls_key)
    password = None if options.tls_keypass is None else options.tls_keypass.octets
    _load_certificate(context, str(options.tls_cert), key, password)
    if (options.tls_client == "none") != (options.tls_trusted is None):
        raise ConfigurationError(
            "tls_trusted and tls_client belong together",
            hint='give the trust anchors for clients, and tls_client = "optional" or "required"',
        )
    if options.tls_trusted is not None:
        _load_anchors(context, str(options.tls_trusted))
        context.verify_mode = ssl.CERT_REQUIRED if options.tls_client == "required" else ssl.CERT_OPTIONAL
    return context


def _text(directory: Path, path: str) -> str:
    return str(directory / path)


def _password(source: str, directory: Path) -> bytes:
    try:
        return password_at(source, directory)
    except ConfigurationError as error:
        raise ConfigurationError(f"tls_keypass: {error.detail}", hint=error.hint) from error


def _load_anchors(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        raise _unusable("tls_trusted", path, error, "a PEM file with certificates") from error


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str | None, password: bytes | None) -> None:
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=password or "")
    except OSError as error:
        given, expected = "tls_cert", "a PEM file with the certificate, its chain and, if tls_key is not given, its key"
        if key is not None:
            given, certificate = "tls_cert and tls_key", f"{certificate} and {key}"
            expected = "PEM files that belong together, and the password of the key (tls_keypass) if it has one"
        raise _unusable(given, certificate, error, expected) from error


def _unusable(option: str, path: str, error: OSError, expected: str) -> ConfigurationError:
    cause = getattr(error, "reason", None) or error.strerror or str(error)
    return ConfigurationError(f"{option}: {path} cannot be used: {cause}", hint=f"give {expected}")


class _NamedContext(ssl.SSLContext):
    """A context whose peer must have a given name, whatever the URL says: also through a proxy."""

    server_name: str | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name or server_hostname, session)
