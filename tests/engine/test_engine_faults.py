"""What is refused is what inspection finds first: the checks and the lists of faults are the same rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    AttributeTypeAndValue,
    BitString,
    CertifiedKeyPair,
    CertRepMessage,
    CertReqMsg,
    CertResponse,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    POPOSigningKey,
    POPOSigningKeyInput,
    RDNSequence,
    RevRepContent,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    encode_general_name,
    to_tlv,
)
from cmpkit.crypto.pop import popo_faults
from cmpkit.engine.client import begin, receive, sent
from cmpkit.engine.header import check_request_header
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus, ProofMethod
from cmpkit.errors import CMPError, PeerRefusal, raise_first
from cmpkit.inspection.findings import Finding, Severity, find_faults
from cmpkit.parts import Transaction

from .scene import (
    ISSUER,
    NOW,
    PUBLIC_KEY,
    TRANSACTION_ID,
    answer,
    cert_conf,
    cert_profile,
    cert_status,
    certificate,
    crmf,
    error_body,
    genm,
    ir,
    message,
    nonce,
    p10,
    pki_conf,
    poll_req,
    revocation,
    rr,
)

UNREADABLE = decode(RDNSequence, b"\x30\x04\x31\x02\x05\x00")
NULL_TLV = to_tlv(b"\x05\x00")
SIGNATURE = POPOSigningKey(
    algorithm_identifier=AlgorithmIdentifier(oids.ECDSA_SHA256), signature=BitString(b"not looked at", 0)
)
EMPTY_KEY = SubjectPublicKeyInfo(algorithm=PUBLIC_KEY.algorithm, subject_public_key=BitString(b"", 0))
OTHER_KEY = SubjectPublicKeyInfo(algorithm=PUBLIC_KEY.algorithm, subject_public_key=BitString(bytes(65), 0))


def proven(request: CertReqMsg, popo: Any = Variant(SIGNATURE, "signature")) -> CertReqMsg:  # noqa: B008
    return CertReqMsg(cert_req=request.cert_req, popo=popo)


def with_input(key: SubjectPublicKeyInfo) -> Any:
    sender = encode_general_name(message(genm()).header.sender)
    made = POPOSigningKeyInput(auth_info=Variant(sender, "sender"), public_key=key)
    return Variant(
        POPOSigningKey(
            poposk_input=made,
            algorithm_identifier=SIGNATURE.algorithm_identifier,
            signature=SIGNATURE.signature,
        ),
        "signature",
    )


def faults(*arguments: Any, **named: Any) -> list[Finding]:
    return [found for found in find_faults(*arguments, **named) if found.severity is Severity.FAULT]


def looks_at_the_form(need: Any) -> None:
    """CheckProof as far as it needs no keys, for somebody who may vouch for others."""
    if isinstance(need.request, CertReqMsg):
        raise_first(popo_faults(need.request, ra_verified=True, others=tuple(ProofMethod)))


def refused(request: PKIMessage, transaction: Transaction | None = None) -> CMPError | None:
    """What the responder refuses a message for."""
    try:
        check_request_header(request)
        return answer(request, transaction=transaction, CheckProof=looks_at_the_form).refused
    except CMPError as error:
        return error


def told(error: CMPError | None) -> tuple[str, str, str, PKIFailureInfo] | None:
    return None if error is None else (error.detail, error.rule, error.hint, error.fail_info)


def shown(finding: Finding | None) -> tuple[str, str, str, PKIFailureInfo] | None:
    return None if finding is None else (finding.detail, finding.rule, finding.change, finding.fail_info)


HEADERS: dict[str, list[Any]] = {
    "pvno": [2, 3, 1, 4, -1, 1 << 70],
    "protection_alg": [AlgorithmIdentifier(oids.PBMAC1), None],
    "transaction_id": [TRANSACTION_ID, None, b"", bytes(129), bytes(8)],
    "sender_nonce": [bytes(16), None, bytes(15), bytes(129)],
    "recip_nonce": [None, bytes(16), bytes(129)],
    "sender_kid": [None, b"kid", bytes(129)],
    "message_time": [None],
    "general_info": [None, [cert_profile("a")], [cert_profile("a", "b")], [InfoTypeAndValue(oids.CERT_PROFILE)]],
}
TEMPLATES: dict[str, list[Any]] = {
    "version": [None, 2, 0, 1],
    "serial_number": [None, 1],
    "signing_alg": [None, AlgorithmIdentifier(oids.ECDSA_SHA256)],
    "issuer": [None, ISSUER],
    "subject": [None, ISSUER, UNREADABLE],
    "public_key": [PUBLIC_KEY, None, EMPTY_KEY],
    "issuer_uid": [None, BitString(b"\0", 0)],
    "subject_uid": [None, BitString(b"\0", 0)],
}
CONTROLS = [
    AttributeTypeAndValue(type=oid, value=NULL_TLV)
    for oid in (oids.REG_TOKEN, oids.AUTHENTICATOR, oids.PKI_ARCHIVE_OPTIONS, oids.ALT_CERT_TEMPLATE, oids.OLD_CERT_ID)
]
PROOFS = [
    None,
    Variant(SIGNATURE, "signature"),
    Variant(Null(), "ra_verified"),
    Variant(to_tlv(b"\x81\x01\x00"), "key_encipherment"),
    with_input(PUBLIC_KEY),
    with_input(OTHER_KEY),
]


def some_of(choices: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """One field set otherwise, or two."""
    one = st.sampled_from(sorted(choices)).flatmap(
        lambda name: st.sampled_from(choices[name]).map(lambda value: {name: value})
    )
    return st.builds(lambda a, b: {**a, **b}, one, st.one_of(st.just({}), one))


REQUESTS = st.builds(
    lambda number, controls, template, proof: proven(crmf(number, controls, **template), proof),
    st.sampled_from([0, 1, -1, 1 << 64]),
    st.lists(st.sampled_from(CONTROLS), max_size=2),
    some_of(TEMPLATES),
    st.sampled_from(PROOFS),
)
BODIES = st.one_of(
    st.builds(
        lambda kind, requests: ir(*requests, body_type=kind),
        st.sampled_from([BodyType.IR, BodyType.CR, BodyType.KUR]),
        st.lists(REQUESTS, min_size=1, max_size=2),
    ),
    st.sampled_from([0, 1]).map(p10),
    st.builds(
        lambda details: rr(*details),
        st.lists(
            st.builds(
                revocation,
                reason=st.sampled_from([None, b"\x0a\x01\x01", b"\x0a\x01\x07", b"\x02\x01\x01"]),
                issuer=st.sampled_from([ISSUER, None, UNREADABLE]),
                serial_number=st.sampled_from([1, None, 1 << 170]),
            ),
            max_size=2,
        ),
    ),
    st.just(genm()),
    st.sampled_from([PKIBody(BodyType.CRLANN, []), PKIBody(BodyType.NESTED, [NULL_TLV])]),
)


@settings(max_examples=150, deadline=None)
@given(BODIES, some_of(HEADERS), st.booleans())
def test_the_first_fault_of_a_request_is_what_the_responder_refuses_it_for(
    body: PKIBody, header: dict[str, Any], protected: bool
) -> None:
    request = message(body, protected=protected, **header)
    found = faults(request)
    if body.type in (BodyType.CRLANN, BodyType.NESTED):
        # Where they are taken at all, that is by an endpoint and not by the engine alone.
        assert told(refused(request)) is not None
    else:
        assert shown(found[0] if found else None) == told(refused(request))


CERTIFICATE = CertifiedKeyPair(cert_or_enc_cert=Variant(to_tlv(certificate().der), "certificate"))
SERVER_NONCE = bytes(range(16))
SENDER_NONCE = bytes(range(16, 32))


def response(
    cert_req_id: int = 0, status: PKIStatus = PKIStatus.ACCEPTED, failures: int = 0, *, pair: bool = True
) -> CertResponse:
    info = PKIStatusInfo.of(status, [], PKIFailureInfo(failures))
    return CertResponse(cert_req_id=cert_req_id, status=info, certified_key_pair=CERTIFICATE if pair else None)


def ip(*responses: CertResponse, body_type: BodyType = BodyType.IP) -> PKIBody:
    return PKIBody(body_type, CertRepMessage(response=list(responses)))


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(
        st.lists(st.sampled_from([0, 1, -1]), max_size=2).flatmap(
            lambda ids: st.sampled_from([None, PKIStatus.REJECTION, PKIStatus.WAITING]).map(
                lambda status: cert_conf(*(cert_status(cert_req_id=number, status=status) for number in ids))
            )
        ),
        st.just(pki_conf()),
        st.just(error_body()),
    ),
    st.sampled_from([SERVER_NONCE, None, bytes(16)]),
)
def test_the_first_fault_of_a_confirmation_is_what_the_responder_refuses_it_for(
    body: PKIBody, recip_nonce: bytes | None
) -> None:
    opened = answer(message(ir(proven(crmf()))), CheckProof=looks_at_the_form).transaction
    assert opened is not None
    came = message(body, recip_nonce=recip_nonce)
    before = message(ip(response()), sender_nonce=SERVER_NONCE)
    found = faults(came, answer_to=before)
    assert shown(found[0] if found else None) == told(refused(came, opened.answered(SERVER_NONCE)))


RESPONSES = st.builds(
    response,
    st.sampled_from([0, 1, -1]),
    st.sampled_from([PKIStatus.ACCEPTED, PKIStatus.GRANTED_WITH_MODS, PKIStatus.WAITING, PKIStatus.REJECTION]),
    st.sampled_from([0, 4]),
    pair=st.booleans(),
)
ANSWER_BODIES = st.one_of(
    st.builds(
        lambda responses, kind: ip(*responses, body_type=kind),
        st.lists(RESPONSES, max_size=2),
        st.sampled_from([BodyType.IP, BodyType.CP]),
    ),
    st.sampled_from([PKIStatus.REJECTION, PKIStatus.WAITING]).flatmap(
        lambda status: st.sampled_from([None, PKIFailureInfo.BAD_TIME]).map(
            lambda failures: error_body(status, failures=failures)
        )
    ),
    st.just(pki_conf()),
    st.just(PKIBody(BodyType.GENP, [])),
)
ANSWER_HEADERS: dict[str, list[Any]] = {
    "pvno": [2, 3],
    "transaction_id": [TRANSACTION_ID, bytes(16)],
    "recip_nonce": [SENDER_NONCE, None],
    "sender_nonce": [bytes(16), bytes(15)],
    "general_info": [None, [InfoTypeAndValue(oids.CONFIRM_WAIT_TIME, NULL_TLV)]],
    "message_time": [None],
}


def refused_by_client(answer: PKIMessage, request: PKIMessage) -> CMPError | None:
    begun = begin(request.body.type, sought=[SoughtCertificate()])
    transaction = replace(sent(begun, request), transaction_id=TRANSACTION_ID)
    try:
        receive(transaction, answer, authentic=True, now=NOW)
    except PeerRefusal:
        return None
    except CMPError as error:
        return error
    return None


@settings(max_examples=100, deadline=None)
@given(ANSWER_BODIES, some_of(ANSWER_HEADERS), st.sampled_from([ir(proven(crmf())), p10()]))
def test_a_fault_is_found_in_an_answer_if_and_only_if_the_client_refuses_it(
    body: PKIBody, header: dict[str, Any], asked: PKIBody
) -> None:
    request = message(asked, sender_nonce=SENDER_NONCE)
    came = message(body, **{"recip_nonce": SENDER_NONCE, **header})
    found = {shown(finding) for finding in faults(came, answer_to=request)}
    refusal = told(refused_by_client(came, request))
    if refusal is None:
        assert not found
    elif "senderNonce of less" in refusal[0]:
        assert any(finding is not None and "senderNonce" in finding[0] for finding in found)
    else:
        assert refusal in found


def test_answers_to_revocations_and_polls_are_looked_at() -> None:
    two = message(PKIBody(BodyType.RP, RevRepContent(status=[PKIStatusInfo.of(PKIStatus.ACCEPTED)] * 2)))
    assert [found.rule for found in faults(two)] == ["RFC 9810 section 5.3.10"]
    asked = message(rr(revocation(), revocation()), sender_nonce=SENDER_NONCE)
    assert not faults(replace(two, header=replace_nonce(two)), answer_to=asked)
    late = message(PKIBody(BodyType.POLL_REP, [PollRep(cert_req_id=0, check_after=-1)]), recip_nonce=SENDER_NONCE)
    assert [found.rule for found in faults(late)] == ["RFC 9810 section 5.3.22"]
    other = message(poll_req(1), sender_nonce=SENDER_NONCE, recip_nonce=nonce())
    assert ["certReqId 1" in found.detail for found in faults(late, answer_to=other)] == [True]


def replace_nonce(came: PKIMessage) -> Any:
    return message(came.body, recip_nonce=SENDER_NONCE).header


def test_polling_for_another_request_than_the_waiting_one_is_a_fault() -> None:
    waiting = message(ip(response(0, PKIStatus.WAITING, pair=False)), sender_nonce=SERVER_NONCE)
    found = faults(message(poll_req(7), recip_nonce=SERVER_NONCE), answer_to=waiting)
    assert [finding.detail for finding in found] == ["pollReq asks for certReqId 7, 0 is pending"]
    assert not faults(message(poll_req(-1), recip_nonce=SERVER_NONCE), answer_to=waiting)


def test_all_faults_are_listed_not_only_the_first() -> None:
    request = message(ir(proven(crmf(-1, serial_number=1, public_key=None), None)), pvno=9, sender_nonce=None)
    names = [name for found in faults(request) for name in found.fail_info.wire_names]
    assert names == [
        "unsupportedVersion",
        "badSenderNonce",
        "badRequest",
        "badCertTemplate",
    ]


def test_every_fault_says_what_to_change() -> None:
    request = message(
        ir(proven(crmf(-1, CONTROLS, serial_number=1, signing_alg=None, version=7, public_key=None), None)),
        protected=False,
        pvno=9,
        sender_nonce=None,
        transaction_id=None,
        recip_nonce=bytes(200),
        general_info=[cert_profile("a", "b")],
    )
    found = faults(request)
    assert len(found) > 10
    assert all(finding.change and finding.rule for finding in found)
