"""Roads: how messages come and go."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import anyio
from anyio.abc import TaskStatus

__all__ = [
    "AnnouncementTransport",
    "Answer",
    "ClientTransport",
    "ClientTransportFactory",
    "Disposition",
    "Handler",
    "Peer",
    "ServerTransport",
    "TransportOptions",
]


class Disposition(enum.Enum):
    """What became of a request, for the transport to say in its own way (HTTP status, finRep, a mail, a file)."""

    ANSWERED = "answered"
    """``Answer.der`` is a CMP message."""
    NOTHING_MORE = "nothing more"
    """There is no CMP answer, and none is due."""
    MALFORMED = "malformed"
    """What came is no CMP message; ``Answer.der`` may hold an error message."""
    TOO_LARGE = "too large"
    """What came is larger than this endpoint reads."""
    STORED = "stored"
    """What was announced is kept, or was known already; there is no CMP answer to an announcement."""
    REFUSED = "refused"
    """What was announced is not believed, or not wanted."""
    UNAVAILABLE = "unavailable"
    """The endpoint cannot serve now; the same message may be sent again later."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a message came from. Nothing in it is authenticated by CMP.

    :param road: the name of the transport, ``http``, ``tcp``, ``mail`` ...
    :param address: the peer's address in the road's own form, for logs and limits.
    :param tls_certificate: DER of the certificate of TLS client authentication, if there was any.
    :param label: the ``<name>`` of ``/p/<name>``: which CA or profile is addressed (RFC 9811 section 3.4).
    :param operation: the operation label of the address, ``initialization``, ``keyupdate`` ... (RFC 9483 section 6.1).
    :param reply_to: where a store-and-forward road sends the answer.
    """

    road: str
    address: str = ""
    tls_certificate: bytes | None = None
    label: str | None = None
    operation: str | None = None
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a transport sends back.

    :param der: a DER PKIMessage, or ``None`` where there is no CMP answer.
    """

    der: bytes | None
    disposition: Disposition = Disposition.ANSWERED


Handler = Callable[[bytes, Peer], Awaitable[Answer]]
"""What a server transport calls with each message. It never raises for bad input."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What any client transport may be told.

    :param timeout: seconds for one exchange.
    :param max_response_size: octets of an answer that are read at most.
    :param tls_trusted: PEM file with trust anchors for TLS; ``None`` takes the system's.
    :param tls_cert: PEM file with the client's TLS certificate and chain.
    :param tls_key: PEM file with its key.
    :param tls_host: the name that the server's TLS certificate must have, if not the host of the URL.
    :param proxy: URL of a proxy.
    """

    timeout: float = 60.0
    max_response_size: int = 1 << 20
    tls_trusted: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_host: str | None = None
    proxy: str | None = None


class ClientTransport(Protocol):
    """An open road to one address, for requests with answers."""

    async def exchange(self, request: bytes) -> bytes:
        """Send one DER message, return the one that answers it.

        :raises TransportError: if no CMP message came back; the request may be sent again unchanged.
        """

    async def aclose(self) -> None:
        """Give up the road's resources."""


@runtime_checkable
class AnnouncementTransport(Protocol):
    """What a client transport may be able to do besides: to carry announcements, which have no CMP answer."""

    async def announce(self, message: bytes) -> Disposition:
        """Send one DER message; what became of it.

        :returns: ``STORED`` if it needs not be sent again, ``UNAVAILABLE`` if it should be, later.
        :raises TransportError: if it was not taken, or nothing came back.
        """

    async def aclose(self) -> None:
        """Give up the road's resources."""


class ClientTransportFactory(Protocol):
    """Opens client transports for some URL schemes."""

    schemes: tuple[str, ...]

    def open(self, url: str, options: TransportOptions) -> ClientTransport:
        """A transport to ``url``; no octet is sent yet.

        :raises ConfigurationError: if the URL or an option cannot be used.
        """


class ServerTransport(Protocol):
    """Takes messages at some URL schemes and hands them to the endpoint."""

    name: str
    schemes: tuple[str, ...]

    def check(self, url: str) -> None:
        """Whether :meth:`serve` can make sense of a URL; nothing is opened.

        :raises ConfigurationError: naming what is wrong with it.
        """

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """Serve until ``shutdown`` is set, then finish what is in flight and return.

        ``task_status.started(url)`` is called once messages are taken, with the address as a client would use it (a
        port 0 replaced by the real one).

        :param url: the address to listen on.
        :param max_message_size: octets; more are refused before they are read.
        :raises ConfigurationError: if the address cannot be used.
        """
