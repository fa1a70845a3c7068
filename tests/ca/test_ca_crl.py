from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest
from cryptography import x509
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc5280

from cmpkit.enums import CRLReason
from cmpkit.parts import CertificateRecord, StatusAddresses, Store

DAY = timedelta(days=1)


async def fetch(ca: Any, now: datetime | None = None, **settings: Any) -> x509.CertificateRevocationList:
    """A CRL from a process that was just started, or with ``now`` from the one that runs."""
    issuer = ca.issuer if now is not None else ca.reopened(**settings)
    return x509.load_der_x509_crl(await issuer.crl(now=now or ca.ask.now))


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def reasons(crl: x509.CertificateRevocationList) -> dict[int, x509.ReasonFlags | None]:
    found = {}
    for entry in crl:
        extensions = [item.value for item in entry.extensions]
        found[entry.serial_number] = extensions[0].reason if extensions else None
    return found


async def test_a_crl_is_signed_by_the_ca_and_valid_as_long_as_set(ca: Any, ask: Any) -> None:
    crl = await fetch(ca, crl_validity=timedelta(hours=3))
    issuer = x509.load_der_x509_certificate(ca.certificate.der)
    assert crl.is_signature_valid(issuer.public_key())
    assert crl.issuer == issuer.subject
    assert (crl.last_update_utc, crl.next_update_utc) == (ask.second, ask.second + timedelta(hours=3))
    key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == key
    assert list(crl) == []


async def test_a_crl_is_read_by_pyasn1(ca: Any, ask: Any) -> None:
    record = await ca.revoke(await ca.issue(), CRLReason.KEY_COMPROMISE)
    read, rest = decoder.decode(await ca.issuer.crl(now=ask.now), asn1Spec=rfc5280.CertificateList())
    assert not rest
    assert int(read["tbsCertList"]["version"]) == 1
    (entry,) = read["tbsCertList"]["revokedCertificates"]
    assert int(entry["userCertificate"]) == record.serial_number
    (reason,) = entry["crlEntryExtensions"]
    assert int(decoder.decode(reason["extnValue"], asn1Spec=rfc5280.CRLReason())[0]) == CRLReason.KEY_COMPROMISE


async def test_a_revocation_is_on_the_next_crl_at_once(ca: Any, ask: Any) -> None:
    first, second = await ca.issue(), await ca.issue()
    assert reasons(await fetch(ca, ask.now)) == {}
    await ca.revoke(first, CRLReason.SUPERSEDED)
    assert reasons(await fetch(ca, ask.now)) == {first.serial_number: x509.ReasonFlags.superseded}
    await ca.revoke(second, CRLReason.UNSPECIFIED)
    assert reasons(await fetch(ca, ask.now)) == {
        first.serial_number: x509.ReasonFlags.superseded,
        second.serial_number: None,
    }


async def test_hold_release_and_revocation_are_on_the_crl_each_in_turn(ca: Any, ask: Any) -> None:
    record: CertificateRecord = await ca.issue()
    steps = [
        (CRLReason.CERTIFICATE_HOLD, {record.serial_number: x509.ReasonFlags.certificate_hold}),
        (CRLReason.REMOVE_FROM_CRL, {}),
        (CRLReason.CERTIFICATE_HOLD, {record.serial_number: x509.ReasonFlags.certificate_hold}),
        (CRLReason.KEY_COMPROMISE, {record.serial_number: x509.ReasonFlags.key_compromise}),
    ]
    numbers = [number(await fetch(ca, ask.now))]
    for reason, expected in steps:
        await ca.revoke(record, reason)
        crl = await fetch(ca, ask.now)
        assert reasons(crl) == expected
        numbers.append(number(crl))
    assert numbers == sorted(set(numbers))


async def test_a_crl_is_kept_while_nothing_changes(ca: Any, ask: Any) -> None:
    await ca.revoke(await ca.issue())
    first = await ca.issuer.crl(now=ask.now)
    assert await ca.issuer.crl(now=ask.now + 3 * DAY) == first


async def test_a_crl_is_made_anew_after_half_of_its_validity(ca: Any, ask: Any) -> None:
    first = await fetch(ca, ask.now)
    later = await fetch(ca, ask.now + 3.5 * DAY)
    assert number(later) > number(first)
    assert later.last_update_utc == ask.second + 3.5 * DAY


async def test_a_crl_from_the_future_is_made_anew(ca: Any, ask: Any) -> None:
    await fetch(ca, ask.now + DAY)
    assert (await fetch(ca, ask.now)).last_update_utc == ask.second


async def test_a_revocation_by_another_process_is_on_the_next_crl(ca: Any, ask: Any) -> None:
    record = await ca.issue()
    other = ca.reopened()
    before = x509.load_der_x509_crl(await other.crl(now=ask.now))
    await ca.revoke(record)
    after = x509.load_der_x509_crl(await other.crl(now=ask.now))
    assert (reasons(before), list(reasons(after))) == ({}, [record.serial_number])


async def test_numbers_increase_across_processes(ca: Any, ask: Any) -> None:
    numbers = [number(await fetch(ca)) for _ in range(3)]
    assert numbers == sorted(set(numbers))


async def test_a_revocation_date_is_when_it_was_revoked(ca: Any, ask: Any) -> None:
    await ca.revoke(await ca.issue(), now=ask.now + DAY)
    (entry,) = await fetch(ca, ask.now + 2 * DAY)
    assert entry.revocation_date_utc == ask.second + DAY


class Gate:
    """A store that reads the revoked certificates, and only then lets others go on."""

    def __init__(self, store: Store) -> None:
        self._store, self.queries = store, 0
        self.meanwhile: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def revoked(self, issuer_key: str) -> Any:
        self.queries += 1
        for action in self.meanwhile:
            await action()
        self.meanwhile = []
        found = await self._store.revoked(issuer_key)
        await anyio.lowlevel.checkpoint()
        return found


@pytest.mark.parametrize("others", [0, 1])
async def test_a_crl_that_follows_another_lists_each_certificate_once(ca: Any, ask: Any, others: int) -> None:
    """Also if somebody else revoked while the list was read."""
    ca.store = gate = Gate(ca.store)
    issuer = ca.reopened()
    records = [await ca.issue() for _ in range(4)]
    await ca.revoke(records[0])
    gate.meanwhile = [lambda: ca.revoke(records[1])] * others
    for count, record in ((1 + others, records[2]), (2 + others, records[3])):
        crl = x509.load_der_x509_crl(await issuer.crl(now=ask.now))
        assert len(crl) == len(reasons(crl)) == count
        await ca.revoke(record)
    assert len(x509.load_der_x509_crl(await issuer.crl(now=ask.now))) == 3 + others
    assert gate.queries == 1 + others


async def test_one_crl_is_made_for_many_who_ask_at_once(ca: Any, ask: Any) -> None:
    ca.store = Gate(ca.store)
    issuer = ca.reopened()
    answers: list[bytes] = []

    async def one() -> None:
        answers.append(await issuer.crl(now=ask.now))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
    assert len(answers) == 5
    assert len(set(answers)) == 1


async def test_a_greater_number_never_lists_less(ca: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process revokes, and makes its CRL, between our two looks at the store."""
    record, other = await ca.issue(), ca.reopened()
    made: list[x509.CertificateRevocationList] = []
    real = ca.store.next_crl_number

    async def slow(issuer_key: str) -> int:
        if not made:
            made.append(None)  # type: ignore[arg-type]
            await ca.revoke(record)
            made[0] = x509.load_der_x509_crl(await other.crl(now=ask.now))
        given: int = await real(issuer_key)
        return given

    monkeypatch.setattr(ca.store, "next_crl_number", slow)
    ours = await fetch(ca, ask.now)
    assert number(ours) > number(made[0])
    assert set(reasons(ours)) >= set(reasons(made[0])) == {record.serial_number}


DELTA = {"delta_crl_validity": DAY, "addresses": StatusAddresses(delta_crl=("http://pki.example/delta.crl",))}


async def delta(issuer: Any, now: datetime) -> tuple[x509.CertificateRevocationList, int]:
    """A delta CRL, and the number of its base."""
    crl = x509.load_der_x509_crl(await issuer.delta_crl(now=now))
    indicator = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical
    return crl, indicator.value.crl_number


async def test_without_a_validity_there_is_no_delta_crl(ca: Any, ask: Any) -> None:
    assert await ca.issuer.delta_crl(now=ask.now) is None
    await ca.issuer.crl(now=ask.now)
    assert await ca.store.oldest_crl(ca.certificate.key_id, at=ask.now) is None


async def test_a_delta_crl_has_what_changed_since_its_base(ca: Any, ask: Any) -> None:
    issuer = ca.issuer = ca.reopened(**DELTA)
    before, held, after = await ca.issue(), await ca.issue(), await ca.issue()
    await ca.revoke(before)
    await ca.revoke(held, CRLReason.CERTIFICATE_HOLD)
    base = x509.load_der_x509_crl(await issuer.crl(now=ask.now))
    empty, number_of_base = await delta(issuer, ask.now)
    assert (list(empty), number_of_base) == ([], number(base))
    assert number(empty) > number(base)
    assert (empty.last_update_utc, empty.next_update_utc) == (ask.second, ask.second + DAY)
    await ca.revoke(after, CRLReason.SUPERSEDED)
    await ca.revoke(held, CRLReason.REMOVE_FROM_CRL)
    crl, number_of_base = await delta(issuer, ask.now)
    assert number_of_base == number(base)
    assert reasons(crl) == {
        after.serial_number: x509.ReasonFlags.superseded,
        held.serial_number: x509.ReasonFlags.remove_from_crl,
    }
    complete = x509.load_der_x509_crl(await issuer.crl(now=ask.now))
    assert {entry.serial_number for entry in complete} == {before.serial_number, after.serial_number}


async def test_a_delta_crl_without_a_complete_one_makes_it(ca: Any, ask: Any) -> None:
    issuer = ca.reopened(**DELTA)
    _, number_of_base = await delta(issuer, ask.now)
    assert number(x509.load_der_x509_crl(await issuer.crl(now=ask.now))) == number_of_base


async def test_a_delta_crl_completes_every_crl_that_is_still_valid(ca: Any, ask: Any) -> None:
    issuer = ca.issuer = ca.reopened(**DELTA)
    numbers = []
    for day in (0, 2, 4):
        now = ask.now + day * DAY
        await ca.revoke(await ca.issue(), now=now)
        numbers.append(number(x509.load_der_x509_crl(await issuer.crl(now=now))))
    for day, (first, count) in {6: (0, 2), 7.5: (1, 1), 10: (2, 0)}.items():
        crl, number_of_base = await delta(issuer, ask.now + day * DAY)
        assert (number_of_base, len(list(crl))) == (numbers[first], count)


async def test_a_delta_crl_is_kept_while_nothing_changes_and_made_anew_after_half_of_its_validity(
    ca: Any, ask: Any
) -> None:
    issuer = ca.reopened(**DELTA)
    first = await issuer.delta_crl(now=ask.now)
    assert await issuer.delta_crl(now=ask.now + 0.4 * DAY) == first
    assert await issuer.delta_crl(now=ask.now + 0.5 * DAY) != first


async def test_another_process_makes_delta_crls_to_the_same_base(ca: Any, ask: Any) -> None:
    issuer, other = ca.reopened(**DELTA), ca.reopened(**DELTA)
    await issuer.crl(now=ask.now)
    await ca.revoke(await ca.issue())
    (one, base), (two, base_of_other) = await delta(issuer, ask.now), await delta(other, ask.now)
    assert (base, len(list(one))) == (base_of_other, len(list(two)))
    assert number(one) != number(two)


async def test_a_complete_crl_says_where_its_delta_is(ca: Any, ask: Any) -> None:
    crl = x509.load_der_x509_crl(await ca.reopened(**DELTA).crl(now=ask.now))
    (point,) = crl.extensions.get_extension_for_class(x509.FreshestCRL).value
    assert [name.value for name in point.full_name or ()] == ["http://pki.example/delta.crl"]
