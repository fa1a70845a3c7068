"""What can be set for this road."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from cmpkit.transports import ServerTLSOptions

__all__ = ["TCPClientOptions", "TCPSServerOptions", "TCPServerOptions"]


@dataclass(frozen=True, kw_only=True)
class TCPClientOptions:
    """Options of clients, ``--road-option NAME=VALUE``.

    :param framing: the form of units: ``version-10``, or ``rfc2510``, which came before.
    """

    framing: Literal["version-10", "rfc2510"] = "version-10"


@dataclass(frozen=True, kw_only=True)
class TCPServerOptions:
    """Keys of ``[[listen]]``.

    :param max_connections: more at once are closed as soon as they come.
    :param idle_timeout: how long a connection may be silent between units.
    :param unit_timeout: how long a unit, once begun, may take to come or to go; TLS has as long.
    :param patience: what takes longer is to be polled for.
    """

    max_connections: int = 500
    idle_timeout: timedelta = timedelta(seconds=60)
    unit_timeout: timedelta = timedelta(seconds=30)
    patience: timedelta = timedelta(seconds=20)


@dataclass(frozen=True, kw_only=True)
class TCPSServerOptions(ServerTLSOptions, TCPServerOptions):
    """The same with those of TLS."""
