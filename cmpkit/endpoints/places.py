"""How many transactions may be open at once, for one requester and in all (R-007).

What is counted is counted here, as it changes; the store is asked at intervals, for other processes open and end
transactions, too. So the bounds are exact for one process, and nearly so for several.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Store, Transaction, TransactionState

__all__ = ["Places", "is_open"]

_RECOUNT: Final = timedelta(seconds=1)
"""How often the store is asked, at most, because no place seems to be left."""


def is_open(transaction: Transaction | None) -> bool:
    """Whether a transaction takes a place."""
    return transaction is not None and transaction.state is not TransactionState.DONE


@dataclass
class Places:
    """The places for open transactions.

    :param most: for all requesters together.
    :param most_per_peer: for one credential.
    """

    store: Store
    most: int
    most_per_peer: int
    _taken: dict[str, int] = field(default_factory=dict, init=False)
    _total: int = field(default=0, init=False)
    _counted: datetime | None = field(default=None, init=False)

    def may_be_full(self, credential: str) -> bool:
        """Whether :meth:`check` must be asked before this requester opens another one."""
        full = self._total >= self.most or self._taken.get(credential, 0) >= self.most_per_peer
        return full or self._counted is None

    async def check(self, credential: str, now: datetime) -> None:
        """Whether there is a place.

        :param credential: :attr:`Credential.id` of who opens a transaction.
        :raises CMPError: systemUnavail if there is none.
        """
        if self._counted is None or now - self._counted >= _RECOUNT:
            await self.count(now)
        if self._taken.get(credential, 0) >= self.most_per_peer:
            raise _full(f"{credential} has {self._taken[credential]} open transactions", "max_open_per_peer")
        if self._total >= self.most:
            raise _full(f"{self._total} transactions are open", "max_open")

    async def count(self, now: datetime) -> None:
        """Ask the store."""
        counts = await self.store.open_transactions()
        self._taken, self._total, self._counted = dict(counts), sum(counts.values()), now

    def moved(self, credential: str, *, was: bool, now_is: bool) -> None:
        """Note that a transaction was committed.

        :param was: whether it was open before.
        :param now_is: whether it is now.
        """
        if was == now_is:
            return
        step = 1 if now_is else -1
        left = self._taken.get(credential, 0) + step
        if left > 0:
            self._taken[credential] = left
        else:
            self._taken.pop(credential, None)
        self._total = max(0, self._total + step)


def _full(detail: str, key: str) -> CMPError:
    return CMPError(
        f"{detail}, as many as may be",
        PKIFailureInfo.SYSTEM_UNAVAIL,
        rule="a limit of this server",
        hint=f"they end when they are answered and confirmed, or when their time is over; else raise {key} of [server]",
        status_text="too many transactions are open: try again later",
    )
