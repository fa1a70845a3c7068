"""From files to messages, whatever they are written as."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest
from captures import chunked, conversation, framed, pcap, post
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.inspection.sources import read_source

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.0"
IR, IP = ((MESSAGES / f"{name}.der").read_bytes() for name in ("ir", "ip"))
PEM = base64.encodebytes(IR).join((b"-----BEGIN CMP MESSAGE-----\n", b"-----END CMP MESSAGE-----\n"))


def octets_of(octets: bytes) -> list[bytes]:
    return [source.octets for source in read_source("file", octets)]


@pytest.mark.parametrize(
    "octets",
    [
        IR,
        PEM,
        b"some text\n" + PEM.replace(b"\n", b"\r\n"),
        b"-----BEGIN CMP-----\nProc-Type: 4\n\n" + base64.encodebytes(IR) + b"-----END CMP-----",
        PEM.partition(b"-----END")[0],
        base64.b64encode(IR),
        base64.encodebytes(IR),
        base64.urlsafe_b64encode(IR).rstrip(b"="),
        framed(IR, 0),
        framed(IR, 0, second=True),
        pcap(conversation((True, post(IR)))),
    ],
    ids=[
        "DER",
        "PEM",
        "PEM-CRLF",
        "PEM-headers",
        "PEM-open",
        "base64",
        "base64-lines",
        "base64url",
        "TCP",
        "TCP-10",
        "pcap",
    ],
)
def test_one_message_is_found_in(octets: bytes) -> None:
    assert octets_of(octets) == [IR]


@pytest.mark.parametrize(
    "octets",
    [
        IR + IP,
        PEM + PEM.replace(base64.encodebytes(IR), base64.encodebytes(IP)),
        base64.encodebytes(IR) + b"\n" + base64.encodebytes(IP),
        base64.b64encode(IR + IP),
        framed(IR, 0) + framed(bytes(4), 2) + framed(IP, 5),
        pcap(conversation((True, post(IR)), (False, chunked(IP)))),
    ],
    ids=["DER", "PEM", "base64", "base64-of-both", "TCP", "pcap"],
)
def test_several_messages_have_numbers(octets: bytes) -> None:
    found = read_source("file", octets)
    assert [source.octets for source in found] == [IR, IP]
    assert all(source.label.startswith("file#") for source in found)
    assert len({source.label for source in found}) == 2


def test_octets_that_are_nothing_are_one_source() -> None:
    assert octets_of(b"Hello, world!") == [b"Hello, world!"]
    assert octets_of(b"") == [b""]
    assert octets_of(b"-----BEGIN CMP-----\n!\n-----END CMP-----") == [b"-----BEGIN CMP-----\n!\n-----END CMP-----"]


@pytest.mark.parametrize("tail", [b"\n", b"\x00\x00", b"garbage"])
def test_what_follows_a_message_stays_with_it(tail: bytes) -> None:
    assert octets_of(IP + IR + tail) == [IP, IR + tail]


def test_a_message_that_is_cut_off_is_one_source() -> None:
    assert octets_of(IP + IR[:-1]) == [IP, IR[:-1]]


def test_a_file_that_is_too_large_for_messages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmpkit.inspection.sources.MAX_MESSAGES_SIZE", 1000)
    with pytest.raises(CMPError, match="more than 1000 octets and is no capture"):
        read_source("file", IR)
    assert len(read_source("file", pcap(conversation((True, post(IR)))))) == 1


def test_a_unit_that_is_cut_off_has_its_fault() -> None:
    [source] = read_source("file", framed(IR, 0)[:-1])
    assert source.fault == "the stream ends 1 octets before its pkiMsg"
    assert source.road == "pkiMsg"


def test_a_capture_without_cmp_is_an_error_that_says_how_to_capture() -> None:
    with pytest.raises(CMPError, match="no CMP over TCP or HTTP") as caught:
        read_source("x.pcap", pcap([]))
    assert "tcpdump" in caught.value.hint


def test_captures_need_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dpkt", None)
    monkeypatch.delitem(sys.modules, "cmpkit.inspection.capture", raising=False)
    with pytest.raises(ConfigurationError, match="dpkt is not installed") as caught:
        read_source("x.pcap", pcap_octets())
    assert "cmpkit[inspect]" in caught.value.hint


def pcap_octets() -> bytes:
    return b"\xd4\xc3\xb2\xa1" + bytes(20)


@given(st.binary(max_size=200))
def test_no_octets_are_lost_or_fail(octets: bytes) -> None:
    if not octets.startswith((b"\xa1\xb2", b"\xd4\xc3", b"\x4d\x3c", b"\x0a\x0d")):
        assert read_source("file", octets)
