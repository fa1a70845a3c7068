"""BER is read as the DER that it means, where somebody asks for it, and is nothing but CMPError otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
import strategies
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from writing_ber import indefinite, long_lengths, read_elements, replace_once

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    BitString,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    Extension,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIHeader,
    PKIMessage,
    RDNSequence,
    Variant,
    decode_message,
    directory_name,
    encode,
    to_tlv,
)
from cmpkit.asn1.ber import MAX_BER_SIZE, decode_ber_message
from cmpkit.asn1.codec import der_wrap
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError

MESSAGES = sorted((Path(__file__).parent / "messages").glob("*/*.der"))
NULL_DN = directory_name(x509.Name([]))
HEADER = PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN, transaction_id=b"transaction-id..", free_text=["text"])
EXTENSION = Extension(extn_id=oids.KEY_USAGE, critical=True, extn_value=b"usage")
TEMPLATE = CertTemplate(subject=RDNSequence.of(x509.Name([])), extensions=[EXTENSION])
REQUEST = CertReqMsg.build(
    CertRequest(cert_req_id=5, cert_template=TEMPLATE),
    Variant(Null(), "ra_verified"),
    reg_info=[AttributeTypeAndValue(type=oids.UTF8_PAIRS, value=to_tlv("a?b%"))],
)
MESSAGE = PKIMessage(HEADER, PKIBody(BodyType.IR, [REQUEST]), b"protection", (b"\x30\x00",))


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_real_messages_in_ber_are_read_as_their_der(path: Path) -> None:
    der = path.read_bytes()
    for ber in (indefinite(der), long_lengths(der)):
        with pytest.raises(CMPError):
            decode_message(ber)
        message = decode_ber_message(ber)
        assert message.raw == der
        assert message == decode_message(der)


@given(strategies.plain_messages)
@settings(max_examples=40, deadline=None)
def test_any_message_in_ber_is_read_as_its_der(message: PKIMessage) -> None:
    """But for -128 and its like, which pyasn1 writes with an octet too many, and the strategies leave out."""
    assert decode_ber_message(indefinite(message.raw)).raw == message.raw


@pytest.mark.parametrize(
    ("what", "element", "ber"),
    [
        ("a string in pieces", b"\x04\x10transaction-id..", b"\x24\x80\x04\x04tran\x24\x0e\x04\x0csaction-id..\0\0"),
        ("a text in pieces", b"\x0c\x04text", b"\x2c\x08\x0c\x02te\x0c\x02xt"),
        ("another TRUE", b"\x01\x01\xff", b"\x01\x01\x01"),
        ("an integer with a zero before", b"\x02\x01\x05", b"\x02\x02\x00\x05"),
        ("bits in pieces", b"\x03\x0b\x00protection", b"\x23\x80\x03\x05\x00prot\x03\x07\x00ection\0\0"),
    ],
)
def test_forms_that_der_does_not_have_are_rewritten(what: str, element: bytes, ber: bytes) -> None:
    assert decode_ber_message(replace_once(MESSAGE.raw, element, ber)) == MESSAGE, what


def test_a_default_that_is_written_out_is_left_out() -> None:
    plain = CertReqMsg.build(
        CertRequest(
            cert_req_id=5,
            cert_template=CertTemplate(extensions=[Extension(extn_id=oids.KEY_USAGE, extn_value=b"usage")]),
        )
    )
    message = PKIMessage(HEADER, PKIBody(BodyType.IR, [plain]))
    oid = encode(oids.KEY_USAGE)
    assert decode_ber_message(replace_once(message.raw, oid, oid + b"\x01\x01\x00")) == message


def test_what_is_there_and_empty_stays_and_what_is_absent_stays_absent() -> None:
    message = decode_ber_message(indefinite(MESSAGE.raw))
    template = message.body.content[0].request.cert_template
    assert template.subject == RDNSequence.of(x509.Name([]))
    assert template.issuer is template.validity is None


@pytest.mark.rule("R-003")
def test_der_is_read_as_ever() -> None:
    message = decode_ber_message(MESSAGE.raw)
    assert message.raw is MESSAGE.raw
    assert message.protected_forms == (MESSAGE.protected_part,)


@pytest.mark.rule("R-003")
def test_protection_may_be_over_what_came_or_over_its_der() -> None:
    ber = indefinite(MESSAGE.raw)
    message = decode_ber_message(ber)
    received, der_form = message.protected_forms
    assert der_form == MESSAGE.protected_part
    protected = indefinite(encode(HEADER)) + indefinite(MESSAGE.body.to_der())
    assert received == der_wrap(0x30, protected)
    assert protected in ber
    assert message.with_protection(b"other").protected_forms == (der_form,)


def test_the_octets_of_certificates_are_not_rewritten() -> None:
    certificate = bytes.fromhex("3005 0103010101")
    message = PKIMessage(HEADER, PKIBody(BodyType.PKICONF, Null()), None, (certificate,))
    assert decode_ber_message(long_lengths(message.raw)).extra_certs == (certificate,)


def big(size: int) -> bytes:
    """A message in BER of some size."""
    info = InfoTypeAndValue(oids.CERT_PROFILE, encode(bytes(size)))
    return indefinite(PKIMessage(HEADER, PKIBody(BodyType.GENM, [info])).raw)


@pytest.mark.rule("R-001")
def test_size_is_bounded() -> None:
    fits = big(MAX_BER_SIZE - len(big(1000)) + 1000)
    assert len(fits) == MAX_BER_SIZE
    assert decode_ber_message(fits).body.type is BodyType.GENM
    with pytest.raises(CMPError):
        decode_ber_message(big(MAX_BER_SIZE))
    with pytest.raises(CMPError):
        decode_ber_message(indefinite(MESSAGE.raw), max_size=50)


@pytest.mark.rule("R-001")
def test_depth_is_bounded() -> None:
    nested = b"\x30\x80" * 2000 + b"\0\0" * 2000
    with pytest.raises(CMPError):
        decode_ber_message(nested)
    deep = encode(b"")
    for _ in range(70):
        deep = der_wrap(0x30, deep)
    info = InfoTypeAndValue(oids.CERT_PROFILE, deep)
    message = PKIMessage(HEADER, PKIBody(BodyType.GENM, [info]))
    assert decode_ber_message(message.raw) == message
    with pytest.raises(CMPError):
        decode_ber_message(indefinite(message.raw))


@pytest.mark.parametrize(
    "octets", ["", "30", "3080", "30800000", "3080020102", "04800000", "30800480000000", "1f80", "3083", "ff", "303f81"]
)
@pytest.mark.rule("R-003")
def test_what_is_no_ber_either_is_refused_as_no_der(octets: str) -> None:
    with pytest.raises(CMPError) as caught:
        decode_ber_message(bytes.fromhex(octets))
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    assert caught.value.rule == "RFC 9483 section 3.5"


def test_tags_of_more_than_one_octet_are_read() -> None:
    high = b"\xbf\x87\x68\x02\x05\x00"
    message = PKIMessage(HEADER, PKIBody(BodyType.GENM, [InfoTypeAndValue(oids.CERT_PROFILE, high)]))
    (_, content) = read_elements(message.raw)[0]
    assert decode_ber_message(b"\x30\x80" + content + b"\0\0").raw == message.raw


def test_an_unknown_body_in_ber_is_refused() -> None:
    octets = indefinite(der_wrap(0x30, encode(HEADER) + b"\xbb\x02\x05\x00"))
    with pytest.raises(CMPError):
        decode_ber_message(octets)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_ber_is_read_or_refused(data: st.DataObject) -> None:
    octets = bytearray(indefinite(MESSAGE.raw))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode_ber_message(bytes(octets))
    except CMPError:
        return
    assert decode_message(message.raw) == message


@given(st.integers(1, len(MESSAGE.raw)))
def test_truncated_ber_is_refused(missing: int) -> None:
    octets = indefinite(MESSAGE.raw)
    with pytest.raises(CMPError):
        decode_ber_message(octets[:-missing])


def test_unused_bits_are_refused_as_in_der() -> None:
    octets = encode(HEADER) + b"\xb3\x02\x05\x00" + der_wrap(0xA0, encode(BitString(b"\xf0", 4)))
    with pytest.raises(CMPError) as caught:
        decode_ber_message(indefinite(der_wrap(0x30, octets)))
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
