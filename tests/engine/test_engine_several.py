"""Several requests in one message: each has its answer, all are stored together, those that wait wait together."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit import oids
from cmpkit.asn1 import (
    CertId,
    CertRepMessage,
    CertResponse,
    Extension,
    GeneralizedTime,
    PKIBody,
    PKIStatusInfo,
    PollRep,
    RevRepContent,
    directory_name,
    encode,
)
from cmpkit.engine.client import Decide, Finished, Send, Wait, begin, decide, poll, receive, sent
from cmpkit.engine.judging import Judgement
from cmpkit.engine.needs import CheckProof, Confirm, FindCertificate, Issue, Revoke
from cmpkit.engine.replies import Reply
from cmpkit.engine.responder import ResponderSettings, expire
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.engine.states import ClientState
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, TrustError
from cmpkit.parts import (
    CertificateChange,
    CertificateRecord,
    CertificateState,
    Issued,
    Pending,
    Rejected,
    Revoked,
    Transaction,
    TransactionState,
)
from cmpkit.testing import ClientEnd, ResponderEnd, run_to_the_end

from .scene import (
    IMPLICIT_CONFIRM,
    ISSUER,
    NOW,
    PUBLIC_KEY_INFO,
    TRANSACTION_ID,
    Parts,
    answer,
    by_mac,
    cert_conf,
    cert_profile,
    cert_status,
    certificate,
    crmf,
    error_body,
    ir,
    message,
    nonce,
    pki_conf,
    poll_req,
    revocation,
    rr,
)

THREE = ResponderSettings(max_requests=3)
BAD_TEMPLATE = CMPError("not like this", PKIFailureInfo.BAD_CERT_TEMPLATE)
OURS = nonce()


def issue(need: Issue) -> Issued:
    """A certificate of its own for each request."""
    return Issued(dataclasses.replace(certificate(0x2000 + need.request.cert_req_id), request_key=need.key))


def but(number: int, outcome: object):
    """As above, with another outcome for one certReqId."""
    return lambda need: outcome if need.request.cert_req_id == number else issue(need)


def statuses(reply: Reply) -> list[tuple[int, PKIStatus, PKIFailureInfo]]:
    assert reply.body is not None
    return [(one.cert_req_id, one.status.status, one.status.failures) for one in reply.body.content.response]


NONE = PKIFailureInfo(0)


class TestRequests:
    def ask(self, *numbers: int, auth=None, parts: Parts | None = None, **more) -> Reply:
        more.setdefault("Issue", issue)
        request = message(ir(*(crmf(number) for number in numbers)), general_info=more.pop("general_info", None))
        return answer(request, auth or by_mac(uses=None), parts=parts, settings=more.pop("settings", THREE), **more)

    @pytest.mark.rule("R-060")
    def test_each_gets_its_certificate(self) -> None:
        reply = self.ask(0, 7, 5)
        assert statuses(reply) == [
            (0, PKIStatus.ACCEPTED, NONE),
            (7, PKIStatus.ACCEPTED, NONE),
            (5, PKIStatus.ACCEPTED, NONE),
        ]
        assert reply.body is not None
        came = [one.certified_key_pair.cert_or_enc_cert.value for one in reply.body.content.response]
        assert [encode(value) for value in came] == [certificate(0x2000 + number).der for number in (0, 7, 5)]

    def test_all_are_stored_together(self) -> None:
        reply = self.ask(0, 1)
        assert [record.serial_number for record in reply.certificates] == [0x2000, 0x2001]
        assert reply.transaction is not None
        key = certificate().issuer_key
        assert reply.transaction.certificates == ((0, key, 0x2000), (1, key, 0x2001))
        assert reply.transaction.state is TransactionState.ISSUED
        assert [entry.details["serial"] for entry in reply.audit] == ["2000", "2001"]

    def test_each_has_an_idempotency_key_of_its_own(self) -> None:
        keys = [record.request_key for record in self.ask(0, 1, 2).certificates]
        assert len(set(keys)) == 3

    def test_every_proof_is_checked(self) -> None:
        parts = Parts()
        self.ask(0, 1, parts=parts)
        assert [need.request.request.cert_req_id for need in parts.of(CheckProof)] == [0, 1]

    @pytest.mark.parametrize("refusal", [BAD_TEMPLATE, Rejected(BAD_TEMPLATE)], ids=["policy", "issuer"])
    def test_one_that_is_refused_does_not_spoil_the_others(self, refusal: object) -> None:
        def decide_about(need: Issue):
            if need.request.cert_req_id == 1 and isinstance(refusal, CMPError):
                return refusal
            return but(1, refusal)(need)

        reply = self.ask(0, 1, 2, Issue=decide_about)
        assert statuses(reply) == [
            (0, PKIStatus.ACCEPTED, NONE),
            (1, PKIStatus.REJECTION, PKIFailureInfo.BAD_CERT_TEMPLATE),
            (2, PKIStatus.ACCEPTED, NONE),
        ]
        assert len(reply.certificates) == 2
        assert reply.refused is BAD_TEMPLATE
        assert [entry.event for entry in reply.audit] == ["issued", "issued", "partly refused"]

    def test_one_without_proof_does_not_spoil_the_others(self) -> None:
        bad = CMPError("no", PKIFailureInfo.BAD_POP)
        reply = self.ask(0, 1, CheckProof=lambda need: bad if need.request.request.cert_req_id == 0 else None)
        assert [failure for _, _, failure in statuses(reply)] == [PKIFailureInfo.BAD_POP, NONE]

    def test_template_that_will_not_do_does_not_spoil_the_others(self) -> None:
        request = message(ir(crmf(0, serial_number=5), crmf(1)))
        reply = answer(request, by_mac(uses=None), settings=THREE, Issue=issue)
        assert [failure for _, _, failure in statuses(reply)] == [PKIFailureInfo.BAD_CERT_TEMPLATE, NONE]

    def test_if_all_are_refused_nothing_is_stored(self) -> None:
        other = CMPError("nor like this", PKIFailureInfo.NOT_AUTHORIZED)
        reply = self.ask(0, 1, Issue=lambda need: Rejected((BAD_TEMPLATE, other)[need.request.cert_req_id]))
        assert [failure for _, _, failure in statuses(reply)] == [BAD_TEMPLATE.fail_info, other.fail_info]
        assert (reply.transaction, reply.certificates, reply.spent) == (None, (), ())
        assert (reply.refused, reply.also_refused) == (BAD_TEMPLATE, (other,))

    def test_trouble_of_the_system_concerns_all(self) -> None:
        with pytest.raises(CMPError, match="not now"):
            self.ask(0, 1, Issue=but(1, CMPError("not now", PKIFailureInfo.SYSTEM_UNAVAIL)))

    def test_more_than_is_configured_are_refused(self) -> None:
        reply = self.ask(0, 1, 2, 3)
        assert {failure for _, _, failure in statuses(reply)} == {PKIFailureInfo.BAD_REQUEST}
        assert reply.refused is not None
        assert "at most 3" in reply.refused.detail

    @pytest.mark.rule("R-060")
    def test_the_same_number_twice_is_refused(self) -> None:
        parts = Parts()
        reply = self.ask(4, 4, parts=parts)
        assert {failure for _, _, failure in statuses(reply)} == {PKIFailureInfo.BAD_REQUEST}
        assert reply.refused is not None
        assert reply.refused.rule == "RFC 4211 section 5"
        assert parts.of(Issue) == []

    def test_a_use_of_the_secret_is_spent_for_each(self) -> None:
        assert self.ask(0, 1, auth=by_mac(uses=5)).spent == (b"alice", b"alice")

    def test_a_secret_gets_no_more_than_its_uses(self) -> None:
        reply = self.ask(0, 1, 2, auth=by_mac(uses=2))
        assert [failure for _, _, failure in statuses(reply)] == [NONE, NONE, PKIFailureInfo.NOT_AUTHORIZED]
        assert reply.spent == (b"alice", b"alice")

    def test_one_that_is_refused_takes_no_use(self) -> None:
        reply = self.ask(0, 1, auth=by_mac(uses=1), Issue=but(0, Rejected(BAD_TEMPLATE)))
        assert [failure for _, _, failure in statuses(reply)] == [BAD_TEMPLATE.fail_info, NONE]
        assert reply.spent == (b"alice",)

    def test_modification_is_told_of_the_one_that_was_modified(self) -> None:
        reply = self.ask(0, 1, Issue=but(1, Issued(certificate(0x2001), modified=True)))
        assert [status for _, status, _ in statuses(reply)] == [PKIStatus.ACCEPTED, PKIStatus.GRANTED_WITH_MODS]


class TestProfiles:
    def asked(self, names: Sequence[str], labelled: str | None = None) -> list[str | None]:
        parts = Parts()
        request = message(ir(crmf(0), crmf(1)), general_info=[cert_profile(*names)])
        answer(request, by_mac(uses=None), parts=parts, settings=THREE, profile=labelled, Issue=issue)
        return [need.request.profile for need in parts.of(Issue)]

    @pytest.mark.parametrize(
        ("names", "profiles"),
        [(("a", "b"), ["a", "b"]), (("a",), ["a", None]), (("", "b"), [None, "b"])],
    )
    def test_each_name_is_about_the_request_in_its_place(self, names: Sequence[str], profiles: list) -> None:
        assert self.asked(names) == profiles

    def test_the_label_of_the_address_holds_where_none_is_named(self) -> None:
        assert self.asked(("", "device"), "device") == ["device", "device"]

    @pytest.mark.parametrize(("names", "labelled"), [(("a", "b", "c"), None), (("device", "b"), "device")])
    def test_more_names_or_other_names_are_refused(self, names: Sequence[str], labelled: str | None) -> None:
        with pytest.raises(CMPError, match="certProfile"):
            self.asked(names, labelled)


class TestImplicitConfirmation:
    def ask(self, **more) -> Reply:
        request = message(ir(crmf(0), crmf(1)), general_info=[IMPLICIT_CONFIRM])
        return answer(request, by_mac(uses=None), settings=THREE, **{"Issue": issue, **more})

    @pytest.mark.rule("R-091")
    def test_it_is_granted_for_all(self) -> None:
        reply = self.ask()
        assert [change.serial_number for change in reply.changes] == [0x2000, 0x2001]
        assert reply.transaction is not None
        assert reply.transaction.implicit_confirm
        assert reply.general_info == (IMPLICIT_CONFIRM,)

    def test_it_is_granted_for_none_if_the_issuer_needs_time_for_one(self) -> None:
        def confirm(need: Confirm):
            if need.certificate.serial_number == 0x2001:
                return Pending(5)
            record = need.certificate
            return CertificateChange(
                record.issuer_key, record.serial_number, CertificateState.VALID, (CertificateState.ISSUED,), NOW
            )

        reply = self.ask(Confirm=confirm)
        assert reply.changes == ()
        assert [info.info_type for info in reply.general_info] == [oids.CONFIRM_WAIT_TIME]

    def test_what_was_refused_has_no_part_in_it(self) -> None:
        reply = self.ask(Issue=but(1, Rejected(BAD_TEMPLATE)))
        assert [change.serial_number for change in reply.changes] == [0x2000]


class TestWaiting:
    def waiting(self, *numbers: int) -> tuple[Transaction, Reply]:
        request = message(ir(*(crmf(number) for number in numbers)))
        reply = answer(
            request, by_mac(uses=None), settings=THREE, Issue=but(numbers[-1], Pending(30, "a person looks"))
        )
        assert reply.transaction is not None
        return dataclasses.replace(reply.transaction, sender_nonce=OURS, version=1), reply

    def poll(self, state: Transaction, *asked: int, **more) -> Reply:
        request = message(poll_req(*asked), recip_nonce=OURS)
        return answer(request, by_mac(uses=None), state, settings=THREE, **{"Issue": issue, **more})

    def test_one_that_takes_time_lets_all_wait(self) -> None:
        _, reply = self.waiting(0, 1)
        assert [status for _, status, _ in statuses(reply)] == [PKIStatus.WAITING] * 2
        assert (reply.certificates, reply.spent) == ((), ())

    @pytest.mark.parametrize("asked", [(0, 1), (1, 0), (1,), (-1,)])
    def test_some_of_them_or_the_whole_message_are_polled_for(self, asked: tuple[int, ...]) -> None:
        state, _ = self.waiting(0, 1)
        reply = self.poll(state, *asked, Issue=but(1, Pending(9)))
        assert reply.body is not None
        assert [(item.cert_req_id, item.check_after) for item in reply.body.content] == [
            (number, 9) for number in asked
        ]

    @pytest.mark.parametrize("asked", [(), (2,), (0, 0), (0, 2), (-1, 0)])
    def test_others_are_not(self, asked: tuple[int, ...]) -> None:
        state, _ = self.waiting(0, 1)
        with pytest.raises(CMPError, match="0, 1 is pending"):
            self.poll(state, *asked)

    def test_all_come_at_last(self) -> None:
        state, _ = self.waiting(0, 1)
        reply = self.poll(state, 0, 1)
        assert [status for _, status, _ in statuses(reply)] == [PKIStatus.ACCEPTED] * 2
        assert len(reply.certificates) == 2

    def test_proofs_are_checked_again(self) -> None:
        """One that failed is kept with the others."""
        state, _ = self.waiting(0, 1)
        bad = CMPError("no", PKIFailureInfo.BAD_POP)
        reply = self.poll(state, -1, CheckProof=lambda need: bad if need.request.request.cert_req_id == 0 else None)
        assert [failure for _, _, failure in statuses(reply)] == [PKIFailureInfo.BAD_POP, NONE]

    def test_late_refusal_of_all_ends_the_transaction(self) -> None:
        state, _ = self.waiting(0, 1)
        reply = self.poll(state, -1, Issue=Rejected(BAD_TEMPLATE))
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.request) == (TransactionState.DONE, b"")


def revoked(need: Revoke) -> Revoked:
    return Revoked(
        CertificateChange(
            certificate().issuer_key,
            need.request.serial_number,
            CertificateState.REVOKED,
            (CertificateState.VALID,),
            NOW,
            need.request.reason,
        )
    )


class TestRevocations:
    def ask(self, *serials: int, **more) -> Reply:
        body = rr(*(revocation(reason=b"\x0a\x01\x01", serial_number=serial) for serial in serials))
        return answer(message(body), by_mac(), settings=THREE, **{"Revoke": revoked, **more})

    def outcomes(self, reply: Reply) -> list[PKIFailureInfo | None]:
        assert reply.body is not None
        return [
            None if status.status is PKIStatus.ACCEPTED else status.failures for status in reply.body.content.status
        ]

    @pytest.mark.rule("R-143")
    def test_each_has_its_status_in_the_order_of_the_request(self) -> None:
        gone = CMPError("already", PKIFailureInfo.CERT_REVOKED)
        reply = self.ask(
            3, 1, 2, Revoke=lambda need: Rejected(gone) if need.request.serial_number == 1 else revoked(need)
        )
        assert self.outcomes(reply) == [None, PKIFailureInfo.CERT_REVOKED, None]
        assert [change.serial_number for change in reply.changes] == [3, 2]
        assert [entry.event for entry in reply.audit] == ["revoked", "revoked", "partly refused"]
        assert reply.refused is gone
        assert reply.transaction is not None
        assert reply.body is not None
        named = [CertId(issuer=directory_name(ISSUER), serial_number=serial) for serial in (3, 1, 2)]
        assert list(reply.body.content.rev_certs) == named

    def test_one_certificate_is_not_named(self) -> None:
        """RFC 9483 section 4.2 knows only the status."""
        reply = self.ask(3)
        assert reply.body is not None
        assert reply.body.content.rev_certs is None

    def test_entry_that_cannot_be_served_does_not_spoil_the_others(self) -> None:
        body = rr(revocation(issuer=None), revocation(serial_number=5))
        reply = answer(message(body), by_mac(), settings=THREE, Revoke=revoked)
        assert self.outcomes(reply) == [PKIFailureInfo.BAD_REQUEST, None]

    def test_if_all_are_refused_nothing_is_stored(self) -> None:
        reply = self.ask(1, 2, Revoke=Rejected(CMPError("no", PKIFailureInfo.BAD_CERT_ID)))
        assert self.outcomes(reply) == [PKIFailureInfo.BAD_CERT_ID] * 2
        assert reply.transaction is None
        assert len(reply.also_refused) == 1

    def test_the_same_certificate_twice_is_refused(self) -> None:
        reply = self.ask(1, 2, 1)
        assert self.outcomes(reply) == [PKIFailureInfo.BAD_REQUEST] * 3

    def test_more_than_is_configured_are_refused(self) -> None:
        assert self.outcomes(self.ask(1, 2, 3, 4)) == [PKIFailureInfo.BAD_REQUEST] * 4

    @pytest.mark.rule("R-141")
    def test_invalidity_date_is_put_to_the_issuer(self) -> None:
        parts = Parts()
        extension = Extension(
            extn_id=oids.INVALIDITY_DATE, extn_value=encode(GeneralizedTime(NOW.replace(microsecond=0)))
        )
        one = revocation(reason=b"\x0a\x01\x01")
        details = type(one)(cert_details=one.cert_details, crl_entry_details=[*one.crl_entry_details, extension])
        answer(message(rr(details)), by_mac(), parts=parts)
        (need,) = parts.of(Revoke)
        assert (need.request.reason, need.request.invalidity_date) == (
            CRLReason.KEY_COMPROMISE,
            NOW.replace(microsecond=0),
        )

    @pytest.mark.parametrize("value", [b"\x05\x00", b"\x18\x0520260", b"\x17\x0d261123120000Z"])
    def test_invalidity_date_that_is_none_is_bad_data_format(self, value: bytes) -> None:
        one = revocation()
        extension = Extension(extn_id=oids.INVALIDITY_DATE, extn_value=value)
        details = type(one)(cert_details=one.cert_details, crl_entry_details=[extension])
        with pytest.raises(CMPError, match="invalidityDate") as caught:
            answer(message(rr(details)), by_mac())
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    def test_critical_entry_extension_that_is_not_known_is_refused(self) -> None:
        one = revocation()
        extension = Extension(extn_id=oids.KEY_USAGE, extn_value=b"\x05\x00", critical=True)
        details = type(one)(cert_details=one.cert_details, crl_entry_details=[extension])
        reply = answer(message(rr(details)), by_mac())
        assert self.outcomes(reply) == [PKIFailureInfo.BAD_REQUEST]

    def test_one_that_takes_time_lets_all_wait(self) -> None:
        reply = self.ask(1, 2, Revoke=lambda need: Pending(9) if need.request.serial_number == 2 else revoked(need))
        assert reply.body is not None
        assert reply.body.type is BodyType.ERROR
        assert reply.changes == ()


class TestExpiry:
    @pytest.mark.rule("R-098")
    def test_what_was_not_confirmed_is_kept_if_the_operator_wants_that(self) -> None:
        key = certificate().issuer_key
        state = Transaction(
            TRANSACTION_ID, "mac:00", BodyType.IR, TransactionState.ISSUED, certificates=((0, key, 0x1001),)
        )
        (change,) = Parts().run(expire(state, NOW, keep=True)).changes
        assert change.state is CertificateState.VALID


def sought(*numbers: int) -> list[SoughtCertificate]:
    return [SoughtCertificate(number, PUBLIC_KEY_INFO) for number in numbers]


class TestClient:
    """The client's side, against answers that this package's server does not give, too."""

    def opened(self, *numbers: int, **more):
        transaction = begin(BodyType.IR, sought=sought(*numbers), **more)
        return self.send(transaction, ir(*(crmf(number) for number in numbers)))

    def send(self, transaction, body):
        header = {"transaction_id": transaction.transaction_id, "sender_nonce": nonce(), "pvno": transaction.pvno}
        return sent(transaction, message(body, **header))

    def take(self, transaction, body, **header):
        fields = {"transaction_id": transaction.transaction_id, "recip_nonce": transaction.sender_nonce, **header}
        return receive(transaction, message(body, **fields), authentic=True, now=NOW)

    def responses(self, **outcomes: PKIStatus) -> PKIBody:
        """``_0=PKIStatus.ACCEPTED`` and so on."""
        given = answer(
            message(ir(*(crmf(int(name[1:])) for name in outcomes))), by_mac(uses=None), settings=THREE, Issue=issue
        )
        assert given.body is not None
        pairs = {one.cert_req_id: one.certified_key_pair for one in given.body.content.response}
        return PKIBody(
            BodyType.IP,
            CertRepMessage(
                response=[
                    CertResponse(
                        cert_req_id=int(name[1:]),
                        status=PKIStatusInfo.of(status),
                        certified_key_pair=pairs[int(name[1:])] if status is PKIStatus.ACCEPTED else None,
                    )
                    for name, status in outcomes.items()
                ]
            ),
        )

    @pytest.mark.rule("R-095")
    def test_every_certificate_is_confirmed(self) -> None:
        step = self.take(self.opened(0, 1), self.responses(_0=PKIStatus.ACCEPTED, _1=PKIStatus.ACCEPTED))
        assert isinstance(step, Decide)
        step = decide(step, Judgement(b"one"), Judgement(b"two", fault=TrustError("no")))
        assert isinstance(step, Send)
        first, second = step.body.content
        assert (first.cert_req_id, first.cert_hash, first.status_info) == (0, b"one", None)
        assert (second.cert_req_id, second.status_info.status) == (1, PKIStatus.REJECTION)
        over = self.take(self.send(step.transaction, step.body), pki_conf())
        assert isinstance(over, Finished)
        assert [one.rejection for one in over.transaction.sought] == ["", "no"]

    def test_one_that_was_refused_is_not_confirmed(self) -> None:
        step = self.take(self.opened(0, 1), self.responses(_0=PKIStatus.REJECTION, _1=PKIStatus.ACCEPTED))
        assert isinstance(step, Decide)
        step = decide(step, Judgement(b"two"))
        assert isinstance(step, Send)
        assert [status.cert_req_id for status in step.body.content] == [1]
        assert step.transaction.sought[0].refusal("ip") is not None

    def test_if_all_are_refused_it_is_over(self) -> None:
        step = self.take(self.opened(0, 1), self.responses(_0=PKIStatus.REJECTION, _1=PKIStatus.REJECTION))
        assert isinstance(step, Finished)
        assert [one.refusal("ip") is not None for one in step.transaction.sought] == [True, True]

    @pytest.mark.parametrize("given", [("_0",), ("_0", "_1", "_2"), ("_0", "_2")])
    def test_every_request_must_be_answered_and_no_other(self, given: tuple[str, ...]) -> None:
        with pytest.raises(TrustError, match="it has responses for certReqId"):
            self.take(self.opened(0, 1), self.responses(**dict.fromkeys(given, PKIStatus.ACCEPTED)))

    @pytest.mark.rule("R-117", "R-115")
    def test_what_came_is_confirmed_before_the_rest_is_polled_for(self) -> None:
        opened = self.opened(0, 1)
        step = self.take(opened, self.responses(_0=PKIStatus.ACCEPTED, _1=PKIStatus.WAITING))
        assert isinstance(step, Decide)
        step = decide(step, Judgement(b"one"))
        assert isinstance(step, Send)
        step = self.take(self.send(step.transaction, step.body), pki_conf())
        assert isinstance(step, Wait)
        request = poll(step.transaction)
        assert [item.cert_req_id for item in request.body.content] == [1]
        polling = self.send(request.transaction, request.body)
        step = self.take(polling, PKIBody(BodyType.POLL_REP, [PollRep(cert_req_id=1, check_after=5)]))
        assert isinstance(step, Wait)
        polling = self.send(poll(step.transaction).transaction, request.body)
        step = self.take(polling, self.responses(_1=PKIStatus.ACCEPTED), recip_nonce=opened.sender_nonce)
        assert isinstance(step, Decide)
        assert [one.cert_req_id for one in step.transaction.open_certificates] == [1]
        step = decide(step, Judgement(b"two"))
        assert isinstance(step, Send)
        step = self.take(self.send(step.transaction, step.body), pki_conf())
        assert isinstance(step, Finished)
        assert step.transaction.state is ClientState.DONE
        assert all(one.certificate for one in step.transaction.sought)

    def test_implicit_confirmation_of_a_part_leaves_the_rest_to_be_polled_for(self) -> None:
        step = self.take(
            self.opened(0, 1, implicit_confirm=True),
            self.responses(_0=PKIStatus.ACCEPTED, _1=PKIStatus.WAITING),
            general_info=[IMPLICIT_CONFIRM],
        )
        assert isinstance(step, Decide)
        step = decide(step, Judgement(b"one"))
        assert isinstance(step, Wait)
        assert step.transaction.poll_ids == (1,)

    def test_error_ends_all(self) -> None:
        with pytest.raises(CMPError, match="error"):
            self.take(self.opened(0, 1), error_body())

    def test_revocations_are_told_one_by_one(self) -> None:
        opened = self.send(begin(BodyType.RR, asked=2), rr(revocation(), revocation(serial_number=2)))
        content = RevRepContent(status=[PKIStatusInfo.of(PKIStatus.REJECTION), PKIStatusInfo.of(PKIStatus.ACCEPTED)])
        step = self.take(opened, PKIBody(BodyType.RP, content))
        assert isinstance(step, Finished)
        assert [status.status for status in step.content.status] == [PKIStatus.REJECTION, PKIStatus.ACCEPTED]

    def test_names_that_do_not_fit_the_statuses_are_not_taken(self) -> None:
        opened = self.send(begin(BodyType.RR), rr())
        named = [CertId(issuer=directory_name(ISSUER), serial_number=number) for number in (1, 2)]
        content = RevRepContent(status=[PKIStatusInfo.of(PKIStatus.ACCEPTED)], rev_certs=named)
        with pytest.raises(TrustError, match="2 revCerts"):
            self.take(opened, PKIBody(BodyType.RP, content))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
    st.booleans(),
)
def test_both_sides_agree_on_each_certificate(
    granted: list[bool], implicit: bool, likes_it: bool, waits: int, dies: bool
) -> None:
    """Whatever is refused, waits or is rejected: what the client has is what the server has stored as valid."""
    made: list[CertificateRecord] = []
    left = iter(range(waits))

    def issue_one(need: Issue):
        if next(left, None) is not None:
            return Pending(3)
        if not granted[need.request.cert_req_id]:
            return Rejected(BAD_TEMPLATE)
        record = dataclasses.replace(certificate(0x3000 + need.request.cert_req_id), request_key=need.key)
        made.append(record)
        return Issued(record)

    server = ResponderEnd(ResponderSettings(max_requests=4), parts={Issue: issue_one})
    body = ir(*(crmf(number) for number in range(len(granted))))
    client = ClientEnd.of(
        body, by_mac(uses=None), implicit_confirm=implicit, public_key_info=PUBLIC_KEY_INFO, likes_it=likes_it
    )
    if dies:
        client.next_message()
        client.restart()
    run_to_the_end(client, server)
    if client.refusal is not None:
        assert granted == [False]
        assert server.states == {}
        return
    assert isinstance(client.step, Finished)
    for number, one in enumerate(client.step.transaction.sought):
        serial = 0x3000 + number
        if not granted[number]:
            assert one.refusal("ip") is not None
            assert serial not in server.states
            continue
        assert one.certificate == certificate(serial).der
        assert bool(one.rejection) is not likes_it
        valid = likes_it or implicit
        assert server.states[serial] is (CertificateState.VALID if valid else CertificateState.REVOKED)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 4))
def test_a_cert_conf_decides_about_each_certificate_as_it_says(data: st.DataObject, count: int) -> None:
    """Missing means rejected; a wrong hash changes nothing at all."""
    numbers = range(count)
    said = data.draw(
        st.dictionaries(st.sampled_from(numbers), st.sampled_from([None, PKIStatus.ACCEPTED, PKIStatus.REJECTION]))
    )
    wrong = data.draw(st.sampled_from([None, *said])) if said else None
    records = [certificate(0x4000 + number) for number in numbers]
    state = Transaction(
        TRANSACTION_ID,
        by_mac().credential.id,
        BodyType.IR,
        TransactionState.ISSUED,
        sender_nonce=OURS,
        certificates=tuple((number, records[number].issuer_key, 0x4000 + number) for number in numbers),
    )

    def find(need: FindCertificate):
        record = records[need.serial_number - 0x4000]
        return record, hashlib.sha256(record.der).digest()

    body = cert_conf(
        *(
            cert_status(records[number if number != wrong else (number + 1) % count], number, status)
            for number, status in said.items()
        )
    )
    spoiled = wrong is not None and count > 1
    request = message(body, recip_nonce=OURS)
    if spoiled:
        with pytest.raises(CMPError, match="certHash"):
            answer(request, None, state, FindCertificate=find)
        return
    changes = answer(request, None, state, FindCertificate=find).changes
    accepted = {number for number, status in said.items() if status is not PKIStatus.REJECTION}
    assert {change.serial_number - 0x4000: change.state is CertificateState.VALID for change in changes} == {
        number: number in accepted for number in numbers
    }
