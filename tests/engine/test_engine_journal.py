"""A client's transaction as text: it comes back as it was, or is refused."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.asn1 import PKIStatusInfo, encode
from cmpkit.engine.client import begin
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.journal import FORMAT, dump_transaction, load_transaction
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.engine.states import ANSWERS, ClientState
from cmpkit.enums import PVNO, BodyType, PKIStatus
from cmpkit.errors import ConfigurationError

octets = st.binary(max_size=40)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
several = st.lists(octets, max_size=3).map(tuple)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
sought = st.builds(
    SoughtCertificate,
    cert_req_id=st.integers(-1, 2**63),
    public_key_info=octets,
    subject=octets,
    status=st.just(b"") | st.sampled_from(PKIStatus).map(lambda status: encode(PKIStatusInfo.of(status, ["why"]))),
    certificate=octets,
    is_decided=st.booleans(),
    rejection=texts,
)
transactions = st.builds(
    ClientTransaction,
    operation=st.sampled_from(sorted(ANSWERS)),
    transaction_id=octets,
    state=st.sampled_from(ClientState),
    pvno=st.sampled_from(PVNO),
    implicit_confirm=st.booleans(),
    sought=st.lists(sought, max_size=3).map(tuple),
    asked=st.integers(1, 9),
    poll_ids=st.lists(st.integers(-1, 2**63), max_size=3).map(tuple),
    message=octets,
    is_sent=st.booleans(),
    request_nonce=octets,
    sender_nonce=octets,
    awaited_nonce=octets,
    recip_nonce=octets,
    poll_at=st.none() | st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC) | offsets),
    chain=several,
    ca_pubs=several,
    context=st.dictionaries(texts, texts, max_size=3),
)
SOUGHT = json.loads(dump_transaction(begin(BodyType.IR, sought=[SoughtCertificate()])))["sought"][0]
SAVED = dataclasses.replace(begin(BodyType.IR, context={"key": "device.key"}), poll_at=datetime(2026, 1, 1, tzinfo=UTC))
FIELDS = [item.name for item in dataclasses.fields(ClientTransaction)]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def with_field(name: str, value: object) -> str:
    return json.dumps({**json.loads(dump_transaction(SAVED)), name: value})


@given(transactions)
def test_transaction_comes_back_as_it_was(transaction: ClientTransaction) -> None:
    text = dump_transaction(transaction)
    loaded = load_transaction(text)
    assert loaded == transaction
    assert dump_transaction(loaded) == text
    for name in FIELDS:
        assert type(getattr(loaded, name)) is type(getattr(transaction, name))


@given(transactions)
def test_text_is_plain_json_with_its_format(transaction: ClientTransaction) -> None:
    values = json.loads(dump_transaction(transaction))
    assert values["format"] == FORMAT == 1
    assert set(values) == {"format", *FIELDS}


def test_context_may_be_any_mapping() -> None:
    transaction = dataclasses.replace(SAVED, context=MappingProxyType({"a": "b"}))
    assert load_transaction(dump_transaction(transaction)).context == {"a": "b"}


def test_nothing_in_it_could_be_a_key_or_a_secret() -> None:
    """Keys and secrets are named in the context, by file or provider; messages and certificates are public.

    What the server generated or encrypted is as it came: encrypted.
    """
    assert set(FIELDS) == {
        "operation",
        "transaction_id",
        "state",
        "pvno",
        "implicit_confirm",
        "sought",
        "asked",
        "poll_ids",
        "message",
        "is_sent",
        "request_nonce",
        "sender_nonce",
        "awaited_nonce",
        "recip_nonce",
        "poll_at",
        "chain",
        "ca_pubs",
        "recovered",
        "context",
    }
    assert {item.name for item in dataclasses.fields(SoughtCertificate)} == {
        "cert_req_id",
        "public_key_info",
        "subject",
        "status",
        "certificate",
        "is_central",
        "key_algorithm",
        "enveloped_key",
        "is_challenged",
        "is_agreed",
        "is_encrypted",
        "encrypted",
        "issuer",
        "key_identifier",
        "is_decided",
        "rejection",
    }


class TestRefusals:
    def refused(self, text: str) -> ConfigurationError:
        with pytest.raises(ConfigurationError) as caught:
            load_transaction(text)
        assert len(str(caught.value)) < 400
        assert caught.value.hint
        return caught.value

    @pytest.mark.parametrize("version", [0, 2, 99, "1", None, [1], "x" * 1000])
    def test_other_format_is_refused_by_its_number(self, version: object) -> None:
        error = self.refused(with_field("format", version))
        assert "has format" in error.detail
        assert "another version of cmpkit" in error.hint

    @pytest.mark.parametrize(
        "text",
        ["", "{", "null", "[]", '"text"', "5", "{}", "\x80\x04\x95pickle", "[" * 200_000, "9" * 10_000],
        ids=["empty", "cut", "null", "list", "text", "number", "no format", "pickle", "deep", "long"],
    )
    def test_what_is_no_saved_transaction_is_refused(self, text: str) -> None:
        assert "it is no saved transaction" in self.refused(text).detail

    @pytest.mark.parametrize("end", range(0, 400, 7))
    def test_text_that_was_cut_is_refused(self, end: int) -> None:
        self.refused(dump_transaction(SAVED)[:end])

    @pytest.mark.parametrize("name", FIELDS)
    def test_missing_field_is_refused(self, name: str) -> None:
        values = json.loads(dump_transaction(SAVED))
        del values[name]
        assert name in self.refused(json.dumps(values)).detail

    def test_unknown_field_is_refused(self) -> None:
        assert "colour" in self.refused(with_field("colour", "red")).detail

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("operation", "ip"),
            ("operation", "IP"),
            ("operation", 0),
            ("state", "sleeping"),
            ("state", ["sent"]),
            ("pvno", 7),
            ("pvno", True),
            ("implicit_confirm", 1),
            ("asked", "1"),
            ("asked", 1.0),
            ("asked", True),
            ("poll_ids", None),
            ("poll_ids", [-1, "0"]),
            ("sought", {}),
            ("sought", [None]),
            ("message", "?"),
            ("message", "YQ"),
            ("message", "ä"),
            ("message", None),
            ("poll_at", "soon"),
            ("poll_at", "2026-01-01T00:00:00"),
            ("poll_at", 5),
            ("chain", "YQ=="),
            ("chain", ["YQ==", 5]),
            ("context", ["a"]),
            ("context", {"a": 5}),
        ],
    )
    def test_value_of_another_kind_is_refused(self, name: str, value: object) -> None:
        assert self.refused(with_field(name, value)).detail.endswith(f"{name} cannot be read")

    @pytest.mark.parametrize(
        ("name", "value"),
        [("cert_req_id", False), ("status", "AAAA"), ("status", None), ("is_decided", 1), ("rejection", None)],
    )
    def test_certificate_that_is_sought_with_a_value_of_another_kind_is_refused(self, name: str, value: object) -> None:
        refused = self.refused(with_field("sought", [{**SOUGHT, name: value}]))
        assert refused.detail.endswith(f"{name} cannot be read")

    def test_certificate_that_is_sought_without_its_fields_is_refused(self) -> None:
        assert "cert_req_id" in self.refused(with_field("sought", [{}])).detail

    @given(st.sampled_from(["format", *FIELDS]), junk)
    def test_no_value_does_harm(self, name: str, value: object) -> None:
        try:
            loaded = load_transaction(with_field(name, value))
        except ConfigurationError:
            return
        assert load_transaction(dump_transaction(loaded)) == loaded

    @given(texts)
    def test_no_text_does_harm(self, text: str) -> None:
        with pytest.raises(ConfigurationError):
            load_transaction(text)
