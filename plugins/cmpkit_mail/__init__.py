"""CMP by mail (RFC 9483 section 6.4.2): a mailbox is read, by IMAP or as a Maildir, and SMTP brings what is sent."""

from __future__ import annotations

from collections.abc import Iterable

from cmpkit.hookspecs import hookimpl
from cmpkit.parts import ClientTransportFactory, ServerTransport
from cmpkit_mail.roads import MailClients, MailServer

__all__ = ["cmpkit_client_transports", "cmpkit_server_transports"]


@hookimpl
def cmpkit_client_transports() -> Iterable[ClientTransportFactory]:
    """The road of clients to ``mailto`` addresses."""
    return [MailClients()]


@hookimpl
def cmpkit_server_transports() -> Iterable[ServerTransport]:
    """The road that serves mailboxes."""
    return [MailServer()]
