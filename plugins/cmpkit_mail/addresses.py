"""Addresses: of mailboxes (``mailto``), of the servers that keep and carry mail, and of Maildirs."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from cmpkit.errors import ConfigurationError

__all__ = ["MailServerAddress", "Protection", "domain_of", "is_address", "read_mailbox", "read_smtp", "read_url"]

Protection: TypeAlias = Literal["tls", "starttls", "none"]
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_IMAP: dict[str, tuple[Protection, int]] = {
    "imaps": ("tls", 993),
    "imap": ("starttls", 143),
    "imap-plain": ("none", 143),
}
_SMTP: dict[str, tuple[Protection, int]] = {
    "smtps": ("tls", 465),
    "smtp": ("starttls", 587),
    "smtp-plain": ("none", 25),
}


@dataclass(frozen=True, slots=True)
class MailServerAddress:
    """Where an IMAP or SMTP server is, and how it is talked to.

    :param protection: TLS from the start, after STARTTLS, or none.
    :param user: who logs in, if the address says so.
    :param folder: of the mailbox; empty for SMTP.
    """

    host: str
    port: int
    protection: Protection
    user: str | None = None
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nothing that is sent there leaves this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def is_address(text: str) -> bool:
    """Whether it is a plain mail address, ``NAME@DOMAIN`` in ASCII without quotes and comments."""
    return _ADDRESS.fullmatch(text) is not None


def domain_of(address: str) -> str:
    """What follows the ``@``."""
    return address.rpartition("@")[2]


def read_url(url: str) -> str:
    """The mail address of a ``mailto`` URL (RFC 6068).

    :raises ConfigurationError: if it is anything else than one address.
    """
    scheme, _, rest = url.partition(":")
    address = unquote(rest)
    if scheme.lower() != "mailto" or not is_address(address):
        raise ConfigurationError(
            f"{url!r} is not the address of one mailbox", hint="write mailto:ca@example.org; options are given apart"
        )
    return address


def read_mailbox(text: str, directory: Path = Path()) -> MailServerAddress | Path:
    """Where mail is read: an IMAP mailbox, or a Maildir.

    :param text: ``imaps://USER@HOST/FOLDER`` (TLS), ``imap://`` (STARTTLS), ``imap-plain://``, or ``maildir:PATH``.
    :param directory: where relative paths start.
    :raises ConfigurationError: if it is none of these.
    """
    scheme, _, rest = text.partition(":")
    if scheme == "maildir":
        if not rest.strip("/") or "\0" in rest:
            raise ConfigurationError("mailbox: maildir: names no directory", hint="write maildir:/var/mail/ca")
        return Path(directory, rest.removeprefix("//"))
    return _read(text, "mailbox", _IMAP)


def read_smtp(text: str) -> MailServerAddress:
    """Where mail is handed over.

    :param text: ``smtps://USER@HOST`` (TLS), ``smtp://`` (STARTTLS), ``smtp-plain://``.
    :raises ConfigurationError: if it is none of these.
    """
    address = _read(text, "smtp", _SMTP)
    if address.folder != "INBOX":
        raise ConfigurationError("smtp: nothing follows the host and port")
    return address


def _read(text: str, key: str, schemes: dict[str, tuple[Protection, int]]) -> MailServerAddress:
    example = f"write {next(iter(schemes))}://USER@HOST, one of {', '.join(schemes)}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{key}: this is no address: {error}", hint=example) from error
    # What was written may have a password in it: it is not repeated.
    if parts.password is not None:
        raise ConfigurationError(f"{key}: a password is never in an address", hint=f"give {key}_password")
    if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{key}: this is no address of such a server", hint=example)
    protection, usual = schemes[parts.scheme]
    user = None if parts.username is None else unquote(parts.username)
    folder = unquote(parts.path.removeprefix("/")) or "INBOX"
    if any(ord(character) < ord(" ") for character in folder + (user or "")):
        raise ConfigurationError(f"{key}: there is a control character in it", hint=example)
    return MailServerAddress(parts.hostname, port or usual, protection, user, folder)
