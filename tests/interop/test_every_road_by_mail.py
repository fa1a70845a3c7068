"""What must work on every road, by mail that Postfix carries and Dovecot keeps; and the contract of the road."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cmpkit_mail.roads import MailClients, MailServer
from every_road import EveryRoad, WholeRoad
from real_mail import RealMail

from cmpkit.parts import TransportOptions
from cmpkit.testing import check_transport


class TestMail(EveryRoad):
    @pytest.fixture(autouse=True)
    def _servers(self, mail: RealMail) -> None:
        self.mail = mail

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[WholeRoad]:
        ca, device = self.mail.address("ca"), self.mail.address("device")
        options = TransportOptions(timeout=20, own={**self.mail.own(device), "sender": device})
        yield WholeRoad(MailServer(self.mail.own(ca)), f"mailto:{ca}", MailClients(), options)


async def test_mail_keeps_the_contract(mail: RealMail) -> None:
    ca, device = mail.address("ca"), mail.address("device")
    options = TransportOptions(timeout=10, own={**mail.own(device), "sender": device})
    nowhere = "mailto:nobody@nowhere.example"
    await check_transport(
        MailServer(mail.own(ca)), f"mailto:{ca}", clients=MailClients(), nowhere=nowhere, options=options
    )
