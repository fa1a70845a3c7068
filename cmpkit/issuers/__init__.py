"""Issuers whose CA is elsewhere: a program, or another CMP server that is asked on behalf of the requester."""

from __future__ import annotations

__all__: list[str] = []
