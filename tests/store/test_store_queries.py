"""What the store finds, lists, counts and forgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from cmpkit.enums import CRLReason
from cmpkit.parts import (
    AuditEntry,
    CertificateChange,
    CertificateRecord,
    CertificateState,
    IssuedCRL,
    Revocation,
    Store,
    TransactionState,
    UnitOfWork,
)

StoredRows = Callable[[], dict[str, list[Any]]]


def changed(record: CertificateRecord, make: Any, state: CertificateState, *expected: CertificateState) -> UnitOfWork:
    reason = CRLReason.KEY_COMPROMISE
    change = CertificateChange(record.issuer_key, record.serial_number, state, expected, at=make.now, reason=reason)
    return UnitOfWork(changes=(change,))


async def test_unknown_certificates_are_none(store: Store, make: Any) -> None:
    record = make.record()
    await store.commit(UnitOfWork(certificates=(record,)))
    assert await store.certificate("cd" * 32, record.serial_number) is None
    assert await store.certificate(record.issuer_key, record.serial_number + 1) is None
    assert await store.certificate_by_fingerprint(bytes(32)) is None


async def test_one_serial_number_under_two_issuers_is_two_certificates(store: Store, make: Any) -> None:
    one = make.record(serial_number=5)
    two = make.record(serial_number=5, issuer_key="cd" * 32)
    await store.commit(UnitOfWork(certificates=(one, two)))
    assert await store.certificate(one.issuer_key, 5) == one
    assert await store.certificate(two.issuer_key, 5) == two


async def test_certificates_are_listed_newest_first_by_subject_state_and_limit(store: Store, make: Any) -> None:
    held = make.record(subject="CN=a", state=CertificateState.ON_HOLD, revoked_at=make.now)
    valid = make.record(subject="CN=a", state=CertificateState.VALID)
    other = make.record(subject="CN=ab", state=CertificateState.VALID)
    await store.commit(UnitOfWork(certificates=(held, valid)))
    await store.commit(UnitOfWork(certificates=(other,)))
    assert await store.certificates() == (other, valid, held)
    assert await store.certificates(limit=1) == (other,)
    assert await store.certificates(subject="CN=a") == (valid, held)
    assert await store.certificates(states=[CertificateState.VALID]) == (other, valid)
    assert await store.certificates(subject="CN=a", states=[CertificateState.ON_HOLD, CertificateState.ISSUED]) == (
        held,
    )


@pytest.mark.parametrize("state", CertificateState)
async def test_a_crl_lists_what_is_revoked_or_on_hold(store: Store, make: Any, state: CertificateState) -> None:
    out_of_use = state in (CertificateState.REVOKED, CertificateState.ON_HOLD)
    record = make.record(
        state=state,
        revoked_at=make.now if out_of_use else None,
        reason=CRLReason.SUPERSEDED if out_of_use else None,
    )
    await store.commit(UnitOfWork(certificates=(record,)))
    listed = (Revocation(record.serial_number, make.now, CRLReason.SUPERSEDED),)
    assert await store.revoked(record.issuer_key) == (listed if out_of_use else ())
    assert await store.status_version(record.issuer_key) == int(out_of_use)
    assert await store.status_changes(record.issuer_key, since=0) == (listed if out_of_use else ())
    assert await store.revoked("cd" * 32) == ()


async def test_a_crl_does_not_list_what_had_expired_before_it_was_revoked(store: Store, make: Any) -> None:
    end = make.now + timedelta(days=1)
    revoked = make.record(not_after=end, state=CertificateState.REVOKED, revoked_at=end)
    expired = make.record(not_after=end, state=CertificateState.REVOKED, revoked_at=end + timedelta(microseconds=1))
    await store.commit(UnitOfWork(certificates=(revoked, expired)))
    assert await store.revoked(make.issuer_key) == (Revocation(revoked.serial_number, end),)
    assert await store.status_changes(make.issuer_key, since=0) == (Revocation(revoked.serial_number, end),)


async def test_changes_are_told_from_a_version_on_and_a_lifted_hold_is_one(store: Store, make: Any) -> None:
    revoked, held, other = make.record(), make.record(), make.record(issuer_key="ef" * 32)
    await store.commit(UnitOfWork(certificates=(revoked, held, other)))
    assert await store.status_version(make.issuer_key) == 0
    on_hold, released = CertificateState.ON_HOLD, CertificateState.VALID
    versions = []
    for record, state, *expected in (
        (held, on_hold, CertificateState.ISSUED),
        (revoked, CertificateState.REVOKED, CertificateState.ISSUED),
        (other, CertificateState.REVOKED, CertificateState.ISSUED),
        (held, released, on_hold),
    ):
        await store.commit(changed(record, make, state, *expected))
        versions.append(await store.status_version(make.issuer_key))
    assert versions == [1, 2, 2, 3]
    lifted = Revocation(held.serial_number, None)
    listed = Revocation(revoked.serial_number, make.now, CRLReason.KEY_COMPROMISE)
    assert await store.status_changes(make.issuer_key, since=0) == (listed, lifted)
    assert await store.status_changes(make.issuer_key, since=2) == (lifted,)
    assert await store.status_changes(make.issuer_key, since=3) == ()


async def test_a_confirmation_is_no_change_of_who_is_revoked(store: Store, make: Any) -> None:
    record = make.record()
    await store.commit(UnitOfWork(certificates=(record,)))
    await store.commit(changed(record, make, CertificateState.VALID, CertificateState.ISSUED))
    assert await store.status_version(make.issuer_key) == 0
    assert await store.status_changes(make.issuer_key, since=0) == ()


async def test_complete_crls_are_remembered_while_they_are_valid(store: Store, make: Any) -> None:
    day = timedelta(days=1)
    crls = [
        IssuedCRL("ab" * 32, number, number * 7, make.now + number * day, make.now + (number + 7) * day)
        for number in (1, 2, 9)
    ]
    assert await store.oldest_crl("ab" * 32, at=make.now) is None
    for crl in crls[:2]:
        await store.add_crl(crl)
    assert await store.oldest_crl("ab" * 32, at=make.now) == crls[0]
    assert await store.oldest_crl("ab" * 32, at=make.now + 8 * day) == crls[1]
    assert await store.oldest_crl("cd" * 32, at=make.now) is None
    await store.add_crl(crls[2])
    assert await store.oldest_crl("ab" * 32, at=make.now) == crls[2]


async def test_overdue_are_those_past_their_time_and_not_done(store: Store, make: Any) -> None:
    second = timedelta(seconds=1)
    late = make.transaction(expires=make.now - second, state=TransactionState.PENDING)
    later = make.transaction(expires=make.now - 2 * second)
    for transaction in (
        late,
        later,
        make.transaction(expires=make.now - second, state=TransactionState.DONE),
        make.transaction(expires=make.now),
        make.transaction(expires=None),
    ):
        await store.commit(UnitOfWork(transaction=transaction))
    assert await store.overdue(make.now) == (replace(later, version=1), replace(late, version=1))


async def test_prune_forgets_answers_whose_time_has_passed(store: Store, make: Any) -> None:
    transaction = make.transaction()
    old = make.answer(transaction, keep_until=make.now - timedelta(microseconds=1))
    kept = [make.answer(transaction, keep_until=until) for until in (make.now, None)]
    await store.commit(UnitOfWork(transaction=transaction, answer=old))
    for answer in kept:
        await store.commit(UnitOfWork(answer=answer))
    assert await store.prune(make.now) == 1
    assert (await store.load(transaction.transaction_id, old.digest))[1] == ()
    for answer in kept:
        assert (await store.load(transaction.transaction_id, answer.digest))[1] == (answer,)
    assert await store.prune(make.now) == 0


async def test_a_transaction_that_is_done_is_forgotten_with_its_last_answer(store: Store, make: Any) -> None:
    done = make.transaction(state=TransactionState.DONE)
    soon = make.answer(done, keep_until=make.now + timedelta(seconds=1))
    late = make.answer(done, keep_until=make.now + timedelta(seconds=9))
    namesake = make.answer(replace(done, credential="cert:00"), keep_until=None)
    await store.commit(UnitOfWork(transaction=done, answer=soon))
    for answer in (late, namesake):
        await store.commit(UnitOfWork(answer=answer))
    assert await store.prune(make.now + timedelta(seconds=5)) == 1
    assert len((await store.load(done.transaction_id, b""))[0]) == 1
    assert await store.prune(make.now + timedelta(seconds=10)) == 1
    assert await store.load(done.transaction_id, b"") == ((), ())


@pytest.mark.parametrize("state", [TransactionState.PENDING, TransactionState.ISSUED])
async def test_a_transaction_that_is_open_is_never_forgotten(store: Store, make: Any, state: TransactionState) -> None:
    unit = make.unit(transaction=make.transaction(state=state))
    await store.commit(unit)
    assert await store.prune(make.now + timedelta(days=9999)) == 1
    assert len((await store.load(unit.transaction.transaction_id, b""))[0]) == 1


async def test_prune_keeps_certificates_and_audit(store: Store, make: Any, stored_rows: StoredRows) -> None:
    await store.commit(make.unit(transaction=make.transaction(state=TransactionState.DONE)))
    before = stored_rows()
    await store.prune(make.now + timedelta(days=9999))
    after = stored_rows()
    assert after["transactions"] == after["answers"] == []
    unchanged = before.keys() - {"transactions", "answers"}
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}


async def test_audit_entries_come_newest_first(store: Store, make: Any) -> None:
    entries = [AuditEntry(make.now - timedelta(hours=hours), "event", str(hours)) for hours in range(4)]
    await store.commit(UnitOfWork(audit=tuple(entries[:3])))
    await store.commit(UnitOfWork(audit=(entries[3],)))
    assert await store.audit_entries() == tuple(reversed(entries))
    assert await store.audit_entries(limit=2) == (entries[3], entries[2])


async def test_crl_numbers_grow_by_one_for_each_issuer_also_at_the_same_time(store: Store, make: Any) -> None:
    given: list[int] = []

    async def take() -> None:
        given.append(await store.next_crl_number(make.issuer_key))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(take)
    assert sorted(given) == list(range(1, 11))
    assert await store.next_crl_number("cd" * 32) == 1
    assert await store.next_crl_number(make.issuer_key) == 11
