"""Whether a store keeps what parts have begun elsewhere, for :func:`cmpkit.testing.check_store`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cmpkit.errors import ConflictError
from cmpkit.parts import Intent, Store, TransactionState, Undertaking, UnitOfWork
from cmpkit.testing.contract import refused, require, success
from cmpkit.testing.store_values import NOW, Values

__all__ = ["check_undertakings"]

_KIND = "check/order"


async def check_undertakings(store: Store, values: Values) -> None:
    """Check what is kept of things that are under way, in a store in which there are none yet, and can be pruned.

    :raises AssertionError: naming what is wrong.
    """
    await _check_intents(store, values)
    first = Undertaking(_KIND, "one", b"\0begun")
    other = replace(first, kind="check/other", state=b"something else", until=NOW)
    with success("commit() must keep undertakings, of several kinds under one key"):
        await store.commit(UnitOfWork(undertakings=(first, other)))
    await _require_found(store, replace(first, version=1))
    await _require_found(store, replace(other, version=1))
    with refused("commit() of an undertaking that is there already", by=ConflictError):
        await store.commit(UnitOfWork(undertakings=(replace(first, state=b"another"),)))
    further = replace(first, state=b"further", version=1, until=NOW + timedelta(days=1))
    with success("commit() must keep an undertaking in place of the version that it follows"):
        await store.commit(UnitOfWork(undertakings=(further,)))
    await _require_found(store, replace(further, version=2))
    with refused("commit() of an undertaking whose version is not the stored one", by=ConflictError):
        await store.commit(UnitOfWork(undertakings=(further,)))
    await store.prune(NOW + timedelta(seconds=1))
    require(await store.undertaking(other.kind, other.key) is None, "prune() must forget what is kept until then only")
    await _require_found(store, replace(further, version=2))
    with success("commit() must forget an undertaking without a state, if there is one"):
        await store.commit(UnitOfWork(undertakings=(replace(first, state=b""), replace(other, state=b""))))
    require(await store.undertaking(_KIND, "one") is None, "an undertaking that is over must be gone")


async def _require_found(store: Store, wanted: Undertaking) -> None:
    found = await store.undertaking(wanted.kind, wanted.key)
    require(found == wanted, f"undertaking() must give what was kept, {wanted}, not {found}")


async def _check_intents(store: Store, values: Values) -> None:
    earlier = NOW - timedelta(days=365)
    waited_for = values.transaction(credential="mac:77616974", state=TransactionState.PENDING)
    over = values.transaction(credential="mac:6f766572", state=TransactionState.DONE, expires=None)
    for transaction in (waited_for, over):
        await store.commit(UnitOfWork(transaction=transaction))
    begun = [
        Intent(f"begun {number}", named.transaction_id, credential, "issue", earlier + timedelta(hours=number))
        for number, (named, credential) in enumerate(
            [(over, over.credential), (waited_for, over.credential), (waited_for, waited_for.credential)]
        )
    ]
    late = Intent("begun late", b"unknown", "mac:62", "issue", NOW - timedelta(days=1))
    await store.commit(UnitOfWork(intents=(late, *begun[::-1])))
    wanted = tuple(begun[:2])
    found = await store.abandoned_intents(before=late.at)
    require(
        found == wanted,
        "abandoned_intents() must give what began before then and has no open transaction, oldest first: "
        f"{wanted}, not {found}",
    )
    found = await store.abandoned_intents(before=NOW, limit=1)
    require(found == wanted[:1], "abandoned_intents() must give as many as are wanted")
    await store.commit(UnitOfWork(finished_intents=tuple(one.idempotency_key for one in (late, *begun))))
    require(await store.abandoned_intents(before=NOW) == (), "abandoned_intents() must not give what is finished")
