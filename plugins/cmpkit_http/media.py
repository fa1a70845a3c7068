"""The media type of CMP (RFC 9811 section 3.2)."""

from __future__ import annotations

__all__ = ["CMP_MEDIA_TYPE", "CMP_MEDIA_TYPES", "media_type"]

CMP_MEDIA_TYPE = "application/pkixcmp"
CMP_MEDIA_TYPES = frozenset({CMP_MEDIA_TYPE, "application/pkixcmp-poll", "application/x-pkixcmp"})
"""What is read as CMP: the type of the RFC, and two older ones that are still met."""


def media_type(content_type: str) -> str:
    """The media type of a Content-Type header, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()
