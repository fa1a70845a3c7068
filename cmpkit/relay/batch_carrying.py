"""Messages that go to an upstream in batches: each batch is carried as one message, over either kind of road."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.engine.nesting import is_batch
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, ConflictError
from cmpkit.parts import Batch, RelayChange, Relayed, Store, UnitOfWork
from cmpkit.relay.batching import (
    BatchLimits,
    Collector,
    make_batch,
    open_batch,
    pause_before_polling,
    poll_for_batch,
    refuse_member,
)
from cmpkit.relay.carrying import Carrying, Office, pause_after
from cmpkit.relay.flights import Flight, check_answer
from cmpkit.relay.signers import Signers
from cmpkit.relay.upstream import Upstream

__all__ = ["BatchCarrying"]

_log = logging.getLogger("cmpkit.relay")
T = TypeVar("T")


@dataclass(eq=False)
class _Load:
    """A batch on its way.

    :param flight: of the batch as one message.
    :param members: those of its messages that are not answered yet, by their keys.
    """

    flight: Flight
    members: dict[str, Flight]


class BatchCarrying:
    """Collects messages, makes batches of them, and has these carried (RFC 9483 section 5.2.2.2).

    Towards the messages it is what carries them; towards what carries the batches, it is the office. A batch is in the
    store before it leaves, and is forgotten once every answer in it is kept.

    :param office: for the messages.
    :param carry: makes what carries the batches, for an office.
    :param clock: gives the time, in UTC.
    :param sleep: waits for some seconds: after the store failed, and before a batch is polled for.
    """

    def __init__(
        self,
        upstream: Upstream,
        store: Store,
        office: Office,
        *,
        carry: Callable[[Office], Carrying],
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._upstream, self._store, self._office = upstream, store, office
        self._clock, self._sleep, self._signers = clock, sleep, Signers()
        self._collector = Collector(BatchLimits(upstream.batch_count, upstream.batch_time.total_seconds()))
        self._waiting: dict[str, Flight] = {}
        self._loads: dict[str, _Load] = {}
        self._tasks: TaskGroup | None = None
        self._carrying = carry(self)

    def start(self, flight: Flight, tasks: TaskGroup) -> None:
        """Carry a message: in the next batch, or in the one in which it was before this process began."""
        self._waiting[flight.relayed.key] = flight
        if not flight.relayed.batch:
            self._collect([flight])
        elif self._tasks is not None:
            tasks.start_soon(self._go_on, flight)

    async def run(self) -> None:
        """Go on with what was on its way, then make batches, until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._carrying.run)
            before = [flight for flight in self._waiting.values() if flight.relayed.batch]
            for flight in sorted(before, key=lambda flight: flight.relayed.batch):
                await self._go_on(flight)
            await self._forget_answered()
            while True:
                keys = await self._collector.take()
                await self._send([self._waiting[key] for key in keys if key in self._waiting])

    async def _forget_answered(self) -> None:
        """Forget batches in which every answer was kept, and only that was not noted."""
        find = partial(self._store.batches, upstream=self._upstream.name)
        for batch in await self._insist(find):
            if batch.key not in self._loads:
                await self._forget(batch.key)

    def _collect(self, flights: Iterable[Flight]) -> None:
        for flight in flights:
            self._collector.put(flight.relayed.key, len(flight.relayed.outgoing))

    async def _go_on(self, flight: Flight) -> None:
        """Have a message carried that was in a batch before, and was not waited for meanwhile."""
        key = flight.relayed.batch
        find = partial(self._store.batches, upstream=self._upstream.name, key=key)
        found = () if key in self._loads else await self._insist(find)
        if key in self._loads:
            self._loads[key].members[flight.relayed.key] = flight
        elif found:
            self._let_go(found[0], [flight])
        else:
            # The same message in another batch gets the same answer, if it arrived before.
            self._collect([flight])

    async def _send(self, flights: Sequence[Flight]) -> None:
        """Make a batch of messages that are still to be sent, and let it go."""
        members = [flight for flight in flights if not self._is_settled(flight)]
        if not members:
            return
        batch = await make_batch([flight.relayed for flight in members], self._upstream.own, now=self._clock())
        states = [(flight.relayed.key, flight.relayed.state) for flight in members]
        changes = tuple(RelayChange(key, state, (state,), batch=batch.key) for key, state in states)
        try:
            await self._insist(lambda: self._store.commit(UnitOfWork(batches=(batch,), relay_changes=changes)))
        except ConflictError:
            await self._refresh(members)
            return
        for flight in members:
            flight.relayed = replace(flight.relayed, batch=batch.key)
        self._let_go(batch, members)

    async def _refresh(self, flights: Iterable[Flight]) -> None:
        """Look what became of messages elsewhere, and collect the others again."""
        for flight in flights:
            key = flight.relayed.key
            found = await self._insist(partial(self._store.relayed, key))
            if found is None or found.answer:
                del self._waiting[key]
            else:
                flight.relayed = found
                self._collect([flight])

    def _let_go(self, batch: Batch, members: Iterable[Flight]) -> None:
        """Have a batch carried that is in the store."""
        assert self._tasks is not None
        relayed = Relayed(
            key=batch.key,
            transaction_id=batch.transaction_id,
            credential="",
            upstream=batch.upstream,
            body_type=BodyType.NESTED,
            message=b"",
            outgoing=batch.outgoing,
            at=batch.at,
            deadline=batch.at + self._upstream.deadline,
            is_sent=batch.is_sent,
        )
        sent = decode_message(batch.outgoing, max_size=len(batch.outgoing))
        flight = Flight(relayed, sent, (batch.sender_nonce,), None)
        self._loads[batch.key] = _Load(flight, {member.relayed.key: member for member in members})
        self._carrying.start(flight, self._tasks)

    def wanted(self, transaction_id: bytes) -> tuple[Flight, ...]:
        """The batches with that transactionID that wait for an answer."""
        flights = (load.flight for load in self._loads.values() if load.members)
        return tuple(flight for flight in flights if flight.relayed.transaction_id == transaction_id)

    def is_over(self, flight: Flight) -> bool:
        """Whether nobody in a batch waits any more; it is forgotten then."""
        load = self._loads.get(flight.relayed.key)
        if load is None:
            return True
        settled = [self._is_settled(member) for member in load.members.values()]
        if not all(settled):
            return False
        assert self._tasks is not None
        del self._loads[flight.relayed.key]
        self._tasks.start_soon(self._forget, flight.relayed.key)
        return True

    def _is_settled(self, member: Flight) -> bool:
        """Whether nothing is to be waited for any more for one message."""
        if not self._office.is_over(member):
            return False
        self._waiting.pop(member.relayed.key, None)
        return True

    async def check(self, flight: Flight, octets: bytes) -> PKIMessage:
        """The answer to a batch, if these octets are one; what is in it is not looked at.

        :raises CMPError: naming what is not to be believed.
        """
        if is_batch(flight.sent):
            return await check_answer(flight, octets, self._upstream, self._signers, now=self._clock())
        # One message alone is answered by its own answer (RFC 9483 section 5.2.2.1).
        (member,) = self._loads[flight.relayed.key].members.values()
        return await self._office.check(member, octets)

    async def note_sent(self, flight: Flight) -> None:
        """Write down that a batch was handed over to a store-and-forward road."""
        flight.relayed = replace(flight.relayed, is_sent=True)
        await self._store.commit(UnitOfWork(sent_batches=(flight.relayed.key,)))
        reach(self._upstream.own.plugins, Checkpoint.RELAY_SENT, flight.relayed.transaction_id)

    async def land(self, flight: Flight, answer: PKIMessage, *, keep: bool = False) -> None:
        """Give each message of a batch its answer; they are kept, as the batch is forgotten.

        :raises CMPError: if it is no answer to a batch.
        """
        load = self._loads[flight.relayed.key]
        pause = pause_before_polling(answer, self._upstream.check_after) if is_batch(flight.sent) else None
        if pause is not None:
            assert self._tasks is not None
            self._tasks.start_soon(self._poll, flight, answer, pause)
            return
        reach(self._upstream.own.plugins, Checkpoint.RELAY_SENT, flight.relayed.transaction_id)
        opened = open_batch(flight.sent, answer, [member.relayed for member in load.members.values()])
        for key, found in opened.items():
            member = load.members[key]
            await self._office.land(member, await self._believed(member, found), keep=True)
            del load.members[key]
            self._waiting.pop(key, None)
        del self._loads[flight.relayed.key]
        await self._forget(flight.relayed.key)

    async def _poll(self, flight: Flight, answer: PKIMessage, pause: float) -> None:
        """Ask again for the answer to a batch; after a restart the batch itself is sent, and is answered as before."""
        await self._sleep(pause)
        polling = await poll_for_batch(flight.sent, answer, self._upstream.own, now=self._clock())
        flight.nonces = (*flight.nonces[:1], polling.header.sender_nonce or b"")
        flight.relayed = replace(flight.relayed, outgoing=polling.raw, is_sent=False)
        assert self._tasks is not None
        self._carrying.start(flight, self._tasks)

    async def _believed(self, member: Flight, found: PKIMessage | CMPError) -> PKIMessage:
        """The answer to one message of a batch; a refusal of our own in place of one that is not to be believed."""
        if isinstance(found, PKIMessage):
            try:
                return await self._office.check(member, found.raw)
            except CMPError as error:
                name = member.relayed.transaction_id.hex()
                _log.warning("upstream %s, transaction %s: %s", self._upstream.name, name, error)
                found = CMPError("the answer in the batch is not to be believed", PKIFailureInfo.SYSTEM_UNAVAIL)
        return await refuse_member(member.sent, found, self._upstream.own, now=self._clock())

    async def _forget(self, key: str) -> None:
        """Every answer in a batch is kept, or nobody wants it."""
        await self._insist(lambda: self._store.commit(UnitOfWork(finished_batches=(key,))))

    async def _insist(self, do: Callable[[], Awaitable[T]]) -> T:
        """What the store does, as soon as it can.

        :raises ConflictError: if something changed meanwhile.
        """
        failures = 0
        while True:
            try:
                return await do()
            except ConflictError:
                raise
            except CMPError as error:
                failures += 1
                _log.error("upstream %s: batches cannot be kept now: %s", self._upstream.name, error)
                await self._sleep(pause_after(failures))
