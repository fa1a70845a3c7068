"""What bundles say about themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit.errors import CMPError
from cmpkit.offline.manifest import MAX_ENTRIES, MAX_MESSAGE_SIZE, Entry, Kind, Manifest, dump_manifest, load_manifest

series = st.binary(min_size=16, max_size=16)
digests = st.binary(min_size=32, max_size=32)
names = st.from_regex(r"\Amessages/[A-Za-z0-9][A-Za-z0-9_-]{0,20}\.pki\Z")
sizes = st.integers(1, MAX_MESSAGE_SIZE)
numbers = st.integers(1, 1 << 53)
times = st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
requests = st.builds(Entry, name=names, size=sizes, digest=digests)
answers = st.builds(Entry, name=names, size=sizes, digest=digests, answers=digests, series=series)


def manifests() -> st.SearchStrategy[Manifest]:
    def of(kind: Kind) -> st.SearchStrategy[Manifest]:
        entries = st.lists(requests if kind is Kind.REQUESTS else answers, max_size=4, unique_by=lambda one: one.name)
        return st.builds(
            Manifest,
            kind=st.just(kind),
            series=series,
            sequence=numbers,
            created=times,
            expires=times,
            entries=entries.map(tuple),
            seen=st.just({}) if kind is Kind.REQUESTS else st.dictionaries(series, numbers, max_size=3),
        )

    return st.sampled_from(Kind).flatmap(of)


EXAMPLE = Manifest(
    kind=Kind.ANSWERS,
    series=bytes(16),
    sequence=3,
    created=datetime(2026, 1, 1, tzinfo=UTC),
    expires=datetime(2026, 2, 1, tzinfo=UTC),
    entries=(Entry(name="messages/1.pki", size=5, digest=bytes(32), answers=bytes(32), series=bytes(16)),),
    seen={bytes(16): 2},
)


@settings(max_examples=30)
@given(manifests())
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert load_manifest(dump_manifest(manifest)) == manifest


@settings(max_examples=50)
@given(st.data())
def test_whatever_is_read_is_a_manifest_or_refused(data: st.DataObject) -> None:
    octets = bytearray(dump_manifest(data.draw(manifests())))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = load_manifest(bytes(octets))
    except CMPError:
        return
    assert load_manifest(dump_manifest(read)) == read


@settings(max_examples=40)
@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_what_is_no_manifest_is_refused(octets: bytes) -> None:
    with pytest.raises(CMPError, match="the manifest cannot be read"):
        load_manifest(octets)


def changed(**members: Any) -> bytes:
    return json.dumps({**json.loads(dump_manifest(EXAMPLE)), **members}).encode()


def entry(**members: Any) -> list[Any]:
    plain = json.loads(dump_manifest(EXAMPLE))["messages"][0]
    return [{name: value for name, value in {**plain, **members}.items() if value is not None}]


@pytest.mark.parametrize(
    "octets",
    [
        changed(format=2),
        changed(format=None),
        changed(more=1),
        changed(kind="letters"),
        changed(kind="requests"),
        changed(series="00"),
        changed(series="AA" * 16),
        changed(series="zz" * 16),
        changed(sequence=0),
        changed(sequence=True),
        changed(sequence="1"),
        changed(sequence=1 << 60),
        changed(created="yesterday"),
        changed(expires=None),
        changed(seen=[]),
        changed(seen={"00" * 16: 0}),
        changed(messages={}),
        changed(messages=[1]),
        changed(messages=entry() * 2),
        changed(messages=entry() * (MAX_ENTRIES + 1)),
        changed(messages=entry(name="/etc/passwd")),
        changed(messages=entry(name="messages/../../x.pki")),
        changed(messages=entry(name="messages\\x.pki")),
        changed(messages=entry(name="messages/x.pki\n")),
        changed(messages=entry(name="messages/.pki")),
        changed(messages=entry(name=1)),
        changed(messages=entry(size=0)),
        changed(messages=entry(size=MAX_MESSAGE_SIZE + 1)),
        changed(messages=entry(sha256="00")),
        changed(messages=entry(series=None)),
        changed(messages=entry(answers=None, series=None)),
        changed(messages=entry(mode=0o644)),
        dump_manifest(EXAMPLE).replace(b'"sequence": 3', b'"sequence": 3, "sequence": 4'),
        b"[" * 100_000,
        b"[]",
        b"\xff",
    ],
)
def test_a_manifest_that_is_not_as_it_should_be_is_refused(octets: bytes) -> None:
    with pytest.raises(CMPError, match="the manifest cannot be read"):
        load_manifest(octets)


def test_requests_answer_nothing() -> None:
    with pytest.raises(CMPError, match="requests answer nothing"):
        load_manifest(changed(kind="requests", messages=[]))
