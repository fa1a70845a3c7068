"""Messages on their way to an upstream, as the process knows them that sends them, and what their answers must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import anyio

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.crypto.protection import find_protection
from cmpkit.endpoints.reading import read_answer
from cmpkit.engine.header import Correlation, check_response_header
from cmpkit.engine.relay_states import relayed_answer_faults
from cmpkit.engine.relaying import UNVERIFIED
from cmpkit.enums import BodyType
from cmpkit.errors import raise_first
from cmpkit.parts import ProtectionKind, Relayed, SharedSecret
from cmpkit.relay.signers import Signers
from cmpkit.relay.upstream import Upstream
from cmpkit.tolerances import Leniency

__all__ = ["Flight", "Flights", "check_answer"]


@dataclass(eq=False)
class Flight:
    """A message on its way.

    :param sent: the message that the answer answers: the requester's own, or one of ours.
    :param nonces: senderNonces any of which the answer may repeat (R-024).
    :param secret: the shared secret of the requester, if the message goes under it.
    :param is_kept: whether it is in the store.
    :param waiters: how many wait for the answer.
    :param answer: what the upstream said, verified; ``None`` until then.
    """

    relayed: Relayed
    sent: PKIMessage
    nonces: tuple[bytes, ...]
    secret: SharedSecret | None = None
    is_kept: bool = True
    waiters: int = 0
    answer: PKIMessage | None = None
    landed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_own(self) -> bool:
        """Whether it is a message of the registration authority itself."""
        return not self.relayed.message


class Flights:
    """All that are under way, by their keys and by their transactionIDs."""

    def __init__(self) -> None:
        self._by_key: dict[str, Flight] = {}
        self._by_id: dict[bytes, list[Flight]] = {}

    def __iter__(self) -> Iterator[Flight]:
        """Those that are there now."""
        return iter(tuple(self._by_key.values()))

    def add(self, flight: Flight) -> None:
        """Add one, in place of one with the same key."""
        self.drop(flight.relayed.key)
        self._by_key[flight.relayed.key] = flight
        self._by_id.setdefault(flight.relayed.transaction_id, []).append(flight)

    def get(self, key: str) -> Flight | None:
        """The one with that key."""
        return self._by_key.get(key)

    def with_id(self, transaction_id: bytes) -> tuple[Flight, ...]:
        """Those with that transactionID."""
        return tuple(self._by_id.get(transaction_id, ()))

    def drop(self, key: str) -> None:
        """Forget the one with that key, if there is one."""
        flight = self._by_key.pop(key, None)
        if flight is not None:
            left = self._by_id[flight.relayed.transaction_id]
            left.remove(flight)
            if not left:
                del self._by_id[flight.relayed.transaction_id]

    def clear(self) -> None:
        """Forget all."""
        self._by_key.clear()
        self._by_id.clear()


async def check_answer(
    flight: Flight, octets: bytes, upstream: Upstream, signers: Signers, *, now: datetime
) -> PKIMessage:
    """The answer to a message, once it is known to be one, and to be authentic.

    Of a requester that is not verified here a MAC cannot be verified either: he does that.

    :param signers: of this upstream.
    :raises CMPError: naming what is not to be believed.
    """
    leniency = Leniency(upstream.tolerances)
    answer = await read_answer(octets, leniency)
    sent = flight.sent.header
    check_response_header(answer, Correlation(sent.pvno, sent.transaction_id or b"", flight.nonces), leniency)
    raise_first(relayed_answer_faults(flight.relayed.body_type, answer))
    verifier = upstream.verifier
    if keeps_protection(flight.relayed):
        if flight.relayed.credential == UNVERIFIED and _is_under_mac(answer, upstream):
            return answer
        verifier = upstream.verifier_of(flight.secret)
    await signers.verify(answer, verifier, now=now, leniency=leniency)
    return answer


def keeps_protection(relayed: Relayed) -> bool:
    """Whether a message goes under the protection of its requester, so that it is answered under that."""
    if not relayed.message:
        return False
    return relayed.outgoing == relayed.message or decode_message(relayed.outgoing).body.type is BodyType.NESTED


def _is_under_mac(answer: PKIMessage, upstream: Upstream) -> bool:
    algorithm = answer.header.protection_alg
    if algorithm is None:
        return False
    return find_protection(upstream.verifier.plugins, algorithm.algorithm).kind is ProtectionKind.MAC
