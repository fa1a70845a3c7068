"""Key recovery: what is asked of whom, what is answered and stored, and what a client makes of the answer."""

from __future__ import annotations

import pytest

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    AttributeTypeAndValue,
    CertificateWire,
    CertifiedKeyPair,
    CertReqMsg,
    EncryptedContentInfo,
    EnvelopedData,
    KEKIdentifier,
    KEKRecipientInfo,
    KeyRecRepContent,
    PKIBody,
    PKIStatusInfo,
    SetOf,
    Variant,
    decode,
    to_tlv,
)
from cmpkit.engine.client import Finished, Send, Wait, begin, receive, sent
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.needs import Authorize, CheckProof, Issue, Recover
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, PeerRefusal, TrustError
from cmpkit.parts import Pending, Recovered, RecoveredKey, TransactionState

from .scene import NOW, PUBLIC_KEY, PUBLIC_KEY_INFO, Parts, answer, certificate, crmf, ir, message, nonce, poll_req
from .test_engine_faults import proven

CONTROL = AttributeTypeAndValue(type=oids.PROTOCOL_ENCR_KEY, value=to_tlv(PUBLIC_KEY))
ALGORITHM = AlgorithmIdentifier(oids.AES256_CBC)
ENVELOPED = EnvelopedData(
    version=2,
    recipient_infos=SetOf(
        [
            Variant(
                KEKRecipientInfo(
                    version=4,
                    kekid=KEKIdentifier(key_identifier=b"x"),
                    key_encryption_algorithm=ALGORITHM,
                    encrypted_key=b"x",
                ),
                "kekri",
            )
        ]
    ),
    encrypted_content_info=EncryptedContentInfo(
        content_type=oids.DATA, content_encryption_algorithm=ALGORITHM, encrypted_content=b"x"
    ),
)
RECOVERED = Recovered((RecoveredKey(certificate(), ENVELOPED),))
KEYS = crmf(controls=[CONTROL], public_key=None)
BOTH = proven(crmf(controls=[CONTROL]))


def krr(request: CertReqMsg = KEYS) -> PKIBody:
    return ir(request, body_type=BodyType.KRR)


class TestServer:
    def test_keys_alone_are_handed_over_and_nothing_is_to_be_confirmed(self) -> None:
        parts = Parts({Recover: RECOVERED})
        reply = answer(message(krr(), pvno=3), parts=parts)
        assert [type(need) for need in parts.needs] == [Authorize, Recover]
        (need,) = parts.of(Recover)
        assert (need.request.encryption_key, need.request.profile) == (PUBLIC_KEY_INFO, None)
        assert reply.body is not None
        assert reply.body.type is BodyType.KRP
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.DONE
        assert reply.spent == (b"alice",)
        (entry,) = reply.audit
        assert (entry.event, entry.details["serials"]) == ("keys recovered", "1001")

    def test_with_a_new_key_its_certificate_is_to_be_confirmed(self) -> None:
        parts = Parts({Recover: RECOVERED})
        reply = answer(message(krr(BOTH), pvno=3), parts=parts)
        assert [type(need) for need in parts.needs] == [Authorize, Recover, CheckProof, Issue]
        assert reply.body is not None
        content: KeyRecRepContent = reply.body.content
        assert content.new_sig_cert is not None
        assert content.key_pair_hist is not None
        assert reply.transaction is not None
        assert reply.transaction.state is TransactionState.ISSUED
        assert [entry.event for entry in reply.audit] == ["issued", "keys recovered"]
        assert reply.spent == (b"alice",)

    @pytest.mark.rule("R-110")
    def test_while_the_certificate_takes_time_the_krp_says_waiting(self) -> None:
        asked = message(krr(BOTH), pvno=3)
        waiting = answer(asked, parts=Parts({Recover: RECOVERED}), Issue=Pending(7, "later"))
        assert waiting.body is not None
        assert waiting.body.content == KeyRecRepContent(status=PKIStatusInfo.of(PKIStatus.WAITING, ["later"]))
        assert waiting.transaction is not None
        known = waiting.transaction.answered(nonce())
        polled = message(poll_req(-1), recip_nonce=known.sender_nonce)
        came = answer(polled, None, known, parts=Parts({Recover: RECOVERED}))
        assert came.body is not None
        assert came.body.content.new_sig_cert is not None
        late = answer(polled, None, known, parts=Parts({Recover: CMPError("no", PKIFailureInfo.NOT_AUTHORIZED)}))
        assert late.body is not None
        assert late.body.content.status.failures is PKIFailureInfo.NOT_AUTHORIZED
        assert late.transaction is not None
        assert late.transaction.state is TransactionState.DONE

    def test_a_refusal_is_in_the_krp(self) -> None:
        parts = Parts({Recover: CMPError("no", PKIFailureInfo.BAD_CERT_ID)})
        refused = answer(message(krr(), pvno=3), parts=parts)
        assert refused.body is not None
        status = PKIStatusInfo.of(PKIStatus.REJECTION, [refused.refused.status_text], PKIFailureInfo.BAD_CERT_ID)  # type: ignore[union-attr]
        assert refused.body.content == KeyRecRepContent(status=status)

    def test_several_requests_are_refused(self) -> None:
        two = message(ir(KEYS, crmf(1, [CONTROL], public_key=None), body_type=BodyType.KRR), pvno=3)
        reply = answer(two)
        assert reply.body is not None
        assert reply.body.content.status.failures is PKIFailureInfo.BAD_REQUEST


class TestClient:
    def begun(self) -> ClientTransaction:
        step = Send(begin(BodyType.KRR, enveloped=True), krr())
        return sent(step.transaction, message(step.body, transaction_id=step.transaction.transaction_id, pvno=3))

    def take(self, **content: object) -> Finished | Wait | object:
        begun = self.begun()
        body = PKIBody(BodyType.KRP, KeyRecRepContent(**content))
        header = {"transaction_id": begun.transaction_id, "recip_nonce": begun.sender_nonce, "pvno": 3}
        return receive(begun, message(body, **header), authentic=True, now=NOW)

    def test_keys_that_come_are_in_the_transaction(self) -> None:
        pair = CertifiedKeyPair(
            cert_or_enc_cert=Variant(to_tlv(certificate().der), "certificate"),
            private_key=Variant(ENVELOPED, "enveloped_data"),
        )
        step = self.take(status=PKIStatusInfo.of(PKIStatus.ACCEPTED), key_pair_hist=[pair])
        assert isinstance(step, Finished)
        assert decode(KeyRecRepContent, step.transaction.recovered) == step.content

    def test_a_server_may_need_time(self) -> None:
        step = self.take(status=PKIStatusInfo.of(PKIStatus.WAITING, ["later"]))
        assert isinstance(step, Wait)
        assert step.transaction.poll_ids == (-1,)

    def test_a_refusal_is_told(self) -> None:
        with pytest.raises(PeerRefusal) as caught:
            self.take(status=PKIStatusInfo.of(PKIStatus.REJECTION, [], PKIFailureInfo.NOT_AUTHORIZED))
        assert (caught.value.body, caught.value.fail_info) == ("krp", PKIFailureInfo.NOT_AUTHORIZED)

    @pytest.mark.rule("R-082")
    @pytest.mark.parametrize(
        ("status", "certificate_comes", "key_comes"),
        [
            (PKIStatusInfo.of(PKIStatus.ACCEPTED), False, None),
            (PKIStatusInfo.of(PKIStatus.ACCEPTED), True, True),
            (PKIStatusInfo.of(PKIStatus.ACCEPTED), False, False),
            (PKIStatusInfo.of(PKIStatus.ACCEPTED, [], PKIFailureInfo.BAD_ALG), False, True),
            (PKIStatusInfo.of(PKIStatus.REJECTION, [], PKIFailureInfo.BAD_ALG), False, True),
            (PKIStatusInfo.of(PKIStatus.WAITING, [], PKIFailureInfo.BAD_ALG), False, None),
        ],
        ids=["no keys", "a certificate", "a certificate without key", "failInfo", "refusal with keys", "waiting"],
    )
    def test_an_answer_that_contradicts_itself_or_the_request_is_refused(
        self, status: PKIStatusInfo, certificate_comes: bool, key_comes: bool | None
    ) -> None:
        wire = decode(CertificateWire, certificate().der)
        pair = CertifiedKeyPair(
            cert_or_enc_cert=Variant(to_tlv(certificate().der), "certificate"),
            private_key=Variant(ENVELOPED, "enveloped_data") if key_comes else None,
        )
        with pytest.raises(TrustError, match="breaks a rule"):
            self.take(
                status=status,
                new_sig_cert=wire if certificate_comes else None,
                key_pair_hist=None if key_comes is None else [pair],
            )
