"""ir, cr, kur and p10cr at the responder, and polling for those that take time."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from cmpkit import oids
from cmpkit.asn1 import GeneralizedTime, InfoTypeAndValue, PKIMessage, encode
from cmpkit.engine.needs import Authorize, CheckProof, Confirm, Issue
from cmpkit.engine.replies import Reply
from cmpkit.engine.responder import ResponderSettings
from cmpkit.engine.states import ANSWERS
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import CertificateState, Issued, Pending, Rejected, Transaction, TransactionState

from .scene import (
    IMPLICIT_CONFIRM,
    NOW,
    TRANSACTION_ID,
    Parts,
    answer,
    by_certificate,
    by_mac,
    cert_profile,
    certificate,
    crmf,
    ir,
    message,
    nonce,
    p10,
    poll_req,
)

OURS = nonce()
BODIES = {
    BodyType.IR: ir(crmf(4)),
    BodyType.CR: ir(crmf(4), body_type=BodyType.CR),
    BodyType.KUR: ir(crmf(4), body_type=BodyType.KUR),
    BodyType.P10CR: p10(),
}
PENDING = Pending(30, "an operator looks at it")
NOT_NOW = CMPError("the other CA does not answer", PKIFailureInfo.SYSTEM_UNAVAIL)


def number_of(kind: BodyType) -> int:
    return -1 if kind is BodyType.P10CR else 4


def response_of(reply: Reply):
    assert reply.body is not None
    (response,) = reply.body.content.response
    return response


class TestIssuing:
    @pytest.mark.parametrize("kind", BODIES)
    @pytest.mark.rule("R-080", "R-081", "R-131")
    def test_certificate_answers_the_request(self, kind: BodyType) -> None:
        reply = answer(message(BODIES[kind]), by_certificate())
        assert reply.body is not None
        assert reply.body.type is ANSWERS[kind]
        response = response_of(reply)
        assert response.cert_req_id == number_of(kind)
        assert response.status.status is PKIStatus.ACCEPTED
        assert response.status.fail_info is None
        pair = response.certified_key_pair
        assert (pair.cert_or_enc_cert.tag, encode(pair.cert_or_enc_cert.value)) == ("certificate", certificate().der)
        assert reply.extra_certs == (certificate(2, "CN=Issuing CA").der,)
        assert reply.refused is None

    @pytest.mark.parametrize("kind", BODIES)
    def test_everything_is_checked_before_it_is_issued(self, kind: BodyType) -> None:
        parts, request = Parts(), message(BODIES[kind])
        answer(request, by_certificate(), parts=parts, profile="device")
        authorize, proof, issue = parts.needs
        assert authorize == Authorize(kind)
        content = request.body.content
        assert proof == CheckProof(content if kind is BodyType.P10CR else content[0], request.header.sender)
        assert (issue.request.body_type, issue.request.profile) == (kind, "device")

    def test_profile_of_the_header_is_asked_for(self) -> None:
        parts = Parts()
        answer(message(ir(), general_info=[cert_profile("server")]), parts=parts)
        assert parts.of(Issue)[0].request.profile == "server"

    def test_update_names_what_it_updates(self) -> None:
        parts = Parts()
        answer(message(BODIES[BodyType.KUR]), by_certificate(), parts=parts)
        assert parts.of(Issue)[0].request.old_certificate == certificate()

    @pytest.mark.rule("R-071")
    def test_modification_is_told(self) -> None:
        reply = answer(message(ir()), Issue=Issued(certificate(), modified=True))
        assert response_of(reply).status.status is PKIStatus.GRANTED_WITH_MODS

    def test_transaction_waits_for_its_confirmation(self) -> None:
        request = message(ir(), extra_certs=[certificate(9).der])
        reply = answer(request)
        state = reply.transaction
        assert state == Transaction(
            transaction_id=TRANSACTION_ID,
            credential=by_mac().credential.id,
            opened_by=BodyType.IR,
            state=TransactionState.ISSUED,
            peer_nonces=(request.header.sender_nonce or b"",),
            certificates=((0, certificate().issuer_key, certificate().serial_number),),
            extra_certs=(certificate(9).der,),
            expires=NOW + timedelta(minutes=15),
        )
        assert reply.certificates == (certificate(),)
        assert reply.changes == ()

    @pytest.mark.rule("R-016", "R-026")
    def test_confirm_wait_time_is_told(self) -> None:
        settings = ResponderSettings(confirm_wait_time=timedelta(seconds=90))
        (info,) = answer(message(ir()), settings=settings).general_info
        assert info.info_type == oids.CONFIRM_WAIT_TIME
        assert info.parse(GeneralizedTime).as_datetime() == NOW.replace(microsecond=0) + timedelta(seconds=90)

    def test_audit_says_who_got_what(self) -> None:
        (entry,) = answer(message(ir())).audit
        assert (entry.event, entry.actor, entry.transaction_id) == ("issued", "mac:616c696365", TRANSACTION_ID)
        assert entry.details == {
            "serial": "1001",
            "subject": "CN=alice",
            "profile": "device",
            "identity": "alice",
            "body": "ir",
        }

    @pytest.mark.parametrize(
        ("auth", "spent"),
        [(by_mac(uses=3), (b"alice",)), (by_mac(uses=None), ()), (by_certificate(), ())],
        ids=["limited secret", "unlimited secret", "certificate"],
    )
    def test_a_use_of_a_limited_secret_is_spent(self, auth, spent: tuple[bytes, ...]) -> None:
        assert answer(message(ir()), auth).spent == spent

    @pytest.mark.parametrize(
        ("kind", "auth", "given"),
        [
            (BodyType.IR, by_mac(), True),
            (BodyType.IR, by_certificate(), False),
            (BodyType.CR, by_mac(), False),
            (BodyType.P10CR, by_mac(), False),
        ],
    )
    @pytest.mark.rule("R-048")
    def test_ca_pubs_are_only_for_an_ir_under_a_mac(self, kind: BodyType, auth, given: bool) -> None:
        root = certificate(1, "CN=Root").der
        reply = answer(message(BODIES[kind]), auth, settings=ResponderSettings(ca_pubs=(root,)))
        assert reply.body is not None
        assert [encode(item) for item in reply.body.content.ca_pubs or ()] == [root] * given

    def test_rejection_of_the_issuer_is_passed_on(self) -> None:
        error = CMPError("there is one already", PKIFailureInfo.DUPLICATE_CERT_REQ)
        reply = answer(message(BODIES[BodyType.IR]), Issue=Rejected(error))
        response = response_of(reply)
        assert (response.cert_req_id, response.status.failures) == (4, PKIFailureInfo.DUPLICATE_CERT_REQ)
        assert response.certified_key_pair is None
        assert reply.refused is error
        assert reply.transaction is None

    def test_every_request_of_a_message_is_refused(self) -> None:
        reply = answer(message(ir(crmf(0), crmf(5))))
        assert reply.body is not None
        assert [response.cert_req_id for response in reply.body.content.response] == [0, 5]

    @pytest.mark.rule("R-069")
    def test_bad_proof_is_refused(self) -> None:
        reply = answer(message(ir()), CheckProof=CMPError("it does not fit", PKIFailureInfo.BAD_POP))
        assert response_of(reply).status.failures is PKIFailureInfo.BAD_POP


class TestIdempotencyKeys:
    def key(self, request: PKIMessage, auth=None) -> str:
        parts = Parts()
        answer(request, auth, parts=parts)
        return parts.of(Issue)[0].key

    def test_the_same_octets_have_the_same_key(self) -> None:
        request = message(ir())
        assert self.key(request) == self.key(request)

    def test_other_octets_have_another_key(self) -> None:
        assert self.key(message(ir())) != self.key(message(ir()))

    def test_another_credential_has_another_key(self) -> None:
        request = message(ir())
        assert self.key(request, by_mac("alice")) != self.key(request, by_mac("bob"))


class TestImplicitConfirmation:
    @pytest.mark.rule("R-025", "R-026", "R-090")
    def test_who_asks_is_done_with_one_answer(self) -> None:
        parts = Parts()
        reply = answer(message(ir(), general_info=[IMPLICIT_CONFIRM]), parts=parts)
        assert reply.general_info == (IMPLICIT_CONFIRM,)
        assert parts.of(Confirm) == [Confirm(certificate(), accepted=True)]
        (change,) = reply.changes
        assert change.state is CertificateState.VALID
        state = reply.transaction
        assert state is not None
        assert (state.state, state.implicit_confirm, state.expires) == (TransactionState.DONE, True, None)
        assert state.extra_certs == ()
        assert [entry.event for entry in reply.audit] == ["issued", "confirmed"]

    @pytest.mark.rule("R-025", "R-090")
    def test_who_does_not_ask_must_confirm(self) -> None:
        reply = answer(message(ir()))
        assert reply.transaction is not None
        assert not reply.transaction.implicit_confirm

    @pytest.mark.rule("R-091")
    def test_operator_may_want_confirmation_always(self) -> None:
        settings = ResponderSettings(implicit_confirm=False)
        reply = answer(message(ir(), general_info=[IMPLICIT_CONFIRM]), settings=settings)
        assert [info.info_type for info in reply.general_info] == [oids.CONFIRM_WAIT_TIME]
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.ISSUED


def waiting(request: PKIMessage, auth=None, **more) -> Transaction:
    """The transaction of a request that takes time, as it is stored."""
    state = answer(request, auth, Issue=PENDING, **more).transaction
    assert state is not None
    return dataclasses.replace(state, sender_nonce=OURS, version=1)


def poll(request: PKIMessage, *cert_req_ids: int, auth=None, state: Transaction | None = None, **more) -> Reply:
    state = state or waiting(request, auth)
    return answer(message(poll_req(*cert_req_ids), recip_nonce=OURS), auth, state, **more)


class TestWaiting:
    @pytest.mark.parametrize("kind", BODIES)
    @pytest.mark.rule("R-110")
    def test_answer_says_that_it_takes_time(self, kind: BodyType) -> None:
        request = message(BODIES[kind])
        reply = answer(request, by_certificate(), Issue=PENDING)
        response = response_of(reply)
        assert response.cert_req_id == number_of(kind)
        assert response.status.status is PKIStatus.WAITING
        assert response.status.texts == ("an operator looks at it",)
        assert response.status.fail_info is None
        assert response.certified_key_pair is None
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.request) == (TransactionState.PENDING, request.raw)
        assert reply.transaction.expires == NOW + timedelta(days=30)
        assert [entry.event for entry in reply.audit] == ["waiting"]
        assert (reply.certificates, reply.spent) == ((), ())

    def test_no_reason_is_no_text(self) -> None:
        assert response_of(answer(message(ir()), Issue=Pending(5))).status.status_string is None

    @pytest.mark.parametrize("asked", [4, -1])
    @pytest.mark.rule("R-112")
    def test_poll_rep_repeats_the_cert_req_id_that_was_asked_for(self, asked: int) -> None:
        reply = poll(message(BODIES[BodyType.IR]), asked, Issue=PENDING)
        assert reply.body is not None
        (poll_rep,) = reply.body.content
        assert reply.body.type is BodyType.POLL_REP
        assert (poll_rep.cert_req_id, poll_rep.check_after) == (asked, 30)
        assert list(poll_rep.reason) == ["an operator looks at it"]
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.PENDING

    def test_poll_rep_without_reason(self) -> None:
        reply = poll(message(ir()), 0, Issue=Pending(0))
        assert reply.body is not None
        assert reply.body.content[0].reason is None

    @pytest.mark.parametrize("asked", [-1, 0])
    @pytest.mark.rule("R-131")
    def test_older_clients_poll_for_a_p10cr_by_zero(self, asked: int) -> None:
        reply = poll(message(p10()), asked, Issue=PENDING)
        assert reply.body is not None
        assert reply.body.content[0].cert_req_id == asked

    @pytest.mark.parametrize("asked", [(0,), (5,), (), (4, 4), (4, 5), (1 << 50_000,)])
    @pytest.mark.rule("R-114")
    def test_unknown_cert_req_id_is_refused(self, asked: tuple[int, ...]) -> None:
        with pytest.raises(CMPError, match="4 is pending") as caught:
            poll(message(BODIES[BodyType.IR]), *asked)
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST
        assert caught.value.rule == "RFC 9483 section 4.4"
        assert len(str(caught.value)) < 200

    def test_each_poll_req_gives_more_time(self) -> None:
        later = NOW + timedelta(days=20)
        state = poll(message(ir()), 0, Issue=PENDING, now=later).transaction
        assert state is not None
        assert state.expires == later + timedelta(days=30)

    @pytest.mark.parametrize("kind", BODIES)
    @pytest.mark.rule("R-115")
    def test_certificate_comes_at_last(self, kind: BodyType) -> None:
        request = message(BODIES[kind])
        reply = poll(request, -1, auth=by_certificate())
        assert reply.body is not None
        assert reply.body.type is ANSWERS[kind]
        assert response_of(reply).cert_req_id == number_of(kind)
        assert reply.certificates == (certificate(),)
        state = reply.transaction
        assert state is not None
        assert (state.state, state.opened_by, state.version) == (TransactionState.ISSUED, kind, 1)
        assert (state.request, state.expires) == (b"", NOW + timedelta(minutes=15))
        assert len(state.peer_nonces) == 2
        assert reply.audit[0].details["body"] == kind.wire_name

    def test_the_same_request_is_put_again(self) -> None:
        parts, again, request = Parts({Issue: PENDING}), Parts(), message(ir(), general_info=[cert_profile("server")])
        state = answer(request, parts=parts).transaction
        assert state is not None
        answer(message(poll_req(0), recip_nonce=b""), None, dataclasses.replace(state, sender_nonce=b""), parts=again)
        assert again.needs == [dataclasses.replace(need, again=True) for need in parts.of(Issue)]
        assert not parts.of(Issue)[0].again
        assert again.needs[0].request.profile == "server"

    def test_profile_of_the_address_holds_if_the_request_names_none(self) -> None:
        parts = Parts()
        poll(message(ir()), 0, parts=parts, profile="device")
        assert parts.of(Issue)[0].request.profile == "device"

    def test_secret_is_spent_when_the_certificate_comes(self) -> None:
        assert poll(message(ir()), 0).spent == (b"alice",)

    def test_implicit_confirmation_is_what_the_request_asked_for(self) -> None:
        reply = poll(message(ir(), general_info=[IMPLICIT_CONFIRM]), 0)
        assert reply.general_info == (IMPLICIT_CONFIRM,)
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.expires) == (TransactionState.DONE, None)

    def test_implicit_confirmation_is_not_granted_by_an_issuer_that_needs_time_for_it(self) -> None:
        """It may be waited for in answer to certConf (R-091, R-100)."""
        reply = answer(message(ir(), general_info=[IMPLICIT_CONFIRM]), Confirm=Pending(60))
        assert IMPLICIT_CONFIRM not in reply.general_info
        assert reply.changes == ()
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.implicit_confirm) == (TransactionState.ISSUED, False)

    @pytest.mark.parametrize(
        "refusal",
        [
            Rejected(CMPError("no", PKIFailureInfo.NOT_AUTHORIZED)),
            CMPError("no", PKIFailureInfo.NOT_AUTHORIZED),
        ],
        ids=["issuer", "policy"],
    )
    def test_late_refusal_ends_the_transaction(self, refusal: object) -> None:
        reply = poll(message(BODIES[BodyType.CR]), -1, Issue=refusal)
        assert reply.body is not None
        assert reply.body.type is BodyType.CP
        assert response_of(reply).status.failures is PKIFailureInfo.NOT_AUTHORIZED
        assert reply.refused is not None
        state = reply.transaction
        assert state is not None
        assert (state.state, state.request, state.expires) == (TransactionState.DONE, b"", None)

    def test_trouble_of_the_system_leaves_it_pending(self) -> None:
        with pytest.raises(CMPError, match="does not answer"):
            poll(message(ir()), 0, Issue=NOT_NOW)

    def test_request_larger_than_the_usual_limit_can_be_polled_for(self) -> None:
        """It was read under the limit of the server, which may be higher."""
        large = InfoTypeAndValue(oids.SUPP_LANG_TAGS, encode(bytes(1 << 20)))
        assert poll(message(ir(), general_info=[large]), 0).certificates == (certificate(),)
