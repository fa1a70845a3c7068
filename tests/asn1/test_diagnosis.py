"""Octets that are no message are refused with badDataFormat, and the operator learns at once what they are."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.asn1 import Null, PKIBody, PKIHeader, PKIMessage, decode_message, directory_name
from cmpkit.asn1.diagnosis import diagnose
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError

NULL_DN = directory_name(x509.Name([]))
MESSAGE = PKIMessage(PKIHeader(pvno=2, sender=NULL_DN, recipient=NULL_DN), PKIBody(BodyType.PKICONF, Null())).raw
CONTENT = MESSAGE[2:]


@pytest.mark.parametrize(
    ("octets", "hint"),
    [
        (b"", "begins with the octet 30, this with nothing"),
        (b"<html>not found</html>", "begins with the octet 30, this with 3c68746d6c3e6e6f"),
        (b"-----BEGIN CMP-----", "this is PEM"),
        (b"\x30", "cut off in its first length"),
        (b"\x30\x82\x01", "cut off in its first length"),
        (MESSAGE[:-3], "cut off: 3 of 19 octets are missing"),
        (MESSAGE + b"\x00\x00", "2 octets follow the message"),
        (b"\x30\x80" + CONTENT + b"\x00\x00", "this is BER: its length is indefinite"),
        (b"\x30\x81\x11" + CONTENT, "this is BER: its length is not in the shortest form"),
        (b"\x30\x82\x00\x80" + bytes(128), "this is BER: its length is not in the shortest form"),
        (b"\x30\x81\x80" + bytes(127), "cut off: 1 of 131 octets are missing"),
    ],
)
def test_the_hint_says_what_is_wrong_with_the_frame(octets: bytes, hint: str) -> None:
    with pytest.raises(CMPError, match="not a DER encoded PKIMessage") as caught:
        decode_message(octets)
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    assert hint in caught.value.hint
    assert hint in str(caught.value)


def test_a_sound_frame_gives_no_hint() -> None:
    with pytest.raises(CMPError) as caught:
        decode_message(b"\x30\x00")
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("what", "element", "ber"),
    [
        ("an indefinite length", "300b020102a4023000a4023000", "3080020102a4023000a40230000000"),
        ("a long length", "020102", "02810102"),
        ("an integer with a leading zero", "020102", "02020002"),
        ("a constructed string", "b3020500", "b3802405040100 0000"),
    ],
)
def test_ber_inside_a_message_is_refused(what: str, element: str, ber: str) -> None:
    inner = CONTENT.replace(bytes.fromhex(element), bytes.fromhex(ber), 1)
    assert inner != CONTENT, what
    with pytest.raises(CMPError) as caught:
        decode_message(bytes((0x30, len(inner))) + inner)
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    assert caught.value.rule


@given(st.binary(max_size=12) | st.binary(max_size=12).map(lambda rest: b"\x30" + rest))
def test_any_octets_can_be_diagnosed(octets: bytes) -> None:
    assert isinstance(diagnose(octets), str)


@given(st.integers(0, len(MESSAGE) - 1))
def test_every_truncation_is_refused_with_a_hint(end: int) -> None:
    with pytest.raises(CMPError) as caught:
        decode_message(MESSAGE[:end])
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    assert caught.value.hint
