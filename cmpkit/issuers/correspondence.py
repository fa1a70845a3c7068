"""What passes between an issuer and the CMP server that it asks: kept in the store, and never waited for too long."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias

import anyio

from cmpkit.endpoints.client import Client
from cmpkit.endpoints.conversation import Conversation
from cmpkit.engine.client import Decide, Finished, Send, Step, Wait
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.repeating import Repeat, resumed
from cmpkit.engine.states import ClientState
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConflictError, PeerRefusal, TransportError, TrustError
from cmpkit.issuers.journal import StoredTransaction
from cmpkit.parts import Pending, Store

__all__ = ["AT_IT", "JUDGED", "Came", "Correspondence"]

_log = logging.getLogger("cmpkit.issuer")

JUDGED = "judged"
"""In the context of a transaction whose certificate was found acceptable, and is to be confirmed."""

AT_IT = Pending(1, "another process is at it")
"""What is said while another process goes on with the same operation."""

Came: TypeAlias = Decide | Finished | Pending
"""How far an operation came: a certificate to judge, the end, or that it takes longer."""


@dataclass(frozen=True)
class Correspondence:
    """Operations with one server.

    :param client: protects, sends and verifies.
    :param patience: seconds that one call waits for the server.
    :param check_after: seconds after which it is worth asking again, if the server does not say.
    """

    client: Client
    store: Store
    patience: float
    check_after: int

    def journal(self, key: str) -> StoredTransaction:
        """Where the operation with that key is kept."""
        return StoredTransaction(self.store, key, self.client.options.clock)

    def conversation(self, journal: StoredTransaction, profile: str = "") -> Conversation:
        """What carries an operation.

        :param profile: for certProfile in its first message; empty for none.
        """
        made = self.client.conversation([profile] if profile else [])
        return replace(made, keeper=journal, options=replace(self.client.options, sleep=self._sleep, state=None))

    async def operate(
        self,
        journal: StoredTransaction,
        begin: Callable[[Conversation], Awaitable[Send]],
        profile: str = "",
    ) -> Came:
        """Begin an operation, or go on with it where it stopped, in this process or another one.

        :param begin: makes its first message, if none was sent.
        :raises PeerRefusal: if the server refuses.
        """
        kept = await journal.load()
        if kept is None:
            conversation = self.conversation(journal, profile)
            return await self.advance(conversation, await begin(conversation))
        try:
            return await self.go_on(journal, kept)
        except PeerRefusal as refusal:
            if PKIFailureInfo.BAD_TIME not in refusal.fail_info or kept.state is not ClientState.SENT:
                raise
        # It never got there: what it got it would answer as before.
        _log.info("the message of %s came too late, another one is sent", journal.key)
        await journal.remove()
        conversation = self.conversation(journal, profile)
        return await self.advance(conversation, await begin(conversation))

    async def go_on(self, journal: StoredTransaction, kept: ClientTransaction) -> Came:
        """Go on with an operation where it stopped.

        :param kept: as the journal has it.
        :raises PeerRefusal: if the server refuses.
        """
        if kept.state is ClientState.DONE:
            return Finished(kept)
        if JUDGED in kept.context:
            return Decide(kept, confirmed=False)
        return await self.advance(self.conversation(journal), resumed(kept))

    async def advance(self, conversation: Conversation, step: Step | Repeat) -> Came:
        """Go on as far as the patience allows.

        :raises PeerRefusal: if the server refuses.
        """
        try:
            with anyio.fail_after(self.patience):
                while not isinstance(step, Decide | Finished):
                    step = await conversation.advance(step)
            return step if isinstance(step, Decide) else await conversation.conclude(step)
        except TimeoutError:
            return self._later(step)
        except PeerRefusal:
            raise
        except ConflictError:
            return AT_IT
        except (TransportError, TrustError) as error:
            _log.warning("asking %s failed, and is tried again: %s", self.client.url, error)
            return Pending(self.check_after, "the CA cannot be asked at the moment")

    async def _sleep(self, seconds: float) -> None:
        """Wait only for what comes while it is waited."""
        if seconds >= self.patience:
            raise TimeoutError
        await self.client.options.sleep(seconds)

    def _later(self, step: Step | Repeat) -> Pending:
        due = step.transaction.poll_at if isinstance(step, Wait) else None
        if due is None:
            return Pending(self.check_after, "the CA has not answered yet")
        seconds = (due - self.client.options.clock()) / timedelta(seconds=1)
        assert isinstance(step, Wait)
        return Pending(max(1, math.ceil(seconds)), step.reason or "the CA needs time")
