"""Paths of CMP over HTTP (RFC 9811 section 3.4, RFC 9483 section 6.1)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

__all__ = ["CMP_PATH", "OPERATIONS", "WELL_KNOWN_PATH", "PathTable"]

WELL_KNOWN_PATH = "/.well-known/cmp"
"""The path that every server serves."""
CMP_PATH = "/cmp"
"""The path that is customary beside it."""
OPERATIONS = frozenset(
    {
        "initialization",
        "certification",
        "keyupdate",
        "pkcs10",
        "revocation",
        "getcacerts",
        "getrootupdate",
        "getcertreqtemplate",
        "getcrls",
        "nested",
    }
)
"""The operation labels of HTTP paths (RFC 9483 section 6.1)."""

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MAX_NAME_OCTETS = 256


class PathTable:
    """Which paths are served, and which label and operation each one names.

    :param roots: paths under which ``/<operation>``, ``/p/<name>`` and ``/p/<name>/<operation>`` are served too.
    """

    def __init__(self, *roots: str) -> None:
        unique = {root.rstrip("/").encode("ascii") for root in roots}
        self._fixed: dict[bytes, tuple[str | None, str | None]] = {}
        for root in unique:
            self._fixed[root] = (None, None)
            self._fixed.update({root + b"/" + name.encode(): (None, name) for name in OPERATIONS})
        self._named = tuple(root + b"/p/" for root in unique)

    def find(self, raw_path: bytes) -> tuple[str | None, str | None] | None:
        """The label and operation that a path names, or ``None`` if the path is not served.

        :param raw_path: as it was sent, percent-encoded and without the query.
        """
        found = self._fixed.get(raw_path)
        if found is not None or not raw_path:
            return found
        for prefix in self._named:
            if raw_path.startswith(prefix):
                return _named(raw_path[len(prefix) :])
        return self._fixed.get(raw_path[:-1]) if raw_path.endswith(b"/") else None


def _named(rest: bytes) -> tuple[str, str | None] | None:
    encoded, slash, operation = rest.partition(b"/")
    name = _decode_name(encoded)
    if name is None:
        return None
    if not slash:
        return name, None
    label = operation.decode("latin-1")
    return (name, label) if label in OPERATIONS else None


def _decode_name(encoded: bytes) -> str | None:
    """The name, percent-decoded once, if it is one that nobody can mistake for a path."""
    if len(encoded) > _MAX_NAME_OCTETS or _BROKEN_ESCAPE.search(encoded):
        return None
    try:
        name = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        return None
    unsafe = not name or not name.isprintable() or "/" in name or "\\" in name or ".." in name or name == "."
    return None if unsafe else name
