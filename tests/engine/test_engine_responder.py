"""The place of a message: whose transaction it belongs to, and whether it may come now; what is never stored."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    CertId,
    CertificateWire,
    CertRepMessage,
    CertReqMsg,
    GeneralizedTime,
    InfoTypeAndValue,
    KeyRecRepContent,
    Null,
    PKIBody,
    PKIStatusInfo,
    RevAnnContent,
    RevRepContent,
    RootCaKeyUpdateContent,
    Variant,
    decode,
    directory_name,
    to_tlv,
)
from cmpkit.engine.needs import Authorize, CheckProof, Inform, Issue
from cmpkit.engine.responder import find_transaction
from cmpkit.engine.states import ANSWERS, CONTINUES, HEADER_FAULTS, OPENS
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import Transaction, TransactionState

from .scene import (
    NOW,
    TRANSACTION_ID,
    Parts,
    answer,
    by_certificate,
    by_mac,
    ccr,
    cert_conf,
    cert_profile,
    cert_status,
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

OURS = nonce()
THEIRS = nonce()
OPENING = {
    BodyType.IR: ir(),
    BodyType.CR: ir(body_type=BodyType.CR),
    BodyType.KUR: ir(body_type=BodyType.KUR),
    BodyType.P10CR: p10(),
    BodyType.CCR: ccr(),
    BodyType.RR: rr(),
    BodyType.KRR: ir(body_type=BodyType.KRR),
    BodyType.GENM: genm(),
}
CONTINUING = {
    BodyType.CERT_CONF: cert_conf(cert_status()),
    BodyType.PKICONF: pki_conf(),
    BodyType.POLL_REQ: poll_req(0),
    BodyType.ERROR: error_body(),
}
STATUS = PKIStatusInfo.of(PKIStatus.ACCEPTED)
WIRE = decode(CertificateWire, certificate().der)
MOMENT = GeneralizedTime(NOW.replace(microsecond=0))
OTHER_CONTENTS = {
    **dict.fromkeys((BodyType.IP, BodyType.CP, BodyType.KUP, BodyType.CCP), CertRepMessage(response=[])),
    BodyType.KRR: [CertReqMsg(cert_req=to_tlv(b"\x30\x00"))],
    **{key: [] for key in (BodyType.GENP, BodyType.POLL_REP, BodyType.POPDECC, BodyType.POPDECR, BodyType.CRLANN)},
    BodyType.KRP: KeyRecRepContent(status=STATUS),
    BodyType.RP: RevRepContent(status=[STATUS]),
    BodyType.CKUANN: Variant(RootCaKeyUpdateContent(new_with_new=WIRE), "ca_key_upd_ann_v3"),
    BodyType.CANN: WIRE,
    BodyType.RANN: RevAnnContent(
        status=PKIStatus.REVOCATION_WARNING,
        cert_id=CertId(issuer=directory_name(x509.Name([])), serial_number=1),
        will_be_revoked_at=MOMENT,
        bad_since_date=MOMENT,
    ),
    BodyType.NESTED: [to_tlv(b"\x30\x00")],
}
CONTENT_FAULTS = [bit for bit in PKIFailureInfo if not bit & HEADER_FAULTS]
OTHERS = [kind for kind in BodyType if kind not in OPENING and kind not in CONTINUING]


def known(state: TransactionState = TransactionState.ISSUED, **changes) -> Transaction:
    """A transaction of Alice."""
    fields = {
        "transaction_id": TRANSACTION_ID,
        "credential": by_mac().credential.id,
        "opened_by": BodyType.IR,
        "state": state,
        "version": 3,
        "sender_nonce": OURS,
        "peer_nonces": (THEIRS,),
        "certificates": ((0, certificate().issuer_key, certificate().serial_number),),
        "request": message(ir()).raw if state is TransactionState.PENDING else b"",
        **changes,
    }
    return Transaction(**fields)


def refusal_of(request, transaction: Transaction | None = None, **more) -> CMPError:
    parts = Parts()
    with pytest.raises(CMPError) as caught:
        answer(request, None, transaction, parts=parts, **more)
    assert parts.needs == []
    return caught.value


class TestWhoseTransaction:
    def test_same_credential_finds_its_transaction(self) -> None:
        bob = by_mac("bob")
        of_bob = known(credential=bob.credential.id)
        for body in (ir(), cert_conf()):
            assert find_transaction([known(), of_bob], message(body), bob) == of_bob

    def test_unknown_transaction_is_none(self) -> None:
        assert find_transaction([], message(cert_conf()), by_mac()) is None

    @pytest.mark.parametrize("kind", OPENING)
    def test_anybody_may_open_one_under_the_id_of_another(self, kind: BodyType) -> None:
        assert find_transaction([known()], message(OPENING[kind]), by_mac("bob")) is None

    @pytest.mark.parametrize("kind", CONTINUING)
    @pytest.mark.rule("R-096")
    def test_another_secret_cannot_continue_it(self, kind: BodyType) -> None:
        with pytest.raises(CMPError, match=f"{kind.wire_name} of mac:626f62 for a transaction of another") as caught:
            find_transaction([known()], message(CONTINUING[kind]), by_mac("bob"))
        assert caught.value.fail_info is PKIFailureInfo.BAD_MESSAGE_CHECK
        assert caught.value.rule == "RFC 9483 section 4.1.1"

    @pytest.mark.parametrize("kind", CONTINUING)
    @pytest.mark.rule("R-096")
    def test_the_new_certificate_cannot_confirm_itself(self, kind: BodyType) -> None:
        with pytest.raises(CMPError) as caught:
            find_transaction([known()], message(CONTINUING[kind]), by_certificate())
        assert caught.value.fail_info is PKIFailureInfo.WRONG_INTEGRITY
        assert caught.value.rule == "RFC 9483 section 4.1.1"


class TestPlace:
    @pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.name)
    @pytest.mark.rule("R-004", "R-156")
    def test_other_bodies_are_not_served(self, kind: BodyType) -> None:
        error = refusal_of(message(PKIBody(kind, OTHER_CONTENTS[kind])))
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert error.rule == "RFC 9483 section 3.5"

    @pytest.mark.parametrize("kind", OPENING)
    @pytest.mark.parametrize("state", [TransactionState.PENDING, TransactionState.ISSUED])
    @pytest.mark.rule("R-019")
    def test_open_transaction_is_not_opened_again(self, kind: BodyType, state: TransactionState) -> None:
        error = refusal_of(message(OPENING[kind]), known(state))
        assert error.fail_info is PKIFailureInfo.TRANSACTION_ID_IN_USE
        assert error.rule == "RFC 9810 section 5.1.1"
        assert "new transactionID" in error.hint

    @pytest.mark.rule("R-019")
    def test_finished_transaction_may_be_opened_again(self) -> None:
        reply = answer(message(ir()), None, known(TransactionState.DONE))
        assert reply.transaction is not None
        assert (reply.transaction.state, reply.transaction.version) == (TransactionState.ISSUED, 3)
        assert reply.transaction.peer_nonces[0] == THEIRS

    @pytest.mark.parametrize("kind", [*OPENING, *CONTINUING])
    @pytest.mark.parametrize("state", TransactionState)
    @pytest.mark.rule("R-022")
    def test_nonce_that_was_used_before_is_refused(self, kind: BodyType, state: TransactionState) -> None:
        body = {**OPENING, **CONTINUING}[kind]
        error = refusal_of(message(body, sender_nonce=THEIRS, recip_nonce=OURS), known(state))
        assert error.fail_info is PKIFailureInfo.BAD_SENDER_NONCE
        assert error.rule == "RFC 9810 section 5.1.1"
        assert "the same octets" in error.hint

    @pytest.mark.parametrize("kind", OPENING)
    @pytest.mark.rule("R-023")
    def test_first_message_has_no_recip_nonce(self, kind: BodyType) -> None:
        error = refusal_of(message(OPENING[kind], recip_nonce=OURS))
        assert error.fail_info is PKIFailureInfo.BAD_RECIPIENT_NONCE
        assert error.rule == "RFC 9483 section 3.1"

    @pytest.mark.parametrize("kind", CONTINUING)
    @pytest.mark.rule("R-020", "R-113")
    def test_nothing_continues_an_unknown_transaction(self, kind: BodyType) -> None:
        error = refusal_of(message(CONTINUING[kind], recip_nonce=OURS))
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert error.rule == "RFC 9483 section 3.5"
        assert "for no known transaction" in error.detail
        assert error.hint

    @pytest.mark.parametrize("kind", CONTINUING)
    @pytest.mark.parametrize("state", TransactionState)
    @pytest.mark.rule("R-004", "R-097")
    def test_only_what_the_table_says_continues(self, kind: BodyType, state: TransactionState) -> None:
        request = message(CONTINUING[kind], recip_nonce=OURS)
        if kind in CONTINUES[state]:
            assert answer(request, None, known(state)).body is not None
            return
        error = refusal_of(request, known(state))
        confirmed = state is TransactionState.DONE and kind in (BodyType.CERT_CONF, BodyType.PKICONF)
        assert error.fail_info is (PKIFailureInfo.CERT_CONFIRMED if confirmed else PKIFailureInfo.BAD_REQUEST)
        assert error.rule == "RFC 9483 section 3.5"

    def test_nothing_was_confirmed_where_nothing_was_issued(self) -> None:
        """After an rr there is no certificate that a certConf could be about."""
        over = known(TransactionState.DONE, opened_by=BodyType.RR, certificates=())
        assert refusal_of(message(cert_conf(), recip_nonce=OURS), over).fail_info is PKIFailureInfo.BAD_REQUEST

    @pytest.mark.parametrize("kind", CONTINUING)
    @pytest.mark.parametrize("wrong", [None, nonce(), THEIRS], ids=["absent", "unknown", "their own"])
    @pytest.mark.rule("R-023")
    def test_wrong_recip_nonce_is_refused(self, kind: BodyType, wrong: bytes | None) -> None:
        state = TransactionState.PENDING if kind is BodyType.POLL_REQ else TransactionState.ISSUED
        error = refusal_of(message(CONTINUING[kind], recip_nonce=wrong), known(state))
        assert error.fail_info is PKIFailureInfo.BAD_RECIPIENT_NONCE
        assert error.rule == "RFC 9483 section 3.5"
        assert "senderNonce of the answer" in error.hint

    @pytest.mark.parametrize("kind", CONTINUING)
    @pytest.mark.rule("R-098")
    def test_expired_transaction_is_not_continued(self, kind: BodyType) -> None:
        state = TransactionState.PENDING if kind is BodyType.POLL_REQ else TransactionState.ISSUED
        expired = known(state, expires=NOW - timedelta(microseconds=1))
        error = refusal_of(message(CONTINUING[kind], recip_nonce=OURS), expired)
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert error.rule == "RFC 9810 section 5.1.1.2"
        assert "expired at" in error.detail
        assert "confirmWaitTime" in error.hint

    def test_last_moment_is_early_enough(self) -> None:
        reply = answer(message(CONTINUING[BodyType.CERT_CONF], recip_nonce=OURS), None, known(expires=NOW))
        assert reply.body == pki_conf()

    @pytest.mark.parametrize("count", [1, 500])
    def test_remembered_nonces_are_bounded(self, count: int) -> None:
        many = tuple(nonce() for _ in range(count))
        request = message(cert_conf(cert_status()), recip_nonce=OURS)
        state = answer(request, None, known(peer_nonces=many)).transaction
        assert state is not None
        assert state.peer_nonces[-1] == request.header.sender_nonce
        assert state.peer_nonces[-2] == many[-1]
        assert len(state.peer_nonces) <= 64


class TestRefusals:
    """RFC 9483 section 3.6: the content of a request is refused in its answer, everything else by error."""

    @pytest.mark.parametrize("kind", [kind for kind in OPENING if kind is not BodyType.GENM])
    @pytest.mark.parametrize("fail_info", CONTENT_FAULTS, ids=lambda bit: bit.name)
    def test_fault_of_content_is_refused_in_the_answer(self, kind: BodyType, fail_info: PKIFailureInfo) -> None:
        error = CMPError("because", fail_info)
        reply = answer(message(OPENING[kind]), by_certificate(), Authorize=error)
        assert reply.body is not None
        assert reply.body.type is ANSWERS[kind]
        content = reply.body.content
        if kind is BodyType.KRR:
            status = content.status
        else:
            status = content.status[0] if kind is BodyType.RR else content.response[0].status
        assert (status.status, status.failures) == (PKIStatus.REJECTION, fail_info)
        assert status.texts == (error.status_text,)
        assert reply.refused is error

    @pytest.mark.parametrize("kind", OPENING)
    @pytest.mark.parametrize("fail_info", list(HEADER_FAULTS), ids=lambda bit: bit.name)
    def test_other_faults_are_refused_by_error(self, kind: BodyType, fail_info: PKIFailureInfo) -> None:
        with pytest.raises(CMPError, match="because"):
            answer(message(OPENING[kind]), by_certificate(), Authorize=CMPError("because", fail_info))

    @pytest.mark.parametrize("fail_info", CONTENT_FAULTS, ids=lambda bit: bit.name)
    def test_genm_is_refused_by_error(self, fail_info: PKIFailureInfo) -> None:
        with pytest.raises(CMPError, match="because"):
            answer(message(genm()), None, Inform=CMPError("because", fail_info))

    @pytest.mark.parametrize("need", [Authorize, CheckProof, Issue])
    def test_refusal_stores_nothing(self, need: type) -> None:
        reply = answer(message(ir()), None, **{need.__name__: CMPError("because", PKIFailureInfo.NOT_AUTHORIZED)})
        assert reply.transaction is None
        assert (reply.certificates, reply.changes, reply.spent, reply.audit) == ((), (), (), ())

    def test_nothing_is_asked_for_after_a_refusal(self) -> None:
        parts = Parts({Authorize: CMPError("no", PKIFailureInfo.NOT_AUTHORIZED)})
        answer(message(ir()), None, parts=parts)
        assert parts.needs == [Authorize(BodyType.IR)]

    def test_content_that_cannot_be_read_is_refused_by_error(self) -> None:
        """What holds the certReqId is unreadable, so no answer can name it."""
        broken = dataclasses.replace(message(ir()).body.content[0], cert_req=to_tlv(b"\x30\x00"))
        with pytest.raises(CMPError) as caught:
            answer(message(PKIBody(BodyType.IR, [broken])))
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    def test_fault_of_the_certificate_profile_is_refused_by_error(self) -> None:
        """It stands in the header."""
        error = refusal_of(message(ir(), general_info=[cert_profile("a", "b")]))
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST

    def test_certificate_profile_means_nothing_outside_requests_for_certificates(self) -> None:
        info = [cert_profile("a", "b"), InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())]
        for body in (rr(), genm()):
            assert answer(message(body, general_info=info), profile="device").body is not None

    def test_cert_conf_is_refused_by_error(self) -> None:
        request = message(cert_conf(cert_status(certificate(5))), recip_nonce=OURS)
        with pytest.raises(CMPError, match="certHash"):
            answer(request, None, known())


def test_what_opens_has_an_answer() -> None:
    assert set(ANSWERS) == OPENS == set(OPENING)


def test_hash_algorithm_of_a_cert_conf_is_passed_on() -> None:
    algorithm = AlgorithmIdentifier(oids.SHA512)
    parts = Parts()
    answer(message(cert_conf(cert_status(hash_alg=algorithm)), recip_nonce=OURS), None, known(), parts=parts)
    assert parts.needs[0].status.hash_alg == algorithm
    assert Inform not in map(type, parts.needs)
