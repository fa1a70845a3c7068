"""The two parts of this plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus

from cmpkit.errors import ConfigurationError
from cmpkit.parts import Examination, Handler, TransportOptions, WantedCertificate
from cmpkit.transports import (
    TLS_OPTIONS,
    client_context,
    examine_connection,
    examine_name,
    read_own_options,
    refuse_other_options,
    server_context,
)
from cmpkit_tcp.addresses import TCPAddress
from cmpkit_tcp.client import TCPClient
from cmpkit_tcp.framing import Framing
from cmpkit_tcp.later import Desk
from cmpkit_tcp.options import TCPClientOptions, TCPServerOptions, TCPSServerOptions
from cmpkit_tcp.serving import Attendant

__all__ = ["TCPClients", "TCPServer"]

_GRACE_SECONDS = 4.0
"""What is in flight at shutdown has this long to end."""


class TCPClients:
    """Opens client transports to ``tcp`` and ``tcps`` addresses."""

    schemes: tuple[str, ...] = ("tcp", "tcps")

    def open(self, url: str, options: TransportOptions) -> TCPClient:
        """A transport to ``url``; see :class:`~cmpkit_tcp.options.TCPClientOptions` for its options.

        :raises ConfigurationError: if the URL or an option cannot be used.
        """
        address = TCPAddress.parse(url)
        refuse_other_options(options, url, "own", *(TLS_OPTIONS if address.secured else ()))
        own = read_own_options(TCPClientOptions, options.own, directory=options.directory)
        tls = client_context(options) if address.secured else None
        return TCPClient(address, Framing(own.framing), options, tls)

    async def examine(self, url: str, examination: Examination) -> str | None:
        """Name and connection; see :meth:`cmpkit.parts.RoadExaminer.examine`."""
        address = TCPAddress.parse(url)
        if not await examine_name(address.host, examination):
            return None
        return url if await examine_connection(address.host, address.port, examination) else None


class TCPServer:
    """Listens on ``tcp`` and ``tcps`` addresses; answers in the framing in which it is asked."""

    name = "tcp"
    schemes: tuple[str, ...] = ("tcp", "tcps")
    delayed = False

    def __init__(self, settings: Mapping[str, Any] | None = None, directory: Path = Path()) -> None:
        self._settings, self._directory = settings or {}, directory

    def configured(self, settings: Mapping[str, Any], directory: Path) -> TCPServer:
        """The transport with the keys of one table.

        They are those of :class:`~cmpkit_tcp.options.TCPServerOptions`, for ``tcps`` those of
        :class:`~cmpkit.transports.ServerTLSOptions`, too.
        """
        return TCPServer(settings, directory)

    def check(self, url: str) -> None:
        """Whether that is an address to listen on, and the keys fit; see :meth:`cmpkit.parts.ServerTransport.check`."""
        address = TCPAddress.parse(url)
        options = self._options(address)
        if isinstance(options, TCPSServerOptions):
            options.check(address.host)

    def wanted_certificate(self, url: str) -> WantedCertificate | None:
        """That of ``tls_profile``; see :meth:`cmpkit.parts.CertifiedServer.wanted_certificate`."""
        address = TCPAddress.parse(url)
        options = self._options(address)
        return options.wanted_certificate(address.host) if isinstance(options, TCPSServerOptions) else None

    def _options(self, address: TCPAddress) -> TCPServerOptions:
        kind = TCPSServerOptions if address.secured else TCPServerOptions
        return read_own_options(kind, self._settings, directory=self._directory)

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

        :raises ConfigurationError: if the URL or a key cannot be used, or nothing can listen there.
        """
        address = TCPAddress.parse(url)
        options = self._options(address)
        tls = server_context(options) if isinstance(options, TCPSServerOptions) else None
        try:
            listener = await anyio.create_tcp_listener(local_host=address.host, local_port=address.port)
        except (OSError, UnicodeError) as error:
            raise ConfigurationError(
                f"cannot listen on {url}: {error}", hint="is the port taken, or below 1024?"
            ) from error
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no database
        async with listener, anyio.create_task_group() as in_flight:
            desk = Desk(in_flight, options.patience.total_seconds())
            attendant = Attendant(*(handler, desk, options), road=self.name, tls=tls, max_message_size=max_message_size)
            async with anyio.create_task_group() as accepting:
                accepting.start_soon(attendant.attend_all, listener, in_flight)
                task_status.started(str(replace(address, port=port)))
                await shutdown.wait()
                accepting.cancel_scope.cancel()
            await listener.aclose()
            attendant.end()
            in_flight.cancel_scope.deadline = anyio.current_time() + _GRACE_SECONDS
