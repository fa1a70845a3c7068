"""Whether the queries of a store give what they must and nothing else, for :func:`cmpkit.testing.check_store`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cmpkit.crypto.names import parse_name
from cmpkit.errors import ConfigurationError, ConflictError
from cmpkit.parts import (
    CertificateRecord,
    CertificateState,
    IssuedCRL,
    Revocation,
    Store,
    TransactionState,
    UnitOfWork,
)
from cmpkit.testing.contract import refused, require, success, task_group
from cmpkit.testing.store_archive import check_archived_keys
from cmpkit.testing.store_held import check_held_requests
from cmpkit.testing.store_kept import check_kept_values, check_open_transactions
from cmpkit.testing.store_relaying import check_relaying
from cmpkit.testing.store_values import NOW, Values

__all__ = ["check_queries"]

_VALID, _ISSUED = CertificateState.VALID, CertificateState.ISSUED
_REVOKED, _ON_HOLD = CertificateState.REVOKED, CertificateState.ON_HOLD
_SECOND = timedelta(seconds=1)


async def check_queries(store: Store, values: Values) -> None:
    """Check the queries of a store in which nothing is yet.

    :raises AssertionError: naming what is wrong.
    """
    await _check_changes(store, values)
    await _check_certificates(store, values)
    await _check_revoked(store, values)
    await _check_overdue(store, values)
    await _check_secrets(store, values)
    await _check_crl_numbers(store)
    await _check_crls(store)
    await check_held_requests(store, values)
    await check_archived_keys(store, values)
    await check_kept_values(store, values)
    await check_open_transactions(store, values)
    await check_relaying(store, values)


async def _add(store: Store, record: CertificateRecord) -> CertificateRecord:
    with success("commit() must store a certificate"):
        await store.commit(UnitOfWork(certificates=(record,)))
    return record


async def _change(
    store: Store, record: CertificateRecord, state: CertificateState, *expected: CertificateState
) -> CertificateRecord:
    """Change the state of a certificate; it as it must be then."""
    change = Values.change(record, state, *expected)
    with success(f"commit() must change a certificate to {state.value!r}"):
        await store.commit(UnitOfWork(changes=(change,)))
    return Values.changed(record, change)


async def _check_changes(store: Store, values: Values) -> None:
    record = await _add(store, values.record())
    for state, *expected in (
        (_VALID, _ISSUED),
        (_ON_HOLD, _ISSUED, _VALID),
        (_VALID, _ON_HOLD),
        (_REVOKED, _ISSUED, _VALID, _ON_HOLD),
    ):
        record = await _change(store, record, state, *expected)
        found = await store.certificate(record.issuer_key, record.serial_number)
        require(found == record, f"a certificate that was changed must be {record}, not {found}")


async def _check_certificates(store: Store, values: Values) -> None:
    name = "CN=several,O=Zürich"
    records = [await _add(store, values.record(subject=name)) for _ in range(3)]
    records[0] = await _change(store, records[0], _REVOKED, _ISSUED)
    records[1] = await _change(store, records[1], _VALID, _ISSUED)
    newest_first = tuple(reversed(records))
    for what, found, wanted in (
        ("subject=", await store.certificates(subject=name), newest_first),
        ("limit=", await store.certificates(limit=2), newest_first[:2]),
        ("states=", await store.certificates(subject=name, states=(_REVOKED, _VALID)), newest_first[1:]),
        ("a part of a subject", await store.certificates(subject="CN=several"), ()),
    ):
        require(
            found == wanted, f"certificates() with {what} must give just these, newest first: {wanted}, not {found}"
        )
    await _check_last_expiry(store, values)
    record = records[0]
    for nothing in (
        await store.certificate(record.issuer_key, record.serial_number ^ (1 << 157)),
        await store.certificate("cd" * 32, record.serial_number),
        await store.certificate_by_fingerprint(bytes(32)),
    ):
        require(nothing is None, f"a certificate that was never stored must not be found, but was: {nothing}")


async def _check_last_expiry(store: Store, values: Values) -> None:
    issuer = "fa" * 32
    none = await store.last_expiry(issuer)
    latest = NOW + timedelta(days=3650)
    wanted = (await _add(store, values.record(issuer_key=issuer))).not_after
    await _add(store, values.record(issuer_key=issuer, profile="other", not_after=latest))
    found = (none, await store.last_expiry(issuer), await store.last_expiry(issuer, besides="other"))
    require(
        found == (None, latest, wanted),
        f"last_expiry() must give when the last certificate of an issuer ends, {(None, latest, wanted)}, not {found}",
    )


async def _check_revoked(store: Store, values: Values) -> None:
    issuer = "ef" * 32
    records = [await _add(store, values.record(issuer_key=issuer)) for _ in range(4)]
    elsewhere = await _add(store, values.record(issuer_key="ee" * 32, serial_number=records[0].serial_number))
    await _change(store, elsewhere, _REVOKED, _ISSUED)
    before = await store.status_version(issuer)
    wanted = {
        _listed(await _change(store, records[0], _REVOKED, _ISSUED)),
        _listed(await _change(store, records[1], _ON_HOLD, _ISSUED)),
    }
    await _require_changes(store, issuer, before, wanted)
    await _change(store, records[2], _VALID, _ISSUED)
    with success("revoked() must give what a CRL lists"):
        found = await store.revoked(issuer)
    require(
        len(found) == len(wanted) and set(found) == wanted,
        f"revoked() must give what this issuer revoked or put on hold, {wanted}, not {found}",
    )
    then = await store.status_version(issuer)
    require(then > before, f"status_version() must grow with each revocation, not stay from {before} to {then}")
    await _change(store, records[1], _VALID, _ON_HOLD)
    await _require_changes(store, issuer, then, {Revocation(records[1].serial_number, None)})


def _listed(record: CertificateRecord) -> Revocation:
    return Revocation(record.serial_number, record.revoked_at, record.reason, record.invalidity_date)


async def _require_changes(store: Store, issuer: str, since: int, wanted: set[Revocation]) -> None:
    with success("status_changes() must give what changed after a version"):
        changes = await store.status_changes(issuer, since=since)
    require(
        len(changes) == len(wanted) and set(changes) == wanted,
        f"status_changes() must give what was revoked, put on hold or released since, {wanted}, not {changes}",
    )


async def _check_overdue(store: Store, values: Values) -> None:
    moment = NOW - timedelta(days=60)
    late = values.transaction(expires=moment)
    others = [
        values.transaction(expires=moment + 2 * _SECOND),
        values.transaction(expires=None),
        values.transaction(expires=moment, state=TransactionState.DONE),
    ]
    for transaction in (late, *others):
        await store.commit(UnitOfWork(transaction=transaction))
    with success("overdue() must give transactions"):
        found = await store.overdue(moment + _SECOND)
    wanted = (replace(late, version=1),)
    require(
        found == wanted, f"overdue() must give what expired and is not done, {wanted}, and nothing else, not {found}"
    )


async def _check_secrets(store: Store, values: Values) -> None:
    wide = values.secret(b"\x00\xff\xfe no text", uses=None)
    narrow = values.secret(
        b"narrow", subject=parse_name("CN=device,O=Zürich"), profile="device", uses=2, expires=NOW + _SECOND
    )
    for record in (wide, narrow):
        with success("add_secret() must keep a secret"):
            await store.add_secret(record)
        found = await store.find_secret(record.secret.reference)
        require(found == record, f"a secret must be found as it was added, with {record.grant}, not {found}")
        with refused("a reference that exists", by=ConfigurationError):
            await store.add_secret(values.secret(record.secret.reference))
    require(await store.find_secret(b"never added") is None, "find_secret() must be None where there is none")
    listing = await store.secrets()
    wanted = {record.secret.reference: (record.grant, False) for record in (wide, narrow)}
    shown = {reference: (grant, revoked) for reference, grant, revoked in listing}
    require(shown == wanted, f"secrets() must list {wanted}, not {shown}")
    await store.commit(UnitOfWork(spent=(b"narrow",)))
    spent = await store.find_secret(b"narrow")
    require(
        spent is not None and spent.grant == replace(narrow.grant, uses=1),
        "a secret that was spent must have a use less",
    )
    answers = [await store.revoke_secret(reference) for reference in (b"narrow", b"never added")]
    require(answers == [True, False], f"revoke_secret() must say whether there was one, not {answers}")
    revoked = await store.find_secret(b"narrow")
    require(revoked is not None and revoked.revoked is True, "a secret that was revoked must be found as such")
    with refused("a use of a secret that was revoked", by=ConflictError):
        await store.commit(UnitOfWork(spent=(b"narrow",)))


async def _check_crl_numbers(store: Store) -> None:
    numbers: list[int] = []

    async def take() -> None:
        with success("next_crl_number() must give a number each time"):
            numbers.append(await store.next_crl_number("ab" * 32))

    for _ in range(3):
        await take()
    require(numbers == sorted(set(numbers)), f"each CRL number must be greater than those before, not {numbers}")
    async with task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(take)
    require(
        len(set(numbers)) == len(numbers) and min(numbers[3:]) > max(numbers[:3]),
        f"no CRL number may be given twice, not {numbers}",
    )


async def _check_crls(store: Store) -> None:
    issuer, day = "ed" * 32, timedelta(days=1)
    crls = [IssuedCRL(issuer, number, 5, NOW + number * day, NOW + (number + 2) * day) for number in (1, 2)]
    for crl in crls:
        with success("add_crl() must remember a CRL"):
            await store.add_crl(crl)
    for at, wanted in ((NOW + 2 * day, crls[0]), (NOW + 3 * day, crls[1]), (NOW + 4 * day, None)):
        found = await store.oldest_crl(issuer, at=at)
        require(found == wanted, f"oldest_crl() must give the first that is still valid, {wanted}, not {found}")
