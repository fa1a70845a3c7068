"""The skeleton of octets: where elements begin and end, and where that cannot be followed any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.asn1 import TLV, decode
from cmpkit.errors import CMPError
from cmpkit.inspection.tlv import MAX_DEPTH, MAX_ELEMENTS, scan

IR = (Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.0" / "ir.der").read_bytes()


def walked(octets: bytes) -> list[tuple[int, int, str, int | None, str]]:
    return [(depth, one.offset, one.tag, one.length, one.fault) for top in scan(octets) for depth, one in top.walk()]


def test_elements_have_offsets_from_the_start() -> None:
    assert walked(bytes.fromhex("3007 a002 0500 020107")) == [
        (0, 0, "SEQUENCE", 7, ""),
        (1, 2, "[0]", 2, ""),
        (2, 4, "NULL", 0, ""),
        (1, 6, "INTEGER", 1, ""),
    ]


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        ("1f", "it is cut off in its tag"),
        ("1f8180", "it is cut off in its tag"),
        ("30", "it is cut off before its length"),
        ("3082 01", "it is cut off in its length"),
        ("0405 0102", "it claims 5 octets, 2 are there"),
        ("048101 00", "its length is not in the shortest form, as DER demands"),
        ("0482 0080" + "00" * 128, "its length is not in the shortest form, as DER demands"),
        ("3080 0500 0000", "its length is indefinite, which DER does not allow"),
        ("0480 0102", "an indefinite length without constructed form"),
    ],
)
def test_faults_are_named(octets: str, fault: str) -> None:
    assert scan(bytes.fromhex(octets))[0].fault == fault


def test_an_indefinite_element_ends_where_it_says() -> None:
    first, second = scan(bytes.fromhex("3080 0500 0000 0101ff"))
    assert [child.tag for child in first.children] == ["NULL"]
    assert (second.tag, second.offset) == ("BOOLEAN", 6)


@pytest.mark.parametrize(
    ("octets", "tag"),
    [("9f8101 00", "[129]"), ("4100", "[APPLICATION 1]"), ("c100", "[PRIVATE 1]"), ("0f00", "UNIVERSAL 15")],
)
def test_tags_are_named_as_asn1_has_them(octets: str, tag: str) -> None:
    assert scan(bytes.fromhex(octets))[0].tag == tag


def test_depth_and_number_are_bounded() -> None:
    deep = b""
    for _ in range(200):
        deep = b"\x30\x80" + deep
    assert max(depth for depth, *_ in walked(deep)) <= MAX_DEPTH
    many = list(scan(b"\x05\x00" * (MAX_ELEMENTS + 10)))
    assert len(many) == MAX_ELEMENTS + 1
    assert "the rest is cut" in many[-1].fault


@given(st.binary(max_size=300))
def test_any_octets_can_be_scanned(octets: bytes) -> None:
    for element in scan(octets):
        for _, one in element.walk():
            assert 0 <= one.offset < one.end + 1 <= len(octets) + 1
            assert one.start <= max(one.end, one.start)


@given(st.integers(0, len(IR) - 1))
def test_a_message_that_is_cut_off_has_a_fault_and_a_whole_one_has_none(length: int) -> None:
    assert not [fault for *_, fault in walked(IR) if fault]
    if length:
        assert [fault for *_, fault in walked(IR[:length]) if fault]


@given(st.binary(min_size=1, max_size=40))
def test_what_is_der_to_the_codec_has_no_fault(octets: bytes) -> None:
    try:
        decode(TLV, octets)
    except CMPError:
        return
    assert not scan(octets)[0].fault
