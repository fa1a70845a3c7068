"""What is said about messages: all of it in JSON too, and something about octets that are none."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    Attribute,
    AttributeTypeAndValue,
    BitString,
    CertificateList,
    CertificateWire,
    Extension,
    InfoTypeAndValue,
    PKIBody,
    SetOf,
    SubjectPublicKeyInfo,
    decode,
    decode_message,
    to_tlv,
)
from cmpkit.enums import BodyType
from cmpkit.inspection.describe import describe
from cmpkit.inspection.inspecting import Inspection, inspect
from cmpkit.inspection.names import object_name
from cmpkit.inspection.nodes import Form, Node, leaves, plain
from cmpkit.inspection.outline import element_node
from cmpkit.inspection.report import inspection_lines, inspection_object
from cmpkit.inspection.sources import Source, read_source
from cmpkit.inspection.text import node_lines, printable

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages"
FILES = sorted(MESSAGES.glob("*/*.der"))
IR = (MESSAGES / "openssl-3.6" / "ir.der").read_bytes()


def look(octets: bytes) -> Inspection:
    [one] = inspect(read_source("file", octets))
    return one


def text(one: Inspection, *, full: bool = False) -> str:
    return "\n".join(inspection_lines(one, full=full))


def shown(value: Any, name: str = "it") -> str:
    return "\n".join(node_lines(Node("", Form.FIELDS, parts=(describe(value, name),))))


def scalars(value: Any) -> list[str]:
    """Every key and scalar of a JSON value, as text."""
    if isinstance(value, dict):
        return [*value, *(found for part in value.values() for found in scalars(part))]
    if isinstance(value, list):
        return [found for part in value for found in scalars(part)]
    return [str(value)]


@functools.cache
def crl(revoked: int) -> bytes:
    """DER of a certificate list."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime(2026, 11, 23, tzinfo=UTC)
    builder = x509.CertificateRevocationListBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")]), now, now
    )
    for number in range(1, revoked + 1):
        entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class TestMessages:
    @pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
    def test_everything_in_the_text_is_in_the_json(self, path: Path) -> None:
        one = look(path.read_bytes())
        known = " ".join(scalars(json.loads(json.dumps(inspection_object(one))))).upper()
        words = " ".join(node_lines(one.node, full=True)).upper()
        for mark in ("(EMPTY)", ": ", "; ", "(", ")", '"'):
            words = words.replace(mark, " ")
        assert not [word for word in words.split() if word not in known and word.strip("[]:") not in known]

    @pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
    def test_every_leaf_is_in_the_text(self, path: Path) -> None:
        one = look(path.read_bytes())
        lines = text(one, full=True)
        for _, leaf in leaves(one.node):
            value = (
                {True: "TRUE", False: ""}.get(leaf.value, leaf.value) if isinstance(leaf.value, bool) else leaf.value
            )
            assert printable(str(value or "")) in lines

    def test_a_request_is_readable(self) -> None:
        lines = text(look(IR))
        for expected in (
            "file: ir, 1155 octets, ecdsa-with-SHA256",
            "pvno           cmp2000 (2)",
            "sender         directoryName: CN=device-42,O=Example,C=DE",
            "messageTime    2026-11-23T11:38:06Z",
            "[1]  certProfile (1.3.6.1.5.5.7.4.21): device",
            "algorithm  id-ecPublicKey (1.2.840.10045.2.1): secp256r1 (1.2.840.10045.3.1.7)",
            "[0]  subjectAltName (2.5.29.17): dNSName: device-42.example",
            "signature            304402207d4384e7f335096e92c43851… (70 octets)",
            "no rule is broken",
        ):
            assert expected in lines

    def test_the_road_of_a_message_is_told(self) -> None:
        one = look((len(IR) + 1).to_bytes(4, "big") + b"\x00" + IR)
        assert "  pkiMsg\n" in text(one)
        assert inspection_object(one)["road"] == "pkiMsg"

    def test_full_shows_octets_and_details_whole(self) -> None:
        one = look(IR)
        assert "…" in text(one)
        assert "…" not in text(one, full=True)
        assert "subjectPublicKey" not in text(one).split("extraCerts")[0]
        assert "subjectPublicKey  04" in text(one, full=True)

    def test_secrets_of_controls_are_shown_only_on_request(self) -> None:
        control = AttributeTypeAndValue(type=oids.REG_TOKEN, value=to_tlv(b"\x0c\x05token"))
        assert "token" not in shown(control).replace("regToken", "")
        assert "not shown" in shown(control)
        assert plain(describe(control, secrets=True))["value"] == "token"

    def test_references_of_secrets_are_shown_as_text_too(self) -> None:
        assert 'senderKID      726566 "ref"' in text(look((MESSAGES / "openssl-3.6" / "ir-mac.der").read_bytes()))

    def test_messages_of_one_transaction_are_held_against_each_other(self) -> None:
        answer = (MESSAGES / "openssl-3.6" / "ip.der").read_bytes()
        nonce = decode_message(answer).header.recip_nonce or b""
        foreign = answer.replace(nonce, bytes(16))
        good, bad = (inspect([Source("a", IR), Source("b", octets)])[1] for octets in (answer, foreign))
        assert good.answers is not None
        assert not good.faults
        assert "recipNonce that is not our senderNonce" in text(bad)

    def test_a_nonce_that_is_used_again_is_a_fault_the_same_octets_are_not(self) -> None:
        conf, answer = ((MESSAGES / "openssl-3.6" / f"{name}.der").read_bytes() for name in ("certConf", "ip"))
        nonces = [decode_message(octets).header.sender_nonce or b"" for octets in (IR, conf)]
        again = conf.replace(nonces[1], nonces[0])
        found = inspect([Source("a", IR), Source("b", IR), Source("c", answer), Source("d", again)])
        assert "senderNonce was used before" in text(found[3])
        assert not found[1].faults


class TestValues:
    def test_key_usage_has_the_names_of_its_bits(self) -> None:
        made = Extension(extn_id=oids.KEY_USAGE, critical=True, extn_value=bytes.fromhex("030205a0"))
        assert shown(made) == "it  keyUsage (2.5.29.15) critical: digitalSignature, keyEncipherment (a0)"

    @pytest.mark.parametrize(
        ("oid", "value", "expected"),
        [
            (oids.BASIC_CONSTRAINTS, "30060101ff020100", "cA"),
            (oids.EXTENDED_KEY_USAGE, "300a06082b06010505070302", "id-kp-clientAuth (1.3.6.1.5.5.7.3.2)"),
            (oids.CRL_REASON, "0a0104", "superseded (4)"),
            (oids.CRL_REASON, "0a0107", "7"),
            (oids.CRL_NUMBER, "020105", "5"),
            (oids.SUBJECT_ALTERNATIVE_NAME, "300582036f2e6f", "dNSName: o.o"),
            (ObjectIdentifier("1.3.6.1.5.5.7.1.1"), "3013301106082b060105050730018605613a2f2f62", "id-ad-ocsp"),
            (oids.CRL_DISTRIBUTION_POINTS, "300d300ba009a0078605613a2f2f62", "uniformResourceIdentifier: a://b"),
            (ObjectIdentifier("1.2.3.4"), "0c0568656c6c6f", "hello"),
            (oids.CRL_NUMBER, "0c0568656c6c6f", "!!"),
        ],
    )
    def test_extensions_are_read(self, oid: ObjectIdentifier, value: str, expected: str) -> None:
        assert expected in shown(Extension(extn_id=oid, extn_value=bytes.fromhex(value)))

    def test_elements_of_unknown_types_are_shown_by_their_tags(self) -> None:
        inner = "30130c0161 02020100 0603550403 a0020500 040100".replace(" ", "")
        lines = shown(InfoTypeAndValue(ObjectIdentifier("1.2.3"), to_tlv(bytes.fromhex(inner))))
        for expected in ("0 UTF8String", "256", "2.5.4.3", "NULL", "OCTET STRING"):
            assert expected in lines

    @pytest.mark.parametrize(
        ("element", "value"),
        [
            ("0101ff", True),
            ("170d3236313132333132303030305a", "2026-11-23T12:00:00Z"),
            ("130161", "a"),
            ("0209" + "7f" * 9, "0x" + "7f" * 9),
            ("0102ff00", "ff00"),
            ("800101", "01"),
        ],
    )
    def test_universal_types_are_read(self, element: str, value: object) -> None:
        assert next(leaf.value for _, leaf in leaves(describe(to_tlv(bytes.fromhex(element))))) == value

    def test_extensions_that_a_p10_asks_for_are_read(self) -> None:
        lines = text(look((MESSAGES / "openssl-3.6" / "p10cr.der").read_bytes()))
        assert "extensionRequest (1.2.840.113549.1.9.14)" in lines
        assert "subjectAltName (2.5.29.17): dNSName: device-42.example" in lines

    def test_other_attributes_and_broken_ones_are_shown_by_their_elements(self) -> None:
        other = Attribute(type=ObjectIdentifier("1.2.3"), values=SetOf([to_tlv(b"\x0c\x01a")]))
        assert "1.2.3: a" in shown(other)
        broken = Attribute(type=oids.EXTENSION_REQUEST, values=SetOf([to_tlv(b"\x0c\x01a")]))
        assert "extensionRequest (1.2.840.113549.1.9.14): a" in shown(broken)

    def test_a_revocation_list_tells_how_many_are_revoked(self) -> None:
        made = describe(decode(CertificateList, crl(300)))
        known = plain(made)
        assert known["revoked"] == 300
        assert known["issuer"] == "CN=CA"
        assert len(known["revokedCertificates"]) == 300
        lines = "\n".join(node_lines(made))
        assert "revokedCertificates" not in lines
        assert "revoked " in lines

    def test_a_broken_revocation_list_or_certificate_has_its_digest(self) -> None:
        algorithm, bits = AlgorithmIdentifier(oids.ECDSA_SHA256), BitString(b"", 0)
        element = to_tlv(b"\x30\x00")
        listed = CertificateList(tbs_cert_list=element, signature_algorithm=algorithm, signature_value=bits)
        issued = CertificateWire(tbs_certificate=element, signature_algorithm=algorithm, signature_value=bits)
        for value in (listed, issued):
            known = plain(describe(value))
            assert known["fault"]
            assert len(known["sha256"]) == 64

    def test_long_texts_are_cut_unless_everything_is_wanted(self) -> None:
        node = Node("", Form.FIELDS, parts=(describe("x" * 1000, "it"),))
        assert "… (1000 characters)" in "".join(node_lines(node))
        assert "…" not in "".join(node_lines(node, full=True))

    def test_octets_that_are_several_elements_are_shown_as_they_are(self) -> None:
        assert element_node("it", b"\x05\x00\x05\x00").value == "05000500"

    def test_a_bit_string_tells_its_unused_bits(self) -> None:
        assert shown(BitString(b"\x80", 7)) == "it  80 7 unused bits"

    def test_a_broken_key_has_no_size(self) -> None:
        key = SubjectPublicKeyInfo(
            algorithm=decode_message(IR).body.content[0].request.cert_template.public_key.algorithm,
            subject_public_key=BitString(b"\x04", 0),
        )
        assert "bits" not in plain(describe(key))

    def test_control_characters_do_not_reach_the_terminal(self) -> None:
        assert printable("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\\n"

    def test_nested_messages_are_looked_into_and_no_deeper_than_is_sensible(self) -> None:
        inner = IR
        for _ in range(60):
            outer = decode_message(IR)
            inner = type(outer)(outer.header, PKIBody(BodyType.NESTED, [to_tlv(inner)])).raw
        assert "more than 64 levels" in text(look(inner))
        assert "nested" in text(look(inner))

    def test_every_object_identifier_of_ours_has_a_name(self) -> None:
        ours = [oid for oid in vars(oids).values() if isinstance(oid, ObjectIdentifier)]
        names = [object_name(oid) for oid in ours]
        assert all(names)
        assert len(set(names)) == len(names)


class TestBroken:
    @pytest.mark.parametrize("length", [0, 1, 5, 40, 100, 262, 300, 600, 800, 1154])
    def test_a_message_that_is_cut_off_is_shown_as_far_as_it_goes(self, length: int) -> None:
        one = look(IR[:length])
        assert one.message is None
        assert one.faults == 1
        if length > 262:
            assert plain(one.node)["header"]["messageTime"] == "2026-11-23T11:38:06Z"
        if length >= 600:
            assert one.node.part("body") is not None
        assert inspection_object(one)["readable"] is False

    def test_the_place_where_reading_broke_is_shown_by_offset(self) -> None:
        lines = text(look(IR[:300]))
        assert "it claims 1151 octets, 296 are there" in lines
        assert "   259    [0], 376 octets" in lines

    def test_a_header_with_one_odd_field_shows_the_others(self) -> None:
        nonce = decode_message(IR).header.sender_nonce or b""
        at = IR.index(nonce) - 2
        broken = IR[:at] + b"\x05" + IR[at + 1 :]
        header = plain(look(broken).node)["header"]
        assert header["transactionID"] == "54b4c139e27fe5815459e9f40adc6c0c"
        assert "fault" in header["senderNonce"]
        assert header["generalInfo"][1]["infoValue"] == ["device"]

    def test_an_unknown_body_is_shown_by_its_elements(self) -> None:
        broken = IR[:259] + b"\xbe" + IR[260:]
        one = look(broken)
        assert one.findings[0].fail_info.wire_names == ("badRequest",)
        assert "[30]" in plain(one.node)["body"]
        assert plain(one.node)["extraCerts"][0]["subject"] == "CN=device-42,O=Example,C=DE"

    def test_what_follows_a_message_is_a_fault_and_the_message_is_shown(self) -> None:
        one = look(IR + b"\n")
        assert one.message is not None
        assert "1 octets follow the message" in one.findings[0].detail

    def test_ber_is_a_fault_and_the_message_is_shown(self) -> None:
        one = look(b"\x30\x80" + IR[4:] + b"\x00\x00")
        assert "this is BER: its length is indefinite" in one.findings[0].detail
        assert one.message is not None
        assert one.message.raw == IR

    @pytest.mark.parametrize("octets", [b"", b"Hello", b"\x05\x00", b"\x30\x00", b"\x30\x03\x02\x01\x02"])
    def test_octets_that_are_nothing_are_said_to_be_that(self, octets: bytes) -> None:
        one = look(octets)
        assert one.message is None
        assert "no message" in text(one)
        assert inspection_object(one)["hex"] == octets.hex()

    def test_an_outline_is_cut_unless_everything_is_wanted(self) -> None:
        many = look(b"\x30\x82\x04\x00" + b"\x05\x00" * 300)
        assert "more, see --full" in text(many)
        assert "more, see --full" not in text(many, full=True)

    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4), st.data()
    )
    def test_nothing_fails(self, path: Path, changes: list[tuple[int, int]], data: st.DataObject) -> None:
        octets = bytearray(path.read_bytes())
        for at, value in changes:
            octets[at % len(octets)] = value
        end = data.draw(st.one_of(st.just(len(octets)), st.integers(0, len(octets))))
        one = inspect([Source("x", bytes(octets[:end]))])[0]
        assert text(one)
        assert json.dumps(inspection_object(one))
