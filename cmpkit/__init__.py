"""cmpkit: the Certificate Management Protocol (RFC 9810) as framework, library, server and command line.

What applications use is offered here, and imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmpkit import blocking as blocking
    from cmpkit.endpoints.client import Client
    from cmpkit.endpoints.credentials import SigningCredentials
    from cmpkit.endpoints.enrolled import Enrolled
    from cmpkit.endpoints.options import ClientOptions
    from cmpkit.enums import CRLReason, PKIFailureInfo, PKIStatus
    from cmpkit.errors import (
        CMPError,
        ConfigurationError,
        PeerRefusal,
        StillWaiting,
        TransportError,
        TrustError,
    )
    from cmpkit.parts import SharedSecret, TransportOptions
    from cmpkit.plugins import Plugins, load_plugins

__version__ = "0.1.0"
__all__ = [
    "CMPError",
    "CRLReason",
    "Client",
    "ClientOptions",
    "ConfigurationError",
    "Enrolled",
    "PKIFailureInfo",
    "PKIStatus",
    "PeerRefusal",
    "Plugins",
    "SharedSecret",
    "SigningCredentials",
    "StillWaiting",
    "TransportError",
    "TransportOptions",
    "TrustError",
    "__version__",
    "load_plugins",
]

_HOMES = {
    "cmpkit.endpoints.client": ("Client",),
    "cmpkit.endpoints.credentials": ("SigningCredentials",),
    "cmpkit.endpoints.enrolled": ("Enrolled",),
    "cmpkit.endpoints.options": ("ClientOptions",),
    "cmpkit.enums": ("CRLReason", "PKIFailureInfo", "PKIStatus"),
    "cmpkit.errors": (
        "CMPError",
        "ConfigurationError",
        "PeerRefusal",
        "StillWaiting",
        "TransportError",
        "TrustError",
    ),
    "cmpkit.parts": ("SharedSecret", "TransportOptions"),
    "cmpkit.plugins": ("Plugins", "load_plugins"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "blocking":
        return importlib.import_module("cmpkit.blocking")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'cmpkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "blocking"]
