"""TLS of clients and servers, whatever the road. Nothing here turns verification off."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions, WantedCertificate
from cmpkit.passwords import password_at
from cmpkit.transports.own_options import Password

__all__ = ["ServerTLSOptions", "client_context", "server_context"]

_log = logging.getLogger("cmpkit.tls")
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with


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
    :param tls_profile: the certificate profile by which the CA of this server issues that certificate and renews it;
        ``tls_cert`` and ``tls_key`` are then written by the server.
    :param tls_names: the host names and IP addresses in it, if they are more than the host of the URL.
    """

    tls_cert: Path
    tls_key: Path | None = None
    tls_keypass: Password | None = None
    tls_trusted: Path | None = None
    tls_client: Literal["none", "optional", "required"] = "none"
    tls_profile: str | None = None
    tls_names: tuple[str, ...] = ()

    def wanted_certificate(self, host: str) -> WantedCertificate | None:
        """The certificate that the CA of this server is to issue; ``None`` if it is not to.

        :param host: of the URL that is listened on.
        :raises ConfigurationError: if keys are missing for that, or mean nothing without it.
        """
        if self.tls_profile is None:
            if self.tls_names:
                raise ConfigurationError(
                    "tls_names: means nothing without tls_profile", hint="name the profile that the CA issues by"
                )
            return None
        if self.tls_key is None or self.tls_key == self.tls_cert:
            raise ConfigurationError(
                "tls_key: is missing", hint="with tls_profile the server writes tls_cert and tls_key, two files"
            )
        names = self.tls_names or (() if host in _ANY_ADDRESS else (host,))
        if not names:
            raise ConfigurationError(
                f"tls_names: is missing: {host} is no name for a certificate",
                hint="list the host names and IP addresses that clients use",
            )
        password = None if self.tls_keypass is None else self.tls_keypass.octets
        return WantedCertificate(self.tls_profile, names, self.tls_cert, self.tls_key, password)

    def check(self, host: str) -> None:
        """Whether these keys can be used to listen on a host. At files that the server writes nobody looks yet.

        :raises ConfigurationError: naming the key or file that cannot be used.
        """
        if self.wanted_certificate(host) is not None:
            _client_authentication(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self)
        else:
            _load_server_context(self)


def server_context(
    options: ServerTLSOptions, *, connected: Callable[[ssl.SSLObject], None] | None = None
) -> ssl.SSLContext:
    """A context for TLS 1.2 and later, as the options of a server say.

    Each connection gets certificate, key and trust anchors as they are in the files when it begins. Where new ones
    cannot be used, the log says why, and those of before stay until the files change again.

    :param connected: called when a handshake is complete, in the task that made it.
    :raises ConfigurationError: naming the option and file that cannot be used.
    """
    context = _ReloadingContext(ssl.PROTOCOL_TLS_SERVER)
    context.files = _Files(options)
    context.connected = connected
    return context


class _Files:
    """What the files of a server hold, as they are now."""

    def __init__(self, options: ServerTLSOptions) -> None:
        self._options = options
        self._paths = [path for path in (options.tls_cert, options.tls_key, options.tls_trusted) if path is not None]
        # Some backends make the TLS of a connection in a thread.
        self._lock = threading.Lock()
        self._seen = self._look()
        self._context = _load_server_context(options)

    def context(self) -> ssl.SSLContext:
        """The context for a connection that begins now."""
        with self._lock:
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._load()
            return self._context

    def _load(self) -> None:
        try:
            self._context = _load_server_context(self._options)
        except ConfigurationError as error:
            _log.error("%s; the certificate of before stays in use", error)
        else:
            _log.info("the TLS certificate in %s was read anew", self._options.tls_cert)

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_state_of(path) for path in self._paths]


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What differs when a file was replaced or written to; ``None`` if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _ReloadingContext(ssl.SSLContext):
    """Gives each connection the context that its files make when it begins."""

    files: _Files
    connected: Callable[[ssl.SSLObject], None] | None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        made = self.files.context().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, _ServerSide)
        made.connected, made.incoming = self.connected, incoming
        return made


class _ServerSide(ssl.SSLObject):
    """Tells how a handshake ends: the log, the server, and the client.

    asyncio, trio and anyio drop the connection when a handshake fails, with the alert that says why still unsent. So it
    seems to need more of the client, which makes them send what there is, until the client, once told, has closed. That
    takes no longer than they let a handshake take.
    """

    connected: Callable[[ssl.SSLObject], None] | None
    incoming: ssl.MemoryBIO
    failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self.failure is None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                _log.info("a client did not get through the TLS handshake: %s", error.reason or error)
                self.failure = error
        if self.failure is not None:
            self.incoming.read()
            if self.incoming.eof:
                raise self.failure
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the client has to close first")
        if self.connected is not None:
            self.connected(self)


def _load_server_context(options: ServerTLSOptions) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _ServerSide
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A session that is resumed would bring a client's certificate without a look at the trust anchors of now.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    key = None if options.tls_key is None else str(options.tls_key)
    password = None if options.tls_keypass is None else options.tls_keypass.octets
    _load_certificate(context, str(options.tls_cert), key, password)
    _client_authentication(context, options)
    return context


def _client_authentication(context: ssl.SSLContext, options: ServerTLSOptions) -> None:
    if (options.tls_client == "none") != (options.tls_trusted is None):
        raise ConfigurationError(
            "tls_trusted and tls_client belong together",
            hint='give the trust anchors for clients, and tls_client = "optional" or "required"',
        )
    if options.tls_trusted is not None:
        _load_anchors(context, str(options.tls_trusted))
        context.verify_mode = ssl.CERT_REQUIRED if options.tls_client == "required" else ssl.CERT_OPTIONAL


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
