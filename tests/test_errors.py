"""Errors say to the peer what it may know, and to the operator what was wrong and what to try."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from cmpkit import errors
from cmpkit.enums import PKIFailureInfo, PKIStatus
from cmpkit.errors import (
    CMPError,
    ConfigurationError,
    ConflictError,
    PeerRefusal,
    StillWaiting,
    TransportError,
    TrustError,
    generic_status_text,
)


def test_every_error_is_a_cmp_error() -> None:
    public = (vars(errors)[name] for name in errors.__all__)
    assert all(issubclass(value, CMPError) for value in public if isinstance(value, type))


class TestCMPError:
    def test_the_operator_reads_detail_rule_and_hint(self) -> None:
        error = CMPError("recipNonce is wrong", rule="RFC 9483 section 3.5", hint="ask again")
        assert str(error) == "recipNonce is wrong (RFC 9483 section 3.5); ask again"
        assert (error.detail, error.rule, error.hint) == ("recipNonce is wrong", "RFC 9483 section 3.5", "ask again")

    def test_what_is_not_said_is_not_shown(self) -> None:
        assert str(CMPError("wrong")) == "wrong"
        assert str(CMPError("wrong", hint="do this")) == "wrong; do this"
        assert str(CMPError("wrong", rule="RFC 1")) == "wrong (RFC 1)"

    def test_it_is_a_rejection_with_bad_request_unless_said_otherwise(self) -> None:
        error = CMPError("wrong")
        assert error.status == PKIStatus.REJECTION
        assert error.fail_info == PKIFailureInfo.BAD_REQUEST

    def test_the_peer_gets_the_generic_text_and_no_detail(self) -> None:
        error = CMPError("the MAC of ref 17 is wrong", PKIFailureInfo.BAD_MESSAGE_CHECK, rule="RFC 1", hint="look")
        assert error.status_text == "the protection of the message could not be verified"

    def test_a_text_for_the_peer_goes_to_the_peer(self) -> None:
        error = CMPError("long story", PKIFailureInfo.BAD_ALG, status_text="use -mac hmacWithSHA256")
        assert error.status_text == "use -mac hmacWithSHA256"
        assert "use -mac" not in str(error)

    def test_a_hint_may_be_added_later(self) -> None:
        error = CMPError("wrong")
        error.hint = "it is PEM"
        assert str(error) == "wrong; it is PEM"


@pytest.mark.parametrize("failure", [*PKIFailureInfo, PKIFailureInfo(0)])
def test_every_failure_has_a_text_for_strangers(failure: PKIFailureInfo) -> None:
    assert generic_status_text(failure)


def test_the_lowest_bit_chooses_the_text() -> None:
    both = PKIFailureInfo.BAD_POP | PKIFailureInfo.BAD_CERT_TEMPLATE
    assert generic_status_text(both) == generic_status_text(PKIFailureInfo.BAD_POP) == "the proof of possession failed"
    assert generic_status_text(PKIFailureInfo(0)) == "the request was refused"


def test_every_named_text_is_of_a_failure_that_exists() -> None:
    names = {name for failure in PKIFailureInfo for name in failure.wire_names}
    assert set(errors._GENERIC_TEXTS) <= names


def test_a_transport_error_says_whether_tls_failed_and_whether_to_try_again() -> None:
    error = TransportError("connection refused", hint="is the server up?")
    assert (error.tls, error.retryable) == (False, False)
    assert error.fail_info == PKIFailureInfo.SYSTEM_UNAVAIL
    assert str(error) == "connection refused; is the server up?"
    assert TransportError("bad certificate", tls=True).tls
    assert TransportError("reset", retryable=True).retryable


class TestPeerRefusal:
    def test_it_says_what_the_peer_said(self) -> None:
        error = PeerRefusal(
            PKIFailureInfo.BAD_POP | PKIFailureInfo.BAD_ALG,
            status=PKIStatus.REJECTION,
            texts=("no", "never"),
            body="ip",
            hint="ask the CA",
        )
        assert str(error) == "the peer answered ip: rejection, badAlg, badPOP: no; never; ask the CA"
        assert error.texts == ("no", "never")
        assert error.body == "ip"

    def test_a_silent_peer_is_shown_as_such(self) -> None:
        assert str(PeerRefusal(PKIFailureInfo(0))) == "the peer answered error: rejection, no failInfo: no text"

    def test_its_status_is_the_peers(self) -> None:
        error = PeerRefusal(PKIFailureInfo(0), status=PKIStatus.REVOCATION_WARNING)
        assert error.status == PKIStatus.REVOCATION_WARNING
        assert CMPError.status == PKIStatus.REJECTION


class TestStillWaiting:
    def test_it_says_where_the_transaction_is_and_how_to_go_on(self) -> None:
        error = StillWaiting(Path("/state/t.json"), waiting=True, seconds=2.5)
        assert str(error) == (
            "the server still needs time after 2.5 s; the transaction is saved in /state/t.json; "
            "go on with: cmpkit resume /state/t.json"
        )
        assert (error.saved, error.waiting) == (Path("/state/t.json"), True)
        assert error.fail_info == PKIFailureInfo.SYSTEM_UNAVAIL

    def test_without_an_answer_and_without_a_file_it_says_so(self) -> None:
        error = StillWaiting(None, waiting=False, seconds=30)
        assert str(error) == "no answer came after 30 s; keep transactions with --state to resume them"
        assert (error.saved, error.waiting) == (None, False)


def test_a_conflict_can_be_tried_again() -> None:
    error = ConflictError("version 3 is stored, 2 was expected")
    assert error.fail_info == PKIFailureInfo.SYSTEM_UNAVAIL
    assert error.detail == "version 3 is stored, 2 was expected"


@pytest.mark.parametrize("kind", [TrustError, ConfigurationError])
def test_the_other_errors_are_told_apart_by_class_only(kind: type[CMPError]) -> None:
    error = kind("wrong", PKIFailureInfo.SIGNER_NOT_TRUSTED, rule="RFC 9483 section 3.5", hint="--trusted FILE")
    assert str(error) == "wrong (RFC 9483 section 3.5); --trusted FILE"
    assert error.fail_info == PKIFailureInfo.SIGNER_NOT_TRUSTED
    assert error.args == ("wrong",)


@pytest.mark.parametrize(
    "error",
    [
        CMPError("wrong", PKIFailureInfo.BAD_POP, rule="RFC 1", hint="look", status_text="no"),
        TransportError("reset", retryable=True, tls=True),
        ConflictError("newer"),
    ],
)
def test_copies_say_the_same(error: CMPError) -> None:
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
