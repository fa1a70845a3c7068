"""Notes: what senders should do and no receiver refuses; and faults that need what a message cannot tell."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    CertReqMsg,
    CertRequest,
    CertStatus,
    GeneralizedTime,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    RevDetails,
    decode_general_name,
    decode_message,
    directory_name,
    encode,
    encode_list,
    to_tlv,
)
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, PKIStatus
from cmpkit.inspection.findings import Severity, find_faults, from_client

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.6"
TIME = InfoTypeAndValue(oids.CONFIRM_WAIT_TIME, GeneralizedTime(datetime(2026, 11, 23, 12, tzinfo=UTC)))
CONFIRM = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())
PROFILE = InfoTypeAndValue(oids.CERT_PROFILE, encode_list(["device"]))


def read(name: str) -> PKIMessage:
    return decode_message((MESSAGES / f"{name}.der").read_bytes())


def remade(name: str, body: PKIBody | None = None, certs: tuple[bytes, ...] | None = None, **header: Any) -> PKIMessage:
    """One of OpenSSL's messages with some of it otherwise."""
    message = read(name)
    fields = {field.name: getattr(message.header, field.name) for field in dataclasses.fields(PKIHeader)}
    return PKIMessage(
        PKIHeader(**{**fields, **header}),
        body or message.body,
        message.protection,
        message.extra_certs if certs is None else certs,
    )


def notes(message: PKIMessage) -> list[str]:
    return [found.detail for found in find_faults(message) if found.severity is Severity.NOTE]


def status(failing: PKIStatus) -> PKIBody:
    entry = CertStatus(cert_hash=bytes(32), cert_req_id=0, status_info=PKIStatusInfo.of(failing))
    return PKIBody(BodyType.CERT_CONF, [entry])


def request(**changes: Any) -> PKIBody:
    """The ir of OpenSSL with other fields of its CertRequest or template."""
    [came] = read("ir").body.content
    template = came.request.cert_template
    fields = {field.name: getattr(template, field.name) for field in dataclasses.fields(template)}
    number = changes.pop("cert_req_id", 0)
    made = CertRequest(cert_req_id=number, cert_template=type(template)(**{**fields, **changes}))
    return PKIBody(BodyType.IR, [CertReqMsg.build(made, came.popo)])


OTHER_NAME = decode_general_name(to_tlv(b"\x82\x05a.b.c"))
CA = encode(read("ip").body.content.ca_pubs[0])
DEVICE, SERVER = read("ir").extra_certs[0], read("ip").extra_certs[0]
NOTES = [
    (remade("genm", transaction_id=bytes(8)), "transactionID has 8 octets"),
    (remade("genm", message_time=None), "messageTime is missing"),
    (remade("genm", sender_kid=None), "senderKID is missing"),
    (read("error-unprotected"), "the error is not protected"),
    (remade("genm", general_info=[CONFIRM]), "implicitConfirm in genm means nothing"),
    (remade("ir", general_info=[InfoTypeAndValue(oids.IMPLICIT_CONFIRM, to_tlv(b"\x02\x01\x00"))]), "is not NULL"),
    (remade("ir", general_info=[TIME]), "confirmWaitTime in ir means nothing"),
    (remade("ip", general_info=[TIME, CONFIRM]), "there is nothing to wait for"),
    (remade("ip", general_info=[InfoTypeAndValue(oids.CONFIRM_WAIT_TIME, Null())]), "is no GeneralizedTime"),
    (remade("certConf", general_info=[PROFILE]), "certProfile in certConf means nothing"),
    (remade("ir", general_info=[PROFILE, PROFILE]), "generalInfo has 1.3.6.1.5.5.7.4.21 2 times"),
    (remade("ir-mac", sender=directory_name(parse_name("CN=other"))), "is not the reference in senderKID"),
    (remade("ir-mac", sender=OTHER_NAME), "sender is no directoryName"),
    (remade("ir", certs=(SERVER,)), "no certificate of the signer"),
    (remade("ir", certs=(DEVICE, DEVICE)), "extraCerts has a certificate twice"),
    (remade("ir", certs=(DEVICE, CA)), "extraCerts[1] is self-signed"),
    (remade("ir", certs=(SERVER, DEVICE)), "the protecting certificate is extraCerts[1], not the first"),
    (remade("ir", certs=(DEVICE, b"\x05\x00")), "extraCerts[1] cannot be read"),
    (remade("ir", certs=(DEVICE, *([SERVER] * 40))), "extraCerts has 41 certificates, 32 are looked at"),
    (remade("ir", request(cert_req_id=5)), "certReqId is not 0"),
    (remade("ir", request(version=2)), "the template has version 2"),
    (remade("ir", request(subject=None)), "the template has no subject"),
    (read("ir-ra-verified"), "raVerified: only a registration authority may say so"),
    (remade("kur", protection_alg=AlgorithmIdentifier(oids.PBMAC1)), "a kur under a shared secret"),
    (remade("rr", PKIBody(BodyType.RR, [RevDetails(cert_details=read("rr").body.content[0].cert_details)])), "no reas"),
    (remade("genm", PKIBody(BodyType.GENM, [])), "genm with 0 questions"),
    (remade("certConf", PKIBody(BodyType.CERT_CONF, [])), "an empty certConf rejects every certificate"),
    (remade("certConf", status(PKIStatus.REJECTION)), "rejection without failInfo"),
    (
        remade(
            "certConf",
            PKIBody(
                BodyType.CERT_CONF,
                [CertStatus(cert_hash=bytes(32), cert_req_id=0, hash_alg=AlgorithmIdentifier(oids.SHA256))],
            ),
        ),
        "hashAlg needs pvno 3",
    ),
    (
        remade("pollRep", PKIBody(BodyType.POLL_REP, [PollRep(cert_req_id=0, check_after=90_000)])),
        "checkAfter is more than a day",
    ),
]


@pytest.mark.parametrize(("message", "expected"), NOTES, ids=[expected for _, expected in NOTES])
def test_it_is_noted_and_says_what_to_change(message: PKIMessage, expected: str) -> None:
    assert [detail for detail in notes(message) if expected in detail]
    found = [finding for finding in find_faults(message) if finding.severity is Severity.NOTE]
    assert all(finding.change and finding.rule for finding in found)


def test_notes_come_after_faults() -> None:
    found = find_faults(remade("ir", request(version=2), sender_nonce=None))
    assert [finding.severity for finding in found] == [Severity.FAULT, Severity.NOTE]


@pytest.mark.parametrize(
    ("message", "by_client"), [("ir", True), ("ip", False), ("pkiconf", False), ("error", False), ("certConf", True)]
)
def test_the_side_that_sends_a_body_is_known(message: str, by_client: bool) -> None:
    assert from_client(read(message)) is by_client


def test_error_and_pkiconf_are_a_clients_where_they_follow_an_answer() -> None:
    assert from_client(read("error"), read("ip"))
    assert from_client(read("pkiconf"), read("ip"))
    assert not from_client(read("pkiconf"), read("certConf"))


def test_a_message_of_another_transaction_continues_nothing() -> None:
    found = find_faults(read("certConf"), answer_to=read("ip-mac"))
    assert [finding.detail for finding in found if finding.severity is Severity.FAULT] == [
        "certConf for no known transaction",
        "recipNonce is not the senderNonce of our last message",
    ]


def test_an_answer_to_another_question_is_a_fault() -> None:
    details = [finding.detail for finding in find_faults(read("genp"), answer_to=read("ir"))]
    assert "the answer breaks a rule: genp where ip is due" in details
    details = [finding.detail for finding in find_faults(read("error"), answer_to=read("ir"))]
    assert not [detail for detail in details if "is due" in detail]
    details = [finding.detail for finding in find_faults(read("pollRep"), answer_to=read("ir"))]
    assert "the answer breaks a rule: pollRep where ip is due" in details


def test_a_mac_in_answer_to_a_signature_is_a_fault() -> None:
    details = [finding.detail for finding in find_faults(read("ip-mac"), answer_to=read("ir"))]
    assert "the answer is protected by a MAC, the request was by a signature" in details
    unprotected = read("ir")
    unprotected = PKIMessage(dataclasses.replace(unprotected.header, protection_alg=None), unprotected.body)
    for request in (read("ir-mac"), unprotected):
        details = [finding.detail for finding in find_faults(read("ip-mac"), answer_to=request)]
        assert not [detail for detail in details if "by a MAC" in detail]


def test_messages_in_a_message_are_looked_at_too() -> None:
    inner = [to_tlv(remade("ir", sender_nonce=None).raw), to_tlv(b"\x30\x00"), to_tlv(read("cr").raw)]
    found = find_faults(remade("ir", PKIBody(BodyType.NESTED, inner)))
    assert {(finding.where, *finding.fail_info.wire_names) for finding in found} >= {
        ("nested[0]", "badSenderNonce"),
        ("nested[1]", "badDataFormat"),
    }
    assert not [finding for finding in found if finding.where == "nested[2]"]
