"""Every value comes back from the store exactly as it was given."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.enums import BodyType, CRLReason
from cmpkit.errors import ConfigurationError
from cmpkit.parts import (
    AuditEntry,
    CertificateRecord,
    CertificateState,
    Grant,
    SecretRecord,
    SharedSecret,
    Store,
    StoredAnswer,
    Transaction,
    TransactionState,
    UnitOfWork,
)
from cmpkit.store.plugin import SQLStoreFactory

numbers = itertools.count(1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
moments = st.datetimes(timezones=st.just(UTC))
serial_numbers = st.integers(0, (1 << 160) - 1)
name_attributes = st.builds(
    x509.NameAttribute,
    st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.DOMAIN_COMPONENT]),
    st.text("abcdefghijklmnopqrstuvwxyz+,=\\ 0123456789", min_size=1, max_size=30),
)
names = st.lists(st.sets(name_attributes, min_size=1, max_size=3).map(x509.RelativeDistinguishedName), max_size=4).map(
    x509.Name
)
transactions = st.builds(
    Transaction,
    st.binary(max_size=30).map(lambda octets: octets + next(numbers).to_bytes(4, "big")),
    texts,
    st.sampled_from(BodyType),
    st.sampled_from(TransactionState),
    implicit_confirm=st.booleans(),
    sender_nonce=st.binary(max_size=32),
    peer_nonces=st.lists(st.binary(max_size=32)).map(tuple),
    request=st.binary(max_size=32),
    certificates=st.lists(st.tuples(st.integers(-1, 5), texts, serial_numbers)).map(tuple),
    extra_certs=st.lists(st.binary()).map(tuple),
    expires=st.none() | moments,
)
records = st.builds(
    CertificateRecord,
    st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda digits: f"{next(numbers):08x}" + digits[8:]),
    serial_numbers,
    st.binary(),
    st.binary(max_size=32).map(lambda octets: octets + next(numbers).to_bytes(4, "big")),
    texts,
    moments,
    moments,
    texts,
    texts.map(lambda text: f"{text}{next(numbers)}"),
    st.sampled_from(CertificateState),
    st.none() | moments,
    st.none() | st.sampled_from(CRLReason),
)
grants = st.builds(
    Grant, st.none() | names, st.none() | texts, st.none() | st.integers(0, (1 << 63) - 1), st.none() | moments
)


@pytest.fixture(scope="module")
async def shared_store(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/cmpkit.db"
    factory = SQLStoreFactory()
    await factory.create(url)
    store = factory.open(url, sealing_key=bytes(32))
    yield store
    await store.aclose()


@given(transactions)
async def test_a_transaction_comes_back_with_its_new_version(shared_store: Store, transaction: Transaction) -> None:
    await shared_store.commit(UnitOfWork(transaction=transaction))
    loaded, answers = await shared_store.load(transaction.transaction_id, b"")
    assert loaded == (replace(transaction, version=1),)
    assert answers == ()


@given(transactions, transactions)
async def test_a_changed_transaction_replaces_every_value(
    shared_store: Store, first: Transaction, second: Transaction
) -> None:
    changed = replace(second, transaction_id=first.transaction_id, credential=first.credential, version=1)
    await shared_store.commit(UnitOfWork(transaction=first))
    await shared_store.commit(UnitOfWork(transaction=changed))
    loaded, _ = await shared_store.load(first.transaction_id, b"")
    assert loaded == (replace(changed, version=2),)


@given(st.binary(), texts, st.binary(max_size=32), st.binary(), st.none() | moments)
async def test_an_answer_comes_back(  # noqa: PLR0917
    shared_store: Store, digest: bytes, credential: str, transaction_id: bytes, der: bytes, keep_until: datetime | None
) -> None:
    digest += next(numbers).to_bytes(4, "big")
    answer = StoredAnswer(digest, credential, transaction_id, der, keep_until)
    await shared_store.commit(UnitOfWork(answer=answer))
    assert (await shared_store.load(b"unknown", digest))[1] == (answer,)


@given(records)
async def test_a_certificate_record_comes_back(shared_store: Store, record: CertificateRecord) -> None:
    await shared_store.commit(UnitOfWork(certificates=(record,)))
    assert await shared_store.certificate(record.issuer_key, record.serial_number) == record
    assert await shared_store.certificate_by_fingerprint(record.fingerprint) == record
    assert (await shared_store.certificates(subject=record.subject, limit=1)) == (record,)


@given(st.binary(), st.binary(), grants, st.booleans())
async def test_a_secret_comes_back_with_its_grant(
    shared_store: Store, reference: bytes, value: bytes, grant: Grant, revoked: bool
) -> None:
    reference += next(numbers).to_bytes(4, "big")
    record = SecretRecord(SharedSecret(reference, value), grant, revoked)
    await shared_store.add_secret(record)
    assert await shared_store.find_secret(reference) == record
    assert (reference, grant, revoked) in await shared_store.secrets()


@given(moments, texts, texts, st.none() | st.binary(), st.dictionaries(texts, texts | st.integers()))
async def test_an_audit_entry_comes_back(  # noqa: PLR0917
    shared_store: Store, at: datetime, event: str, actor: str, transaction_id: bytes | None, details: dict[str, str]
) -> None:
    entry = AuditEntry(at, event, actor, transaction_id, details)
    await shared_store.commit(UnitOfWork(audit=(entry,)))
    assert await shared_store.audit_entries(limit=1) == (entry,)


async def test_a_time_of_another_zone_comes_back_as_the_same_moment_in_utc(shared_store: Store) -> None:
    there = datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    await shared_store.commit(UnitOfWork(audit=(AuditEntry(there, "zone", ""),)))
    (entry,) = await shared_store.audit_entries(limit=1)
    assert entry.at == there
    assert entry.at.tzinfo is UTC


async def test_a_time_without_zone_is_refused(shared_store: Store) -> None:
    entry = AuditEntry(datetime(2026, 1, 1), "naive", "")
    with pytest.raises(ConfigurationError, match="no zone"):
        await shared_store.commit(UnitOfWork(audit=(entry,)))
    assert "naive" not in {kept.event for kept in await shared_store.audit_entries()}


@given(records, st.sampled_from([-1, -(1 << 200), 1 << 160, 1 << 10_000]))
async def test_a_serial_number_that_no_certificate_may_have_is_refused(
    shared_store: Store, record: CertificateRecord, serial_number: int
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await shared_store.commit(UnitOfWork(certificates=(replace(record, serial_number=serial_number),)))
    assert caught.value.rule == "RFC 5280 section 4.1.2.2"
    assert await shared_store.certificate(record.issuer_key, serial_number) is None


async def test_a_subject_that_nobody_could_read_is_refused(shared_store: Store) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "a\\b")])
    with pytest.raises(ConfigurationError, match="not valid"):
        await shared_store.add_secret(SecretRecord(SharedSecret("subject", "value"), Grant(subject)))
    assert await shared_store.find_secret(b"subject") is None


@pytest.mark.parametrize("uses", [-1, 1 << 63])
async def test_uses_that_cannot_be_counted_are_refused(shared_store: Store, uses: int) -> None:
    record = SecretRecord(SharedSecret(f"uses {uses}", "value"), Grant(None, uses=uses))
    with pytest.raises(ConfigurationError, match="uses"):
        await shared_store.add_secret(record)
    assert await shared_store.find_secret(record.secret.reference) is None
