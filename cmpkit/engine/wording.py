"""Numbers of strangers in texts for people."""

from __future__ import annotations

__all__ = ["number_text"]

_LONGEST = 64


def number_text(number: int) -> str:
    """The number, or how long it is: a peer may send integers of any size, which Python does not print.

    :param number: an INTEGER as it came.
    """
    bits = number.bit_length()
    return str(number) if bits <= _LONGEST else f"of {bits} bits"
