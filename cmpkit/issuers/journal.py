"""Where a transaction with another CMP server is kept: in the store, where every process of this server finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.journal import dump_transaction, load_transaction
from cmpkit.engine.states import ClientState
from cmpkit.parts import Store, Undertaking, UnitOfWork

__all__ = ["StoredTransaction"]

_KIND = "cmp transaction"
_KEPT_WHEN_OVER = timedelta(days=1)
"""Whoever asks for the same again, because it was killed before it could note the result, does so sooner."""


@dataclass
class StoredTransaction:
    """A :class:`~cmpkit.endpoints.saving.TransactionKeeper` with a place in the store.

    What another process saved meanwhile is not overwritten.

    :param key: by which it is found again.
    :param clock: gives the time, in UTC.
    """

    store: Store
    key: str
    clock: Callable[[], datetime]
    _version: int = field(default=0, init=False)

    async def load(self) -> ClientTransaction | None:
        """The transaction as it was saved last, or ``None``."""
        kept = await self.store.undertaking(_KIND, self.key)
        self._version = 0 if kept is None else kept.version
        return None if kept is None else load_transaction(kept.state.decode())

    async def save(self, transaction: ClientTransaction) -> None:
        """Keep the transaction; one that is over, for a day.

        :raises ConflictError: if another process has saved it since it was loaded or saved here.
        """
        over = transaction.state is ClientState.DONE
        until = self.clock() + _KEPT_WHEN_OVER if over else None
        state = dump_transaction(transaction).encode()
        await self.store.commit(UnitOfWork(undertakings=(Undertaking(_KIND, self.key, state, self._version, until),)))
        self._version += 1

    async def remove(self, transaction: ClientTransaction | None = None) -> None:
        """Forget it; what became of a request for a certificate is kept for a day."""
        if transaction is not None and transaction.state is ClientState.DONE and transaction.sought:
            await self.save(transaction)
            return
        await self.store.commit(UnitOfWork(undertakings=(Undertaking(_KIND, self.key, b""),)))
        self._version = 0
