"""What can be set for this road, and the servers and secrets that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions
from cmpkit.transports import Password, client_context
from cmpkit_mail.addresses import MailServerAddress, is_address, read_mailbox, read_smtp
from cmpkit_mail.imap import IMAPMailbox
from cmpkit_mail.mailboxes import Login, Mailbox
from cmpkit_mail.maildir import MaildirMailbox
from cmpkit_mail.sending import Mailer

__all__ = ["MailClientOptions", "MailServerOptions"]

_IMAP_INTERVAL, _MAILDIR_INTERVAL = timedelta(seconds=60), timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class _MailOptions:
    """What clients and servers have in common.

    :param smtp: where mail is handed over: ``smtps://USER@HOST`` (TLS, port 465), ``smtp://USER@HOST`` (STARTTLS, port
        587), or ``smtp-plain://HOST`` (neither, port 25).
    :param smtp_password: for that server; without it nobody logs in there.
    :param mailbox_password: for the IMAP server.
    :param poll_interval: how often the mailbox is looked at, whatever the server tells; without it every 60 seconds
        by IMAP, every 2 seconds in a Maildir.
    """

    smtp: str
    smtp_password: Password | None = None
    mailbox_password: Password | None = None
    poll_interval: timedelta | None = None

    def mailer(self, address: str, reached: TransportOptions) -> Mailer:
        """What sends mail from an address.

        :param reached: how servers are reached: the timeout, and what TLS needs.
        :raises ConfigurationError: naming what is wrong.
        """
        server = read_smtp(self.smtp)
        login = None
        if self.smtp_password is not None:
            login = _login(server, address, self.smtp_password, "smtp")
        elif server.user is not None:
            raise ConfigurationError("smtp_password: is missing, the address has a user")
        tls = None if server.protection == "none" else client_context(reached)
        return Mailer(server, sender=address, login=login, tls=tls, timeout=reached.timeout)

    def open_mailbox(
        self, text: str, address: str, reached: TransportOptions, *, folders: tuple[str, ...] = ()
    ) -> Mailbox:
        """What is read; nothing is connected to.

        :param text: where it is.
        :param folders: beside it, for what is moved away; who names some is the only server of a Maildir.
        :raises ConfigurationError: naming what is wrong.
        """
        place = read_mailbox(text, reached.directory)
        if isinstance(place, Path):
            if self.mailbox_password is not None:
                raise ConfigurationError("mailbox_password: means nothing to a Maildir", hint="leave it out")
            return MaildirMailbox(place, interval=self.poll_interval or _MAILDIR_INTERVAL, folders=folders)
        if self.mailbox_password is None:
            raise ConfigurationError("mailbox_password: is missing", hint="write file:PATH or env:NAME")
        tls = None if place.protection == "none" else client_context(reached)
        login = _login(place, address, self.mailbox_password, "mailbox")
        interval = self.poll_interval or _IMAP_INTERVAL
        return IMAPMailbox(place, login, tls=tls, timeout=reached.timeout, interval=interval, folders=folders)


@dataclass(frozen=True, kw_only=True)
class MailClientOptions(_MailOptions):
    """Options of clients, ``--road-option NAME=VALUE``, beside those about TLS, which concern both servers.

    :param sender: the client's own address, to which answers come.
    :param mailbox: where they are read: ``imaps://USER@HOST/FOLDER`` (TLS, port 993), ``imap://`` (STARTTLS, port 143),
        ``imap-plain://`` (neither), or ``maildir:PATH``. Announcements do without it.
    """

    sender: str
    mailbox: str | None = None

    def __post_init__(self) -> None:
        if not is_address(self.sender):
            raise ConfigurationError("sender: a mail address is needed, NAME@DOMAIN")


@dataclass(frozen=True, kw_only=True)
class MailServerOptions(_MailOptions):
    """Keys of ``[[listen]]``.

    :param mailbox: where requests are read, as for clients.
    :param aside_folder: where what is no request is moved to; the reason is in the log.
    :param answered_folder: where requests are moved to that were answered; without it they are deleted.
    :param timeout: how long a mail server may take for one command.
    :param tls_trusted: PEM file with trust anchors for the mail servers; without it, the system's.
    :param tls_cert: PEM file with a TLS certificate for them, and its chain.
    :param tls_key: PEM file with its key.
    :param tls_keypass: where the password of that key is: ``file:PATH`` or ``env:NAME``.
    """

    mailbox: str
    aside_folder: str = "CMP-aside"
    answered_folder: str | None = None
    timeout: timedelta = timedelta(seconds=30)
    tls_trusted: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_keypass: str | None = field(default=None, repr=False)

    @property
    def folders(self) -> tuple[str, ...]:
        """Those that must be there."""
        return tuple(filter(None, (self.aside_folder, self.answered_folder)))

    def reached(self, directory: Path) -> TransportOptions:
        """How the mail servers are reached.

        :param directory: where relative paths start.
        """
        return TransportOptions(
            timeout=self.timeout.total_seconds(),
            tls_trusted=self.tls_trusted,
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
            tls_keypass=self.tls_keypass,
            directory=directory,
        )


def _login(server: MailServerAddress, address: str, password: Password, key: str) -> Login:
    if server.protection == "none" and not server.is_loopback:
        raise ConfigurationError(
            f"{key}: a password is not sent to {server.host} without TLS", hint="write the scheme of a way with TLS"
        )
    try:
        return Login(server.user or address, password.octets.decode("ascii"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{key}_password: it has other characters than those of ASCII") from error
