"""The endpoint for one upstream: it takes requesters' messages, passes them on, and gives back what is answered."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import anyio
from anyio.abc import TaskStatus

from cmpkit.asn1 import PKIMessage
from cmpkit.ca.approval import Approvals
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.relaying import RelayTerms, expire_relayed, relay
from cmpkit.errors import CMPError, ConflictError
from cmpkit.parts import Answer, Peer, Policy, SecretSource, Transaction, UnitOfWork
from cmpkit.relay.courier import Courier
from cmpkit.relay.unverified import NoVerifier
from cmpkit.relay.upstream import Upstream
from cmpkit.relay.workshop import RelayWorkshop
from cmpkit.tolerances import Leniency

__all__ = ["Relay"]

_log = logging.getLogger("cmpkit.relay")


class Relay:
    """Passes messages on to one upstream.

    Headers, protection, limits, repeated messages and answers are as a :class:`~cmpkit.endpoints.server.Server` has
    them; what it would decide itself is put to the upstream.

    :param server: the endpoint that this is a part of: its store, verifier, protector and settings are used.
    :param policy: who may ask for what to be passed on.
    :param approvals: which requests wait for a person before they are.
    :param secrets: where the shared secrets of requesters are.
    :param sleep: waits for some seconds after a road failed.
    """

    def __init__(
        self,
        server: Server,
        upstream: Upstream,
        policy: Policy,
        *,
        approvals: Approvals | None = None,
        secrets: Sequence[SecretSource] = (),
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._store, self._clock, self._settings = server.workshop.store, server.clock, server.settings
        self.courier = Courier(upstream, self._store, secrets=secrets, clock=server.clock, sleep=sleep)
        workshop = RelayWorkshop(server.plugins, self._store, policy, self.courier, approvals or Approvals())
        terms = RelayTerms(upstream.name, round(upstream.check_after.total_seconds()))
        self._verified = replace(
            server, workshop=workshop, engine=partial(relay, terms=terms), shared_places=server.places
        )
        self._unverified = replace(self._verified, verifier=NoVerifier(server.plugins, server.verifier.tolerances))

    async def handle(
        self,
        message: PKIMessage,
        peer: Peer,
        settings: ServerSettings | None = None,
        *,
        verify: bool = True,
        leniency: Leniency | None = None,
    ) -> Answer:
        """Answer one message. Never raises for what a peer sent.

        :param settings: those of the road on which it came, if they are not those of the server.
        :param verify: whether its protection is verified here; if not, it is passed on as it is.
        :param leniency: what was let pass so far.
        """
        server = self._verified if verify else self._unverified
        return await server.answer(message, peer, settings, leniency=leniency)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Carry messages and keep house, until cancelled; :meth:`handle` needs it."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.courier.run)
            task_status.started()
            while True:
                await anyio.sleep(self._settings.housekeeping_interval.total_seconds())
                try:
                    await self.housekeep()
                except CMPError as error:
                    _log.error("housekeeping for the upstream %s: %s", self.courier.upstream.name, error)

    async def housekeep(self) -> None:
        """End the transactions whose time is over, and see to answers that nobody took."""
        now = self._clock()
        for transaction in await self._store.overdue(now):
            if transaction.upstream == self.courier.upstream.name:
                try:
                    await self._expire(transaction, now)
                except ConflictError:
                    _log.debug("transaction %s changed while it expired", transaction.transaction_id.hex())
        await self.courier.housekeep()

    async def _expire(self, transaction: Transaction, now: datetime) -> None:
        found = await self._store.relayed(transaction.request.decode()) if transaction.stage is not None else None
        reply = expire_relayed(transaction, found, now)
        unit = UnitOfWork(transaction=reply.transaction, relay_changes=reply.relay_changes, audit=reply.audit)
        await self._store.commit(unit)
        self.courier.settled(reply.relay_changes)
        _log.info("transaction %s expired", transaction.transaction_id.hex())
