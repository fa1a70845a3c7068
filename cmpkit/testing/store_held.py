"""Whether a store keeps requests that wait for a person, for :func:`cmpkit.testing.check_store`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConflictError
from cmpkit.parts import Decision, HeldRequest, HeldState, Store, Transaction, TransactionState, UnitOfWork
from cmpkit.testing.contract import refused, require, success
from cmpkit.testing.store_values import NOW, Values

__all__ = ["check_held_requests"]

_SECOND = timedelta(seconds=1)
_FACTS: dict[str, str | list[str]] = {"key_type": "p256", "subject_alt_names": ["dns:a.example", "dns:ü.example"]}


async def check_held_requests(store: Store, values: Values) -> None:
    """Check requests that wait, in a store in which there are none yet.

    :raises AssertionError: naming what is wrong.
    """
    requests = [await _keep(store, values, number) for number in range(4)]
    waiting, approved, rejected, issued = (request for _, request in requests)
    yes = Decision(approved.key, approved=True, by="somebody", at=NOW, reason="ordered")
    no = Decision(
        rejected.key, approved=False, by="Zoë", at=NOW, fail_info=PKIFailureInfo.NOT_AUTHORIZED, status_text="no"
    )
    with success("commit() must store decisions about requests that wait"):
        await store.commit(UnitOfWork(decisions=(yes, no)))
    transaction = replace(requests[3][0], state=TransactionState.DONE, expires=None)
    await store.commit(UnitOfWork(transaction=transaction, certificates=(values.record(request_key=issued.key),)))
    wanted = (
        replace(issued, state=HeldState.ISSUED, expires=None),
        replace(rejected, state=HeldState.REJECTED, decision=no),
        replace(approved, state=HeldState.APPROVED, decision=yes),
        waiting,
    )
    await _check_listing(store, wanted)
    await _check_decisions(store, wanted)
    with success("held_requests() must say what has lapsed"):
        late = await store.held_requests(now=NOW + timedelta(days=1), key=waiting.key)
    require(
        late == (replace(waiting, state=HeldState.LAPSED, expires=None),),
        f"a request that nobody asked for in time must have lapsed, not be {late}",
    )


async def _keep(store: Store, values: Values, number: int) -> tuple[Transaction, HeldRequest]:
    expires = NOW + timedelta(hours=1)
    transaction = values.transaction(state=TransactionState.PENDING, certificates=(), expires=expires)
    request = HeldRequest(
        key=f"{number}f" * 32,
        transaction_id=transaction.transaction_id,
        credential=transaction.credential,
        at=NOW + number * _SECOND,
        address="192.0.2.1",
        profile="device",
        subject="CN=device,O=Zürich",
        facts=_FACTS,
        expires=expires,
    )
    with success("commit() must store a request that waits for a person"):
        await store.commit(UnitOfWork(transaction=transaction, held=(request,)))
    return replace(transaction, version=1), request


async def _check_listing(store: Store, wanted: tuple[HeldRequest, ...]) -> None:
    one = wanted[1]
    for what, found, these in (
        ("nothing asked", await store.held_requests(now=NOW), wanted),
        ("limit=", await store.held_requests(now=NOW, limit=2), wanted[:2]),
        ("a whole key", await store.held_requests(now=NOW, key=one.key), (one,)),
        ("how a key begins", await store.held_requests(now=NOW, key=one.key[:3]), (one,)),
        ("a key that there is not", await store.held_requests(now=NOW, key="ee"), ()),
        (
            "states=",
            await store.held_requests(now=NOW, states=(HeldState.ISSUED, HeldState.WAITING)),
            (wanted[0], wanted[3]),
        ),
    ):
        require(found == these, f"held_requests() with {what} must give just these, newest first: {these}, not {found}")


async def _check_decisions(store: Store, requests: tuple[HeldRequest, ...]) -> None:
    for request in requests[:3]:
        with refused(f"a decision about a request that is {request.state.value}", by=ConflictError):
            await store.commit(UnitOfWork(decisions=(Decision(request.key, approved=True, by="other", at=NOW),)))
    late = Decision(requests[3].key, approved=True, by="other", at=NOW + timedelta(hours=1))
    with refused("a decision about a request that has lapsed", by=ConflictError):
        await store.commit(UnitOfWork(decisions=(late,)))
