"""rr and genm at the responder, and the shape of what it answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, Null
from cmpkit.engine.needs import Authorize, Inform, Revoke
from cmpkit.engine.replies import change_event, refusal, rejection
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import (
    CertificateChange,
    CertificateState,
    KeptValue,
    Pending,
    Rejected,
    Told,
    TransactionState,
)

from .scene import (
    ISSUER,
    NOW,
    REVOKED,
    Parts,
    answer,
    by_certificate,
    by_mac,
    cert_conf,
    cert_profile,
    certificate,
    genm,
    ir,
    message,
    p10,
    poll_req,
    revocation,
    rr,
)

CERTS = InfoTypeAndValue(oids.CA_CERTS)


class TestRevocation:
    @pytest.mark.rule("R-141", "R-143")
    def test_revocation_is_answered_and_stored(self) -> None:
        parts = Parts()
        reply = answer(message(rr()), by_certificate(), parts=parts)
        authorize, revoke = parts.needs
        assert authorize == Authorize(BodyType.RR)
        assert (revoke.request.issuer, revoke.request.serial_number) == (ISSUER, 0x1001)
        assert revoke.request.reason is CRLReason.KEY_COMPROMISE
        assert reply.body is not None
        assert reply.body.type is BodyType.RP
        assert [status.status for status in reply.body.content.status] == [PKIStatus.ACCEPTED]
        assert reply.changes == (REVOKED,)
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.expires) == (TransactionState.DONE, None)
        assert [entry.event for entry in reply.audit] == ["revoked"]

    @pytest.mark.rule("R-143")
    def test_rejection_of_the_issuer_is_passed_on(self) -> None:
        error = CMPError("it is revoked", PKIFailureInfo.CERT_REVOKED)
        reply = answer(message(rr()), by_certificate(), Revoke=Rejected(error))
        assert reply.body is not None
        assert reply.body.content.status[0].failures is PKIFailureInfo.CERT_REVOKED
        assert (reply.refused, reply.transaction, reply.changes) == (error, None, ())

    @pytest.mark.parametrize("count", [2, 3])
    def test_every_certificate_of_a_message_is_refused(self, count: int) -> None:
        parts = Parts()
        reply = answer(message(rr(*[revocation()] * count)), by_certificate(), parts=parts)
        assert parts.of(Revoke) == []
        assert reply.body is not None
        statuses = reply.body.content.status
        assert [status.status for status in statuses] == [PKIStatus.REJECTION] * count

    def test_refusal_of_nothing_has_one_status(self) -> None:
        """The list of an rp must not be empty."""
        error = CMPError("nothing to revoke")
        body = type(rr())(BodyType.RR, [])
        reply = rejection(body, error)
        assert reply.body is not None
        assert len(reply.body.content.status) == 1


class TestInformation:
    @pytest.mark.rule("R-180")
    def test_questions_are_answered_and_nothing_is_stored(self) -> None:
        parts, question = Parts(), InfoTypeAndValue(oids.CA_CERTS)
        reply = answer(message(genm(question)), parts=parts)
        assert parts.of(Authorize) == [Authorize(BodyType.GENM)]
        assert [(need.questions, need.profile, need.again) for need in parts.of(Inform)] == [((question,), None, False)]
        assert reply.body is not None
        assert (reply.body.type, list(reply.body.content)) == (BodyType.GENP, [InfoTypeAndValue(oids.CA_CERTS)])
        assert reply.transaction is None
        assert reply.audit == ()

    @pytest.mark.rule("R-180")
    def test_no_question_asks_for_all(self) -> None:
        parts = Parts()
        answer(message(genm()), parts=parts)
        assert [need.questions for need in parts.of(Inform)] == [()]

    def test_the_profile_that_the_header_or_the_address_names_goes_with_the_questions(self) -> None:
        question = InfoTypeAndValue(oids.CERT_REQ_TEMPLATE)
        named = cert_profile("device")
        for asked, options in (
            (message(genm(question), general_info=[named]), {}),
            (message(genm(question)), {"profile": "device"}),
        ):
            parts = Parts()
            answer(asked, parts=parts, **options)
            assert [(need.questions, need.profile) for need in parts.of(Inform)] == [((question,), "device")]

    @pytest.mark.rule("R-110", "R-115")
    def test_what_takes_time_is_asked_for_again(self) -> None:
        """The answer that says so is an error, for the whole message (RFC 9483 section 4.4)."""
        asked, keep = message(genm(InfoTypeAndValue(oids.CA_CERTS))), KeptValue("ticket", "alice", b"1", b"")
        first = Parts({Inform: (Told(Pending(60, "it is looked up"), (keep,)), Told(CERTS, (keep,)))})
        reply = answer(asked, parts=first)
        assert reply.body is not None
        assert reply.body.content.pki_status_info.status is PKIStatus.WAITING
        assert reply.keep == (keep,)
        state = reply.transaction
        assert state is not None
        assert (state.state, state.request) == (TransactionState.PENDING, asked.raw)
        stored = replace(state, sender_nonce=b"ours", version=1)
        second = Parts()
        reply = answer(message(poll_req(-1), recip_nonce=b"ours"), transaction=stored, parts=second)
        assert reply.body is not None
        assert reply.body.type is BodyType.GENP
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.DONE
        (before,), (again,) = first.of(Inform), second.of(Inform)
        assert again == replace(before, again=True)

    @pytest.mark.rule("R-113")
    def test_a_late_refusal_is_an_error_and_the_end(self) -> None:
        asked = message(genm(InfoTypeAndValue(oids.CA_CERTS)))
        state = answer(asked, Inform=(Pending(60),)).transaction
        assert state is not None
        stored, no = replace(state, sender_nonce=b"ours"), CMPError("no", PKIFailureInfo.NOT_AUTHORIZED)
        reply = answer(message(poll_req(-1), recip_nonce=b"ours"), transaction=stored, Inform=no)
        assert reply.body is not None
        assert (reply.body.type, reply.refused) == (BodyType.ERROR, no)
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.DONE

    def test_what_an_answer_keeps_is_stored_with_it(self) -> None:
        keep = KeptValue("ticket", "alice", b"1", b"a secret")
        reply = answer(message(genm(InfoTypeAndValue(oids.CA_CERTS))), Inform=(Told(CERTS, (keep,)),))
        assert reply.keep == (keep,)
        assert reply.transaction is not None
        assert [(entry.event, entry.details) for entry in reply.audit] == [
            ("kept", {"kind": "ticket", "owner": "alice"})
        ]

    @pytest.mark.rule("R-187")
    def test_a_passphrase_in_the_header_is_kept_if_the_message_is_granted(self) -> None:
        kept = InfoTypeAndValue(oids.REV_PASSPHRASE)
        keep = KeptValue("revPassphrase", "alice", b"1", b"a secret")
        asked = message(ir(), general_info=[InfoTypeAndValue(oids.REV_PASSPHRASE, Null())])
        granted = answer(asked, Inform=(Told(kept, (keep,)),))
        assert (granted.keep, kept in granted.general_info) == ((keep,), True)
        no = CMPError("no", PKIFailureInfo.NOT_AUTHORIZED)
        refused = answer(asked, Inform=(Told(kept, (keep,)),), Issue=no)
        assert (refused.keep, refused.general_info, refused.refused) == ((), (), no)
        with pytest.raises(CMPError, match="cannot be kept now"):
            answer(asked, Inform=(Pending(60),))

    def test_two_profiles_are_too_many(self) -> None:
        named = cert_profile("device", "server")
        with pytest.raises(CMPError, match="2 names"):
            answer(message(genm(InfoTypeAndValue(oids.CERT_REQ_TEMPLATE)), general_info=[named]))

    def test_who_may_not_ask_is_refused_by_error(self) -> None:
        with pytest.raises(CMPError, match="not you"):
            answer(message(genm()), Authorize=CMPError("not you", PKIFailureInfo.NOT_AUTHORIZED))


class TestReplies:
    def test_refusal_by_error_tells_the_peer_no_details(self) -> None:
        error = CMPError("secret details", PKIFailureInfo.BAD_MESSAGE_CHECK, hint="for the operator")
        reply = refusal(error)
        assert reply.body is not None
        status = reply.body.content.pki_status_info
        assert (status.status, status.failures) == (PKIStatus.REJECTION, PKIFailureInfo.BAD_MESSAGE_CHECK)
        assert status.texts == ("the protection of the message could not be verified",)
        assert reply.transaction is None

    def test_refusal_has_the_text_that_is_meant_for_the_peer(self) -> None:
        reply = refusal(CMPError("details", PKIFailureInfo.BAD_ALG, status_text="use SHA-256"))
        assert reply.body is not None
        assert reply.body.content.pki_status_info.texts == ("use SHA-256",)

    @pytest.mark.parametrize(("body", "number"), [(ir(), 0), (p10(), -1)], ids=["ir", "p10cr"])
    def test_refusal_in_the_answer_names_the_request(self, body, number: int) -> None:
        reply = rejection(body, CMPError("no"))
        assert reply.body is not None
        assert [response.cert_req_id for response in reply.body.content.response] == [number]

    @pytest.mark.parametrize(
        ("body", "state", "event"),
        [
            (cert_conf(), CertificateState.VALID, "confirmed"),
            (cert_conf(), CertificateState.REVOKED, "rejected"),
            (rr(), CertificateState.VALID, "hold lifted"),
            (rr(), CertificateState.REVOKED, "revoked"),
            (rr(), CertificateState.ON_HOLD, "put on hold"),
            (rr(), CertificateState.ISSUED, "issued"),
        ],
    )
    def test_audit_says_what_happened_to_a_certificate(self, body, state: CertificateState, event: str) -> None:
        change = CertificateChange(certificate().issuer_key, 0x1001, state, (), NOW)
        entry = change_event(NOW, by_mac(), message(body), change)
        assert (entry.event, entry.actor) == (event, "mac:616c696365")
        assert entry.details == {"serial": "1001", "identity": "alice"}

    def test_audit_names_the_reason(self) -> None:
        change = CertificateChange("", 5, CertificateState.REVOKED, (), NOW, CRLReason.KEY_COMPROMISE)
        assert change_event(NOW, by_mac(), message(rr()), change).details["reason"] == "keyCompromise"

    def test_unknown_information_is_no_fault(self) -> None:
        question = InfoTypeAndValue(ObjectIdentifier("1.2.3"))
        assert answer(message(genm(question)), Inform=lambda need: need.questions).body is not None
