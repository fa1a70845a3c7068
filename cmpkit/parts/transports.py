"""Roads: how messages come and go."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import anyio
from anyio.abc import TaskStatus

from cmpkit.parts.identity import Authenticated
from cmpkit.values import quick

__all__ = [
    "AnnouncementTransport",
    "Answer",
    "CertifiedServer",
    "ClientTransport",
    "ClientTransportFactory",
    "ConfigurableServer",
    "Disposition",
    "ForwardingTransport",
    "Handler",
    "Peer",
    "Road",
    "ServerTransport",
    "TransportOptions",
    "Wanted",
    "WantedCertificate",
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
    """Where a message came from. Nothing in it is authenticated by CMP, but those who forwarded it.

    :param road: the name of the transport, ``http``, ``tcp``, ``mail`` ...
    :param address: the peer's address in the road's own form, for logs and limits.
    :param tls_certificate: DER of the certificate of TLS client authentication, if there was any.
    :param label: the ``<name>`` of ``/p/<name>``: which CA or profile is addressed (RFC 9811 section 3.4).
    :param operation: the operation label of the address, ``initialization``, ``keyupdate`` ... (RFC 9483 section 6.1).
    :param reply_to: where a store-and-forward road sends the answer.
    :param forwarders: the registration authorities that forwarded it inside nested messages, the first one first; that
        they did says nothing for it (RFC 9810 section 5.1.3.4).
    """

    road: str
    address: str = ""
    tls_certificate: bytes | None = None
    label: str | None = None
    operation: str | None = None
    reply_to: str | None = None
    forwarders: tuple[Authenticated, ...] = ()

    @property
    def forwarded_by(self) -> str:
        """The names of those who forwarded it, the first one first."""
        return ", ".join(forwarder.identity for forwarder in self.forwarders)


@quick
@dataclass(frozen=True)
class Answer:
    """What a transport sends back.

    :param der: a DER PKIMessage, or ``None`` where there is no CMP answer. Beside ``MALFORMED`` and ``UNAVAILABLE`` it
        is an error message, for roads at whose other end somebody waits for one.
    """

    der: bytes | None
    disposition: Disposition = Disposition.ANSWERED


Handler = Callable[[bytes, Peer], Awaitable[Answer]]
"""What a server transport calls with each message. It never raises for bad input."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What a client transport may be told. One that is given and has no meaning for a road is refused by it.

    :param timeout: seconds for one exchange; on a store-and-forward road, for handing one message over.
    :param max_response_size: octets of an answer that are read at most.
    :param tls_trusted: PEM file with trust anchors for TLS; ``None`` takes the system's.
    :param tls_cert: PEM file with the client's TLS certificate and chain.
    :param tls_key: PEM file with its key.
    :param tls_keypass: where the password of that key is: ``file:PATH`` or ``env:NAME``.
    :param tls_host: the name that the server's TLS certificate must have, if not the host of the URL.
    :param proxy: URL of a proxy.
    :param no_proxy: hosts that are reached without a proxy, by comma or white space.
    :param own: what only this road knows, by name, as text or as a configuration file has it; see
        :func:`cmpkit.transports.read_own_options`.
    :param directory: where relative paths start.
    """

    timeout: float = 60.0
    max_response_size: int = 1 << 20
    tls_trusted: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_keypass: str | None = None
    tls_host: str | None = None
    proxy: str | None = None
    no_proxy: str | None = None
    own: Mapping[str, Any] = field(default_factory=dict)
    directory: Path = field(default_factory=Path)


class ClientTransport(Protocol):
    """An open road to one address, for requests with answers."""

    async def exchange(self, request: bytes) -> bytes:
        """Send one DER message, return the one that answers it.

        :raises TransportError: if no CMP message came back; the request may be sent again unchanged.
        """

    async def aclose(self) -> None:
        """Give up the road's resources."""


Wanted = Callable[[bytes], Awaitable[bool]]
"""Whether a message that has come is one that is waited for. It never raises, whatever the octets are."""


@runtime_checkable
class ForwardingTransport(Protocol):
    """An open store-and-forward road to one address: messages and answers travel apart, for hours or weeks.

    Which answer belongs to which message is not the road's concern: who waits knows it by transactionID and nonces. A
    road looks at no name, header or place to tell that; several clients may share where their answers arrive.
    Everything that it holds outlives the process.
    """

    async def send(self, message: bytes) -> None:
        """Hand one DER message over; it is on its way, and survives this process, when this returns.

        :raises TransportError: if it could not be handed over; it may be sent again unchanged.
        """

    async def receive(self, wanted: Wanted) -> bytes:
        """Wait, for ever if need be, until a message has come that is wanted; it stays where it is.

        At each call everything that is there is looked at anew. What is not wanted stays for whom it is, and what is
        too large or cannot be read is passed over. One task calls this at a time, and may cancel it at any moment.

        :raises TransportError: if the road fails; it is called again if the error is retryable.
        :raises TimeoutError: if nothing comes by waiting, as where people carry messages.
        """

    async def done(self, message: bytes) -> None:
        """Take a message that :meth:`receive` returned off the road: what follows from it is kept elsewhere now.

        Of what is not there any more nothing is said.

        :raises TransportError: if the road fails. The message may stay then: nobody will want it again.
        """

    async def aclose(self) -> None:
        """Give up the road's resources, not what is on it."""


Road: TypeAlias = ClientTransport | ForwardingTransport
"""A client transport of either kind."""


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

    def open(self, url: str, options: TransportOptions) -> Road:
        """A transport to ``url``; no octet is sent yet.

        :raises ConfigurationError: if the URL or an option cannot be used, or an option has no meaning here; see
            :func:`cmpkit.transports.refuse_other_options`.
        """


class ServerTransport(Protocol):
    """Takes messages at some URL schemes and hands them to the endpoint.

    On a store-and-forward road a message is claimed, handled, answered, and only then gone: whatever ends the process
    in between, it is handled again, and the endpoint gives the same answer again. :func:`cmpkit.transports.work_off`
    does that for any road.

    :ivar delayed: whether messages may be on their way for hours or weeks; messageTime is then judged accordingly.
    """

    name: str
    schemes: tuple[str, ...]
    delayed: bool

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
        :raises TransportError: if it cannot be used now, or not any longer: ``serve`` is called again later.
        """


@runtime_checkable
class ConfigurableServer(Protocol):
    """What a :class:`ServerTransport` may be able to do besides: to have keys of its own in ``[[listen]]`` tables."""

    def configured(self, settings: Mapping[str, Any], directory: Path) -> ServerTransport:
        """The transport with the keys of one table; it is asked for before anything else, and if there are none, too.

        :param settings: every key of the table that is not the core's, as the file has it.
        :param directory: where relative paths start.
        :raises ConfigurationError: naming each key that is wrong, missing or unknown; see
            :func:`cmpkit.transports.read_own_options`.
        """


@dataclass(frozen=True, slots=True)
class WantedCertificate:
    """A TLS certificate that the CA of a server is to issue for one of its roads, and to renew before it ends.

    :param profile: the certificate profile.
    :param names: host names and IP addresses; the first is the commonName, too.
    :param certificate: the PEM file for the certificate and its chain; the road reads it again when it has changed.
    :param key: the PEM file for its private key; if it is there, its key is used.
    :param key_password: what the key is encrypted with; ``None`` if it is not.
    """

    profile: str
    names: tuple[str, ...]
    certificate: Path
    key: Path
    key_password: bytes | None = field(default=None, repr=False)


@runtime_checkable
class CertifiedServer(Protocol):
    """What a :class:`ServerTransport` may be able to do besides: to have its TLS certificate from the CA it serves."""

    def wanted_certificate(self, url: str) -> WantedCertificate | None:
        """The certificate that is to be in its file whenever :meth:`ServerTransport.serve` is called.

        :param url: the address to listen on.
        :returns: ``None`` if the operator sees to the certificate.
        :raises ConfigurationError: if the keys that it was told do not go together.
        """
