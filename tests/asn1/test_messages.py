"""Whole messages: octets to values and back, and what else the octets of strangers may do, which is nothing."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib

import pytest
import strategies
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from rebuilding import rebuild

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    BitString,
    CertRepMessage,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    ErrorMsgContent,
    GeneralizedTime,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PKIStatusInfo,
    decode,
    decode_message,
    directory_name,
    encode,
    encode_message,
    to_tlv,
)
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError

EXAMPLES = settings(max_examples=40)
NULL_DN = directory_name(x509.Name([]))
HEADER = PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN, transaction_id=b"t" * 16)
CERTIFICATE = bytes.fromhex("3003020101")


def minimal(body: PKIBody, protection: bytes | None = None) -> PKIMessage:
    """A message with the least header."""
    return PKIMessage(HEADER, body, protection, (CERTIFICATE,))


@given(strategies.messages)
@EXAMPLES
def test_what_is_encoded_decodes_to_an_equal_message(message: PKIMessage) -> None:
    decoded = decode_message(encode_message(message))
    assert decoded == message
    assert hash(decoded) == hash(message)
    assert decoded.body == message.body
    assert hash(decoded.body) == hash(message.body)
    assert decoded.header == message.header
    assert decoded.extra_certs == message.extra_certs
    assert decoded.protection == message.protection
    assert decoded.protected_part == message.protected_part
    assert decoded.digest == message.digest == hashlib.sha256(message.raw).digest()


@given(strategies.messages)
@EXAMPLES
def test_what_decodes_is_encoded_from_its_values_to_the_same_octets(message: PKIMessage) -> None:
    der = encode_message(message)
    assert rebuild(decode_message(der)).raw == der


@given(strategies.messages)
@EXAMPLES
@pytest.mark.rule("R-034")
def test_received_octets_are_kept(message: PKIMessage) -> None:
    der = encode_message(message)
    decoded = decode_message(der)
    assert decoded.raw is der
    assert encode_message(decoded) is der
    _, protected = _split(decoded.protected_part)
    assert der[: len(der) - der[::-1].index(protected[::-1])].endswith(protected)
    assert protected == encode(decoded.header) + decoded.body.to_der()


def _split(der: bytes) -> tuple[bytes, bytes]:
    tlv = decode(TLV, der)
    return tlv.tag_bytes, bytes(tlv.data)


@given(strategies.messages, st.binary(max_size=16), st.lists(st.just(CERTIFICATE), max_size=2))
@EXAMPLES
def test_with_protection_keeps_header_and_body(message: PKIMessage, protection: bytes, certs: list[bytes]) -> None:
    protected = decode_message(encode_message(message)).with_protection(protection, certs)
    assert protected == PKIMessage(message.header, message.body, protection, tuple(certs))
    assert protected.protected_part == message.protected_part


def test_a_replaced_field_is_encoded() -> None:
    message = decode_message(encode_message(minimal(PKIBody(BodyType.PKICONF, Null()))))
    changed = dataclasses.replace(message, header=dataclasses.replace(message.header, transaction_id=b"other"))
    assert decode_message(changed.raw).header.transaction_id == b"other"


@given(strategies.messages, st.data())
@EXAMPLES
@pytest.mark.rule("R-002")
def test_damaged_messages_decode_or_raise_cmp_error(message: PKIMessage, data: st.DataObject) -> None:
    der = bytearray(encode_message(message))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(der) - 1))
        match data.draw(st.sampled_from(["change", "insert", "remove"])):
            case "change":
                der[position] = data.draw(st.integers(0, 255))
            case "insert":
                der.insert(position, data.draw(st.integers(0, 255)))
            case _:
                del der[position]
    decode_and_use(bytes(der))


@given(st.binary(max_size=200))
def test_arbitrary_octets_decode_or_raise_cmp_error(octets: bytes) -> None:
    decode_and_use(octets)


@given(st.binary(max_size=60), st.sampled_from(BodyType))
def test_arbitrary_bodies_decode_or_raise_cmp_error(octets: bytes, kind: BodyType) -> None:
    for content in (octets, encode(octets)):
        header = encode(HEADER)
        body = bytes([0xA0 + kind]) + encode(content)[1:]
        decode_and_use(b"\x30" + encode(header + body)[1:])


def decode_and_use(der: bytes) -> None:
    """Decode, and look at everything; what decodes must encode to the same octets."""
    try:
        message = decode_message(der)
    except CMPError:
        return
    assert rebuild(message).raw == der
    assert repr(message)
    assert hash(message) == hash(message.raw)
    assert message == rebuild(message)


@given(strategies.bodies)
@EXAMPLES
def test_the_tag_of_a_body_is_its_number(body: PKIBody) -> None:
    der = body.to_der()
    assert der[0] == 0xA0 + body.type
    assert PKIBody.from_der(der) == body


def test_pkiconf_is_a_null() -> None:
    assert PKIBody(BodyType.PKICONF, Null()).to_der() == bytes.fromhex("b3020500")


def test_error_and_cert_conf_have_their_tags() -> None:
    status = PKIStatusInfo.of(PKIStatus.REJECTION)
    error = PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status))
    assert error.to_der() == bytes.fromhex("b707 3005 3003 020102")
    assert PKIBody(BodyType.CERT_CONF, []).to_der() == bytes.fromhex("b8023000")


def test_the_null_dn_is_an_empty_directory_name() -> None:
    header = PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN)
    assert encode(header) == bytes.fromhex("300b 020102 a4023000 a4023000")


def test_message_time_has_no_fraction_and_no_offset() -> None:
    time = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    header = PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN, message_time=GeneralizedTime(time))
    assert encode(header).endswith(b"\xa0\x11\x18\x0f20260102030405Z")
    assert header.time == time
    assert HEADER.time is None


def test_protection_and_extra_certs_have_explicit_tags() -> None:
    bare, whole = minimal(PKIBody(BodyType.PKICONF, Null())), minimal(PKIBody(BodyType.PKICONF, Null()), b"mac")
    assert whole.raw.endswith(bytes.fromhex("a006 030400 6d6163 a107 3005 3003020101"))
    assert bare.raw.endswith(bytes.fromhex("b3020500 a107 3005 3003020101"))
    assert PKIMessage(HEADER, whole.body).raw.endswith(bytes.fromhex("b3020500"))


@given(strategies.nested_bodies)
@EXAMPLES
def test_nested_messages_are_read_when_they_are_asked_for(body: PKIBody) -> None:
    message = decode_message(minimal(body).raw)
    assert [encode(element) for element in message.body.content] == [inner.raw for inner in message.nested]
    assert PKIBody(BodyType.NESTED, [to_tlv(inner.raw) for inner in message.nested]) == body


def test_a_nested_message_that_cannot_be_read_is_refused_when_it_is_asked_for() -> None:
    message = decode_message(minimal(PKIBody(BodyType.NESTED, [to_tlv(b"\x30\x00")])).raw)
    with pytest.raises(CMPError) as caught:
        _ = message.nested
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    assert minimal(PKIBody(BodyType.PKICONF, Null())).nested == ()


@pytest.mark.parametrize("kind", BodyType)
def test_every_body_has_a_content_of_its_own(kind: BodyType) -> None:
    with pytest.raises(CMPError) as caught:
        PKIBody.from_der(bytes((0xA0 + kind, 2, 0x17, 0)))
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        (PKIFailureInfo.BAD_ALG, "03020780"),
        (PKIFailureInfo.BAD_REQUEST, "03020520"),
        (PKIFailureInfo.BAD_POP, "0303060040"),
        (PKIFailureInfo.DUPLICATE_CERT_REQ, "03050500000020"),
        (PKIFailureInfo.BAD_ALG | PKIFailureInfo.BAD_POP, "0303068040"),
    ],
)
def test_failure_bits_are_named_bits_without_trailing_zeros(failures: PKIFailureInfo, expected: str) -> None:
    info = PKIStatusInfo.of(PKIStatus.REJECTION, failures=failures)
    assert encode(info) == b"\x30" + encode(b"\x02\x01\x02" + bytes.fromhex(expected))[1:]
    assert info.failures == failures


@given(strategies.failures)
def test_failure_bits_come_back(failures: PKIFailureInfo) -> None:
    info = PKIStatusInfo.of(PKIStatus.REJECTION, failures=failures)
    assert decode(PKIStatusInfo, encode(info)).failures == failures
    assert (info.fail_info is None) == (failures == PKIFailureInfo(0))


@pytest.mark.parametrize("octets", [b"\x80\x00\x00\x00", b"\x80\x00\x00\x1f\xff\xff", b"\x80" + bytes(100_000)])
def test_padding_and_unknown_failure_bits_are_accepted(octets: bytes) -> None:
    info = PKIStatusInfo(status=PKIStatus.REJECTION, fail_info=BitString(octets, 0))
    assert decode(PKIStatusInfo, encode(info)).failures == PKIFailureInfo.BAD_ALG


def test_an_empty_bit_string_names_no_failure() -> None:
    assert PKIStatusInfo(status=PKIStatus.REJECTION, fail_info=BitString(b"", 0)).failures == PKIFailureInfo(0)


def test_texts_of_a_status() -> None:
    assert PKIStatusInfo.of(PKIStatus.WAITING, ["a", "b"]).texts == ("a", "b")
    assert PKIStatusInfo.of(PKIStatus.WAITING).texts == ()
    assert PKIStatusInfo.of(PKIStatus.WAITING).status_string is None


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(CMPError) as caught:
        decode(PKIStatusInfo, bytes.fromhex("3003020107"))
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


def test_the_first_info_of_a_type_is_found() -> None:
    first, second = InfoTypeAndValue(oids.CERT_PROFILE, b"\x05\x00"), InfoTypeAndValue(oids.CERT_PROFILE)
    header = dataclasses.replace(HEADER, general_info=[first, second])
    assert header.info(oids.CERT_PROFILE) == first
    assert header.info(oids.IMPLICIT_CONFIRM) is None
    assert HEADER.info(oids.CERT_PROFILE) is None


@pytest.mark.parametrize("octets", ["", "00", "9f", "bb0405000500", "bf1f0405000500", "7f", "30020500"])
@pytest.mark.rule("R-004")
def test_a_body_with_an_unknown_tag_is_refused(octets: str) -> None:
    with pytest.raises(CMPError, match="unknown tag") as caught:
        PKIBody.from_der(bytes.fromhex(octets))
    assert caught.value.fail_info == PKIFailureInfo.BAD_REQUEST


@pytest.mark.parametrize("octets", ["a0", "b3", "b300", "b302", "b3020101", "b30205000500", "b8800000", "a0023000"])
def test_a_body_with_unfit_content_is_refused(octets: str) -> None:
    with pytest.raises(CMPError) as caught:
        PKIBody.from_der(bytes.fromhex(octets))
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


def test_a_message_with_a_high_tag_as_body_is_refused() -> None:
    octets = encode(HEADER) + bytes.fromhex("bf8f8f010405000500")
    with pytest.raises(CMPError):
        decode_message(b"\x30" + encode(octets)[1:])


def test_a_sender_of_unknown_kind_is_refused() -> None:
    header = encode(HEADER).replace(bytes.fromhex("a4023000"), bytes.fromhex("a3023000"))
    with pytest.raises(CMPError, match="no GeneralName has the tag a3") as caught:
        decode_message(b"\x30" + encode(header + bytes.fromhex("b3020500"))[1:])
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    with pytest.raises(CMPError, match="no GeneralName has the tag a3"):
        decode(PKIHeader, header)


@pytest.mark.rule("R-034")
def test_a_protection_with_unused_bits_is_refused() -> None:
    octets = encode(HEADER) + bytes.fromhex("b3020500 a004 03020700")
    with pytest.raises(CMPError, match="unused bits") as caught:
        decode_message(b"\x30" + encode(octets)[1:])
    assert caught.value.fail_info == PKIFailureInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize("tail", ["00", "0500", "a0", "a2020500", "a1023000"])
@pytest.mark.rule("R-002")
def test_octets_after_a_message_are_refused(tail: str) -> None:
    der = encode_message(PKIMessage(HEADER, PKIBody(BodyType.PKICONF, Null())))
    with pytest.raises(CMPError):
        decode_message(der + bytes.fromhex(tail))
    with pytest.raises(CMPError):
        decode_message(b"\x30" + encode(_split(der)[1] + bytes.fromhex(tail))[1:])


@pytest.mark.rule("R-001")
def test_a_message_over_the_size_limit_is_not_looked_at() -> None:
    der = encode_message(minimal(PKIBody(BodyType.PKICONF, Null())))
    assert decode_message(der, max_size=len(der)).raw == der
    with pytest.raises(CMPError, match="at most") as caught:
        decode_message(der, max_size=len(der) - 1)
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize("length", ["847fffffff", "88ffffffffffffffff", "85ffffffffff", "80", "ff"])
def test_a_length_that_promises_too_much_is_refused(length: str) -> None:
    for der in (bytes.fromhex("30" + length), b"\x30" + encode(bytes.fromhex("30" + length))[1:]):
        with pytest.raises(CMPError):
            decode_message(der)


@pytest.mark.rule("R-001")
def test_deep_nesting_is_no_recursion() -> None:
    der = b"\x30\x00"
    for _ in range(3000):
        der = b"\x30" + encode(der)[1:]
    message = PKIMessage(HEADER, PKIBody(BodyType.NESTED, [to_tlv(der)]))
    assert decode_message(message.raw) == message
    with pytest.raises(CMPError):
        decode_message(der)


@pytest.mark.parametrize("octets", [bytearray(b"0"), memoryview(b"0"), "0", None])
def test_only_octets_are_decoded(octets: object) -> None:
    with pytest.raises(CMPError):
        decode(PKIHeader, octets)  # type: ignore[arg-type]


def test_errors_name_the_class() -> None:
    with pytest.raises(CMPError, match="not a DER encoded PKIMessage"):
        decode_message(b"0")
    with pytest.raises(CMPError, match="not a DER encoded CertRepMessage"):
        PKIBody.from_der(b"\xa1\x00")


@pytest.mark.parametrize("size", [1, 127, 128, 255, 256, 65535, 65536])
def test_lengths_of_every_form_are_written_and_found_again(size: int) -> None:
    message = minimal(PKIBody(BodyType.GENM, [InfoTypeAndValue(oids.CERT_PROFILE, encode(bytes(size)))]), bytes(size))
    again = decode_message(encode_message(message))
    assert again == message
    assert again.protected_part == message.protected_part


def test_a_request_that_cannot_be_read_is_refused_when_it_is_asked_for() -> None:
    message = PKIMessage(HEADER, PKIBody(BodyType.IR, [CertReqMsg(cert_req=to_tlv(b"\x30\x00"))]))
    decoded = decode_message(encode_message(message))
    with pytest.raises(CMPError) as caught:
        _ = decoded.body.content[0].request
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


def test_a_pkcs10_request_that_cannot_be_read_is_refused_when_it_is_asked_for() -> None:
    content = bytes.fromhex("3000 3003 06012a 030400616263")
    body = PKIBody.from_der(b"\xa4" + encode(b"\x30" + encode(content)[1:])[1:])
    with pytest.raises(CMPError):
        _ = body.content.info


def test_the_request_of_a_message_is_read_once() -> None:
    request = CertRequest(cert_req_id=7, cert_template=CertTemplate())
    message = CertReqMsg.build(request)
    assert message.request.cert_req_id == 7
    assert message.request_der == encode(request)
    assert message.request is message.request


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        [1],
        b"",
        "text",
        [CertReqMsg(cert_req=to_tlv(b"\x05\x00")), None],
        CertRepMessage(response=[]),
    ],
)
def test_content_that_does_not_fit_the_body_cannot_be_encoded(content: object) -> None:
    with pytest.raises(CMPError, match="cannot encode") as caught:
        encode_message(PKIMessage(HEADER, PKIBody(BodyType.IR, content)))
    assert caught.value.fail_info == PKIFailureInfo.SYSTEM_FAILURE


@pytest.mark.parametrize("certificate", [b"", b"\x30", b"\x30\x00\x00", b"\x30\x80\x00\x00"])
def test_an_extra_certificate_that_is_not_one_element_cannot_be_encoded(certificate: bytes) -> None:
    with pytest.raises(CMPError):
        encode_message(PKIMessage(HEADER, PKIBody(BodyType.PKICONF, Null()), None, (certificate,)))


def test_messages_are_equal_if_their_octets_are() -> None:
    message = minimal(PKIBody(BodyType.PKICONF, Null()))
    assert message == decode_message(message.raw)
    assert message != minimal(PKIBody(BodyType.PKICONF, Null()), b"mac")
    assert message != message.raw
    assert message.body != minimal(PKIBody(BodyType.GENM, [])).body
    assert message.body != message.body.to_der()
    assert PKIBody(BodyType.GENM, []) != PKIBody(BodyType.GENP, [])


def test_messages_and_bodies_cannot_be_changed() -> None:
    message = minimal(PKIBody(BodyType.GENM, [InfoTypeAndValue(oids.CERT_PROFILE)]))
    with pytest.raises(AttributeError):
        message.protection = b""  # type: ignore[misc]
    with pytest.raises(AttributeError):
        message.body.type = BodyType.GENP  # type: ignore[misc]
    with pytest.raises(TypeError, match="immutable"):
        message.body.content.append(InfoTypeAndValue(oids.CERT_PROFILE))


def test_the_list_that_a_body_was_made_from_is_not_part_of_it() -> None:
    infos = [InfoTypeAndValue(oids.CERT_PROFILE)]
    body = PKIBody(BodyType.GENM, infos)
    infos.clear()
    assert len(body.content) == 1


def test_a_message_shows_what_people_look_for() -> None:
    shown = repr(minimal(PKIBody(BodyType.CERT_CONF, []), b"mac"))
    assert shown == (
        "PKIMessage(certConf, header=PKIHeader(pvno=2, sender=directory_name:'', recipient=directory_name:'', "
        "transaction_id=<74747474747474747474747474747474>), body=[], protection=3 octets, extra_certs=1)"
    )
    assert "protection=none" in repr(minimal(PKIBody(BodyType.CERT_CONF, [])))
    assert repr(PKIBody(BodyType.PKICONF, Null())) == "PKIBody(pkiconf, Null())"
