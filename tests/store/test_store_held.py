"""Requests that wait for a person: kept with their transaction, decided once, and by whichever process."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConflictError
from cmpkit.parts import Decision, HeldRequest, HeldState, Store, Transaction, TransactionState, UnitOfWork
from cmpkit.store.plugin import SQLStoreFactory

SECOND = timedelta(seconds=1)
FACTS = {"key type": "p256", "subject alternative names": ["dns:x.example", "dns:ü.example"]}


def held(make: Any, transaction: Transaction, key: str = "ab" * 32, **changes: Any) -> HeldRequest:
    values: dict[str, Any] = {
        "key": key,
        "transaction_id": transaction.transaction_id,
        "credential": transaction.credential,
        "at": make.now,
        "address": "192.0.2.1",
        "profile": "device",
        "subject": "CN=Zürich",
        "facts": FACTS,
        "expires": transaction.expires,
    }
    return HeldRequest(**(values | changes))


async def keep(store: Store, make: Any, key: str = "ab" * 32, **changes: Any) -> tuple[Transaction, HeldRequest]:
    """A request that waits, and its transaction as it is stored."""
    transaction = make.transaction(state=TransactionState.PENDING, request=b"request")
    request = held(make, transaction, key, **changes)
    await store.commit(UnitOfWork(transaction=transaction, held=(request,)))
    return replace(transaction, version=1), request


def approval(make: Any, request: HeldRequest, **changes: Any) -> Decision:
    return Decision(**({"key": request.key, "approved": True, "by": "alice", "at": make.now} | changes))


async def only(store: Store, make: Any, **asked: Any) -> HeldRequest:
    (found,) = await store.held_requests(**({"now": make.now} | asked))
    return found


async def test_a_request_is_found_as_it_was_kept(store: Store, make: Any) -> None:
    _, request = await keep(store, make)
    assert await only(store, make) == request


async def test_a_decision_is_found_with_it(store: Store, make: Any) -> None:
    _, request = await keep(store, make)
    decision = approval(
        make,
        request,
        approved=False,
        reason="not ours",
        fail_info=PKIFailureInfo.NOT_AUTHORIZED,
        status_text="ask elsewhere",
    )
    await store.commit(UnitOfWork(decisions=(decision,)))
    assert await only(store, make) == replace(request, state=HeldState.REJECTED, decision=decision)


async def test_another_process_sees_a_decision_at_once(store: Store, store_url: str, make: Any) -> None:
    """The command line decides, the server finds it: both have the same file open (WAL)."""
    _, request = await keep(store, make)
    other = SQLStoreFactory().open(store_url, sealing_key=make.sealing_key)
    await other.commit(UnitOfWork(decisions=(approval(make, request),)))
    assert (await only(store, make)).state is HeldState.APPROVED
    await other.aclose()


@pytest.mark.parametrize("approved", [True, False])
async def test_a_decision_is_final(store: Store, make: Any, approved: bool) -> None:
    _, request = await keep(store, make)
    await store.commit(UnitOfWork(decisions=(approval(make, request),)))
    with pytest.raises(ConflictError, match="not waiting"):
        await store.commit(UnitOfWork(decisions=(approval(make, request, approved=approved, by="bob"),)))
    decision = (await only(store, make)).decision
    assert decision is not None
    assert decision.by == "alice"


async def test_what_does_not_wait_cannot_be_decided(store: Store, make: Any) -> None:
    transaction, request = await keep(store, make)
    assert transaction.expires is not None
    for late in (transaction.expires, transaction.expires + SECOND):
        with pytest.raises(ConflictError):
            await store.commit(UnitOfWork(decisions=(approval(make, request, at=late),)))
    with pytest.raises(ConflictError):
        await store.commit(UnitOfWork(decisions=(approval(make, replace(request, key="cd" * 32)),)))
    await store.commit(UnitOfWork(transaction=replace(transaction, state=TransactionState.DONE, expires=None)))
    with pytest.raises(ConflictError):
        await store.commit(UnitOfWork(decisions=(approval(make, request),)))


async def test_a_request_lapses_with_its_transaction(store: Store, make: Any) -> None:
    transaction, request = await keep(store, make)
    assert transaction.expires is not None
    assert (await only(store, make, now=transaction.expires - SECOND)).state is HeldState.WAITING
    lapsed = replace(request, state=HeldState.LAPSED, expires=None)
    assert await only(store, make, now=transaction.expires) == lapsed
    await store.commit(UnitOfWork(transaction=replace(transaction, state=TransactionState.DONE, expires=None)))
    assert await only(store, make) == lapsed


async def test_an_approved_request_that_nobody_came_back_for_has_lapsed(store: Store, make: Any) -> None:
    transaction, request = await keep(store, make)
    await store.commit(UnitOfWork(decisions=(approval(make, request),)))
    assert transaction.expires is not None
    assert (await only(store, make, now=transaction.expires)).state is HeldState.LAPSED


async def test_a_request_is_issued_once_its_certificate_is_there(store: Store, make: Any) -> None:
    transaction, request = await keep(store, make)
    done = replace(transaction, state=TransactionState.DONE, expires=None)
    await store.commit(UnitOfWork(transaction=done, certificates=(make.record(request_key=request.key),)))
    assert (await only(store, make)).state is HeldState.ISSUED


async def test_requests_are_listed_newest_first_by_key_and_state(store: Store, make: Any) -> None:
    keys = ["aa" * 32, "ab" * 32, "b0" * 32]
    kept = [(await keep(store, make, key, at=make.now + n * SECOND))[1] for n, key in enumerate(keys)]
    await store.commit(UnitOfWork(decisions=(approval(make, kept[1]),)))

    async def listed(**asked: Any) -> list[str]:
        return [request.key for request in await store.held_requests(now=make.now, **asked)]

    assert await listed() == keys[::-1]
    assert await listed(limit=2) == keys[:0:-1]
    assert await listed(key="a") == [keys[1], keys[0]]
    assert await listed(key=keys[2]) == [keys[2]]
    assert await listed(key="c") == []
    assert await listed(states=(HeldState.APPROVED,)) == [keys[1]]
    assert await listed(states=(HeldState.APPROVED, HeldState.WAITING)) == keys[::-1]


async def test_a_unit_that_conflicts_keeps_no_request(store: Store, make: Any) -> None:
    transaction = make.transaction(state=TransactionState.PENDING, version=7)
    with pytest.raises(ConflictError):
        await store.commit(UnitOfWork(transaction=transaction, held=(held(make, transaction),)))
    assert await store.held_requests(now=make.now) == ()


async def test_a_request_is_kept_once(store: Store, make: Any) -> None:
    transaction, request = await keep(store, make)
    with pytest.raises(ConflictError):
        await store.commit(UnitOfWork(transaction=transaction, held=(request,)))


async def test_a_request_is_forgotten_with_its_transaction(store: Store, make: Any) -> None:
    transaction, _ = await keep(store, make)
    await store.prune(make.now)
    await only(store, make)
    await store.commit(UnitOfWork(transaction=replace(transaction, state=TransactionState.DONE, expires=None)))
    await store.prune(make.now)
    assert await store.held_requests(now=make.now) == ()
