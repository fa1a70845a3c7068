"""Whether a store knows what repositories are to be told, for :func:`cmpkit.testing.check_store`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cmpkit.parts import CertificateRecord, CertificateState, Store, UnitOfWork
from cmpkit.testing.contract import require, success
from cmpkit.testing.store_values import NOW, Values

__all__ = ["check_announcing"]

_ISSUER = "a0" * 32
_VALID, _ISSUED = CertificateState.VALID, CertificateState.ISSUED
_REVOKED, _ON_HOLD = CertificateState.REVOKED, CertificateState.ON_HOLD


async def check_announcing(store: Store, values: Values) -> None:
    """Check certificates that are to be published, those that are revoked, and what was announced of them.

    :raises AssertionError: naming what is wrong.
    """
    public = [values.record(issuer_key=_ISSUER, publish=True) for _ in range(3)]
    private = values.record(issuer_key=_ISSUER)
    public[1] = replace(public[1], state=_VALID)
    with success("commit() must store certificates that are to be published"):
        await store.commit(UnitOfWork(certificates=(*public, private)))
    await _require("publications", store, [public[1]], "before the others are valid")
    for index, record in ((2, public[2]), (0, public[0]), (None, private)):
        change = replace(values.change(record, _VALID, _ISSUED), publish=record.publish)
        await store.commit(UnitOfWork(changes=(change,)))
        if index is not None:
            public[index] = values.changed(record, change)
    order = [public[1], public[2], public[0]]
    await _require("publications", store, order, "in the order in which they became valid")
    for number, (record, state) in enumerate(((public[1], _REVOKED), (public[0], _ON_HOLD))):
        change = values.change(record, state, _VALID)
        await store.commit(UnitOfWork(changes=(change,)))
        order[number] = values.changed(record, change)
    await _require("publications", store, [public[2]], "while they are valid")
    await _require("revocations", store, order[:2], "in the order in which that was committed")
    later = NOW + timedelta(days=366)
    nothing = (
        await store.publications(_ISSUER, since=0, now=later),
        await store.revocations(_ISSUER, since=0, now=later),
    )
    require(nothing == ((), ()), f"what has expired must not be told of, not {nothing}")
    await _check_notes(store)


async def _require(query: str, store: Store, wanted: list[CertificateRecord], when: str) -> None:
    with success(f"{query}() must give certificates with their numbers"):
        found = await getattr(store, query)(_ISSUER, since=0, now=NOW)
    numbers = [number for number, _ in found]
    require(
        [record for _, record in found] == wanted and numbers == sorted(set(numbers)),
        f"{query}() must give certificates with growing numbers, {when}: {wanted}, not {found}",
    )
    for position, number in enumerate(numbers):
        rest = await getattr(store, query)(_ISSUER, since=number, now=NOW, limit=1)
        require(rest == found[position + 1 : position + 2], f"{query}() must give what follows a number, not {rest}")


async def _check_notes(store: Store) -> None:
    for number in (3, 7):
        with success("note_announced() must remember a number"):
            await store.note_announced("http://one", "cann", number)
    await store.note_announced("http://two", "cann", 1)
    found = [
        await store.announced(subscriber, topic)
        for subscriber, topic in (("http://one", "cann"), ("http://two", "cann"), ("http://one", "rann"))
    ]
    require(found == [7, 1, 0], f"announced() must give the number that was noted last, or 0, not {found}")
