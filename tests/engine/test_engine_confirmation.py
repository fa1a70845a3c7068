"""certConf, a pkiconf in its place, a client's error, and the time that is over."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from cmpkit.asn1 import CertStatus, PKIBody
from cmpkit.engine.needs import Confirm, FindCertificate
from cmpkit.engine.replies import Reply
from cmpkit.engine.responder import expire
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import CertificateState, Pending, Transaction, TransactionState

from .scene import (
    NOW,
    TRANSACTION_ID,
    Parts,
    answer,
    by_mac,
    cert_conf,
    cert_hash,
    cert_status,
    certificate,
    error_body,
    ir,
    message,
    nonce,
    pki_conf,
    poll_req,
)

OURS = nonce()
FIRST, SECOND = certificate(0x1001), certificate(0x1002)
BOTH = ((0, FIRST.issuer_key, 0x1001), (7, FIRST.issuer_key, 0x1002))


def issued(**changes) -> Transaction:
    """A transaction of Alice whose certificate waits for its confirmation."""
    fields = {
        "transaction_id": TRANSACTION_ID,
        "credential": by_mac().credential.id,
        "opened_by": BodyType.IR,
        "state": TransactionState.ISSUED,
        "version": 1,
        "sender_nonce": OURS,
        "certificates": BOTH[:1],
        "extra_certs": (b"\x30\x00",),
        "expires": NOW + timedelta(minutes=5),
        **changes,
    }
    return Transaction(**fields)


def find(need: FindCertificate):
    record = {0x1001: FIRST, 0x1002: SECOND}[need.serial_number]
    return record, cert_hash(record)


def confirm(body, state: Transaction | None = None, **more) -> Reply:
    more.setdefault("FindCertificate", find)
    return answer(message(body, recip_nonce=OURS), None, state or issued(), **more)


def states_of(reply: Reply) -> dict[int, CertificateState]:
    return {change.serial_number: change.state for change in reply.changes}


class TestCertConf:
    @pytest.mark.parametrize("status", [None, PKIStatus.ACCEPTED])
    @pytest.mark.rule("R-094")
    def test_acceptance_makes_the_certificate_valid(self, status: PKIStatus | None) -> None:
        reply = confirm(cert_conf(cert_status(status=status)))
        assert reply.body == pki_conf()
        assert states_of(reply) == {0x1001: CertificateState.VALID}
        assert [entry.event for entry in reply.audit] == ["confirmed"]
        state = reply.transaction
        assert state is not None
        assert (state.state, state.expires, state.extra_certs) == (TransactionState.DONE, None, ())
        assert state.certificates == BOTH[:1]

    @pytest.mark.rule("R-094")
    def test_rejection_is_told_to_the_issuer(self) -> None:
        parts = Parts()
        reply = confirm(cert_conf(cert_status(status=PKIStatus.REJECTION)), parts=parts)
        assert reply.body == pki_conf()
        assert parts.of(Confirm) == [Confirm(FIRST, accepted=False)]
        assert states_of(reply) == {0x1001: CertificateState.REVOKED}
        assert [entry.event for entry in reply.audit] == ["rejected"]

    @pytest.mark.parametrize(
        "status", [status for status in PKIStatus if status not in (PKIStatus.ACCEPTED, PKIStatus.REJECTION)]
    )
    @pytest.mark.rule("R-094")
    def test_other_status_is_refused(self, status: PKIStatus) -> None:
        with pytest.raises(CMPError, match=f"certConf with status {status.wire_name}") as caught:
            confirm(cert_conf(cert_status(status=status)))
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST
        assert caught.value.rule == "RFC 9810 section 5.3.18"

    @pytest.mark.rule("R-095")
    def test_empty_list_rejects_all(self) -> None:
        reply = confirm(cert_conf(), issued(certificates=BOTH))
        assert states_of(reply) == dict.fromkeys((0x1001, 0x1002), CertificateState.REVOKED)

    @pytest.mark.rule("R-095")
    def test_missing_status_rejects_that_certificate(self) -> None:
        reply = confirm(cert_conf(cert_status(SECOND, 7)), issued(certificates=BOTH))
        assert states_of(reply) == {0x1001: CertificateState.REVOKED, 0x1002: CertificateState.VALID}

    @pytest.mark.rule("R-095")
    def test_pkiconf_in_its_place_accepts_all(self) -> None:
        reply = confirm(pki_conf(), issued(certificates=BOTH))
        assert reply.body == pki_conf()
        assert states_of(reply) == dict.fromkeys((0x1001, 0x1002), CertificateState.VALID)

    @pytest.mark.parametrize("wrong", [cert_hash(SECOND), cert_hash(FIRST)[:-1], b""], ids=["other", "short", "empty"])
    @pytest.mark.rule("R-092")
    def test_wrong_hash_is_bad_cert_id(self, wrong: bytes) -> None:
        parts = Parts()
        with pytest.raises(CMPError, match="certHash") as caught:
            confirm(cert_conf(CertStatus(cert_hash=wrong, cert_req_id=0)), parts=parts)
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_ID
        assert caught.value.rule == "RFC 9810 section 5.3.18"
        assert "another certificate" in caught.value.hint
        assert parts.of(Confirm) == []

    @pytest.mark.parametrize("number", [1, -1, 1 << 50_000], ids=["1", "-1", "large"])
    @pytest.mark.rule("R-093")
    def test_wrong_cert_req_id_is_bad_cert_id(self, number: int) -> None:
        with pytest.raises(CMPError, match="the response had 0") as caught:
            confirm(cert_conf(cert_status(cert_req_id=number)))
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_ID
        assert caught.value.rule == "RFC 9810 section 5.3.18"

    def test_the_same_cert_req_id_twice_is_bad_cert_id(self) -> None:
        with pytest.raises(CMPError, match="names certReqId 0, 0") as caught:
            confirm(cert_conf(cert_status(), cert_status(status=PKIStatus.REJECTION)))
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_ID

    @pytest.mark.parametrize("number", [-1, 0])
    @pytest.mark.rule("R-093")
    def test_p10cr_is_confirmed_by_minus_one_or_zero(self, number: int) -> None:
        state = issued(opened_by=BodyType.P10CR, certificates=((-1, FIRST.issuer_key, 0x1001),))
        assert states_of(confirm(cert_conf(cert_status(cert_req_id=number)), state)) == {0x1001: CertificateState.VALID}

    @pytest.mark.rule("R-093")
    def test_zero_is_no_other_name_for_other_requests(self) -> None:
        state = issued(certificates=((7, FIRST.issuer_key, 0x1001),))
        with pytest.raises(CMPError, match="the response had 7"):
            confirm(cert_conf(cert_status()), state)

    @pytest.mark.rule("R-092")
    def test_hash_that_cannot_be_computed_is_refused(self) -> None:
        error = CMPError("no such hash", PKIFailureInfo.BAD_ALG)
        with pytest.raises(CMPError, match="no such hash"):
            confirm(cert_conf(cert_status()), FindCertificate=error)


class TestAfterImplicitConfirmation:
    """R-091: whoever was granted it may send certConf all the same."""

    GRANTED = issued(state=TransactionState.DONE, implicit_confirm=True, expires=None)

    @pytest.mark.parametrize("body", [cert_conf(cert_status()), pki_conf()], ids=["certConf", "pkiconf"])
    @pytest.mark.rule("R-091")
    def test_acceptance_is_answered_and_changes_nothing(self, body) -> None:
        parts = Parts()
        reply = confirm(body, self.GRANTED, parts=parts)
        assert reply.body == pki_conf()
        assert (reply.changes, reply.audit) == ((), ())
        assert parts.of(Confirm) == []
        assert reply.transaction is not None
        assert reply.transaction.implicit_confirm

    @pytest.mark.parametrize("body", [cert_conf(), cert_conf(cert_status(status=PKIStatus.REJECTION))])
    def test_rejection_comes_too_late(self, body) -> None:
        with pytest.raises(CMPError, match="confirmed implicitly") as caught:
            confirm(body, self.GRANTED)
        assert caught.value.fail_info is PKIFailureInfo.CERT_CONFIRMED
        assert caught.value.rule == "RFC 9810 section 5.1.1.1"
        assert "rr" in caught.value.hint

    @pytest.mark.rule("R-092")
    def test_wrong_hash_is_bad_cert_id(self) -> None:
        with pytest.raises(CMPError) as caught:
            confirm(cert_conf(cert_status(SECOND)), self.GRANTED)
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_ID


class TestErrorOfAClient:
    def test_what_was_issued_is_rejected(self) -> None:
        reply = confirm(error_body(PKIStatus.REJECTION, "no use", "for it"))
        assert reply.body == pki_conf()
        assert states_of(reply) == {0x1001: CertificateState.REVOKED}
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.expires) == (TransactionState.DONE, None)
        (entry,) = reply.audit
        assert (entry.event, entry.details) == ("ended by the client", {"text": "no use; for it"})

    @pytest.mark.parametrize(
        "known",
        [
            {"state": TransactionState.PENDING, "certificates": ()},
            {"state": TransactionState.DONE},
        ],
        ids=["not issued", "over"],
    )
    def test_what_was_not_issued_or_is_over_stays_as_it_is(self, known: dict[str, Any]) -> None:
        parts = Parts()
        reply = confirm(error_body(), issued(**known, request=b"request"), parts=parts)
        assert reply.body == pki_conf()
        assert parts.needs == []
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.request) == (TransactionState.DONE, b"")

    def test_an_issuer_that_needs_time_rejects_it_later(self) -> None:
        reply = confirm(error_body(), Confirm=Pending(60))
        assert reply.body == pki_conf()
        assert reply.changes == ()
        state = reply.transaction
        assert state is not None
        assert (state.state, state.expires) == (TransactionState.ISSUED, NOW)
        parts = Parts({FindCertificate: find})
        assert states_of(parts.run(expire(state, NOW))) == {0x1001: CertificateState.REVOKED}

    def test_text_in_the_audit_is_bounded(self) -> None:
        (entry,) = confirm(error_body(PKIStatus.REJECTION, "x" * 5000)).audit
        assert len(str(entry.details["text"])) == 200


class TestDelayedConfirmation:
    """The issuer needs time for what certConf says: error with waiting, then polling (R-100, RFC 9483 section 4.4)."""

    def waiting(self, body: PKIBody | None = None, known: Transaction | None = None) -> tuple[Reply, Transaction]:
        reply = confirm(body or cert_conf(cert_status(FIRST)), known, Confirm=Pending(60, "a person looks at it"))
        assert reply.transaction is not None
        return reply, dataclasses.replace(reply.transaction, sender_nonce=OURS, version=2)

    @pytest.mark.parametrize("body", [cert_conf(cert_status(FIRST)), pki_conf()], ids=["certConf", "pkiconf"])
    @pytest.mark.rule("R-100")
    def test_answer_is_an_error_that_says_waiting(self, body: PKIBody) -> None:
        reply, state = self.waiting(body)
        assert reply.body is not None
        assert reply.body.type is BodyType.ERROR
        status = reply.body.content.pki_status_info
        assert (status.status, status.texts, status.fail_info) == (PKIStatus.WAITING, ("a person looks at it",), None)
        assert (state.state, state.certificates) == (TransactionState.PENDING, BOTH[:1])
        assert state.expires == NOW + timedelta(days=30)
        assert (reply.changes, reply.refused) == ((), None)

    def test_poll_rep_tells_when_to_ask_again(self) -> None:
        reply = confirm(poll_req(-1), self.waiting()[1], Confirm=Pending(60))
        assert reply.body is not None
        assert reply.body.type is BodyType.POLL_REP
        (poll_rep,) = reply.body.content
        assert (poll_rep.cert_req_id, poll_rep.check_after) == (-1, 60)

    @pytest.mark.parametrize("accepted", [True, False])
    @pytest.mark.rule("R-100")
    def test_pki_conf_comes_at_last(self, accepted: bool) -> None:
        said = cert_conf(cert_status(FIRST, status=PKIStatus.ACCEPTED if accepted else PKIStatus.REJECTION))
        reply = confirm(poll_req(-1), self.waiting(said)[1])
        assert reply.body == pki_conf()
        assert states_of(reply) == {0x1001: CertificateState.VALID if accepted else CertificateState.REVOKED}
        state = reply.transaction
        assert state is not None
        assert (state.state, state.request, state.expires) == (TransactionState.DONE, b"", None)
        assert [entry.event for entry in reply.audit] == ["confirmed" if accepted else "rejected"]

    def test_poll_req_for_a_certificate_is_refused(self) -> None:
        with pytest.raises(CMPError, match="certReqId 7") as caught:
            confirm(poll_req(7), self.waiting()[1])
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST

    def test_another_cert_conf_is_refused_meanwhile(self) -> None:
        with pytest.raises(CMPError, match="pending"):
            confirm(cert_conf(), self.waiting()[1])

    def test_fault_of_the_issuer_leaves_it_pending(self) -> None:
        with pytest.raises(CMPError, match="no such"):
            confirm(poll_req(-1), self.waiting()[1], Confirm=CMPError("no such certificate"))

    def test_error_of_the_client_rejects_the_certificate_nevertheless(self) -> None:
        reply = confirm(error_body(), self.waiting()[1])
        assert states_of(reply) == {0x1001: CertificateState.REVOKED}


class TestExpiry:
    def end(self, state: Transaction) -> tuple[Reply, Parts]:
        parts = Parts({FindCertificate: find})
        return parts.run(expire(state, NOW)), parts

    @pytest.mark.rule("R-098")
    def test_what_was_not_confirmed_is_rejected(self) -> None:
        reply, parts = self.end(issued(certificates=BOTH))
        assert [need.status for need in parts.of(FindCertificate)] == [None, None]
        assert parts.of(Confirm) == [Confirm(FIRST, accepted=False), Confirm(SECOND, accepted=False)]
        assert states_of(reply) == dict.fromkeys((0x1001, 0x1002), CertificateState.REVOKED)
        assert reply.body is None
        assert reply.transaction == dataclasses.replace(
            issued(certificates=BOTH), state=TransactionState.DONE, expires=None
        )
        (entry,) = reply.audit
        assert (entry.event, entry.actor, entry.at) == ("expired", by_mac().credential.id, NOW)

    def test_an_issuer_that_needs_time_is_asked_again_later(self) -> None:
        parts = Parts({FindCertificate: find, Confirm: Pending(60)})
        assert parts.run(expire(issued(), NOW)) == Reply(None)

    def test_a_certificate_whose_pki_conf_was_never_polled_for_is_rejected(self) -> None:
        """Both sides treat it as the end of the transaction (RFC 9810 section 5.3.21)."""
        state = confirm(cert_conf(cert_status(FIRST)), Confirm=Pending(60)).transaction
        assert state is not None
        reply, _ = self.end(state)
        assert states_of(reply) == {0x1001: CertificateState.REVOKED}

    def test_certificates_beside_a_request_that_is_pending_are_rejected(self) -> None:
        state = issued(state=TransactionState.PENDING, request=message(ir()).raw)
        reply, _ = self.end(state)
        assert states_of(reply) == {0x1001: CertificateState.REVOKED}

    @pytest.mark.rule("R-116")
    def test_what_is_pending_is_given_up(self) -> None:
        reply, parts = self.end(issued(state=TransactionState.PENDING, certificates=(), request=b"request"))
        assert parts.needs == []
        assert reply.changes == ()
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.request) == (TransactionState.DONE, b"")
