"""The courier of one upstream: it brings messages there and answers back, whichever kind of road there is.

What it carries is in the store before it leaves, and always goes as the same octets: whatever was lost on the way, or
with this process, is sent again, and an upstream that keeps its answers does nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import anyio
from anyio.abc import TaskGroup, TaskStatus

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.engine.states import OPENS
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConflictError
from cmpkit.parts import (
    ForwardingTransport,
    RelayChange,
    Relayed,
    RelayState,
    SecretSource,
    SharedSecret,
    Store,
    UnitOfWork,
)
from cmpkit.relay.batch_carrying import BatchCarrying
from cmpkit.relay.carrying import Carrying, DirectCarrying, Office, PostalCarrying
from cmpkit.relay.flights import Flight, Flights, check_answer
from cmpkit.relay.late import LateCertificates
from cmpkit.relay.signers import Signers
from cmpkit.relay.upstream import Upstream

__all__ = ["Courier"]

_log = logging.getLogger("cmpkit.relay")
_MOST_TAKEN_UP: Final = 100_000
_UNANSWERED = (RelayState.WAITING, RelayState.GIVEN_UP)


def _utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def _carrying_for(upstream: Upstream, office: Office, *, sleep: Callable[[float], Awaitable[None]]) -> Carrying:
    """What carries over the road to an upstream."""
    road = upstream.road
    if isinstance(road, ForwardingTransport):
        return PostalCarrying(road, office, upstream=upstream.name, sleep=sleep)
    return DirectCarrying(road, office, upstream=upstream.name, at_once=upstream.at_once, sleep=sleep)


class Courier:
    """Sends messages to an upstream and finds the answers; everything that it must not forget is in the store.

    :param secrets: where the shared secrets of requesters are, whose messages go under them.
    :param clock: gives the time, in UTC.
    :param sleep: waits for some seconds after a road failed.
    """

    def __init__(
        self,
        upstream: Upstream,
        store: Store,
        *,
        secrets: Sequence[SecretSource] = (),
        clock: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.upstream = upstream
        self._store = store
        self._plugins = upstream.own.plugins
        self._secrets = secrets
        self._clock = clock
        self._flights = Flights()
        self._signers = Signers()
        self._tasks: TaskGroup | None = None
        self._late = LateCertificates(upstream, store, clock)
        carry = partial(_carrying_for, upstream, sleep=sleep)
        self._carrying: Carrying = (
            BatchCarrying(upstream, store, self, carry=carry, clock=clock, sleep=sleep)
            if upstream.wrapping.name == "batch"
            else carry(self)
        )

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Carry until cancelled; what was under way when an earlier process ended is taken up before it starts."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                await self._take_up(*_UNANSWERED)
                tasks.start_soon(self._carrying.run)
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._tasks = None
                self._flights.clear()

    @property
    def is_direct(self) -> bool:
        """Whether each message goes by itself, over a road on which its answer comes back."""
        return isinstance(self._carrying, DirectCarrying)

    def flight(
        self, relayed: Relayed, sent: PKIMessage, *, nonces: tuple[bytes, ...], secret: SharedSecret | None
    ) -> Flight:
        """A message that is to go; the one that is on its way already, if it is.

        :param sent: the message that the answer answers.
        :param nonces: further senderNonces that the answer may repeat.
        :param secret: the shared secret of the requester.
        """
        own = sent.header.sender_nonce or b""
        return self._flights.get(relayed.key) or Flight(relayed, sent, (*nonces, own), secret, is_kept=False)

    async def deliver(self, flight: Flight) -> PKIMessage | None:
        """Send a message, and wait for its answer as long as a requester is kept waiting.

        :returns: the answer, verified; ``None`` if it is not here yet, and will be in the store if the message is.
        :raises CMPError: systemUnavail if nobody carries.
        """
        if self._flights.get(flight.relayed.key) is not flight:
            self._start(flight)
        return await self._wait(flight)

    def keep(self, flight: Flight) -> PKIMessage | None:
        """The message is in the store now; its answer, if that came meanwhile."""
        flight.is_kept = True
        return flight.answer

    def forget(self, flight: Flight) -> None:
        """The message was answered, and was not in the store."""
        self._flights.drop(flight.relayed.key)

    async def join(self, key: str) -> PKIMessage | None:
        """Wait for the answer to a message that is under way already; as :meth:`deliver`."""
        flight = self._flights.get(key)
        if flight is None:
            relayed = await self._store.relayed(key)
            if relayed is None or relayed.state is RelayState.GIVEN_UP:
                return None
            if relayed.answer:
                return decode_message(relayed.answer, max_size=len(relayed.answer))
            flight = self._flights.get(key) or self._start(await self._flight_of(relayed))
        return await self._wait(flight)

    async def _wait(self, flight: Flight) -> PKIMessage | None:
        flight.waiters += 1
        try:
            with anyio.move_on_after(self.upstream.timeout.total_seconds()):
                await flight.landed.wait()
        finally:
            flight.waiters -= 1
        return flight.answer

    def _start(self, flight: Flight) -> Flight:
        if self._tasks is None:
            raise CMPError(
                f"nobody carries messages to the upstream {self.upstream.name}",
                PKIFailureInfo.SYSTEM_UNAVAIL,
                hint="the endpoint is about to end, or Courier.run was not started",
            )
        self._flights.add(flight)
        self._carrying.start(flight, self._tasks)
        return flight

    async def _take_up(self, *states: RelayState) -> None:
        """Go on with what is in the store, and is not on its way."""
        found = await self._store.relayed_messages(upstream=self.upstream.name, states=states, limit=_MOST_TAKEN_UP)
        for relayed in found:
            if self._flights.get(relayed.key) is not None:
                continue
            if relayed.answer:
                await self._come_late(relayed, decode_message(relayed.answer, max_size=len(relayed.answer)))
            elif relayed.deadline >= self._clock():
                self._start(await self._flight_of(relayed))
            elif not relayed.message:
                await self._give_up(relayed)

    async def _flight_of(self, relayed: Relayed) -> Flight:
        """A message that another process, or another time, knew."""
        octets = relayed.message or relayed.outgoing
        sent = decode_message(octets, max_size=len(octets))
        nonces: tuple[bytes, ...] = (sent.header.sender_nonce or b"",)
        if relayed.body_type not in OPENS:
            transactions, _ = await self._store.load(relayed.transaction_id, b"")
            own = (one for one in transactions if one.credential == relayed.credential)
            nonces = next((one.peer_nonces[:1] for one in own), ()) + nonces
        return Flight(relayed, sent, nonces, await self._find_secret(relayed.credential))

    async def _find_secret(self, credential: str) -> SharedSecret | None:
        kind, _, reference = credential.rpartition(":")
        if not kind.startswith("mac"):
            return None
        for source in self._secrets:
            record = await source.find(bytes.fromhex(reference))
            if record is not None:
                return record.secret
        return None

    def wanted(self, transaction_id: bytes) -> tuple[Flight, ...]:
        """The messages with that transactionID that wait for an answer."""
        return self._flights.with_id(transaction_id)

    def is_over(self, flight: Flight) -> bool:
        """Whether nothing is to be waited for any more."""
        key, relayed = flight.relayed.key, flight.relayed
        if self._flights.get(key) is not flight:
            return True
        if relayed.deadline >= self._clock():
            return False
        self._flights.drop(key)
        if flight.is_own and self._tasks is not None:
            self._tasks.start_soon(self._give_up, relayed)
        return True

    async def _give_up(self, own: Relayed) -> None:
        """A request of our own was never answered."""
        try:
            await self._late.conclude(own, None)
        except CMPError as error:
            _log.error("upstream %s: what became of a late certificate cannot be kept: %s", self.upstream.name, error)

    async def check(self, flight: Flight, octets: bytes) -> PKIMessage:
        """The answer to a message, if these octets are one.

        :raises CMPError: naming what is not to be believed.
        """
        return await check_answer(flight, octets, self.upstream, self._signers, now=self._clock())

    async def note_sent(self, flight: Flight) -> None:
        """Write down that a message was handed over to a store-and-forward road."""
        state = flight.relayed.state
        flight.relayed = replace(flight.relayed, is_sent=True)
        try:
            change = RelayChange(flight.relayed.key, state, (state,), is_sent=True)
            await self._store.commit(UnitOfWork(relay_changes=(change,)))
        except ConflictError:
            _log.debug("the message %s was answered or given up before it was noted as sent", flight.relayed.key)
        reach(self._plugins, Checkpoint.RELAY_SENT, flight.relayed.transaction_id)

    async def land(self, flight: Flight, answer: PKIMessage, *, keep: bool = False) -> None:
        """Give an answer to those who wait for it; if nobody does, it goes into the store.

        :param keep: whether it goes there in any case.
        """
        if not keep:
            reach(self._plugins, Checkpoint.RELAY_SENT, flight.relayed.transaction_id)
        if flight.is_kept and (keep or not flight.waiters):
            await self._record(flight, answer)
        flight.answer = answer
        flight.landed.set()

    async def _record(self, flight: Flight, answer: PKIMessage) -> None:
        """Keep an answer that nobody takes now."""
        relayed = flight.relayed
        try:
            if flight.is_own:
                await self._late.conclude(relayed, answer)
            else:
                change = RelayChange(relayed.key, RelayState.ANSWERED, answer=answer.raw)
                await self._store.commit(UnitOfWork(relay_changes=(change,)))
        except ConflictError:
            found = await self._store.relayed(relayed.key)
            if found is not None and found.state is RelayState.GIVEN_UP:
                await self._come_late(found, answer)
        self._flights.drop(relayed.key)
        reach(self._plugins, Checkpoint.RELAY_ANSWERED, relayed.transaction_id)

    async def _come_late(self, relayed: Relayed, answer: PKIMessage) -> None:
        """An answer that the requester does not get any more."""
        try:
            revoking = await self._late.take(relayed, answer)
        except ConflictError:
            _log.debug("the late answer to the message %s was seen to already", relayed.key)
            return
        for own in revoking:
            self._start(await self._flight_of(own))

    def settled(self, changes: Iterable[RelayChange]) -> None:
        """Messages were answered, or given up: what is in the store of them has changed so."""
        for change in changes:
            flight = self._flights.get(change.key)
            if change.state is None:
                self._flights.drop(change.key)
            elif change.state is RelayState.GIVEN_UP and self._tasks is not None:
                if flight is None or flight.answer is not None:
                    self._tasks.start_soon(self._look_at, change.key, flight)
                else:
                    deadline = change.deadline or flight.relayed.deadline
                    flight.relayed = replace(flight.relayed, state=change.state, deadline=deadline)

    def unsettled(self, changes: Iterable[RelayChange]) -> None:
        """Answers were taken and could not be given: they go into the store."""
        for change in changes:
            flight = self._flights.get(change.key)
            if flight is not None and flight.answer is not None and self._tasks is not None:
                self._tasks.start_soon(self._look_at, change.key, flight)

    async def _look_at(self, key: str, flight: Flight | None) -> None:
        """See to an answer that nobody took."""
        try:
            if flight is not None and flight.answer is not None:
                await self._record(flight, flight.answer)
                return
            found = await self._store.relayed(key)
            if found is not None and found.state is RelayState.GIVEN_UP and found.answer:
                await self._come_late(found, decode_message(found.answer, max_size=len(found.answer)))
        except CMPError as error:
            _log.error("upstream %s: an answer cannot be kept now: %s", self.upstream.name, error)

    async def housekeep(self) -> None:
        """Keep answers that nobody took; go on with what was given up elsewhere; end what is over."""
        if self._tasks is None:
            return
        for flight in self._flights:
            if not flight.is_kept:
                if flight.answer is not None and not flight.waiters:
                    # Nobody took it: who sends the message again gets the same answer.
                    self.forget(flight)
            elif flight.answer is not None and not flight.waiters:
                await self._look_at(flight.relayed.key, flight)
            else:
                self.is_over(flight)
        await self._take_up(RelayState.GIVEN_UP)
