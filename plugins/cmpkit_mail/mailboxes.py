"""What a mailbox can do for this road, by IMAP or as a Maildir."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Login", "Mailbox", "UnreadableMail"]


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in.

    :param password: never shown.
    """

    user: str
    password: str = field(repr=False)


class UnreadableMail(ValueError):
    """One mail that cannot be read; the text says why."""


class Mailbox(Protocol):
    """A place where mail arrives. Mails have keys, which stay theirs as long as they are there.

    Each method may raise :class:`~cmpkit.errors.TransportError`, and may be called again then. What concerns a mail
    that is not there any more does nothing.
    """

    async def open(self) -> None:
        """See that it is there, and make the folders that were named."""

    async def look(self) -> list[str]:
        """The keys of all mails, the oldest first."""

    async def likely(self, keys: Sequence[str]) -> list[str]:
        """Those of some mails that may hold a CMP message, as far as that is known without reading them."""

    async def read(self, key: str, most: int) -> bytes | None:
        """A mail as it came; ``None`` if it is gone.

        :param most: octets that are read.
        :raises UnreadableMail: if it is larger, or cannot be read.
        """

    async def move(self, key: str, folder: str) -> None:
        """Move a mail to one of the folders that were named."""

    async def remove(self, key: str) -> None:
        """Remove a mail."""

    async def wait(self) -> None:
        """Wait until something may have come since :meth:`look` was called."""

    async def aclose(self) -> None:
        """Give up the connection; the mailbox may be used again."""
