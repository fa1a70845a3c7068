"""Results that are kept because the same octets are looked at several times while one message is answered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["MAX_OCTETS", "cached_property", "keep_last"]

T = TypeVar("T")

MAX_OCTETS = 8192
"""Larger arguments are worked out anew each time: what peers send must not fill the memory."""


def keep_last(function: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """A decorator: keep the results for the last 256 arguments of up to :data:`MAX_OCTETS` octets.

    :param function: gives the same immutable value for the same octets, or raises.
    """
    kept = functools.lru_cache(maxsize=256)(function)

    @functools.wraps(function)
    def find(octets: bytes) -> T:
        return kept(octets) if len(octets) <= MAX_OCTETS else function(octets)

    return find


if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property(functools.cached_property):
        """A property that is worked out once, without the lock by which Python 3.11 makes all threads wait for it.

        Two threads that ask at once may both work it out; the values are equal.
        """

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self.attrname] = self.func(instance)
            return value
