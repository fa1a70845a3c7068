"""Results that are kept because the same octets are looked at several times while one message is answered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

__all__ = ["MAX_OCTETS", "Kept", "cached_property", "keep_last"]

T = TypeVar("T")
V = TypeVar("V")

MAX_OCTETS = 8192
"""Larger arguments are worked out anew each time: what peers send must not fill the memory."""

_MOST = 256
_UNKNOWN: Any = object()


class Kept(Protocol[V]):
    """A function whose last results are kept."""

    def __call__(self, octets: bytes, /) -> V:
        """The result, kept or worked out.

        :param octets: the argument.
        """

    def keep(self, octets: bytes, result: V) -> None:
        """Keep a result that is known.

        :param octets: the argument that it is for.
        """


def keep_last(function: Callable[[bytes], T]) -> Kept[T]:
    """A decorator: keep the results for 256 arguments of up to :data:`MAX_OCTETS` octets; then it begins anew.

    :param function: gives the same immutable value for the same octets, or raises.
    """
    # No functools.lru_cache: it takes no results that are known, and as long with a check of the size around it.
    results: dict[bytes, T] = {}

    def keep(octets: bytes, result: T) -> None:
        if len(octets) <= MAX_OCTETS:
            if len(results) >= _MOST:
                results.clear()
            results[octets] = result

    @functools.wraps(function)
    def find(octets: bytes) -> T:
        result: T = results.get(octets, _UNKNOWN)
        if result is _UNKNOWN:
            result = function(octets)
            keep(octets, result)
        return result

    find.keep = keep  # type: ignore[attr-defined]
    return find  # type: ignore[return-value]


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
