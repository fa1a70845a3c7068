"""Delayed delivery at the responder: of what is no request for a certificate, and the table that says how it begins."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from cmpkit.engine.needs import Authorize, Revoke
from cmpkit.engine.replies import Reply
from cmpkit.engine.responder import expire
from cmpkit.engine.states import ANSWERS, DELAYED_BY, OPENS
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import Pending, Rejected, Transaction, TransactionState

from .scene import NOW, REVOKED, Parts, answer, by_certificate, error_body, message, nonce, pki_conf, poll_req, rr

OURS = nonce()
PENDING = Pending(60, "an operator looks at it")
ALICE = by_certificate()


def waiting() -> Transaction:
    """The transaction of an rr that takes time, as it is stored."""
    state = answer(message(rr()), ALICE, Revoke=PENDING).transaction
    assert state is not None
    return dataclasses.replace(state, sender_nonce=OURS, version=1)


def poll(cert_req_id: int = -1, **more) -> Reply:
    return answer(message(poll_req(cert_req_id), recip_nonce=OURS), ALICE, waiting(), **more)


@pytest.mark.rule("R-110")
def test_requests_for_certificates_wait_in_their_answer_and_all_else_by_error() -> None:
    """RFC 9810 section 5.3.22."""
    for body_type, delayed_by in DELAYED_BY.items():
        certifies = body_type in OPENS and body_type not in (BodyType.RR, BodyType.GENM)
        assert delayed_by is (ANSWERS[body_type] if certifies else BodyType.ERROR)


class TestRevocation:
    def test_answer_is_an_error_that_says_waiting(self) -> None:
        request = message(rr())
        reply = answer(request, ALICE, Revoke=PENDING)
        assert reply.body is not None
        assert reply.body.type is BodyType.ERROR
        status = reply.body.content.pki_status_info
        assert (status.status, status.texts, status.fail_info) == (PKIStatus.WAITING, (PENDING.reason,), None)
        state = reply.transaction
        assert state is not None
        assert (state.state, state.request) == (TransactionState.PENDING, request.raw)
        assert state.expires == NOW + timedelta(days=30)
        assert [(entry.event, entry.details) for entry in reply.audit] == [("waiting", {"body": "rr"})]
        assert reply.changes == ()

    @pytest.mark.rule("R-118")
    def test_poll_rep_tells_when_to_ask_again(self) -> None:
        reply = poll(Revoke=PENDING)
        assert reply.body is not None
        (poll_rep,) = reply.body.content
        assert (poll_rep.cert_req_id, poll_rep.check_after) == (-1, 60)
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.PENDING

    @pytest.mark.rule("R-115")
    def test_rp_comes_at_last(self) -> None:
        parts = Parts()
        reply = poll(parts=parts)
        assert reply.body is not None
        assert reply.body.type is BodyType.RP
        assert reply.changes == (REVOKED,)
        assert [entry.event for entry in reply.audit] == ["revoked"]
        state = reply.transaction
        assert state is not None
        assert (state.state, state.opened_by, state.request) == (TransactionState.DONE, BodyType.RR, b"")
        assert state.expires is None
        assert parts.of(Authorize) == []

    def test_the_same_is_asked_again(self) -> None:
        first, second = Parts({Revoke: PENDING}), Parts()
        answer(message(rr()), ALICE, parts=first)
        poll(parts=second)
        assert first.of(Revoke) == second.of(Revoke)

    def test_late_refusal_is_an_rp_and_the_end(self) -> None:
        reply = poll(Revoke=Rejected(CMPError("no", PKIFailureInfo.NOT_AUTHORIZED)))
        assert reply.body is not None
        assert reply.body.type is BodyType.RP
        assert reply.body.content.status[0].failures is PKIFailureInfo.NOT_AUTHORIZED
        assert reply.refused is not None
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.DONE

    def test_trouble_of_the_system_leaves_it_pending(self) -> None:
        with pytest.raises(CMPError, match="not now"):
            poll(Revoke=CMPError("not now", PKIFailureInfo.SYSTEM_UNAVAIL))

    @pytest.mark.rule("R-114")
    def test_poll_req_by_a_cert_req_id_is_refused(self) -> None:
        """R-114."""
        with pytest.raises(CMPError, match="certReqId 5") as caught:
            poll(5)
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST

    def test_error_of_the_client_is_the_end(self) -> None:
        parts = Parts()
        reply = answer(message(error_body(), recip_nonce=OURS), ALICE, waiting(), parts=parts)
        assert reply.body == pki_conf()
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.DONE
        assert parts.needs == []

    @pytest.mark.rule("R-116")
    def test_what_is_not_polled_for_is_given_up(self) -> None:
        """R-116."""
        reply = Parts().run(expire(waiting(), NOW))
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.request) == (TransactionState.DONE, b"")
        assert reply.changes == ()
