"""The two parts of this plugin. What they need is imported when it is: most programs that load them send no mail."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from anyio.abc import TaskStatus

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Check, Examination, Handler, Layer, TransportOptions, Verdict
from cmpkit.transports import read_own_options, refuse_other_options, work_off
from cmpkit_mail.addresses import read_url

if TYPE_CHECKING:
    from cmpkit_mail.client import MailClient
    from cmpkit_mail.mailboxes import Mailbox
    from cmpkit_mail.options import MailServerOptions
    from cmpkit_mail.sending import Mailer

__all__ = ["MailClients", "MailServer"]

_TLS = ("tls_trusted", "tls_cert", "tls_key", "tls_keypass")
"""Not tls_host: two servers have two names."""


class MailClients:
    """Opens client transports to ``mailto`` addresses."""

    schemes: tuple[str, ...] = ("mailto",)

    def open(self, url: str, options: TransportOptions) -> MailClient:
        """A transport to ``url``; see :class:`~cmpkit_mail.options.MailClientOptions` for its options.

        :raises ConfigurationError: if the URL or an option cannot be used.
        """
        from cmpkit_mail.client import MailClient  # noqa: PLC0415

        recipient, sender, mailer, mailbox = self._parts(url, options)
        return MailClient(recipient, sender, mailer, mailbox, max_response_size=options.max_response_size)

    async def examine(self, url: str, examination: Examination) -> str | None:
        """Whether the servers let us in and take the mail; see :meth:`cmpkit.parts.RoadExaminer.examine`."""
        recipient, _, mailer, mailbox = self._parts(url, examination.options)
        good = f"mail for {recipient} is taken, the mailbox can be read"
        try:
            await to_thread.run_sync(mailer.check, recipient)
            if mailbox is None:
                raise TransportError("nothing says where answers are read", hint="give the option mailbox")
            try:
                await mailbox.open()
            finally:
                await mailbox.aclose()
        except TransportError as error:
            examination.report(Check("mail servers", Layer.ROAD, Verdict.BAD, error.detail, error.hint))
            return None
        examination.report(Check("mail servers", Layer.ROAD, Verdict.GOOD, good))
        return url

    @staticmethod
    def _parts(url: str, options: TransportOptions) -> tuple[str, str, Mailer, Mailbox | None]:
        from cmpkit_mail.options import MailClientOptions  # noqa: PLC0415

        recipient = read_url(url)
        refuse_other_options(options, url, "own", *_TLS)
        own = read_own_options(MailClientOptions, options.own, directory=options.directory)
        if own.sender.lower() == recipient.lower():
            raise ConfigurationError("sender: this is the address of the server", hint="give the client's own address")
        mailer = own.mailer(own.sender, options)
        mailbox = None if own.mailbox is None else own.open_mailbox(own.mailbox, own.sender, options)
        return recipient, own.sender, mailer, mailbox


class MailServer:
    """Serves mailboxes.

    :param settings: the keys of one table, those of :class:`~cmpkit_mail.options.MailServerOptions`.
    :param directory: where relative paths start.
    """

    name = "mail"
    schemes: tuple[str, ...] = ("mailto",)
    delayed = True

    def __init__(self, settings: Mapping[str, Any] | None = None, directory: Path = Path()) -> None:
        self._settings, self._directory = settings or {}, directory

    def configured(self, settings: Mapping[str, Any], directory: Path) -> MailServer:
        """The transport with the keys of one table."""
        return MailServer(settings, directory)

    def check(self, url: str) -> None:
        """Whether the URL is an address, and the keys fit; see :meth:`cmpkit.parts.ServerTransport.check`."""
        self._open(read_url(url))

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """Answer what comes to the mailbox until ``shutdown`` is set; what is in flight then is finished.

        :param url: the address of the mailbox, from which answers come.
        :raises ConfigurationError: if the URL or a key cannot be used.
        :raises TransportError: if a server cannot be reached now, or does not let us in.
        """
        from cmpkit_mail.inbox import MailInbox  # noqa: PLC0415

        address = read_url(url)
        options, mailbox, mailer = self._open(address)
        try:
            await mailbox.open()
            await to_thread.run_sync(mailer.check)
            inbox = MailInbox(
                *(mailbox, mailer, options), address=address, road=self.name, max_message_size=max_message_size
            )
            task_status.started(f"mailto:{address}")
            await work_off(inbox, handler, shutdown=shutdown, road=self.name)
        finally:
            with anyio.CancelScope(shield=True):
                await mailbox.aclose()

    def _open(self, address: str) -> tuple[MailServerOptions, Mailbox, Mailer]:
        from cmpkit_mail.options import MailServerOptions  # noqa: PLC0415

        options = read_own_options(MailServerOptions, self._settings, directory=self._directory)
        reached = options.reached(self._directory)
        mailbox = options.open_mailbox(options.mailbox, address, reached, folders=options.folders)
        return options, mailbox, options.mailer(address, reached)
