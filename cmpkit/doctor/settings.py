"""What to type for a server: the options of ``cmpkit`` and of ``openssl cmp`` that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography import x509

from cmpkit.crypto.names import format_name
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.revocation import RevocationSources
from cmpkit.parts import Check
from cmpkit.transports import TLS_OPTIONS

__all__ = ["Settings", "settings_for", "shown_url", "slashed_name"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client needs for a server besides its own credentials and trust anchors.

    :param cmpkit: the URL, and options of each client command.
    :param openssl: options of ``openssl cmp``; none for a road that it does not have.
    """

    cmpkit: tuple[str, ...]
    openssl: tuple[str, ...]


def settings_for(url: str, checks: Iterable[Check], options: ClientOptions, recipient: x509.Name | None) -> Settings:
    """The settings that the checks found, and those that they were made with.

    :param url: where CMP answers.
    :param recipient: the name of the server, for who has no certificate that names it.
    """
    found = (*_given(options), *((check.cmpkit, check.openssl) for check in checks))
    cmpkit = dict.fromkeys(words for words, _ in found)
    openssl = dict.fromkeys(words for _, words in found)
    named = ("-recipient", slashed_name(recipient)) if recipient is not None else ()
    road = _openssl_road(url)
    return Settings(
        cmpkit=(shown_url(url), *(word for option in cmpkit for word in option)),
        openssl=(*road, *named, *(word for option in openssl for word in option)) if road else (),
    )


def _given(options: ClientOptions) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What the options say, as far as it depends on the server and the way there."""
    if options.mac is not None:
        yield ("--mac", options.mac), ()
    for name in sorted(options.tolerances - {"unprotected-errors"}):
        yield ("--tolerate", name), ()
    if options.expected_sender is not None:
        sender = options.expected_sender
        yield ("--expect-sender", format_name(sender)), ("-expect_sender", slashed_name(sender))
    if options.pinned is not None:
        yield ("--srvcert", "FILE"), ("-srvcert", "FILE")
    if options.revocation is not None:
        yield from ((words, ()) for words in _status_sources(options.revocation))
    if "unprotected-errors" in options.tolerances:
        yield ("--unprotected-errors",), ("-unprotected_errors",)
    if options.transport.proxy is not None:
        proxy = shown_url(options.transport.proxy)
        yield ("--proxy", proxy), ("-proxy", proxy)
    for name in ("no_proxy", *TLS_OPTIONS):
        value = getattr(options.transport, name)
        if value is not None:
            yield (f"--{name.replace('_', '-')}", value), (f"-{name}", value)


def _status_sources(sources: RevocationSources) -> Iterator[tuple[str, ...]]:
    if sources.crls:
        yield "--crl", "FILE"
    for url in sources.crl_urls:
        yield "--crl", shown_url(url)
    if sources.ocsp_url is not None:
        yield "--ocsp", shown_url(sources.ocsp_url)
    if sources.crl_download:
        yield ("--crl-download",)


def _openssl_road(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        return ()
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    road = ("-server", f"{host}:{parts.port or _PORTS[parts.scheme]}", "-path", parts.path.lstrip("/") or "/")
    return (*road, "-tls_used") if parts.scheme == "https" else road


def shown_url(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def slashed_name(name: x509.Name) -> str:
    """The name as OpenSSL's options take it: ``/O=Example/CN=device``."""
    return "".join("/" + "+".join(map(_attribute, rdn)) for rdn in name.rdns)


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value if isinstance(attribute.value, str) else attribute.value.hex()
    escaped = "".join(f"\\{character}" if character in "\\/+" else character for character in value)
    return f"{attribute.rfc4514_attribute_name}={escaped}"
