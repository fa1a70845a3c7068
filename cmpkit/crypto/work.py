"""Work that takes milliseconds: off the event loop, and not too much of it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

__all__ = ["run_derivation"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_DERIVATIONS_AT_ONCE = 2
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("cmpkit_derivations")


async def run_derivation(function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run a key derivation in a worker thread, at most two at once in the whole event loop.

    What a peer may ask for before it is authenticated must not take every core (RFC 9810 section 8).

    :param function: does the work, with ``args``; it is not cancelled once it runs.
    """
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_DERIVATIONS_AT_ONCE)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(function, *args, limiter=limiter)
