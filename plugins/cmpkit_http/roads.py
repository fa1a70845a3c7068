"""The two parts of this plugin. What they need of httpx, uvicorn or Hypercorn is imported when a road is opened."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus

from cmpkit.errors import ConfigurationError
from cmpkit.parts import (
    ClientTransport,
    Examination,
    Handler,
    Question,
    Resource,
    TransportOptions,
    WantedCertificate,
)
from cmpkit.transports import TLS_OPTIONS, ServerTLSOptions, read_own_options, refuse_other_options
from cmpkit_http.app import CMPApplication
from cmpkit_http.listening import ListenAddress, open_sockets

__all__ = ["HTTPClients", "HTTPServer", "warn_of_readers"]

log = logging.getLogger("cmpkit.http")
_Runner = Callable[..., Awaitable[None]]


class HTTPClients:
    """Opens client transports to ``http`` and ``https`` addresses."""

    schemes: tuple[str, ...] = ("http", "https")

    def open(self, url: str, options: TransportOptions) -> ClientTransport:
        """A transport to ``url``; a URL without a path means ``/.well-known/cmp`` (RFC 9811 section 3.4).

        :raises ConfigurationError: if the URL or an option cannot be used.
        """
        from cmpkit_http.client import HTTPClient  # noqa: PLC0415

        secured = TLS_OPTIONS if url.lower().startswith("https:") else ()
        refuse_other_options(options, url, "proxy", "no_proxy", *secured)
        client = HTTPClient(url, options)
        if not secured:
            warn_of_readers(client.host)
        return client

    async def fetch(self, url: str, options: TransportOptions, question: Question | None = None) -> bytes:
        """A document, or an answer; see :meth:`cmpkit.parts.ResourceClient.fetch`."""
        from cmpkit_http.fetching import fetch  # noqa: PLC0415

        return await fetch(url, options, question)

    async def examine(self, url: str, examination: Examination) -> str | None:
        """Name, connection, TLS, HTTP and paths; see :meth:`cmpkit.parts.RoadExaminer.examine`."""
        from cmpkit_http.examining import examine_http  # noqa: PLC0415

        return await examine_http(url, examination)


class HTTPServer:
    """Listens on ``http`` and ``https`` addresses: with uvicorn on asyncio, with Hypercorn on trio."""

    name = "http"
    schemes: tuple[str, ...] = ("http", "https")
    delayed = False

    def __init__(self, settings: Mapping[str, Any] | None = None, directory: Path = Path()) -> None:
        self._settings, self._directory = settings or {}, directory

    def configured(self, settings: Mapping[str, Any], directory: Path) -> HTTPServer:
        """The transport with the keys of one table: for ``https`` :class:`~cmpkit.transports.ServerTLSOptions`."""
        return HTTPServer(settings, directory)

    def check(self, url: str) -> None:
        """Whether that is an address to listen on, and the keys fit; see :meth:`cmpkit.parts.ServerTransport.check`."""
        address = ListenAddress.parse(url)
        options = self._options(address)
        if options is not None:
            options.check(address.host)

    def wanted_certificate(self, url: str) -> WantedCertificate | None:
        """That of ``tls_profile``; see :meth:`cmpkit.parts.CertifiedServer.wanted_certificate`."""
        address = ListenAddress.parse(url)
        options = self._options(address)
        return None if options is None else options.wanted_certificate(address.host)

    def _options(self, address: ListenAddress) -> ServerTLSOptions | None:
        if address.secured:
            return read_own_options(ServerTLSOptions, self._settings, directory=self._directory)
        if self._settings:
            raise ConfigurationError(
                f"{', '.join(self._settings)}: the road http has no such key", hint="TLS is at https addresses"
            )
        return None

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """Serve until ``shutdown`` is set; what is in flight then has four seconds to end.

        A cancelled ``serve`` ends at once. Either way nothing listens any more when it has returned.

        :param url: ``http[s]://host[:port][/path]``; the path is served beside ``/.well-known/cmp`` and ``/cmp``.
        :raises ConfigurationError: if the URL or a key cannot be used, or nothing can listen there.
        """
        await self.serve_resources(
            url, handler, {}, max_message_size=max_message_size, shutdown=shutdown, task_status=task_status
        )

    async def serve_resources(
        self,
        url: str,
        handler: Handler | None,
        resources: Mapping[str, Resource],
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """The same with resources; see :meth:`cmpkit.parts.ResourceServer.serve_resources`."""
        run = _import_runner()
        address = ListenAddress.parse(url)
        options = self._options(address)
        sockets = await open_sockets(address)
        port: int = sockets[0].getsockname()[1]

        application = CMPApplication(handler, path=address.path, resources=resources, max_message_size=max_message_size)
        try:
            await run(
                application,
                sockets,
                tls=options,
                shutdown=shutdown,
                started=lambda: task_status.started(address.at_port(port)),
            )
        finally:
            for sock in sockets:
                sock.close()


@lru_cache
def warn_of_readers(host: str) -> None:
    """Warn once of what plain HTTP to another machine means.

    :param host: name or address, IPv6 without brackets.
    """
    try:
        near = ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = host == "localhost" or host.endswith(".localhost")
    if not near:
        log.warning("plain HTTP to %s: whoever is on the way can read the messages; https:// hides them", host)


def _import_runner() -> _Runner:
    """The server for the event loop that runs.

    :raises ConfigurationError: if it is not installed.
    """
    try:
        if "trio" in sys.modules and sys.modules["trio"].lowlevel.in_trio_run():
            return importlib.import_module("cmpkit_http.on_trio").run  # type: ignore[no-any-return]
        return importlib.import_module("cmpkit_http.on_asyncio").run  # type: ignore[no-any-return]
    except ImportError as error:
        raise ConfigurationError(
            f"the HTTP server needs {error.name}, which is not installed", hint="pip install 'cmpkit[server]'"
        ) from error
