"""The client's side: requests go out by SMTP, answers are found in a mailbox.

See :class:`cmpkit.parts.ForwardingTransport`.
"""

from __future__ import annotations

import hashlib

from anyio import to_thread

from cmpkit.errors import TransportError
from cmpkit.parts import Disposition, Wanted
from cmpkit_mail.inbox import largest_mail
from cmpkit_mail.mailboxes import Mailbox, UnreadableMail
from cmpkit_mail.mails import NoMessage, compose, message_id, parse, read_message
from cmpkit_mail.sending import Mailer

__all__ = ["MailClient"]


class MailClient:
    """Sends to one address, and reads one mailbox, which others may use, too.

    :param recipient: the address of the server.
    :param sender: the client's own.
    :param mailbox: ``None`` if nothing but announcements is sent.
    :param max_response_size: octets; larger answers are passed over.
    """

    def __init__(
        self, recipient: str, sender: str, mailer: Mailer, mailbox: Mailbox | None, *, max_response_size: int
    ) -> None:
        self._recipient, self._sender, self._mailer, self._mailbox = recipient, sender, mailer, mailbox
        self._max_response_size = max_response_size
        self._unrelated: set[str] = set()
        self._received: dict[bytes, str] = {}
        self._closed = False

    async def send(self, message: bytes) -> None:
        """Send a mail; the SMTP server has it when this returns.

        :raises TransportError: if that does not take it, or nothing says where answers are read.
        """
        self._mailbox_for_answers()
        await self._send(message, "CMP request")

    async def announce(self, message: bytes) -> Disposition:
        """Send an announcement; it needs not be sent again."""
        await self._send(message, "CMP announcement")
        return Disposition.STORED

    async def _send(self, message: bytes, subject: str) -> None:
        self._insist_on_being_open()
        mail = compose(
            message,
            sender=self._sender,
            recipient=self._recipient,
            message_id=message_id(self._sender, b"request", message, self._recipient.encode()),
            subject=subject,
        )
        await to_thread.run_sync(self._mailer.send, self._recipient, mail)

    async def receive(self, wanted: Wanted) -> bytes:
        """Wait for an answer that is wanted; it stays in the mailbox.

        :raises TransportError: if the mailbox cannot be read.
        """
        mailbox = self._mailbox_for_answers()
        seen: set[str] = set()
        while True:
            self._insist_on_being_open()
            for key in await self._likely(mailbox):
                if key not in seen:
                    seen.add(key)
                    message = await self._read(mailbox, key)
                    if message is not None and await wanted(message):
                        self._received[hashlib.sha256(message).digest()] = key
                        return message
            await mailbox.wait()

    async def done(self, message: bytes) -> None:
        """Remove the mail with an answer.

        :raises TransportError: if it cannot be removed.
        """
        mailbox = self._mailbox_for_answers()
        key = self._received.pop(hashlib.sha256(message).digest(), None)
        for one in await self._likely(mailbox) if key is None else [key]:
            if await self._read(mailbox, one) == message:
                await mailbox.remove(one)

    async def aclose(self) -> None:
        """End the connections; what is in the mailbox stays there."""
        self._closed = True
        if self._mailbox is not None:
            await self._mailbox.aclose()

    async def _likely(self, mailbox: Mailbox) -> list[str]:
        """The mails that may hold an answer, without those that were found not to."""
        there = await mailbox.look()
        self._unrelated.intersection_update(there)
        unknown = [key for key in there if key not in self._unrelated]
        likely = await mailbox.likely(unknown)
        self._unrelated.update(set(unknown).difference(likely))
        return likely

    async def _read(self, mailbox: Mailbox, key: str) -> bytes | None:
        try:
            mail = await mailbox.read(key, largest_mail(self._max_response_size))
            message = None if mail is None else await to_thread.run_sync(_message_in, mail)
        except (UnreadableMail, NoMessage):
            message = None
        if message is None or len(message) > self._max_response_size:
            self._unrelated.add(key)
            return None
        return message

    def _mailbox_for_answers(self) -> Mailbox:
        if self._mailbox is None:
            raise TransportError(
                "nothing says where answers are read", hint="give the option mailbox, imaps://HOST or maildir:PATH"
            )
        return self._mailbox

    def _insist_on_being_open(self) -> None:
        if self._closed:
            raise TransportError("this transport is closed")


def _message_in(mail: bytes) -> bytes:
    return read_message(parse(mail))
