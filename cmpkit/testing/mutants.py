"""Messages with the usual faults, by name; the same seed gives the same octets."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Any

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.testing.faults import MESSAGE_FAULTS, Chance
from cmpkit.testing.octets import OCTET_FAULTS
from cmpkit.testing.road import RoadFault

__all__ = ["Mutant", "Mutation", "MutationPlace", "mutate", "mutations"]


class MutationPlace(enum.Enum):
    """Where a fault comes into a message."""

    MESSAGE = "message"
    """In a field, before the message is protected."""
    OCTETS = "octets"
    """In the octets, after the message was protected."""
    ROAD = "road"
    """On the way: for the schedule of a :class:`~cmpkit.testing.LossyRoad`."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A fault that has a name.

    :param description: what is wrong then, with the failInfo that is due where there is one.
    """

    name: str
    description: str
    place: MutationPlace


def mutations() -> tuple[Mutation, ...]:
    """Every fault that has a name."""
    named: list[tuple[MutationPlace, dict[str, Any]]] = [
        (MutationPlace.MESSAGE, MESSAGE_FAULTS),
        (MutationPlace.OCTETS, OCTET_FAULTS),
    ]
    in_messages = [
        Mutation(name, inspect.getdoc(fault) or "", place) for place, faults in named for name, fault in faults.items()
    ]
    on_roads = [Mutation(fault.value, fault.description, MutationPlace.ROAD) for fault in RoadFault]
    return (*in_messages, *on_roads)


class Mutant:
    """A :class:`~cmpkit.parts.Transform` that gives messages faults; made by :func:`mutate`.

    :attr:`made` has the body type and the name of each fault that was made.
    """

    def __init__(self, names: Collection[str], seed: int, of: Collection[BodyType]) -> None:
        self.made: list[tuple[str, str]] = []
        self._names = tuple(names)
        self._seed = seed
        self._of = frozenset(of)
        self._seen: list[PKIMessage] = []

    async def before_protection(self, message: PKIMessage) -> PKIMessage:
        """The message with the faults of fields; its protection will fit them."""
        return self.message(message)

    async def after_protection(self, octets: bytes) -> bytes:
        """The octets with the faults of octets."""
        return self._octets(octets, self._seen[-1])

    def message(self, message: PKIMessage) -> PKIMessage:
        """A message with the faults of fields; a protection that it has stays as it is."""
        self._seen.append(message)
        changed = message
        for name in self._wanted(message):
            fault = MESSAGE_FAULTS.get(name)
            made = None if fault is None else fault(changed, Chance(self._random(name), tuple(self._seen[:-1])))
            changed = self._note(name, changed, made)
        return changed

    def on_road(self, octets: bytes) -> bytes:
        """A message that comes by with all its faults; nobody protects it anew. Octets that are none stay."""
        try:
            message = decode_message(octets)
        except CMPError:
            return octets
        return self._octets(self.message(message).raw, message)

    def _octets(self, octets: bytes, message: PKIMessage) -> bytes:
        for name in self._wanted(message):
            fault = OCTET_FAULTS.get(name)
            made = None if fault is None else fault(octets, self._random(name))
            octets = self._note(name, octets, made)
        return octets

    def _wanted(self, message: PKIMessage) -> tuple[str, ...]:
        return self._names if not self._of or message.body.type in self._of else ()

    def _note(self, name: str, before: Any, made: Any) -> Any:
        if made is None:
            return before
        self.made.append((self._seen[-1].body.type.wire_name, name))
        return made

    def _random(self, name: str) -> Random:
        return Random(f"{self._seed} {name} {len(self._seen)}")  # noqa: S311 - to be repeated


def mutate(*names: str, seed: int = 0, of: Collection[BodyType] = ()) -> Mutant:
    """Something that gives messages faults, for ``Client(transform=…)`` or for a road.

    A message that cannot have a fault (a wrong certHash where there is none) stays as it is.

    :param names: of the faults, in the order in which they are made; :func:`mutations` has them.
    :param seed: of whatever is drawn: the same seed makes the same octets of the same messages.
    :param of: bodies of the messages that get them; none means all.
    :raises ConfigurationError: if there is no such fault.
    """
    known = (*MESSAGE_FAULTS, *OCTET_FAULTS)
    for name in names:
        if name not in known:
            where = "happens on roads, see LossyRoad" if name in list(RoadFault) else f"there are: {', '.join(known)}"
            raise ConfigurationError(f"there is no fault {name!r} of messages", hint=where)
    return Mutant(names, seed, of)
