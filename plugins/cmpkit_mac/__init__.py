"""MACs: PasswordBasedMac and PBMAC1 under a shared secret, DHBasedMac under an agreed one (RFC 9810 section 5.1.3)."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import Protection
from cmpkit_mac.dh_based_mac import DHBasedMac
from cmpkit_mac.password_based_mac import PasswordBasedMac
from cmpkit_mac.pbmac1 import PBMAC1

__all__ = ["PBMAC1", "DHBasedMac", "PasswordBasedMac", "cmpkit_protections"]


@hookimpl
def cmpkit_protections() -> Iterable[Protection]:
    """The two that protect messages, and the one that proves possession."""
    return (PasswordBasedMac(), PBMAC1(), DHBasedMac())
