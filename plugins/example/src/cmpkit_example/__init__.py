"""An example of a plugin for cmpkit: the hooks, which say what parts there are."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import ClientTransportFactory, InfoType, Observer, SecretSourceFactory, ServerTransport
from cmpkit_example.expiry import CAExpiryInfo
from cmpkit_example.journal import Journal
from cmpkit_example.queue import QueueClients, QueueServer
from cmpkit_example.secrets_file import TOMLSecretsFactory
from cmpkit_example.unix import UnixClients, UnixServer

__all__ = [
    "cmpkit_client_transports",
    "cmpkit_info_types",
    "cmpkit_observers",
    "cmpkit_secret_sources",
    "cmpkit_server_transports",
]


@hookimpl
def cmpkit_info_types() -> Iterable[InfoType]:
    """Until when the CA's certificates are valid."""
    return [CAExpiryInfo()]


@hookimpl
def cmpkit_observers() -> Iterable[Observer]:
    """A line in the log for each event."""
    return [Journal()]


@hookimpl
def cmpkit_secret_sources() -> Iterable[SecretSourceFactory]:
    """Shared secrets in a TOML file."""
    return [TOMLSecretsFactory()]


@hookimpl
def cmpkit_client_transports() -> Iterable[ClientTransportFactory]:
    """The roads of clients to ``unix`` and ``queue`` addresses."""
    return [UnixClients(), QueueClients()]


@hookimpl
def cmpkit_server_transports() -> Iterable[ServerTransport]:
    """The roads that listen on ``unix`` and ``queue`` addresses."""
    return [UnixServer(), QueueServer()]
