"""Mail that stays on the machine, for ``cmpkit demo --all-transports``: an SMTP server that delivers into Maildirs."""

from __future__ import annotations

import mailbox
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

__all__ = ["can_deliver", "delivering"]

_LOOPBACK = "127.0.0.1"


def can_deliver() -> bool:
    """Whether the SMTP server is installed."""
    return find_spec("aiosmtpd") is not None


@contextmanager
def delivering(directory: Path, *addresses: str) -> Iterator[int]:
    """Take mail by SMTP on a port of loopback, which is given, until the block ends.

    :param directory: is made, with a Maildir under the name of each address.
    """
    from aiosmtpd.controller import Controller

    directory.mkdir()
    boxes = {address: mailbox.Maildir(directory / address) for address in addresses}
    with socket.create_server((_LOOPBACK, 0)) as free:
        port: int = free.getsockname()[1]
    server = Controller(_Delivery(boxes), _LOOPBACK, port)
    server.start()
    try:
        yield port
    finally:
        server.stop()


class _Delivery:
    """What the server does with a mail; the methods are named after the commands of SMTP."""

    def __init__(self, boxes: dict[str, mailbox.Maildir]) -> None:
        self._boxes = boxes

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address not in self._boxes:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        for address in envelope.rcpt_tos:
            self._boxes[address].add(envelope.original_content or b"")
        return "250 delivered"
