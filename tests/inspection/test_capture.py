"""CMP in captured traffic: both roads over TCP, whatever order packets come in."""

from __future__ import annotations

from pathlib import Path

import dpkt
import pytest
from captures import CLIENT, SERVER, chunked, conversation, frame, framed, pcap, pcapng, post

from cmpkit.errors import CMPError
from cmpkit.inspection.capture import Captured, read_capture
from cmpkit.inspection.framing import looks_framed, read_frames

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.6"
IR, IP, CERT_CONF, PKI_CONF = ((MESSAGES / f"{name}.der").read_bytes() for name in ("ir", "ip", "certConf", "pkiconf"))


def found(octets: bytes) -> list[tuple[str, bytes, str]]:
    return [(captured.unit.kind, captured.unit.octets, captured.unit.fault) for captured in read_capture(octets)]


HTTP = conversation((True, post(IR)), (False, chunked(IP)), (True, post(CERT_CONF)), (False, chunked(PKI_CONF)))
HTTP_FOUND = [
    ("POST /.well-known/cmp", IR, ""),
    ("200", IP, ""),
    ("POST /.well-known/cmp", CERT_CONF, ""),
    ("200", PKI_CONF, ""),
]


class TestHTTP:
    def test_messages_of_a_reused_connection_are_found_in_order(self) -> None:
        assert found(pcap(HTTP)) == HTTP_FOUND
        assert found(pcapng(HTTP)) == HTTP_FOUND

    def test_addresses_and_time_are_told(self) -> None:
        first, second, *_ = read_capture(pcap(HTTP))
        assert (first.sender, first.receiver) == ("10.0.0.1:50000", "10.0.0.2:8829")
        assert (second.sender, second.receiver) == ("10.0.0.2:8829", "10.0.0.1:50000")
        assert isinstance(first, Captured)
        assert first.time.timestamp() == 4

    def test_packets_out_of_order_and_repeated_are_put_together(self) -> None:
        first, second, *rest = HTTP
        assert sorted(found(pcap([first, second, *reversed(rest), *rest]))) == sorted(HTTP_FOUND)

    def test_a_capture_that_begins_before_the_middle_of_a_segment_order_is_read(self) -> None:
        without_syn = HTTP[2:]
        swapped = [without_syn[1], without_syn[0], *without_syn[2:]]
        assert [octets for _, octets, _ in found(pcap(swapped))] == [IR, IP, CERT_CONF, PKI_CONF]

    def test_sequence_numbers_may_wrap(self) -> None:
        request = post(IR)
        start = (1 << 32) - 500
        frames = [
            frame(CLIENT, SERVER, start - 1, syn=True),
            frame(CLIENT, SERVER, start, request[:500]),
            frame(CLIENT, SERVER, start + 500, request[500:]),
        ]
        assert found(pcap(frames)) == HTTP_FOUND[:1]

    def test_what_is_after_a_lost_packet_is_missing(self) -> None:
        kind, octets, fault = found(pcap([*HTTP[:3], *HTTP[4:]]))[0]
        assert kind == "POST /.well-known/cmp"
        assert IR.startswith(octets)
        assert "ends in its body" in fault

    def test_other_media_types_are_passed_over(self) -> None:
        page = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nHello"
        frames = conversation((True, post(b"{}", media_type="application/json")), (False, page))
        assert found(pcap(frames)) == []

    def test_a_body_without_length_ends_with_the_connection(self) -> None:
        answer = b"HTTP/1.0 200 OK\r\nContent-Type: application/pkixcmp\r\n\r\n" + IP
        assert found(pcap(conversation((False, answer)))) == [("200", IP, "")]

    def test_broken_http_is_a_fault_of_the_unit(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
        [(kind, octets, fault)] = found(pcap(conversation((False, answer))))
        assert (kind, octets) == ("200", b"")
        assert fault.startswith("no HTTP")

    def test_a_port_that_is_used_again_is_another_connection(self) -> None:
        again = conversation((True, post(CERT_CONF)))
        assert [octets for _, octets, _ in found(pcap([*conversation((True, post(IR))), *again]))] == [IR, CERT_CONF]


class TestFraming:
    @pytest.mark.parametrize("second", [False, True])
    def test_both_framings_are_told_apart(self, second: bool) -> None:
        request, answer = (0, 5)
        frames = conversation((True, framed(IR, request, second=second)), (False, framed(IP, answer, second=second)))
        names = ["pkiReq", "pkiRep"] if second else ["pkiMsg", "finalMsgRep"]
        assert found(pcap(frames)) == [(names[0], IR, ""), (names[1], IP, "")]

    def test_a_partial_answer_has_a_reference_and_a_time_before_its_message(self) -> None:
        assert [unit.octets for unit in read_frames(framed(bytes(8) + IP, 4))] == [IP]

    def test_units_without_message_have_none(self) -> None:
        units = list(read_frames(framed(bytes(8), 1) + framed(bytes(4), 2) + framed(IP, 5)))
        assert [(unit.kind, unit.octets) for unit in units] == [("pollRep", b""), ("pollReq", b""), ("finalMsgRep", IP)]

    def test_a_unit_that_is_cut_off_has_what_is_there(self) -> None:
        [unit] = read_frames(framed(IR, 0)[:-5])
        assert unit.octets == IR[:-5]
        assert unit.fault == "the stream ends 5 octets before its pkiMsg"

    @pytest.mark.parametrize("octets", [b"\x00\x00", b"\x00\x00\x00\x05\x0a", b"\x00\x00\x00\x05\x63xyz!"])
    def test_heads_that_are_none_are_faults(self, octets: bytes) -> None:
        assert [bool(unit.fault) for unit in read_frames(octets)] == [True]
        assert not looks_framed(octets)

    def test_a_length_out_of_range_is_no_framing(self) -> None:
        assert not looks_framed(b"\xff\xff\xff\xff\x00")
        assert not looks_framed(b"\x00\x00\x00\x00\x00")


class TestFiles:
    @pytest.mark.parametrize("link", [dpkt.pcap.DLT_RAW, dpkt.pcap.DLT_LINUX_SLL])
    def test_links_other_than_ethernet_are_read(self, link: int) -> None:
        packets = [frame(CLIENT, SERVER, 1, post(IR), link=link)]
        assert found(pcap(packets, link=link)) == HTTP_FOUND[:1]

    @pytest.mark.parametrize("link", [dpkt.pcap.DLT_EN10MB, dpkt.pcap.DLT_RAW])
    def test_ipv6_is_read(self, link: int) -> None:
        [captured] = read_capture(pcap([frame(("::1", 5), ("::2", 80), 1, post(IR), link=link)], link=link))
        assert captured.sender == "[::1]:5"

    def test_frames_that_are_no_tcp_or_broken_are_passed_over(self) -> None:
        udp = dpkt.ip.IP(p=17, data=dpkt.udp.UDP(data=b"x"))
        noise = [b"", b"\x00" * 5, bytes(dpkt.ethernet.Ethernet(data=udp)), frame(CLIENT, SERVER, 1, b"SSH-2.0")]
        assert found(pcap([*noise, *HTTP])) == HTTP_FOUND

    def test_a_link_that_is_not_known_has_nothing_in_it(self) -> None:
        assert found(pcap(HTTP, link=147)) == []

    @pytest.mark.parametrize("octets", [b"\xa1\xb2\xc3\xd4", pcapng([])[:20]])
    def test_a_file_without_a_whole_head_is_refused(self, octets: bytes) -> None:
        with pytest.raises(CMPError, match="the capture cannot be read"):
            read_capture(octets)

    @pytest.mark.parametrize("missing", [5, 400])
    def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes(self, missing: int) -> None:
        whole = pcap([*HTTP, frame(CLIENT, SERVER, 90_000, bytes(395))])
        assert found(whole[:-missing]) == HTTP_FOUND
