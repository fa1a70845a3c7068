"""Units octet by octet, as the two documents have them."""

from __future__ import annotations

import pytest
from cmpkit_tcp.framing import (
    PREFIX_SIZE,
    ErrorType,
    Framing,
    FramingError,
    Later,
    Prefix,
    Unit,
    UnitType,
    error_unit,
)
from hypothesis import given
from hypothesis import strategies as st

FIRST, SECOND = Framing.RFC_2510, Framing.VERSION_10
MOST = 1000


def read(octets: bytes, most: int = MOST) -> Unit:
    prefix = Prefix.read(octets[:PREFIX_SIZE], most)
    assert len(octets) == PREFIX_SIZE + prefix.rest
    return Unit.read(prefix, octets[PREFIX_SIZE:])


@pytest.mark.parametrize(
    ("unit", "octets"),
    [
        (Unit(FIRST, UnitType.MESSAGE, b"\x30\x00"), "00000003 00 3000"),
        (Unit(FIRST, UnitType.POLL_REP, bytes.fromhex("0a0b0c0d 65000000")), "00000009 01 0a0b0c0d 65000000"),
        (Unit(FIRST, UnitType.POLL_REQ, bytes.fromhex("0a0b0c0d")), "00000005 02 0a0b0c0d"),
        (Unit(FIRST, UnitType.NOTHING, b"\0"), "00000002 03 00"),
        (Unit(FIRST, UnitType.PARTIAL, bytes.fromhex("0a0b0c0d 65000000 3000")), "0000000b 04 0a0b0c0d 65000000 3000"),
        (Unit(FIRST, UnitType.REPLY, b"\x30\x00"), "00000003 05 3000"),
        (error_unit(FIRST, ErrorType.GENERAL_CLIENT_ERROR, "no"), "00000003 06 6e6f"),
        (Unit(SECOND, UnitType.MESSAGE, b"\x30\x00"), "00000005 0a 00 00 3000"),
        (Unit(SECOND, UnitType.MESSAGE, b"\x30\x00", close=True), "00000005 0a 01 00 3000"),
        (Unit(SECOND, UnitType.POLL_REP, bytes.fromhex("0a0b0c0d 0000000a")), "0000000b 0a 00 01 0a0b0c0d 0000000a"),
        (Unit(SECOND, UnitType.POLL_REQ, bytes.fromhex("0a0b0c0d")), "00000007 0a 00 02 0a0b0c0d"),
        (Unit(SECOND, UnitType.NOTHING, b"\0", close=True), "00000004 0a 01 03 00"),
        (Unit(SECOND, UnitType.REPLY, b"\x30\x00"), "00000005 0a 00 05 3000"),
        (error_unit(SECOND, ErrorType.INVALID_POLL_ID, "no"), "00000009 0a 00 06 0104 0002 6e6f"),
    ],
    ids=lambda value: value.replace(" ", "")[:24] if isinstance(value, str) else "",
)
def test_units_have_the_octets_of_the_documents(unit: Unit, octets: str) -> None:
    assert unit.to_octets() == bytes.fromhex(octets)
    assert read(bytes.fromhex(octets)) == unit


UNITS = st.one_of(
    st.builds(Unit, st.just(FIRST), st.sampled_from(UnitType), st.binary(max_size=MOST)),
    st.builds(
        Unit,
        st.just(SECOND),
        st.sampled_from(sorted(set(UnitType) - {UnitType.PARTIAL})),
        st.binary(max_size=MOST),
        st.booleans(),
    ),
)


@given(UNITS)
def test_what_is_written_is_read_again(unit: Unit) -> None:
    assert read(unit.to_octets()) == unit


@given(st.binary(min_size=PREFIX_SIZE, max_size=PREFIX_SIZE), st.data())
def test_whatever_comes_is_a_unit_or_an_error_before_anything_is_allocated(octets: bytes, data: st.DataObject) -> None:
    try:
        prefix = Prefix.read(octets, MOST)
        Unit.read(prefix, data.draw(st.binary(min_size=prefix.rest, max_size=prefix.rest)))
    except FramingError:
        return
    assert prefix.rest <= MOST + 2


@pytest.mark.parametrize(
    ("octets", "framing", "error_type", "in_step"),
    [
        ("00000000 00", FIRST, ErrorType.GENERAL_CLIENT_ERROR, False),
        ("000003ea 00", FIRST, ErrorType.GENERAL_CLIENT_ERROR, False),
        ("ffffffff 05", FIRST, ErrorType.GENERAL_CLIENT_ERROR, False),
        ("00000002 0a", SECOND, ErrorType.GENERAL_CLIENT_ERROR, False),
        ("000003ec 0a", SECOND, ErrorType.GENERAL_CLIENT_ERROR, False),
        ("00000003 0b", SECOND, ErrorType.VERSION_NOT_SUPPORTED, False),
        ("00000001 09", FIRST, ErrorType.INVALID_MESSAGE_TYPE, True),
        ("00000003 0a 00 04", SECOND, ErrorType.INVALID_MESSAGE_TYPE, True),
        ("00000003 0a 00 07", SECOND, ErrorType.INVALID_MESSAGE_TYPE, True),
    ],
)
def test_what_is_no_unit_is_told_in_its_framing(
    octets: str, framing: Framing, error_type: ErrorType, in_step: bool
) -> None:
    with pytest.raises(FramingError) as caught:
        read(bytes.fromhex(octets))
    assert (caught.value.framing, caught.value.error_type, caught.value.in_step) == (framing, error_type, in_step)


def test_times_are_from_now_or_since_1970() -> None:
    assert Later.read(bytes.fromhex("0a0b0c0d 0000000a"), 1.7e9)[0].at == 1_700_000_010
    assert Later.read(bytes.fromhex("0a0b0c0d 65000000 3000"), 1.7e9) == (
        Later(bytes.fromhex("0a0b0c0d"), 0x65000000),
        b"\x30\x00",
    )
    with pytest.raises(ValueError, match="8 octets"):
        Later.read(bytes(7), 0)


def test_texts_of_errors_cannot_harm_a_terminal() -> None:
    assert error_unit(FIRST, ErrorType.GENERAL_SERVER_ERROR, "a\x1b[2Jb\n").text == "a�[2Jb�"
