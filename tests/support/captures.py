"""Captures of TCP traffic, as tcpdump would have written them."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterable
from typing import Any

import dpkt

CLIENT, SERVER = ("10.0.0.1", 50_000), ("10.0.0.2", 8829)


def frame(
    source: tuple[str, int],
    target: tuple[str, int],
    sequence: int,
    octets: bytes = b"",
    *,
    syn: bool = False,
    link: Any = dpkt.pcap.DLT_EN10MB,
) -> bytes:
    """One packet with a TCP segment."""
    flags = dpkt.tcp.TH_SYN if syn else dpkt.tcp.TH_ACK
    segment = dpkt.tcp.TCP(sport=source[1], dport=target[1], seq=sequence % (1 << 32), flags=flags, data=octets)
    if ":" in source[0]:
        src, dst = (socket.inet_pton(socket.AF_INET6, address) for address in (source[0], target[0]))
        packet = dpkt.ip6.IP6(src=src, dst=dst, nxt=dpkt.ip.IP_PROTO_TCP, plen=len(segment), hlim=64, data=segment)
        kind = dpkt.ethernet.ETH_TYPE_IP6
    else:
        packet = dpkt.ip.IP(
            src=socket.inet_aton(source[0]), dst=socket.inet_aton(target[0]), p=dpkt.ip.IP_PROTO_TCP, data=segment
        )
        packet.len = len(packet)
        kind = dpkt.ethernet.ETH_TYPE_IP
    if link == dpkt.pcap.DLT_RAW:
        return bytes(packet)
    if link == dpkt.pcap.DLT_LINUX_SLL:
        return bytes(dpkt.sll.SLL(ethtype=kind, data=packet))
    return bytes(dpkt.ethernet.Ethernet(type=kind, data=packet))


def pcap(frames: Iterable[bytes], *, link: int = dpkt.pcap.DLT_EN10MB) -> bytes:
    """A pcap file; frames come at 1 s, 2 s ... after the epoch."""
    out = io.BytesIO()
    writer = dpkt.pcap.Writer(out, linktype=link)
    for time, packet in enumerate(frames, start=1):
        writer.writepkt(packet, float(time))
    return out.getvalue()


def pcapng(frames: Iterable[bytes]) -> bytes:
    """A pcapng file, likewise."""
    out = io.BytesIO()
    writer = dpkt.pcapng.Writer(out)
    for time, packet in enumerate(frames, start=1):
        writer.writepkt(packet, float(time))
    return out.getvalue()


def conversation(*turns: tuple[bool, bytes], size: int = 700) -> list[bytes]:
    """The packets of a connection: who speaks (``True`` for the client) and what, cut into segments."""
    sequences = {True: 1000, False: 2000}
    frames = [frame(CLIENT, SERVER, 999, syn=True), frame(SERVER, CLIENT, 1999, syn=True)]
    for by_client, octets in turns:
        source, target = (CLIENT, SERVER) if by_client else (SERVER, CLIENT)
        for start in range(0, len(octets), size):
            part = octets[start : start + size]
            frames.append(frame(source, target, sequences[by_client], part))
            sequences[by_client] += len(part)
    return frames


def post(octets: bytes, path: str = "/.well-known/cmp", media_type: str = "application/pkixcmp") -> bytes:
    """An HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nHost: ca\r\nContent-Type: {media_type}\r\nContent-Length: {len(octets)}\r\n\r\n"
    return head.encode() + octets


def chunked(octets: bytes, status: str = "200 OK", size: int = 333) -> bytes:
    """An HTTP response in chunks."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/pkixcmp;charset=x\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = (octets[start : start + size] for start in range(0, len(octets), size))
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def framed(octets: bytes, kind: int, *, second: bool = False) -> bytes:
    """A unit of either TCP framing (RFC 2510 section 5.2, and its successor)."""
    head = bytes((10, 0, kind)) if second else bytes((kind,))
    return (len(head) + len(octets)).to_bytes(4, "big") + head + octets
