"""Whether a store keeps values for requesters, and counts what is open, for :func:`cmpkit.testing.check_store`."""

from __future__ import annotations

from dataclasses import replace

from cmpkit.errors import ConflictError
from cmpkit.parts import KeptValue, Store, TransactionState, UnitOfWork
from cmpkit.testing.contract import refused, require, success
from cmpkit.testing.store_values import Values

__all__ = ["check_kept_values", "check_open_transactions"]

_KIND = "check/ticket"


async def check_kept_values(store: Store, values: Values) -> None:
    """Check kept values, in a store in which there are none yet.

    :raises AssertionError: naming what is wrong.
    """
    first = KeptValue(_KIND, "alice", b"first", b"\0the value")
    later, bob = replace(first, key=b"later", value=b""), replace(first, owner="bob", key=b"bob")
    other_kind = replace(first, kind="check/other", owner="bob", value=b"another value")
    with success("commit() must keep values, of several kinds under one key"):
        await store.commit(UnitOfWork(kept=(first, bob, other_kind)))
    for wanted in (first, bob, other_kind):
        found = await store.kept_value(wanted.kind, wanted.key)
        require(found == wanted, "kept_value() must give what was kept under that kind and key")
    require(await store.kept_value(_KIND, b"never kept") is None, "kept_value() must give None where there is nothing")
    with success("commit() must keep a value in place of the one that its owner had of the kind"):
        await store.commit(UnitOfWork(kept=(later,)))
    require(await store.kept_value(_KIND, b"later") == later, "kept_value() must give the value that was kept last")
    require(await store.kept_value(_KIND, b"first") is None, "the value that was replaced must be gone")
    with refused("commit() of a value whose key another owner has", by=ConflictError):
        await store.commit(UnitOfWork(kept=(replace(later, owner="mallory"),)))
    require(await store.kept_value(_KIND, b"later") == later, "a conflict must leave the value as it is")


async def check_open_transactions(store: Store, values: Values) -> None:
    """Check the numbers of open transactions.

    :raises AssertionError: naming what is wrong.
    """
    states = [state for state in TransactionState if state is not TransactionState.DONE]
    opened = [values.transaction(credential="mac:6f70656e", state=state) for state in states]
    over = values.transaction(credential="mac:6f766572", state=TransactionState.DONE, expires=None)
    for transaction in (*opened, over):
        await store.commit(UnitOfWork(transaction=transaction))
    found = await store.open_transactions()
    require(found.get("mac:6f70656e") == len(opened), "open_transactions() must count what is open")
    require("mac:6f766572" not in found, "open_transactions() must not count what is done")
    for one in opened:
        done = replace(one, version=1, state=TransactionState.DONE, expires=None)
        await store.commit(UnitOfWork(transaction=done))
    require("mac:6f70656e" not in await store.open_transactions(), "open_transactions() must not count what was ended")
