"""The plugin that brings the road ``offline:``."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.offline.road import OfflineClients
from cmpkit.parts import ClientTransportFactory

__all__ = ["cmpkit_client_transports"]


@hookimpl
def cmpkit_client_transports() -> Iterable[ClientTransportFactory]:
    """The road of devices without a network."""
    return [OfflineClients()]
