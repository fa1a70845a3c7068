"""CMP messages out of captured traffic: pcap and pcapng files, TCP streams put together, both roads over TCP.

Needs the extra ``inspect``.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dpkt

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.inspection.framing import Framed, looks_framed, read_frames
from cmpkit.inspection.web import looks_like_http, read_requests, read_responses

__all__ = ["MAX_STREAMS", "Captured", "read_capture"]

MAX_STREAMS = 10_000
"""Directions of TCP connections of one file that are looked at."""

_SEQUENCE_SPACE = 1 << 32
_FURTHEST = 1 << 30


class Captured(NamedTuple):
    """One unit of CMP that went over the wire.

    :param unit: what it is and the message in it.
    :param sender: address and port, as text.
    :param receiver: likewise.
    :param time: when the last of it was captured, in UTC.
    """

    unit: Framed
    sender: str
    receiver: str
    time: datetime


class _Direction(NamedTuple):
    source: str
    source_port: int
    destination: str
    destination_port: int


@dataclass
class _Stream:
    """The octets of one direction of a connection, segment by segment, in any order and several times."""

    first: int
    segments: dict[int, tuple[bytes, datetime]] = field(default_factory=dict)

    def add(self, sequence: int, octets: bytes, time: datetime) -> None:
        offset = (sequence - self.first) % _SEQUENCE_SPACE
        if offset > _FURTHEST:
            # Before the first segment that was captured: the capture began in the middle, out of order.
            self.segments = {start + _SEQUENCE_SPACE - offset: segment for start, segment in self.segments.items()}
            self.first, offset = sequence, 0
        known = self.segments.get(offset)
        if known is None or len(known[0]) < len(octets):
            self.segments[offset] = (octets, time)

    def together(self) -> tuple[bytes, list[tuple[int, datetime]]]:
        """The octets up to the first gap, and when each stretch of them came."""
        whole, marks = bytearray(), []
        for offset, (octets, time) in sorted(self.segments.items()):
            if offset > len(whole):
                break
            whole += octets[len(whole) - offset :]
            marks.append((len(whole), time))
        return bytes(whole), marks


def read_capture(octets: bytes) -> tuple[Captured, ...]:
    """Every unit of CMP in a capture file, in the order of time.

    :raises CMPError: badDataFormat if the file cannot be read at all.
    """
    current: dict[_Direction, _Stream] = {}
    streams: list[tuple[_Direction, _Stream]] = []
    for segment, time in _segments(octets):
        stream = current.get(segment.direction)
        if stream is None or segment.opens:
            if len(streams) >= MAX_STREAMS:
                continue
            stream = current[segment.direction] = _Stream(segment.sequence)
            streams.append((segment.direction, stream))
        if segment.payload:
            stream.add(segment.sequence, segment.payload, time)
    found = [captured for direction, stream in streams for captured in _units(direction, stream)]
    return tuple(sorted(found, key=lambda captured: captured.time))


class _Segment(NamedTuple):
    """A TCP segment; ``sequence`` is that of its payload."""

    direction: _Direction
    sequence: int
    payload: bytes
    opens: bool


def _segments(octets: bytes) -> Iterator[tuple[_Segment, datetime]]:
    """Every TCP segment with payload, and those that open a connection; a file may end in the middle of a packet."""
    begun = False
    try:
        reader = dpkt.pcap.UniversalReader(io.BytesIO(octets))
        for timestamp, frame in reader:
            begun = True
            segment = _segment(frame, reader.datalink())
            if segment is not None:
                yield segment, datetime.fromtimestamp(float(timestamp), UTC)
    except (ValueError, dpkt.UnpackError, EOFError, OverflowError, OSError) as error:
        if not begun:
            raise CMPError(f"the capture cannot be read: {error}", PKIFailureInfo.BAD_DATA_FORMAT) from error


def _segment(frame: bytes, link_type: int) -> _Segment | None:
    packet = _network_packet(frame, link_type)
    if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) or not isinstance(packet.data, dpkt.tcp.TCP):
        return None
    tcp, opens = packet.data, bool(packet.data.flags & dpkt.tcp.TH_SYN)
    if not tcp.data and not opens:
        return None
    family = socket.AF_INET if isinstance(packet, dpkt.ip.IP) else socket.AF_INET6
    source, destination = socket.inet_ntop(family, packet.src), socket.inet_ntop(family, packet.dst)
    direction = _Direction(source, tcp.sport, destination, tcp.dport)
    return _Segment(direction, (tcp.seq + opens) % _SEQUENCE_SPACE, bytes(tcp.data), opens)


_LINKS = {
    dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet,
    dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
    dpkt.pcap.DLT_LINUX_SLL2: dpkt.sll2.SLL2,
    dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback,
    dpkt.pcap.DLT_LOOP: dpkt.loopback.Loopback,
}
_RAW_LINKS = (dpkt.pcap.DLT_RAW, 12, 14, 101, 228, 229)


def _network_packet(frame: bytes, link_type: int) -> Any:
    """The IP packet in a frame; frames of strangers may be broken, those are passed over."""
    try:
        if link_type in _RAW_LINKS:
            return dpkt.ip6.IP6(frame) if frame and frame[0] >> 4 == 6 else dpkt.ip.IP(frame)
        kind = _LINKS.get(link_type)
        return None if kind is None else kind(frame).data
    except (dpkt.UnpackError, ValueError, IndexError, KeyError):
        return None


def _units(direction: _Direction, stream: _Stream) -> Iterator[Captured]:
    octets, marks = stream.together()
    if looks_like_http(octets):
        units = read_responses(octets) if octets.startswith(b"HTTP/") else read_requests(octets)
    elif looks_framed(octets):
        units = read_frames(octets)
    else:
        return
    sender, receiver = _address(*direction[:2]), _address(*direction[2:])
    for unit in units:
        time = next(time for end, time in marks if end >= unit.end)
        yield Captured(unit, sender, receiver, time)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
