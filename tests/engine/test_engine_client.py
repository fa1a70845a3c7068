"""The client's side: each step of each operation, and every answer that it must not take."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta

import pytest

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    CertifiedKeyPair,
    CertRepMessage,
    CertResponse,
    InfoTypeAndValue,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    RevRepContent,
    Variant,
    to_tlv,
)
from cmpkit.engine.client import MAX_CHECK_AFTER, Decide, Finished, Send, Wait, begin, decide, poll, receive, sent
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.judging import Judgement
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.engine.states import ANSWERS, CERTIFICATE_REQUESTS, ClientState
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, PeerRefusal, TrustError

from .scene import (
    IMPLICIT_CONFIRM,
    NOW,
    cert_hash,
    certificate,
    error_body,
    genm,
    ir,
    message,
    nonce,
    p10,
    pki_conf,
    poll_req,
    rr,
)

REQUESTS = {
    BodyType.IR: ir(),
    BodyType.CR: ir(body_type=BodyType.CR),
    BodyType.KUR: ir(body_type=BodyType.KUR),
    BodyType.P10CR: p10(),
    BodyType.RR: rr(),
    BodyType.GENM: genm(),
}
FOR_CERTIFICATES = [BodyType.IR, BodyType.CR, BodyType.KUR, BodyType.P10CR]
ALL = dict(zip(FOR_CERTIFICATES, (0, 0, 0, -1), strict=True))


def send(transaction: ClientTransaction, body: PKIBody) -> ClientTransaction:
    """The transaction after a message under a fresh nonce."""
    header = {"transaction_id": transaction.transaction_id, "sender_nonce": nonce(), "pvno": transaction.pvno}
    return sent(transaction, message(body, **header))


def opened(kind: BodyType = BodyType.IR, cert_req_id: int = 0, **more) -> ClientTransaction:
    """A transaction whose request is on its way."""
    if kind in CERTIFICATE_REQUESTS:
        more.setdefault("sought", [SoughtCertificate(cert_req_id)])
    return send(begin(kind, **more), REQUESTS[kind])


def answered(transaction: ClientTransaction, body: PKIBody, **header) -> PKIMessage:
    """An answer that fits, but for what ``header`` says."""
    fields = {
        "transaction_id": transaction.transaction_id,
        "recip_nonce": transaction.sender_nonce,
        "pvno": transaction.pvno,
        **header,
    }
    return message(body, **fields)


def take(transaction: ClientTransaction, body: PKIBody, *, authentic: bool = True, **header):
    return receive(transaction, answered(transaction, body, **header), authentic=authentic, now=NOW)


def response(
    status: PKIStatus = PKIStatus.ACCEPTED,
    *texts: str,
    number: int = 0,
    failures: PKIFailureInfo | None = None,
    pair: bool | None = None,
    tag: str = "certificate",
) -> CertResponse:
    has_pair = status not in (PKIStatus.REJECTION, PKIStatus.WAITING) if pair is None else pair
    key_pair = CertifiedKeyPair(cert_or_enc_cert=Variant(to_tlv(certificate().der), tag)) if has_pair else None
    info = PKIStatusInfo.of(status, texts, failures or PKIFailureInfo(0))
    return CertResponse(cert_req_id=number, status=info, certified_key_pair=key_pair)


def cert_rep(*responses: CertResponse, kind: BodyType = BodyType.IP, ca_pubs: Sequence[TLV] | None = None) -> PKIBody:
    content = CertRepMessage(ca_pubs=None if ca_pubs is None else list(ca_pubs), response=list(responses))
    return PKIBody(kind, content)


def rp(*statuses: PKIStatusInfo) -> PKIBody:
    return PKIBody(BodyType.RP, RevRepContent(status=list(statuses) or [PKIStatusInfo.of(PKIStatus.ACCEPTED)]))


def genp(*answers: InfoTypeAndValue) -> PKIBody:
    return PKIBody(BodyType.GENP, list(answers))


def poll_rep(number: int = 0, check_after: int = 30, *reasons: str) -> PKIBody:
    return PKIBody(
        BodyType.POLL_REP, [PollRep(cert_req_id=number, check_after=check_after, reason=list(reasons) or None)]
    )


def confirming(kind: BodyType = BodyType.IR, **more) -> ClientTransaction:
    """A transaction whose certConf is on its way."""
    transaction = opened(kind, **more)
    step = take(transaction, cert_rep(response(number=ALL[kind]), kind=ANSWERS[kind]))
    assert isinstance(step, Decide)
    step = decide(step, Judgement(cert_hash(certificate())))
    assert isinstance(step, Send)
    return send(step.transaction, step.body)


def polling(transaction: ClientTransaction | None = None, body: PKIBody | None = None) -> ClientTransaction:
    """A transaction whose pollReq is on its way."""
    transaction = transaction or opened()
    step = take(transaction, body or cert_rep(response(PKIStatus.WAITING)))
    assert isinstance(step, Wait)
    request = poll(step.transaction)
    return send(request.transaction, request.body)


class TestBeginning:
    def test_each_transaction_has_an_id_of_its_own(self) -> None:
        ids = {begin(BodyType.IR).transaction_id for _ in range(50)}
        assert len(ids) == 50
        assert {len(value) for value in ids} == {16}

    def test_what_must_survive_is_in_it(self) -> None:
        sought = SoughtCertificate(3, b"k", b"s")
        transaction = begin(BodyType.CR, sought=[sought], implicit_confirm=True, context={"a": "b"})
        assert (transaction.operation, transaction.sought, transaction.state) == (
            BodyType.CR,
            (sought,),
            ClientState.SENT,
        )
        assert transaction.implicit_confirm
        assert transaction.context == {"a": "b"}
        assert (transaction.pvno, transaction.message) == (2, b"")

    @pytest.mark.rule("R-130")
    def test_p10cr_has_no_number_of_its_own(self) -> None:
        (one,) = begin(BodyType.P10CR, sought=[SoughtCertificate(3)]).sought
        assert one.cert_req_id == -1

    def test_message_that_is_sent_is_kept_as_it_is(self) -> None:
        request = message(ir())
        transaction = sent(begin(BodyType.IR), request)
        assert (transaction.message, transaction.sender_nonce) == (request.raw, request.header.sender_nonce)


class TestCertificates:
    @pytest.mark.parametrize("kind", FOR_CERTIFICATES)
    def test_certificate_is_to_be_decided_about(self, kind: BodyType) -> None:
        transaction = opened(kind)
        root = to_tlv(certificate(1, "CN=Root").der)
        answer = answered(transaction, cert_rep(response(number=ALL[kind]), kind=ANSWERS[kind], ca_pubs=[root]))
        step = receive(transaction, answer, authentic=True, now=NOW)
        assert isinstance(step, Decide)
        assert (step.transaction.sought[0].granted_with_mods, step.confirmed) == (False, False)
        assert step.transaction.certificate == certificate().der
        assert step.transaction.ca_pubs == (certificate(1, "CN=Root").der,)
        assert step.transaction.recip_nonce == answer.header.sender_nonce

    @pytest.mark.parametrize("status", [status for status in PKIStatus if status not in (2, 3)])
    @pytest.mark.rule("R-086")
    def test_statuses_that_bring_a_certificate(self, status: PKIStatus) -> None:
        """The warnings are legal too (RFC 9810 section 5.2.3)."""
        step = take(opened(), cert_rep(response(status)))
        assert isinstance(step, Decide)
        assert step.transaction.sought[0].granted_with_mods is (status is PKIStatus.GRANTED_WITH_MODS)

    @pytest.mark.parametrize("number", [-1, 0])
    @pytest.mark.rule("R-081", "R-093")
    def test_p10cr_may_be_answered_by_minus_one_or_zero(self, number: int) -> None:
        step = take(opened(BodyType.P10CR), cert_rep(response(number=number), kind=BodyType.CP))
        assert isinstance(step, Decide)
        step = decide(step, Judgement(b"hash"))
        assert isinstance(step, Send)
        assert step.body.content[0].cert_req_id == number

    @pytest.mark.parametrize("numbers", [(1,), (-1,), (), (0, 0), (0, 1), (1 << 50_000,)])
    @pytest.mark.rule("R-081")
    def test_response_for_another_request_is_not_taken(self, numbers: tuple[int, ...]) -> None:
        with pytest.raises(TrustError, match="it has responses for certReqId") as caught:
            take(opened(), cert_rep(*[response(number=number) for number in numbers]))
        assert caught.value.rule == "RFC 9810 section 5.3.4"
        assert len(str(caught.value)) < 200

    def test_zero_is_no_other_name_for_a_request(self) -> None:
        with pytest.raises(TrustError):
            take(opened(cert_req_id=3), cert_rep(response(number=0)))
        assert isinstance(take(opened(cert_req_id=3), cert_rep(response(number=3))), Decide)

    @pytest.mark.parametrize("kind", FOR_CERTIFICATES)
    def test_refusal_is_raised(self, kind: BodyType) -> None:
        refused = response(PKIStatus.REJECTION, "no", "never", number=ALL[kind], failures=PKIFailureInfo.BAD_POP)
        with pytest.raises(PeerRefusal, match="no; never") as caught:
            take(opened(kind), cert_rep(refused, kind=ANSWERS[kind]))
        assert caught.value.body == ANSWERS[kind].wire_name
        assert (caught.value.status, caught.value.fail_info) == (PKIStatus.REJECTION, PKIFailureInfo.BAD_POP)
        assert caught.value.texts == ("no", "never")

    @pytest.mark.parametrize(
        ("odd", "what"),
        [
            (response(pair=False), "accepted without certificate"),
            (response(failures=PKIFailureInfo.BAD_ALG), "with failInfo"),
            (response(PKIStatus.REJECTION, pair=True), "rejection with a certificate"),
            (response(PKIStatus.WAITING, pair=True), "waiting with a certificate"),
            (response(PKIStatus.WAITING, failures=PKIFailureInfo.BAD_ALG), "waiting with failInfo"),
            (response(tag="encrypted_cert"), "the certificate is encrypted"),
        ],
    )
    @pytest.mark.rule("R-082")
    def test_response_that_contradicts_itself_is_not_taken(self, odd: CertResponse, what: str) -> None:
        with pytest.raises(TrustError, match=what) as caught:
            take(opened(), cert_rep(odd))
        assert caught.value.rule.startswith("RFC 9810 section 5.")
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST


class TestDecisions:
    def came(self, *, implicit: bool = False, granted: bool = False) -> Decide:
        info = [IMPLICIT_CONFIRM] if granted else None
        step = take(opened(implicit_confirm=implicit), cert_rep(response()), general_info=info)
        assert isinstance(step, Decide)
        return step

    def test_acceptance_is_confirmed(self) -> None:
        step = decide(self.came(), Judgement(b"hash"))
        assert isinstance(step, Send)
        assert step.body.type is BodyType.CERT_CONF
        (status,) = step.body.content
        assert (status.cert_hash, status.cert_req_id, status.hash_alg) == (b"hash", 0, None)
        assert status.status_info is None
        assert (step.transaction.state, step.transaction.sought[0].rejection) == (ClientState.CONF_SENT, "")
        assert step.transaction.pvno == 2

    @pytest.mark.rule("R-084")
    def test_rejection_is_told_with_its_reason(self) -> None:
        fault = TrustError("another key", PKIFailureInfo.BAD_CERT_TEMPLATE, hint="look")
        step = decide(self.came(), Judgement(b"hash", fault=fault))
        assert isinstance(step, Send)
        info = step.body.content[0].status_info
        assert (info.status, info.failures) == (PKIStatus.REJECTION, PKIFailureInfo.BAD_CERT_TEMPLATE)
        assert info.texts == ("another key",)
        assert step.transaction.sought[0].rejection == str(fault)

    @pytest.mark.rule("R-092")
    def test_hash_that_must_be_named_needs_version_3(self) -> None:
        algorithm = AlgorithmIdentifier(oids.SHA512)
        step = decide(self.came(), Judgement(b"hash", hash_alg=algorithm))
        assert isinstance(step, Send)
        assert step.body.content[0].hash_alg == algorithm
        assert step.transaction.pvno == 3
        late = send(step.transaction, step.body)
        assert isinstance(take(late, pki_conf(), pvno=2), Finished)

    @pytest.mark.parametrize(("implicit", "granted"), [(True, False), (False, True), (False, False)])
    @pytest.mark.rule("R-090")
    def test_only_what_was_asked_for_and_granted_needs_no_confirmation(self, *, implicit: bool, granted: bool) -> None:
        step = self.came(implicit=implicit, granted=granted)
        assert not step.confirmed
        assert isinstance(decide(step, Judgement(b"hash")), Send)

    @pytest.mark.parametrize("fault", [None, CMPError("another key")])
    @pytest.mark.rule("R-090")
    def test_implicit_confirmation_ends_the_transaction(self, fault: CMPError | None) -> None:
        step = self.came(implicit=True, granted=True)
        assert step.confirmed
        over = decide(step, Judgement(b"hash", fault=fault))
        assert isinstance(over, Finished)
        assert over.transaction.state is ClientState.DONE
        assert over.transaction.sought[0].rejection == ("" if fault is None else "another key")

    @pytest.mark.parametrize("kind", FOR_CERTIFICATES)
    def test_pkiconf_ends_the_transaction(self, kind: BodyType) -> None:
        step = take(confirming(kind), pki_conf())
        assert isinstance(step, Finished)
        assert step.transaction.state is ClientState.DONE
        assert step.transaction.certificate == certificate().der
        assert step.content is None

    @pytest.mark.rule("R-099")
    def test_error_in_place_of_pkiconf_is_no_confirmation(self) -> None:
        with pytest.raises(PeerRefusal):
            take(confirming(), error_body(failures=PKIFailureInfo.BAD_CERT_ID))


class TestOtherOperations:
    @pytest.mark.parametrize("status", [status for status in PKIStatus if status not in (2, 3)])
    def test_revocation_is_done(self, status: PKIStatus) -> None:
        step = take(opened(BodyType.RR), rp(PKIStatusInfo.of(status)))
        assert isinstance(step, Finished)
        assert step.transaction.state is ClientState.DONE
        assert step.content.status[0].status is status

    def test_refused_revocation_is_raised(self) -> None:
        with pytest.raises(PeerRefusal, match="certRevoked") as caught:
            take(opened(BodyType.RR), rp(PKIStatusInfo.of(PKIStatus.REJECTION, ["no"], PKIFailureInfo.CERT_REVOKED)))
        assert caught.value.body == "rp"

    @pytest.mark.rule("R-143")
    def test_statuses_for_more_than_was_asked_are_not_taken(self) -> None:
        with pytest.raises(TrustError, match="2 statuses for one certificate"):
            take(opened(BodyType.RR), rp(*[PKIStatusInfo.of(PKIStatus.ACCEPTED)] * 2))

    def test_information_is_given(self) -> None:
        answers = (InfoTypeAndValue(oids.CA_CERTS),)
        step = take(opened(BodyType.GENM), genp(*answers))
        assert isinstance(step, Finished)
        assert tuple(step.content) == answers
        assert step.transaction.state is ClientState.DONE


class TestRefusals:
    @pytest.mark.parametrize("kind", REQUESTS)
    @pytest.mark.parametrize("authentic", [True, False])
    def test_error_is_raised(self, kind: BodyType, *, authentic: bool) -> None:
        body = error_body(PKIStatus.REJECTION, "go away", failures=PKIFailureInfo.BAD_MESSAGE_CHECK)
        with pytest.raises(PeerRefusal, match="go away") as caught:
            take(opened(kind), body, authentic=authentic)
        assert caught.value.body == "error"
        assert caught.value.fail_info is PKIFailureInfo.BAD_MESSAGE_CHECK

    @pytest.mark.parametrize(
        ("failures", "hint"),
        [
            (PKIFailureInfo.BAD_TIME, "clocks"),
            (PKIFailureInfo.BAD_MESSAGE_CHECK | PKIFailureInfo.NOT_AUTHORIZED, "the secret"),
            (PKIFailureInfo.TRANSACTION_ID_IN_USE, "try again"),
            (PKIFailureInfo.UNSUPPORTED_VERSION, "another version"),
            (PKIFailureInfo.SYSTEM_FAILURE, "later"),
            (PKIFailureInfo.BAD_POP, ""),
        ],
    )
    def test_hint_says_what_to_try(self, failures: PKIFailureInfo, hint: str) -> None:
        with pytest.raises(PeerRefusal) as caught:
            take(opened(), error_body(failures=failures))
        assert hint in caught.value.hint
        assert bool(hint) is bool(caught.value.hint)

    @pytest.mark.parametrize("status", [status for status in PKIStatus if status is not PKIStatus.WAITING])
    def test_error_never_grants_anything(self, status: PKIStatus) -> None:
        with pytest.raises(PeerRefusal) as caught:
            take(opened(), error_body(status))
        assert caught.value.status is status

    @pytest.mark.parametrize("authentic", [True, False])
    def test_error_must_have_the_id_whether_it_is_protected_or_not(self, *, authentic: bool) -> None:
        with pytest.raises(TrustError, match=r"another transactionID.*--tolerate uncorrelated-errors"):
            take(opened(), error_body(), authentic=authentic, transaction_id=None)

    @pytest.mark.parametrize(
        ("transaction", "body"),
        [
            (opened(), cert_rep(response())),
            (opened(), cert_rep(response(PKIStatus.WAITING))),
            (opened(), error_body(PKIStatus.WAITING)),
            (opened(BodyType.RR), rp()),
            (opened(BodyType.GENM), genp()),
            (confirming(), pki_conf()),
            (polling(), poll_rep()),
        ],
        ids=["certificate", "waiting", "error waiting", "rp", "genp", "pkiconf", "pollRep"],
    )
    @pytest.mark.parametrize("named", [True, False])
    @pytest.mark.rule("R-030")
    def test_what_is_not_authentic_gives_nothing(
        self, transaction: ClientTransaction, body: PKIBody, *, named: bool
    ) -> None:
        header = {} if named else {"transaction_id": None}
        with pytest.raises(TrustError, match="not authentic" if named else "another transactionID"):
            take(transaction, body, authentic=False, **header)

    @pytest.mark.parametrize(
        "refusal",
        [
            cert_rep(response(PKIStatus.REJECTION)),
            error_body(),
        ],
    )
    @pytest.mark.rule("R-042")
    def test_refusal_may_be_taken_from_anybody_if_the_caller_says_so(self, refusal: PKIBody) -> None:
        with pytest.raises(PeerRefusal):
            take(opened(), refusal, authentic=False)


class TestForeignAnswers:
    @pytest.mark.parametrize("authentic", [True, False])
    @pytest.mark.parametrize(
        ("header", "fail_info"),
        [
            ({"transaction_id": b"another"}, PKIFailureInfo.BAD_REQUEST),
            ({"recip_nonce": bytes(16)}, PKIFailureInfo.BAD_RECIPIENT_NONCE),
            ({"recip_nonce": None}, PKIFailureInfo.BAD_RECIPIENT_NONCE),
            ({"sender_nonce": None}, PKIFailureInfo.BAD_SENDER_NONCE),
            ({"pvno": 3}, PKIFailureInfo.UNSUPPORTED_VERSION),
        ],
    )
    @pytest.mark.rule("R-080")
    def test_answer_to_something_else_is_not_taken(
        self, header: dict[str, object], fail_info: PKIFailureInfo, *, authentic: bool
    ) -> None:
        with pytest.raises(TrustError) as caught:
            take(opened(), cert_rep(response()), authentic=authentic, **header)
        assert caught.value.fail_info is fail_info

    @pytest.mark.parametrize("kind", REQUESTS)
    @pytest.mark.rule("R-080")
    def test_body_that_answers_something_else_is_not_taken(self, kind: BodyType) -> None:
        bodies = {
            BodyType.IP: cert_rep(response()),
            BodyType.CP: cert_rep(response(), kind=BodyType.CP),
            BodyType.KUP: cert_rep(response(), kind=BodyType.KUP),
            BodyType.RP: rp(),
            BodyType.GENP: genp(),
            BodyType.PKICONF: pki_conf(),
            BodyType.POLL_REP: poll_rep(),
            BodyType.POLL_REQ: poll_req(0),
            BodyType.IR: ir(),
            BodyType.POPDECC: PKIBody(BodyType.POPDECC, []),
        }
        del bodies[ANSWERS[kind]]
        due = ANSWERS[kind].wire_name
        for body_type, body in bodies.items():
            with pytest.raises(TrustError, match=f"{body_type.wire_name} where {due} is due") as caught:
                take(opened(kind), body)
            assert caught.value.rule == "RFC 9810 section 5.3"

    @pytest.mark.parametrize("body", [cert_rep(response()), genp(), poll_rep()])
    @pytest.mark.rule("R-080")
    def test_only_pkiconf_answers_a_cert_conf(self, body: PKIBody) -> None:
        with pytest.raises(TrustError, match="where pkiconf is due"):
            take(confirming(), body)

    @pytest.mark.parametrize("body", [cert_rep(response()), pki_conf(), error_body(), poll_rep()])
    def test_nothing_comes_after_the_end(self, body: PKIBody) -> None:
        transaction = confirming()
        over = take(transaction, pki_conf())
        with pytest.raises(TrustError, match="after the end"):
            take(over.transaction, body)


class TestPolling:
    @pytest.mark.rule("R-110")
    def test_waiting_is_polled_for_at_once(self) -> None:
        step = take(opened(), cert_rep(response(PKIStatus.WAITING, "an operator", "looks")))
        assert isinstance(step, Wait)
        assert step.reason == "an operator; looks"
        assert (step.transaction.state, step.transaction.poll_at) == (ClientState.POLL_WAIT, NOW)

    @pytest.mark.parametrize(
        ("kind", "number", "asked"),
        [(BodyType.IR, 0, 0), (BodyType.CR, 5, 5), (BodyType.P10CR, -1, -1), (BodyType.P10CR, 0, 0)],
    )
    @pytest.mark.rule("R-111")
    def test_poll_req_asks_for_what_waits(self, kind: BodyType, number: int, asked: int) -> None:
        waiting = cert_rep(response(PKIStatus.WAITING, number=number), kind=ANSWERS[kind])
        step = take(opened(kind, cert_req_id=number), waiting)
        request = poll(step.transaction)
        assert request.body.type is BodyType.POLL_REQ
        assert [item.cert_req_id for item in request.body.content] == [asked]
        assert (request.transaction.state, request.transaction.poll_at) == (ClientState.POLLING, None)

    @pytest.mark.parametrize("kind", REQUESTS)
    @pytest.mark.rule("R-110", "R-111")
    def test_error_waiting_is_polled_for_as_a_whole(self, kind: BodyType) -> None:
        step = take(opened(kind, cert_req_id=5), error_body(PKIStatus.WAITING, "later"))
        assert isinstance(step, Wait)
        assert step.reason == "later"
        assert poll(step.transaction).body == poll_req(-1)

    @pytest.mark.rule("R-110")
    def test_rp_waiting_is_polled_for_as_a_whole(self) -> None:
        step = take(opened(BodyType.RR), rp(PKIStatusInfo.of(PKIStatus.WAITING)))
        assert poll(step.transaction).body == poll_req(-1)

    @pytest.mark.parametrize(
        ("check_after", "delay"),
        [
            (0, timedelta()),
            (30, timedelta(seconds=30)),
            (86_400, timedelta(days=1)),
            (86_401, MAX_CHECK_AFTER),
            (1 << 50_000, MAX_CHECK_AFTER),
        ],
        ids=["at once", "30 s", "a day", "more than a day", "for ever"],
    )
    @pytest.mark.rule("R-112")
    def test_check_after_is_kept_up_to_a_day(self, check_after: int, delay: timedelta) -> None:
        step = take(polling(), poll_rep(0, check_after, "still", "busy"))
        assert isinstance(step, Wait)
        assert step.transaction.poll_at == NOW + delay
        assert (step.transaction.state, step.reason) == (ClientState.POLL_WAIT, "still; busy")

    @pytest.mark.parametrize(
        "body",
        [
            PKIBody(BodyType.POLL_REP, []),
            PKIBody(BodyType.POLL_REP, [*poll_rep().content, *poll_rep().content]),
            poll_rep(0, -1),
            poll_rep(1),
            poll_rep(-1),
            poll_rep(1 << 50_000),
        ],
        ids=["none", "two", "negative", "another", "whole message", "large"],
    )
    @pytest.mark.rule("R-112")
    def test_odd_poll_rep_is_not_taken(self, body: PKIBody) -> None:
        with pytest.raises(TrustError, match="one entry for certReqId 0 of the pollReq") as caught:
            take(polling(), body)
        assert caught.value.rule == "RFC 9810 section 5.3.22"

    def test_poll_rep_without_a_poll_req_is_not_taken(self) -> None:
        step = take(polling(), poll_rep())
        with pytest.raises(TrustError, match="pollRep where ip is due"):
            take(step.transaction, poll_rep())

    @pytest.mark.parametrize("which", ["sender_nonce", "awaited_nonce"])
    @pytest.mark.rule("R-024")
    def test_late_answer_may_name_the_request_or_the_poll_req(self, which: str) -> None:
        transaction = polling()
        assert transaction.sender_nonce != transaction.awaited_nonce
        step = take(transaction, cert_rep(response()), recip_nonce=getattr(transaction, which))
        assert isinstance(step, Decide)
        assert step.transaction.awaited_nonce == b""

    @pytest.mark.rule("R-024")
    def test_nonce_of_an_earlier_poll_req_is_over(self) -> None:
        transaction = polling()
        step = take(transaction, poll_rep())
        request = poll(step.transaction)
        again = send(request.transaction, request.body)
        with pytest.raises(TrustError, match="recipNonce"):
            take(again, cert_rep(response()), recip_nonce=transaction.sender_nonce)

    @pytest.mark.rule("R-115")
    def test_whole_message_waited_for_is_taken_under_its_own_number(self) -> None:
        transaction = polling(opened(cert_req_id=5), error_body(PKIStatus.WAITING))
        assert isinstance(take(transaction, poll_rep(-1)), Wait)
        with pytest.raises(TrustError):
            take(transaction, cert_rep(response(number=-1)))
        step = take(transaction, cert_rep(response(number=5)))
        assert isinstance(step, Decide)
        step = decide(step, Judgement(b"hash"))
        assert isinstance(step, Send)
        assert step.body.content[0].cert_req_id == 5

    @pytest.mark.parametrize("body", [cert_rep(response(PKIStatus.WAITING)), error_body(PKIStatus.WAITING), poll_rep()])
    def test_earlier_waiting_that_comes_again_is_not_taken(self, body: PKIBody) -> None:
        """Its senderNonce is no longer the one that the server wants to see."""
        transaction = polling()
        with pytest.raises(TrustError, match="an earlier answer, which came again") as caught:
            take(transaction, body, recip_nonce=transaction.awaited_nonce)
        assert caught.value.fail_info is PKIFailureInfo.BAD_RECIPIENT_NONCE
        assert caught.value.rule == "RFC 9483 section 4.4"

    def test_waiting_once_more_is_not_polled_for_at_once(self) -> None:
        step = take(polling(), cert_rep(response(PKIStatus.WAITING)))
        assert isinstance(step, Wait)
        assert step.transaction.poll_at == NOW + timedelta(seconds=1)

    @pytest.mark.rule("R-100")
    def test_pkiconf_may_take_time(self) -> None:
        transaction = confirming()
        waiting = polling(transaction, error_body(PKIStatus.WAITING))
        assert waiting.awaited_nonce == transaction.sender_nonce
        assert isinstance(take(waiting, poll_rep(-1)), Wait)
        step = take(waiting, pki_conf(), recip_nonce=transaction.sender_nonce)
        assert isinstance(step, Finished)
        assert step.transaction.certificate == certificate().der

    def test_what_waits_for_its_pkiconf_takes_no_other_certificate(self) -> None:
        with pytest.raises(TrustError, match="where pkiconf is due"):
            take(polling(confirming(), error_body(PKIStatus.WAITING)), cert_rep(response()))

    def test_late_refusal_is_raised(self) -> None:
        with pytest.raises(PeerRefusal):
            take(polling(), cert_rep(response(PKIStatus.REJECTION)))

    @pytest.mark.parametrize(("kind", "body"), [(BodyType.RR, rp()), (BodyType.GENM, genp())], ids=["rr", "genm"])
    def test_other_operations_may_take_time(self, kind: BodyType, body: PKIBody) -> None:
        transaction = polling(opened(kind), error_body(PKIStatus.WAITING))
        assert isinstance(take(transaction, body), Finished)


def test_answer_that_is_not_taken_leaves_the_transaction_as_it_was() -> None:
    transaction = opened()
    before = dataclasses.replace(transaction)
    with pytest.raises(TrustError):
        take(transaction, cert_rep(response(number=9)))
    assert transaction == before
    assert isinstance(take(transaction, cert_rep(response())), Decide)
