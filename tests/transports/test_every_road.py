"""What must work on every road, on those that need nothing outside of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus
from cmpkit_http.roads import HTTPClients, HTTPServer
from every_road import EveryRoad, WholeRoad

from cmpkit.parts import Handler, TransportOptions
from cmpkit.transports import MemoryPost, MemoryRoad


class Memory:
    """Both sides of a road with answers, for one server."""

    name = "memory"
    schemes = ("memory",)
    delayed = False
    handler: Any = None

    def check(self, url: str) -> None:
        """Every address is good."""

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        self.handler = handler
        task_status.started(url)
        await shutdown.wait()

    def open(self, url: str, options: TransportOptions) -> MemoryRoad:
        return MemoryRoad(self.handler)


class TestMemory(EveryRoad):
    def road(self, directory: Path) -> WholeRoad:
        memory = Memory()
        return WholeRoad(memory, "memory:ca", memory)


class TestMemoryPost(EveryRoad):
    def road(self, directory: Path) -> WholeRoad:
        post = MemoryPost()
        return WholeRoad(post, "memory-post:ca", post)


class TestHTTP(EveryRoad):
    def road(self, directory: Path) -> WholeRoad:
        return WholeRoad(HTTPServer(), "http://127.0.0.1:0", HTTPClients())
