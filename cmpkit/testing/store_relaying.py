"""Whether a store keeps messages that are passed on, for :func:`cmpkit.testing.check_store`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cmpkit.enums import BodyType
from cmpkit.errors import ConflictError
from cmpkit.parts import (
    Batch,
    RelayChange,
    Relayed,
    RelayStage,
    RelayState,
    Store,
    TransactionState,
    UnitOfWork,
)
from cmpkit.testing.contract import refused, require, success
from cmpkit.testing.store_values import NOW, Values

__all__ = ["check_relay_pruning", "check_relaying"]

_SECOND = timedelta(seconds=1)
_UP = "an upstream"


async def check_relaying(store: Store, values: Values) -> None:
    """Check messages that are passed on, in a store in which there are none yet.

    :raises AssertionError: naming what is wrong.
    """
    messages = [await _keep(store, values, number) for number in range(4)]
    await _check_changes(store, messages)
    await _check_batches(store, messages[3])


async def _keep(store: Store, values: Values, number: int) -> Relayed:
    transaction = values.transaction(
        state=TransactionState.RELAYED,
        certificates=(),
        request=b"the key",
        upstream=_UP,
        stage=RelayStage.UNDER_WAY,
        manner="nested",
    )
    message = Relayed(
        key=f"{number}e" * 32,
        transaction_id=transaction.transaction_id,
        credential=transaction.credential,
        upstream=_UP,
        body_type=BodyType.P10CR,
        message=b"message %d" % number,
        # One goes upstream as it came.
        outgoing=b"message 0" if number == 0 else b"outgoing %d" % number,
        at=NOW + number * _SECOND,
        deadline=NOW + timedelta(hours=1),
    )
    with success("commit() must store a message that is passed on, and its transaction"):
        await store.commit(UnitOfWork(transaction=transaction, relayed=(message,)))
    (stored,), _ = await store.load(transaction.transaction_id, b"")
    require(
        stored == replace(transaction, version=1),
        f"load() must give what is kept of a transaction that is passed on: {transaction}, not {stored}",
    )
    require(await store.relayed(message.key) == message, "relayed() must give a message as it was stored")
    with refused("the same message once more", by=ConflictError):
        await store.commit(UnitOfWork(relayed=(message,)))
    return message


async def _check_changes(store: Store, messages: list[Relayed]) -> None:
    first, second, third, fourth = messages
    require(await store.relayed("never stored") is None, "relayed() must give None where there is nothing")
    answered = RelayChange(second.key, RelayState.ANSWERED, answer=b"the answer", is_sent=True)
    given_up = RelayChange(third.key, RelayState.GIVEN_UP, deadline=NOW + timedelta(hours=2))
    with success("commit() must change messages that are in an expected state"):
        await store.commit(UnitOfWork(relay_changes=(answered, given_up, RelayChange(first.key, None))))
    second = replace(second, state=RelayState.ANSWERED, answer=b"the answer", is_sent=True)
    third = replace(third, state=RelayState.GIVEN_UP, deadline=NOW + timedelta(hours=2))
    for change in (answered, given_up, RelayChange(first.key, None)):
        with refused(f"a change of a message that is not waiting: {change}", by=ConflictError):
            await store.commit(UnitOfWork(relay_changes=(change,)))
    for what, found, wanted in (
        ("upstream=", await store.relayed_messages(upstream=_UP), (second, third, fourth)),
        ("limit=", await store.relayed_messages(upstream=_UP, limit=1), (second,)),
        ("another upstream", await store.relayed_messages(upstream="another"), ()),
        ("states=", await store.relayed_messages(upstream=_UP, states=(RelayState.GIVEN_UP,)), (third,)),
    ):
        require(found == wanted, f"relayed_messages() with {what} must give {wanted}, oldest first, not {found}")


async def _check_batches(store: Store, member: Relayed) -> None:
    batch = Batch("ba" * 32, _UP, b"outer", b"nonce", b"the outer message", NOW)
    change = RelayChange(member.key, RelayState.WAITING, batch=batch.key)
    with success("commit() must store a batch, and which messages go in it"):
        await store.commit(UnitOfWork(batches=(batch,), relay_changes=(change,)))
    member = replace(member, batch=batch.key)
    inside = await store.relayed_messages(upstream=_UP, batch=batch.key)
    require(inside == (member,), f"relayed_messages() must give what goes in a batch: {member}, not {inside}")
    alone = await store.relayed_messages(upstream=_UP, batch="", states=(RelayState.WAITING,))
    require(alone == (), f"relayed_messages() must tell what goes in no batch, not give {alone}")
    require(await store.batches(upstream=_UP) == (batch,), "batches() must give a batch as it was stored")
    require(await store.batches(upstream="another") == (), "batches() must give those of one upstream only")
    await store.commit(UnitOfWork(sent_batches=(batch.key,)))
    sent = await store.batches(upstream=_UP, key=batch.key)
    require(sent == (replace(batch, is_sent=True),), f"batches() must tell which were sent, not {sent}")
    await store.commit(UnitOfWork(finished_batches=(batch.key,)))
    require(await store.batches(upstream=_UP) == (), "batches() must not give what is finished")


async def check_relay_pruning(store: Store) -> None:
    """Check that what was given up is forgotten, in the store that :func:`check_relaying` saw.

    :raises AssertionError: naming what is wrong.
    """
    (given_up,) = await store.relayed_messages(upstream=_UP, states=(RelayState.GIVEN_UP,))
    await store.prune(given_up.deadline)
    require(await store.relayed(given_up.key) is not None, "prune() must keep what may still be answered")
    await store.prune(given_up.deadline + _SECOND)
    require(await store.relayed(given_up.key) is None, "prune() must forget what was given up, after its deadline")
    left = await store.relayed_messages(upstream=_UP)
    require(len(left) == 2, f"prune() must keep what was not given up, not leave {left}")
