"""Message protection by shared secret: PasswordBasedMac and PBMAC1 (RFC 9810 section 5.1.3, RFC 9481 section 6)."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import Protection
from cmpkit_mac.password_based_mac import PasswordBasedMac
from cmpkit_mac.pbmac1 import PBMAC1

__all__ = ["PBMAC1", "PasswordBasedMac", "cmpkit_protections"]


@hookimpl
def cmpkit_protections() -> Iterable[Protection]:
    """The two protections."""
    return (PasswordBasedMac(), PBMAC1())
