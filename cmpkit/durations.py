"""Lengths of time as people write them."""

from __future__ import annotations

import re
from datetime import timedelta

__all__ = ["parse_duration"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_LONGEST = timedelta(days=36_525)


def parse_duration(value: object) -> timedelta:
    """A length of time as people write it: ``60s``, ``90m``, ``12h``, ``365d``, ``4w``, ``1y`` (365 days).

    :raises ValueError: if it is none, is zero, or is longer than 100 years.
    """
    found = re.fullmatch(r"([0-9]{1,12})([smhdwy])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('a length of time is needed, such as "60s", "90m", "12h", "365d"')
    seconds = int(found[1]) * _SECONDS[found[2]]
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise ValueError("must be more than nothing and at most 100 years")
    return timedelta(seconds=seconds)
