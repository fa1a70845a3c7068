"""TLS of the client, from the options. Nothing here turns verification off."""

from __future__ import annotations

import ssl

from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions

__all__ = ["client_context"]


def client_context(options: TransportOptions) -> ssl.SSLContext:
    """A context for TLS 1.2 and later, as the options say.

    :raises ConfigurationError: naming the option and file that cannot be used.
    """
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = options.tls_host
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.tls_trusted is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        try:
            context.load_verify_locations(cafile=options.tls_trusted)
        except OSError as error:
            raise _unusable("tls_trusted", options.tls_trusted, error, "a PEM file with certificates") from error
    if options.tls_key is not None and options.tls_cert is None:
        raise ConfigurationError("tls_key is given without tls_cert", hint="give the certificate of the key too")
    if options.tls_cert is not None:
        _load_certificate(context, options.tls_cert, options.tls_key)
    return context


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        given, expected = "tls_cert", "a PEM file with the certificate, its chain and, if tls_key is not given, its key"
        if key is not None:
            given, certificate = "tls_cert and tls_key", f"{certificate} and {key}"
            expected = "PEM files that belong together, the key unencrypted"
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
