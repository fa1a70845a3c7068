"""What an examination of a server finds, and how a road takes part in it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cmpkit.parts.transports import TransportOptions

__all__ = ["Check", "Examination", "Layer", "RoadExaminer", "Verdict"]


class Layer(enum.Enum):
    """What a check is about, from the bottom up: one that fails makes those above it pointless."""

    NAME = "name"
    """The host's name has an address."""
    CONNECTION = "connection"
    """Something listens there."""
    TLS = "TLS"
    ROAD = "road"
    """The road's own protocol, HTTP for instance, brings something back."""
    CMP = "CMP"
    """What came back is a CMP message."""
    TRUST = "trust"
    """The answers are authentic, belong to the requests, and keep the rules that a client insists on."""
    OPERATION = "operation"
    """The server does what it is asked for."""


class Verdict(enum.Enum):
    """What came of a check."""

    GOOD = "good"
    NOTE = "note"
    """Nothing is wrong: something that is not there, or could not be tried."""
    WARNING = "warning"
    """It works, but something should be changed."""
    BAD = "bad"
    """A client with these options fails here."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    :param name: what was looked at, the same in each examination: ``connection``, ``path /cmp``.
    :param detail: what was found. Never a secret.
    :param advice: what to do about it, empty if there is nothing to do.
    :param cmpkit: options that ``cmpkit`` needs for this server.
    :param openssl: options that ``openssl cmp`` needs for this server.
    """

    name: str
    layer: Layer
    verdict: Verdict
    detail: str
    advice: str = ""
    cmpkit: tuple[str, ...] = ()
    openssl: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """What an examination of a road is given.

    :param options: for the road; ``options.timeout`` bounds each step of its own.
    :param probe: makes a harmless request, a new one each time: DER of a PKIMessage.
    :param report: takes what is found, as soon as it is found.
    """

    options: TransportOptions
    probe: Callable[[], bytes]
    report: Callable[[Check], None]


@runtime_checkable
class RoadExaminer(Protocol):
    """What a client transport factory may be able to do besides: to say what is wrong with the way to an address.

    A road whose factory has no such method is examined by an exchange alone.
    """

    async def examine(self, url: str, examination: Examination) -> str | None:
        """Report what is found of each layer below CMP; stop at the first that fails.

        :returns: the address where CMP answers, given or another; ``None`` if there is none, which was reported.
        :raises ConfigurationError: if the URL or an option cannot be used.
        """
