"""What must work on every road, by mail that is delivered into Maildirs; IMAP needs a real server (tests/interop)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cmpkit_mail.roads import MailClients, MailServer
from every_road import EveryRoad, WholeRoad
from mail_servers import post_office

from cmpkit.parts import TransportOptions


class TestMaildir(EveryRoad):
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[WholeRoad]:
        with post_office(directory) as office:
            own = {**office.own("device@test.example"), "sender": "device@test.example"}
            yield WholeRoad(
                MailServer(office.own("ca@test.example")),
                "mailto:ca@test.example",
                MailClients(),
                TransportOptions(timeout=20, own=own),
            )
