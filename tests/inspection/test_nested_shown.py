"""Nested messages inspected: what is in them, what is wrong with them, and what proofs in them fit."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    InfoTypeAndValue,
    PKIBody,
    PKIMessage,
    decode_message,
    directory_name,
    encode_list,
    to_tlv,
)
from cmpkit.engine.nesting import nest, nested_header
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.inspection.findings import Finding, Severity, find_faults
from cmpkit.inspection.inspecting import Inspection, inspect, prove
from cmpkit.inspection.proofs import Evidence, Outcome, check_proofs
from cmpkit.inspection.report import inspection_lines, inspection_object
from cmpkit.inspection.sequence import diagram_lines, make_diagrams
from cmpkit.inspection.sources import Source
from cmpkit.inspection.summary import summarise
from cmpkit.plugins import load_plugins

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.6"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVIDENCE = Evidence(load_plugins(), NOW)


def read(name: str) -> PKIMessage:
    return decode_message((MESSAGES / f"{name}.der").read_bytes())


def around(*members: PKIMessage, body: PKIBody | None = None, like: str = "ir", **header: Any) -> PKIMessage:
    """A nested message that looks protected as one of OpenSSL's is."""
    pattern = read(like)
    made = nested_header(
        members,
        sender=pattern.header.sender,
        recipient=directory_name(x509.Name([])),
        sender_kid=pattern.header.sender_kid,
        protection_alg=pattern.header.protection_alg,
        now=NOW,
    )
    outer = PKIMessage(dataclasses.replace(made, **header), body or nest(members), pattern.protection)
    return decode_message(outer.with_protection(pattern.protection or b"", pattern.extra_certs).raw)


def faults(message: PKIMessage, **more: Any) -> list[tuple[str, PKIFailureInfo]]:
    found = find_faults(message, **more)
    return [(one.where, one.fail_info) for one in found if one.severity is Severity.FAULT]


def looked_at(*messages: PKIMessage) -> tuple[Inspection, ...]:
    return inspect([Source(f"{number}.der", message.raw) for number, message in enumerate(messages, start=1)])


class TestFindings:
    @pytest.mark.rule("R-151", "R-152")
    def test_one_and_several_as_they_should_be_break_no_rule(self) -> None:
        ir, cr = read("ir"), read("cr")
        assert faults(around(ir)) == []
        assert faults(around(ir, cr)) == []
        assert faults(around(around(ir), around(ir, cr))) == []

    @pytest.mark.rule("R-151")
    def test_other_identifiers_than_those_inside_are_faults(self) -> None:
        outer = around(read("ir"), transaction_id=bytes(16), sender_nonce=bytes(16))
        assert faults(outer) == [("", PKIFailureInfo.BAD_REQUEST), ("", PKIFailureInfo.BAD_SENDER_NONCE)]

    @pytest.mark.rule("R-151")
    def test_a_mac_is_no_signature(self) -> None:
        assert faults(around(read("ir"), like="ir-mac")) == [("", PKIFailureInfo.WRONG_INTEGRITY)]
        bare = around(read("ir"))
        bare = PKIMessage(dataclasses.replace(bare.header, protection_alg=None), bare.body)
        assert faults(bare) == [("", PKIFailureInfo.WRONG_INTEGRITY)]

    @pytest.mark.rule("R-155")
    def test_too_many_inside_one_another_are_a_fault(self) -> None:
        message = read("ir")
        for _ in range(5):
            message = around(message)
        assert faults(message) == [("", PKIFailureInfo.BAD_REQUEST)]

    @pytest.mark.rule("R-155")
    def test_faults_of_each_message_inside_say_where(self) -> None:
        bad = dataclasses.replace(read("ir").header, sender_nonce=None)
        inner = PKIMessage(bad, read("ir").body, read("ir").protection, read("ir").extra_certs)
        found = faults(around(read("cr"), around(read("ir"), inner)))
        assert found == [("nested[1].nested[1]", PKIFailureInfo.BAD_SENDER_NONCE)]

    @pytest.mark.rule("R-159")
    def test_orig_pki_message_is_looked_at(self) -> None:
        two = InfoTypeAndValue(oids.ORIG_PKI_MESSAGE, to_tlv(encode_list([to_tlv(read("ir").raw)] * 2)))
        for holder in (around(read("ir"), general_info=[two]), _with_info(read("ir"), two)):
            assert ("", PKIFailureInfo.BAD_DATA_FORMAT) in faults(holder)


def _with_info(message: PKIMessage, info: InfoTypeAndValue) -> PKIMessage:
    header = dataclasses.replace(message.header, general_info=[info])
    return PKIMessage(header, message.body, message.protection, message.extra_certs)


class TestAnswers:
    @pytest.mark.rule("R-151")
    def test_the_answer_to_one_inside_is_held_against_that(self) -> None:
        outer = around(read("ir"))
        assert faults(read("ip"), answer_to=outer) == faults(read("ip"), answer_to=read("ir")) == []
        assert ("", PKIFailureInfo.BAD_REQUEST) in faults(read("genp"), answer_to=outer)

    @pytest.mark.rule("R-152")
    def test_a_batch_is_answered_by_a_nested_message_in_which_each_is_held_against_its_request(self) -> None:
        batch = around(read("ir"), read("genm"))
        ids = {"transaction_id": batch.header.transaction_id, "recip_nonce": batch.header.sender_nonce}
        good = around(read("genp"), read("ip"), **ids)
        assert faults(good, answer_to=batch) == []
        wrong = dataclasses.replace(read("ip").header, recip_nonce=bytes(16))
        wrong_ip = PKIMessage(wrong, read("ip").body, read("ip").protection, read("ip").extra_certs)
        found = faults(around(read("genp"), wrong_ip, **ids), answer_to=batch)
        assert found == [("nested[1]", PKIFailureInfo.BAD_RECIPIENT_NONCE)]

    @pytest.mark.rule("R-152", "R-156")
    def test_nothing_else_answers_a_batch_and_a_nested_message_answers_nothing_else(self) -> None:
        batch = around(read("ir"), read("genm"))
        details = [finding.detail for finding in find_faults(read("ip"), answer_to=batch)]
        assert "the answer breaks a rule: ip where nested is due" in details
        details = [finding.detail for finding in find_faults(around(read("ip")), answer_to=read("ir"))]
        assert "the answer breaks a rule: nested where ip is due" in details

    def test_an_answer_to_what_cannot_be_read_is_looked_at_alone(self) -> None:
        outer = around(read("ir"), body=PKIBody(BodyType.NESTED, [to_tlv(b"\x30\x00")]))
        assert isinstance(find_faults(read("ip"), answer_to=outer), tuple)

    @pytest.mark.rule("R-022", "R-151")
    def test_a_nested_message_uses_no_nonce_of_the_message_inside(self) -> None:
        """Whoever has what came to a registration authority and what left it sees the same nonce twice."""
        for order in ((read("ir"), around(read("ir"))), (around(read("ir")), read("ir"))):
            for one in looked_at(*order):
                assert [found for found in one.findings if found.fail_info is PKIFailureInfo.BAD_SENDER_NONCE] == []


class TestProofs:
    async def test_proofs_inside_are_checked_and_say_where(self) -> None:
        proofs = await check_proofs(around(read("ir"), around(read("cr"))), EVIDENCE)
        shown = [(proof.what, proof.where, proof.outcome) for proof in proofs if proof.what != "signer"]
        assert shown == [
            ("protection", "", Outcome.BAD),
            ("protection", "nested[0]", Outcome.GOOD),
            ("proof of possession", "nested[0]", Outcome.GOOD),
            ("protection", "nested[1]", Outcome.BAD),
            ("protection", "nested[1].nested[0]", Outcome.GOOD),
            ("proof of possession", "nested[1].nested[0]", Outcome.GOOD),
        ]

    async def test_what_does_not_fit_inside_is_a_finding_with_its_place(self) -> None:
        ir = read("ir")
        wrong = ir.with_protection((ir.protection or b"")[:-1] + b"\0", ir.extra_certs)
        [one] = await prove(looked_at(around(read("cr"), wrong)), EVIDENCE)
        places = [(found.where, found.fail_info) for found in one.findings if _is_fault(found)]
        assert ("nested[1]", PKIFailureInfo.BAD_MESSAGE_CHECK) in places
        lines = "\n".join(inspection_lines(one))
        assert "bad          protection in nested[1]:" in lines
        assert "good         protection in nested[0]: the signature fits the certificate of" in lines
        assert {check["where"] for check in inspection_object(one)["checks"]} == {"", "nested[0]", "nested[1]"}

    async def test_certificates_inside_are_known_for_later_messages(self) -> None:
        later = dataclasses.replace(read("certConf"), extra_certs=())
        first, second = await prove(looked_at(around(read("ir")), later), EVIDENCE)
        assert first.message is not None
        assert [proof.outcome for proof in second.proofs if proof.what == "protection"] == [Outcome.GOOD]


def _is_fault(found: Finding) -> bool:
    return found.severity is Severity.FAULT


class TestShown:
    def test_a_summary_has_each_message_inside(self) -> None:
        lines = summarise(around(read("ir"), read("genm"), around(read("cr"))))
        assert lines[0].startswith("ir: certReqId 0: ")
        assert lines[1].startswith("genm: ")
        assert lines[-1].startswith("nested: cr: certReqId 0: ")

    def test_a_summary_has_the_first_of_many_and_what_cannot_be_read(self) -> None:
        members = [to_tlv(b"\x30\x00"), *[to_tlv(read("pkiconf").raw)] * 14]
        lines = summarise(around(read("ir"), body=PKIBody(BodyType.NESTED, members)))
        assert lines[0].startswith("cannot be read: ")
        assert lines[1:] == ("pkiconf",) * 9 + ("and 5 more",)

    def test_a_diagram_has_the_forwarded_request_and_its_answer(self) -> None:
        [diagram] = make_diagrams(looked_at(around(read("ir")), read("ip")))
        assert [(step.title, step.to_server, step.faults) for step in diagram.steps] == [
            ("nested", True, ()),
            ("ip", False, ()),
        ]
        assert any("ir: certReqId 0" in line for line in diagram_lines(diagram))
