"""Bounds of the HTTP server."""

from __future__ import annotations

__all__ = [
    "CLOSING_SECONDS",
    "GRACE_SECONDS",
    "HEADER_SECONDS",
    "KEEP_ALIVE_SECONDS",
    "MAX_CONNECTIONS",
    "MAX_HEADER_OCTETS",
]

GRACE_SECONDS = 4
"""What is in flight at shutdown has this long to end."""
CLOSING_SECONDS = 0.25
"""A client has this long to close TLS when the server ends."""
KEEP_ALIVE_SECONDS = 15
"""An idle connection is closed after this."""
HEADER_SECONDS = 15
"""A client has this long for the header of a request."""
MAX_CONNECTIONS = 1000
"""More clients at once get status 503."""
MAX_HEADER_OCTETS = 1 << 16
"""A longer header ends the connection."""
