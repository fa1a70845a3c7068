"""What must work on every road, over TCP in both framings."""

from __future__ import annotations

from pathlib import Path

from cmpkit_tcp.roads import TCPClients, TCPServer
from every_road import EveryRoad, WholeRoad

from cmpkit.parts import TransportOptions


class TestVersion10(EveryRoad):
    def road(self, directory: Path) -> WholeRoad:
        return WholeRoad(TCPServer(), "tcp://127.0.0.1:0", TCPClients())


class TestRFC2510(EveryRoad):
    def road(self, directory: Path) -> WholeRoad:
        options = TransportOptions(timeout=20, own={"framing": "rfc2510"})
        return WholeRoad(TCPServer(), "tcp://127.0.0.1:0", TCPClients(), options)
