"""Mails, with one CMP message in each, as one part of type application/pkixcmp.

See RFC 2510 section 5.3 and RFC 9483 section 6.4.2.
"""

from __future__ import annotations

import binascii
import email
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage, Message
from email.utils import formatdate, getaddresses

from cmpkit_mail.addresses import domain_of, is_address

__all__ = ["NoMessage", "Sent", "compose", "message_id", "parse", "read_message", "read_sender"]

_TYPES = ("application/pkixcmp", "application/x-pkixcmp")
_ENCODINGS = ("", "7bit", "8bit", "binary", "quoted-printable", "base64")
_MOST_PARTS = 50
"""Mails that speak of more boundaries are not parsed: they take time, and none of ours is among them."""
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,200}>")


class NoMessage(ValueError):
    """There is no CMP message in a mail; the text says why."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Who sent a mail, as its headers have it; nothing of this is authenticated.

    :param address: of the sender.
    :param reply_to: where an answer goes.
    :param message_id: of the mail, if it has a proper one.
    """

    address: str
    reply_to: str
    message_id: str | None


def compose(
    message: bytes,
    *,
    sender: str,
    recipient: str,
    message_id: str,
    subject: str,
    in_reply_to: str | None = None,
    automatic: bool = False,
) -> bytes:
    """A mail with one CMP message.

    :param in_reply_to: the Message-ID of the mail that it answers, if that is known.
    :param automatic: whether it is marked as an automatic reply (RFC 3834 section 5), which nobody answers.
    """
    mail = EmailMessage(policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, subject
    mail["Date"], mail["Message-ID"] = formatdate(), message_id
    if automatic:
        mail["Auto-Submitted"] = "auto-replied"
    if in_reply_to is not None:
        mail["In-Reply-To"] = mail["References"] = in_reply_to
    name = "message.pki"
    mail.set_content(message, "application", "pkixcmp", filename=name, params={"name": name})
    return mail.as_bytes()


def message_id(address: str, *what: bytes) -> str:
    """The Message-ID of a mail from an address that follows from what is in it: a repeat has the same."""
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in what))
    return f"<{digest.hexdigest()[:40]}@{domain_of(address)}>"


def parse(mail: bytes) -> Message:
    """A mail as it came.

    :raises NoMessage: if it cannot be read.
    """
    if mail.lower().count(b"boundary") > _MOST_PARTS:
        raise NoMessage("it has too many parts")
    try:
        return email.message_from_bytes(mail, policy=policy.compat32)
    except (ValueError, LookupError, RecursionError) as error:
        raise NoMessage(f"it cannot be read: {error}") from error


def read_sender(mail: Message) -> Sent:
    """Who sent a mail.

    :raises NoMessage: if there is not exactly one address to which an answer could go.
    """
    address = _one_address(mail, "From")
    reply_to = _one_address(mail, "Reply-To") if "Reply-To" in mail else address
    given = str(mail.get("Message-ID", "")).strip()
    return Sent(address, reply_to, given if _MESSAGE_ID.fullmatch(given) else None)


def _one_address(mail: Message, header: str) -> str:
    try:
        found = [address for _, address in getaddresses([str(value) for value in mail.get_all(header, [])])]
    except (ValueError, LookupError) as error:
        raise NoMessage(f"its header {header} cannot be read") from error
    if len(found) != 1 or not is_address(found[0]):
        raise NoMessage(f"its header {header} has not exactly one plain address")
    return found[0]


def read_message(mail: Message) -> bytes:
    """The CMP message in a mail. Mails within the mail, as bounces have them, are not looked into.

    :raises NoMessage: if there is none, or there are several, or it cannot be read.
    """
    found = [part for part in _parts(mail) if part.get_content_type() in _TYPES]
    if len(found) != 1:
        raise NoMessage(f"it has {len(found)} parts of type {_TYPES[0]}, one is needed")
    return _octets(found[0])


def _parts(mail: Message) -> Iterator[Message]:
    waiting = [mail]
    while waiting:
        part = waiting.pop()
        content = part.get_payload()
        if part.get_content_maintype() != "multipart":
            yield part
        elif part.get_content_subtype() != "report" and isinstance(content, list):
            waiting += [inner for inner in content if isinstance(inner, Message)]


def _octets(part: Message) -> bytes:
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding not in _ENCODINGS:
        raise NoMessage(f"its CMP message is encoded as {encoding[:40]!r}")
    try:
        if encoding == "base64":
            # Gateways wrap and indent; anything else that is not base64 is a fault.
            text = b"".join(str(part.get_payload()).encode("ascii").split())
            octets = binascii.a2b_base64(text, strict_mode=True)
        else:
            octets = bytes(part.get_payload(decode=True))
    except (ValueError, LookupError) as error:
        raise NoMessage(f"its CMP message is not encoded as it says: {error}") from error
    if not octets:
        raise NoMessage("its CMP message is empty")
    return octets
