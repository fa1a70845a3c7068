"""Mail keeps the contract of a store-and-forward road, answers no machine, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cmpkit_mail.roads import MailClients, MailServer
from mail_servers import PostOffice, post_office

from cmpkit.parts import TransportOptions
from cmpkit.testing import check_transport

CA, DEVICE = "ca@test.example", "device@test.example"
URL = f"mailto:{CA}"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[PostOffice]:
    with post_office(tmp_path / "mail") as opened:
        yield opened


async def test_it_keeps_the_contract(office: PostOffice) -> None:
    options = TransportOptions(timeout=10, own={**office.own(DEVICE), "sender": DEVICE})
    await check_transport(
        MailServer(office.own(CA)), URL, clients=MailClients(), nowhere="mailto:nobody@test.example", options=options
    )
