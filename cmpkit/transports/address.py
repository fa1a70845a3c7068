"""From the address of a server to the road that leads there, or on which it listens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmpkit.errors import ConfigurationError
from cmpkit.parts import (
    ConfigurableServer,
    Road,
    ServerTransport,
    TransportOptions,
)
from cmpkit.plugins import Plugins

__all__ = ["configure_server", "open_transport"]


def open_transport(plugins: Plugins, url: str, options: TransportOptions | None = None) -> Road:
    """Open the client transport for a URL, by its scheme.

    What else is in the URL belongs to the road; that of HTTP completes a missing path to ``/.well-known/cmp``
    (RFC 9811 section 3.4).

    :param options: without it, those that :class:`~cmpkit.parts.TransportOptions` has by itself.
    :raises ConfigurationError: if no plugin brings the scheme, or the road cannot use the URL or an option.
    """
    if not _has_scheme(plugins, url):
        raise ConfigurationError(f"{url!r} is no URL: it has no scheme", hint=f"did you mean http://{url.lstrip('/')}?")
    try:
        factory = plugins.client_transport(url)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}", hint="write http://HOST[:PORT]/PATH") from error
    return factory.open(url, options or TransportOptions())


def configure_server(transport: ServerTransport, settings: Mapping[str, Any], directory: Path) -> ServerTransport:
    """A server transport that was told the keys of its own in a table.

    :param directory: where relative paths start.
    :raises ConfigurationError: naming each key that is wrong, missing or unknown.
    """
    if isinstance(transport, ConfigurableServer):
        return transport.configured(settings, directory)
    if settings:
        raise ConfigurationError(f"{', '.join(settings)}: the road {transport.name} has no such key")
    return transport


def _has_scheme(plugins: Plugins, url: str) -> bool:
    """Whether the URL names its scheme; what comes before the colon of ``localhost:8080/cmp`` is none."""
    scheme, _, rest = url.partition(":")
    return rest.startswith("//") or plugins.get("client transport", scheme.lower()) is not None
