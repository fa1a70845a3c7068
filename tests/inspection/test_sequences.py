"""Transactions in order, as diagrams; two messages compared."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from cmpkit.asn1 import (
    CertifiedKeyPair,
    CertRepMessage,
    CertReqMsg,
    CertResponse,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    Variant,
    decode_message,
    directory_name,
    to_tlv,
)
from cmpkit.enums import BodyType, PKIStatus
from cmpkit.inspection.comparing import compare
from cmpkit.inspection.describe import describe
from cmpkit.inspection.inspecting import inspect
from cmpkit.inspection.report import diagram_object, difference_lines, difference_objects
from cmpkit.inspection.sequence import Diagram, Step, diagram_lines, make_diagrams
from cmpkit.inspection.sources import Source
from cmpkit.inspection.svg import svg
from cmpkit.inspection.transactions import answered_by, arrange

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.6"
NAMES = ("ir", "ip", "certConf", "pkiconf")
SVG = "{http://www.w3.org/2000/svg}"


def octets(name: str) -> bytes:
    return (MESSAGES / f"{name}.der").read_bytes()


def read(name: str) -> PKIMessage:
    return decode_message(octets(name))


def diagrams(*names: str) -> tuple[Diagram, ...]:
    return make_diagrams(inspect(Source(f"{name}.der", octets(name)) for name in names))


class TestOrder:
    @pytest.mark.parametrize("names", list(itertools.permutations(NAMES)), ids="-".join)
    def test_messages_are_put_in_order_by_their_nonces(self, names: tuple[str, ...]) -> None:
        [transaction] = arrange([read(name) for name in names])
        assert [message.body.type.wire_name for message in transaction] == list(NAMES)

    def test_polling_comes_before_the_answer_that_ends_it(self) -> None:
        request, waiting, poll_req, poll_rep, final = polled()
        [transaction] = arrange([request, poll_req, waiting, poll_rep, final])
        assert list(transaction) == [request, waiting, poll_req, poll_rep, final]

    def test_transactions_are_kept_apart(self) -> None:
        assert [len(found) for found in arrange([read("ir"), read("ir-mac"), read("ip"), read("ip-mac")])] == [2, 2]

    def test_nonces_that_lead_in_a_circle_do_not(self) -> None:
        first = with_nonces(read("ir"), b"a" * 16, b"b" * 16)
        second = with_nonces(read("ir"), b"b" * 16, b"a" * 16)
        assert len(arrange([first, second])[0]) == 2

    def test_each_answers_the_message_whose_nonce_it_repeats(self) -> None:
        [transaction] = arrange([read(name) for name in NAMES])
        assert [answered_by(transaction, number) for number in range(4)] == [None, *transaction[:3]]

    def test_an_answer_with_another_nonce_answers_the_last_message(self) -> None:
        transaction = [read("ir"), with_nonces(read("ip"), b"s" * 16, b"x" * 16)]
        assert answered_by(transaction, 1) is transaction[0]


def with_nonces(message: PKIMessage, sender_nonce: bytes, recip_nonce: bytes | None) -> PKIMessage:
    fields = {name: getattr(message.header, name) for name in FIELDS}
    header = type(message.header)(**{**fields, "sender_nonce": sender_nonce, "recip_nonce": recip_nonce})
    return PKIMessage(header, message.body, message.protection, message.extra_certs)


FIELDS = ("pvno", "sender", "recipient", "message_time", "protection_alg", "sender_kid", "transaction_id")


def polled() -> list[PKIMessage]:
    """A transaction with polling, whose last answer repeats the nonce of the first request."""
    number = read("ir").header.transaction_id
    parts = [read(name) for name in ("ir", "ip-waiting", "pollReq", "pollRep", "ip")]
    nonces = [(b"1", None), (b"2", b"1"), (b"3", b"2"), (b"4", b"3"), (b"5", b"1")]
    made = []
    for message, (sender, recipient) in zip(parts, nonces, strict=True):
        moved = with_nonces(message, sender * 16, None if recipient is None else recipient * 16)
        fields = {name: getattr(moved.header, name) for name in (*FIELDS, "sender_nonce", "recip_nonce")}
        made.append(replace(moved, header=type(moved.header)(**{**fields, "transaction_id": number})))
    return made


class TestText:
    def test_arrows_go_from_side_to_side(self) -> None:
        [diagram] = diagrams(*NAMES)
        lines = list(diagram_lines(diagram))
        arrows = [line for line in lines if "-->" in line or "<--" in line]
        assert [line.startswith("|<") for line in arrows] == [False, True, False, True]
        assert [line.split()[-1] for line in arrows] == [f"{name}.der" for name in NAMES]
        assert len({line.rindex("|") for line in lines if line.startswith("|")}) == 1

    def test_names_bodies_and_what_they_say_are_shown(self) -> None:
        text = "\n".join(diagram_lines(diagrams(*NAMES)[0]))
        for expected in (
            "transaction 54b4c139e27fe5815459e9f40adc6c0c",
            "CN=device-42,O=Example,C=DE",
            "1 ir",
            "certReqId 0: accepted",
            "serial 2137881bca340bf3a700ab64a719bd77b58a5d5b",
            "2026-11-23T11:38:06Z",
            "ecdsa-with-SHA256",
        ):
            assert expected in text

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("error", "rejection: badRequest"),
            ("ip-waiting", "waiting"),
            ("ip-rejection", "rejection: badPOP"),
            ("pollRep", "again in 1 s"),
            ("pollReq", "certReqId"),
            ("rr", "serial "),
            ("rp", "accepted"),
            ("genm-caCerts", "caCerts"),
            ("genp-caCerts", "octets"),
            ("p10cr", "CN=device-42"),
            ("certConf-mac", "certReqId 0: accepted"),
            ("ip-mac", "id-PasswordBasedMac"),
            ("error-unprotected", "not protected"),
            ("ip-mac", "caPubs: 1"),
        ],
    )
    def test_each_body_says_something(self, name: str, expected: str) -> None:
        assert expected in "\n".join(diagram_lines(diagrams(name)[0]))

    def test_faults_are_marked(self) -> None:
        foreign = octets("ip").replace(read("ip").header.recip_nonce or b"", bytes(16))
        found = make_diagrams(inspect([Source("a", octets("ir")), Source("b", foreign)]))[0]
        assert "!! the answer has a recipNonce that is not our senderNonce" in "\n".join(diagram_lines(found))

    def test_sides_are_called_by_their_own_names_first(self) -> None:
        assert (diagrams("ir", "ip")[0].client, diagrams("ir", "ip")[0].server) == (
            "CN=device-42,O=Example,C=DE",
            "CN=cmp server,O=Example,C=DE",
        )
        assert diagrams("ir")[0].server == "CN=Example CA,O=Example,C=DE"
        assert diagrams("ir-mac")[0].client == "CN=device-42,O=Example,C=DE"

    @pytest.mark.parametrize(
        ("name", "shown"),
        [(b"\x82\x05a.b.c", "a.b.c"), (b"\x87\x04\x01\x02\x03\x04", "ip_address"), (b"\xa4\x00", "client")],
    )
    def test_names_of_other_kinds_are_shown_in_short(self, name: bytes, shown: str) -> None:
        header = read("ir").header
        fields = {field: getattr(header, field) for field in FIELDS}
        header = type(header)(**{**fields, "sender": to_tlv(name), "recipient": directory_name(x509.Name([]))})
        octets = PKIMessage(header, read("ir").body).raw
        [diagram] = make_diagrams(inspect([Source("a", octets)]))
        assert (diagram.client, diagram.server) == (shown, "server")

    def test_what_cannot_be_read_in_a_body_is_said(self) -> None:
        broken = PKIBody(BodyType.IR, [CertReqMsg(cert_req=to_tlv(b"\x30\x00"))])
        octets = PKIMessage(read("ir").header, broken, b"x").raw
        [diagram] = make_diagrams(inspect([Source("a", octets)]))
        assert diagram.steps[0].lines[0].startswith("cannot be read: ")

    def test_an_encrypted_certificate_is_called_that(self) -> None:
        pair = CertifiedKeyPair(cert_or_enc_cert=Variant(to_tlv(b"\x30\x00"), "encrypted_cert"))
        status = PKIStatusInfo.of(PKIStatus.ACCEPTED)
        response = CertResponse(cert_req_id=0, status=status, certified_key_pair=pair)
        body = PKIBody(BodyType.IP, CertRepMessage(response=[response]))
        octets = PKIMessage(read("ip").header, body, b"x").raw
        [diagram] = make_diagrams(inspect([Source("a", octets)]))
        assert "an encrypted certificate" in diagram.steps[0].lines

    def test_octets_that_are_no_message_are_in_no_diagram(self) -> None:
        assert make_diagrams(inspect([Source("a", b"")])) == ()

    def test_machines_get_the_same(self) -> None:
        [diagram] = diagrams("ir", "ip")
        made = diagram_object(diagram)
        assert [step["title"] for step in made["steps"]] == ["ir", "ip"]
        assert made["steps"][0]["to_server"] is True


class TestSVG:
    def test_it_is_well_formed_and_has_an_arrow_for_each_message(self) -> None:
        root = ET.fromstring(svg(diagrams(*NAMES, "ir-mac")))
        assert root.tag == f"{SVG}svg"
        assert len([line for line in root.iter(f"{SVG}line") if line.get("class") == "arrow"]) == 5
        texts = [text.text for text in root.iter(f"{SVG}text")]
        assert "1 ir" in texts
        assert "certReqId 0: accepted" in texts

    def test_everything_is_inside_the_picture(self) -> None:
        root = ET.fromstring(svg(diagrams(*NAMES)))
        height = int(root.get("height", 0))
        assert all(0 < int(text.get("y", 0)) < height for text in root.iter(f"{SVG}text"))

    def test_it_needs_nothing_from_elsewhere(self) -> None:
        text = svg(diagrams(*NAMES)).replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text
        assert "url(" not in text

    def test_names_of_strangers_are_escaped(self) -> None:
        step = Step("ir", ("<script>&", "x" * 200), ("a < b",), True, 'a"b')
        made = svg([Diagram("", "<b>&" + "x" * 60, "server", (step,))])
        texts = [text.text for text in ET.fromstring(made).iter(f"{SVG}text")]
        assert "<script>&" in texts
        assert "a < b" in texts

    def test_no_transaction_is_an_empty_picture(self) -> None:
        assert ET.fromstring(svg([])).tag == f"{SVG}svg"


class TestComparing:
    def test_the_same_message_has_no_differences(self) -> None:
        assert compare(describe(read("ir")), describe(read("ir"))) == ()
        assert list(difference_lines(("a", "b"), ())) == ["--- a", "+++ b", "the fields are the same"]

    def test_fields_that_differ_have_their_paths(self) -> None:
        found = compare(describe(read("ir")), describe(read("cr")))
        paths = {difference.path: difference for difference in found}
        assert paths["body"].first is not None
        assert paths["body"].first.value == "ir"
        assert "header.senderNonce" in paths
        assert "header.pvno" not in paths
        assert paths["header.generalInfo[certProfile].infoValue[0]"].second is None
        assert not [path for path in paths if path.endswith("certTemplate.subject")]

    def test_both_values_are_shown(self) -> None:
        found = compare(describe(read("ir")), describe(read("ir-mac")))
        lines = list(difference_lines(("a", "b"), found))
        at = lines.index("header.protectionAlg.algorithm")
        assert lines[at + 1 : at + 3] == [
            "  - ecdsa-with-SHA256 (1.2.840.10045.4.3.2)",
            "  + id-PasswordBasedMac (1.2.840.113533.7.66.13)",
        ]

    def test_machines_get_both_values(self) -> None:
        made = difference_objects(("a", "b"), compare(describe(read("ir")), describe(read("cr"))))
        nonce = next(found for found in made["differences"] if found["path"] == "header.senderNonce")
        assert nonce == {
            "path": "header.senderNonce",
            "first": (read("ir").header.sender_nonce or b"").hex(),
            "second": (read("cr").header.sender_nonce or b"").hex(),
        }

    def test_a_broken_message_is_compared_as_far_as_it_goes(self) -> None:
        whole, cut = inspect([Source("a", octets("ir")), Source("b", octets("ir")[:200])])
        paths = {difference.path for difference in compare(whole.node, cut.node)}
        assert "header.pvno" not in paths
        assert "protection" in paths

    def test_messages_of_other_bodies_are_compared_under_the_name_of_the_first(self) -> None:
        found = compare(describe(read("pkiconf")), describe(read("genm")))
        assert next(difference.path for difference in found if difference.path.startswith("body")) == "body"
