"""Requests for cross certificates at the engine: complete, proven, and without the key (RFC 9810 section 6.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    AttributeTypeAndValue,
    BitString,
    CertifiedKeyPair,
    CertRepMessage,
    CertReqMsg,
    CertResponse,
    EncryptedValue,
    Null,
    OptionalValidity,
    PKIArchiveOptions,
    PKIBody,
    PKIStatusInfo,
    POPOPrivKey,
    Variant,
    make_element,
    to_tlv,
)
from cmpkit.crypto.x509 import as_time
from cmpkit.engine.client import Decide, begin, receive, sent
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.needs import Issue
from cmpkit.engine.replies import Reply
from cmpkit.engine.responder import ResponderSettings
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus, SubsequentMessage
from cmpkit.errors import TrustError
from cmpkit.inspection.findings import find_faults
from cmpkit.parts import Issued, Pending, TransactionState

from .scene import (
    IMPLICIT_CONFIRM,
    ISSUER,
    NOW,
    PUBLIC_KEY_INFO,
    Parts,
    answer,
    by_certificate,
    ccr,
    certificate,
    cross_request,
    message,
)

BAD_REQUEST, BAD_POP, BAD_TEMPLATE = (
    PKIFailureInfo.BAD_REQUEST,
    PKIFailureInfo.BAD_POP,
    PKIFailureInfo.BAD_CERT_TEMPLATE,
)
ENDLESS = OptionalValidity(not_before=as_time(NOW))


def refused(body: PKIBody, **more: Any) -> tuple[Reply, PKIFailureInfo]:
    """The refusal of a ccr, before anything was asked of the issuer."""
    parts = Parts()
    reply = answer(message(body), by_certificate(), parts=parts, **more)
    assert parts.of(Issue) == []
    assert reply.body is not None
    assert reply.body.type is BodyType.CCP
    status = reply.body.content.response[0].status
    assert status.status is PKIStatus.REJECTION
    return reply, status.failures


@pytest.mark.rule("R-190")
def test_a_complete_request_is_put_to_the_issuer_with_all_that_it_says() -> None:
    parts = Parts()
    reply = answer(message(ccr()), by_certificate(), parts=parts)
    (need,) = parts.of(Issue)
    assert need.request.cross.issuer == ISSUER
    assert need.request.cross.signing_algorithm == AlgorithmIdentifier(oids.ECDSA_SHA256)
    assert reply.body is not None
    assert reply.body.type is BodyType.CCP
    assert reply.transaction is not None
    assert reply.transaction.state is TransactionState.ISSUED


@pytest.mark.rule("R-190")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", None),
        ("version", 0),
        ("signing_alg", None),
        ("issuer", None),
        ("validity", None),
        ("validity", ENDLESS),
        ("subject", None),
        ("public_key", None),
        ("extensions", None),
        ("serial_number", 7),
        ("issuer_uid", BitString(b"x", 0)),
    ],
)
def test_a_template_that_is_not_complete_is_refused(field: str, value: Any) -> None:
    _, failures = refused(ccr(**{field: value}))
    assert failures is BAD_TEMPLATE


@pytest.mark.rule("R-190")
def test_signing_alg_is_for_cross_certificates_only() -> None:
    body = PKIBody(BodyType.CR, [cross_request()])
    reply = answer(message(body), by_certificate())
    assert reply.refused is not None
    assert "signing_alg" in reply.refused.detail


@pytest.mark.rule("R-190")
def test_two_requests_in_one_ccr_are_refused_whatever_is_allowed_otherwise() -> None:
    _, failures = refused(ccr(cross_request(), cross_request()), settings=ResponderSettings(max_requests=5))
    assert failures is BAD_REQUEST


def private(alternative: Any, value: Any) -> Variant[Any, Any]:
    return Variant(make_element(Variant(value, alternative), POPOPrivKey), "key_encipherment")


def proven(popo: Any, controls: Sequence[AttributeTypeAndValue] = ()) -> PKIBody:
    return ccr(CertReqMsg(cert_req=cross_request(controls).cert_req, popo=popo))


@pytest.mark.rule("R-190")
@pytest.mark.parametrize(
    "popo",
    [
        None,
        Variant(Null(), "ra_verified"),
        private("subsequent_message", SubsequentMessage.ENCR_CERT),
        private("subsequent_message", SubsequentMessage.CHALLENGE_RESP),
    ],
    ids=["none", "raVerified", "encrCert", "challengeResp"],
)
def test_a_key_that_is_not_proven_by_a_signature_is_refused(popo: Any) -> None:
    _, failures = refused(proven(popo))
    assert failures is BAD_POP


ARCHIVE = AttributeTypeAndValue(
    type=oids.PKI_ARCHIVE_OPTIONS,
    value=make_element(Variant(to_tlv(b"\x30\x00"), "encrypted_priv_key"), PKIArchiveOptions),
)


@pytest.mark.rule("R-191")
@pytest.mark.parametrize(
    "body",
    [proven(private("this_message", BitString(b"key", 0))), ccr(cross_request([ARCHIVE]))],
    ids=["thisMessage", "pkiArchiveOptions"],
)
def test_a_ccr_with_a_private_key_is_refused(body: PKIBody) -> None:
    _, failures = refused(body)
    assert failures is BAD_REQUEST


@pytest.mark.rule("R-193")
def test_implicit_confirmation_is_granted_as_for_other_requests() -> None:
    reply = answer(message(ccr(), general_info=[IMPLICIT_CONFIRM]), by_certificate())
    assert reply.transaction is not None
    assert reply.transaction.state is TransactionState.DONE
    assert reply.transaction.implicit_confirm


@pytest.mark.rule("R-110")
def test_a_ccr_that_needs_time_is_answered_by_waiting() -> None:
    reply = answer(message(ccr()), by_certificate(), Issue=Pending(5))
    assert reply.body is not None
    assert reply.body.type is BodyType.CCP
    assert reply.body.content.response[0].status.status is PKIStatus.WAITING


def asking() -> ClientTransaction:
    sought = SoughtCertificate(0, PUBLIC_KEY_INFO, issuer=ISSUER.public_bytes(), key_identifier=b"identifier")
    transaction = begin(BodyType.CCR, sought=[sought])
    return sent(transaction, message(ccr(), transaction_id=transaction.transaction_id))


def answered(transaction: ClientTransaction, pair: CertifiedKeyPair) -> Any:
    response = CertResponse(cert_req_id=0, status=PKIStatusInfo.of(PKIStatus.ACCEPTED), certified_key_pair=pair)
    return message(
        PKIBody(BodyType.CCP, CertRepMessage(response=[response])),
        transaction_id=transaction.transaction_id,
        recip_nonce=transaction.sender_nonce,
    )


@pytest.mark.rule("R-080")
def test_a_client_takes_a_ccp_for_its_ccr() -> None:
    transaction = asking()
    pair = CertifiedKeyPair(cert_or_enc_cert=Variant(to_tlv(certificate().der), "certificate"))
    step = receive(transaction, answered(transaction, pair), authentic=True, now=NOW)
    assert isinstance(step, Decide)
    assert step.transaction.certificate == certificate().der


@pytest.mark.rule("R-191")
def test_a_client_refuses_a_ccp_with_a_private_key() -> None:
    transaction = asking()
    key = Variant(EncryptedValue(enc_value=BitString(b"key", 0)), "encrypted_value")
    pair = CertifiedKeyPair(cert_or_enc_cert=Variant(to_tlv(certificate().der), "certificate"), private_key=key)
    came = answered(transaction, pair)
    with pytest.raises(TrustError, match="a private key comes with a cross certificate"):
        receive(transaction, came, authentic=True, now=NOW)
    assert "a private key comes with a cross certificate" in " ".join(finding.detail for finding in find_faults(came))


@pytest.mark.rule("R-190")
def test_inspection_finds_what_the_server_refuses_and_nothing_in_a_good_one() -> None:
    good = [finding.detail for finding in find_faults(message(ccr()))]
    assert not [detail for detail in good if "template" in detail]
    bad = [finding.detail for finding in find_faults(message(ccr(signing_alg=None, validity=ENDLESS)))]
    assert "the template of the ccr lacks signingAlg, validity with both ends" in bad


def test_what_is_issued_is_what_the_issuer_gave() -> None:
    reply = answer(message(ccr()), by_certificate(), Issue=Issued(certificate(), modified=True))
    assert reply.body is not None
    (response,) = reply.body.content.response
    assert response.status.status is PKIStatus.GRANTED_WITH_MODS
    assert response.certified_key_pair.private_key is None
