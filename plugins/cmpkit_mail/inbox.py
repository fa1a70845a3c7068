"""The requests in a mailbox, one by one; see :class:`cmpkit.transports.Inbox`.

A mailbox has one server. IMAP has no way by which a server could claim a mail that every IMAP server knows, and that
ends with the process that claimed; a Maildir is locked. So claims are kept in memory: what a dead process had is in the
mailbox still, and is handled again, with the same answer.
"""

from __future__ import annotations

import logging
from collections import deque
from email.message import Message

from anyio import to_thread

from cmpkit.errors import TransportError
from cmpkit.parts import Peer
from cmpkit.transports import Parcel
from cmpkit_mail.loops import why_not_answered
from cmpkit_mail.mailboxes import Mailbox, UnreadableMail
from cmpkit_mail.mails import NoMessage, Sent, compose, message_id, parse, read_message, read_sender
from cmpkit_mail.options import MailServerOptions
from cmpkit_mail.sending import Mailer, MailRefused

__all__ = ["MailInbox", "largest_mail"]

_log = logging.getLogger("cmpkit.road")
_AROUND = 1 << 16
"""Octets for headers, and what else is in a mail."""


def largest_mail(message: int) -> int:
    """The octets of the largest mail that is read, if messages have so many at most: base64, however it is wrapped."""
    return 2 * message + _AROUND


class MailInbox:
    """What is in a mailbox, oldest first.

    :param address: of this endpoint.
    :param max_message_size: octets; larger messages are put aside.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        mailer: Mailer,
        options: MailServerOptions,
        *,
        address: str,
        road: str,
        max_message_size: int,
    ) -> None:
        self.mailbox, self.mailer, self.options, self.address = mailbox, mailer, options, address
        self._road, self._max_message_size = road, max_message_size
        self._found: deque[str] = deque()
        self._held: set[str] = set()

    async def claim(self) -> Parcel:
        """Wait for a request and claim it."""
        while True:
            if not self._found:
                self._found.extend(key for key in await self.mailbox.look() if key not in self._held)
            while self._found:
                key = self._found[0]
                parcel = await self._take(key)
                self._found.popleft()
                if parcel is not None:
                    self._held.add(key)
                    return parcel
            await self.mailbox.wait()

    def release(self, key: str) -> None:
        """A mail is claimed no longer."""
        self._held.discard(key)

    async def put_aside(self, key: str, origin: str, reason: str) -> None:
        """Move a mail to the folder for what is no request."""
        folder = self.options.aside_folder
        await self.mailbox.move(key, folder)
        _log.warning("%s: a mail from %s was put aside, to the folder %s: %s", self._road, origin, folder, reason)

    async def _take(self, key: str) -> MailParcel | None:
        """A request; ``None`` if it is gone, or was put aside."""
        origin = "somebody"
        try:
            raw = await self.mailbox.read(key, largest_mail(self._max_message_size))
            if raw is None:
                return None
            mail = await to_thread.run_sync(parse, raw)
            sent = read_sender(mail)
            origin = sent.address
            octets = self._request(mail, sent)
        except (UnreadableMail, NoMessage) as error:
            await self._put_aside_or_leave(key, origin, str(error))
            return None
        return MailParcel(self, key, octets, sent, self._road)

    def _request(self, mail: Message, sent: Sent) -> bytes:
        reason = why_not_answered(mail, sender=sent.address, reply_to=sent.reply_to, own=self.address)
        if reason is not None:
            raise NoMessage(reason)
        octets = read_message(mail)
        if len(octets) > self._max_message_size:
            raise NoMessage(f"its message has {len(octets)} octets, {self._max_message_size} are taken at most")
        return octets

    async def _put_aside_or_leave(self, key: str, origin: str, reason: str) -> None:
        try:
            await self.put_aside(key, origin, reason)
        except TransportError as error:
            # It must not keep those behind it from being handled.
            self._held.add(key)
            _log.error("%s: a mail from %s stays where it is, it cannot be put aside: %s", self._road, origin, error)


class MailParcel:
    """A claimed request; see :class:`cmpkit.transports.Parcel`."""

    def __init__(self, inbox: MailInbox, key: str, octets: bytes, sent: Sent, road: str) -> None:
        self.octets = octets
        self.peer = Peer(road, sent.address, reply_to=sent.reply_to)
        self._inbox, self._key, self._sent = inbox, key, sent
        self._answered: bytes | None = None

    async def answer(self, der: bytes) -> None:
        """Send it to where the request came from."""
        if self._answered == der:
            return
        own, recipient = self._inbox.address, self._sent.reply_to
        mail = compose(
            der,
            sender=own,
            recipient=recipient,
            message_id=message_id(own, b"answer", self.octets, recipient.encode()),
            subject="CMP answer",
            in_reply_to=self._sent.message_id,
            automatic=True,
        )
        try:
            await to_thread.run_sync(self._inbox.mailer.send, recipient, mail)
        except MailRefused:
            raise
        except TransportError as error:
            # The mail is not at fault, so it is not put aside.
            raise TransportError(error.detail, hint=error.hint, tls=error.tls, retryable=True) from error
        self._answered = der

    async def finish(self) -> None:
        """It is not in the mailbox any more."""
        folder = self._inbox.options.answered_folder
        if folder is None:
            await self._inbox.mailbox.remove(self._key)
        else:
            await self._inbox.mailbox.move(self._key, folder)
        self._inbox.release(self._key)

    async def quarantine(self, reason: str) -> None:
        """It is in the folder for what is no request."""
        await self._inbox.put_aside(self._key, self.peer.address, reason)
        self._inbox.release(self._key)

    async def put_back(self) -> None:
        """It is in the mailbox still."""
        self._inbox.release(self._key)
