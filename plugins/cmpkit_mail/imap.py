"""A mailbox by IMAP: one connection works, another waits (IDLE, RFC 2177) where the server can tell of what comes.

IMAPClient blocks, so it is used in worker threads; waiting is not, so it can be cancelled at any moment.
"""

from __future__ import annotations

import contextlib
import imaplib
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit_mail.addresses import MailServerAddress
from cmpkit_mail.mailboxes import Login, UnreadableMail

__all__ = ["IMAPMailbox"]

T = TypeVar("T")
_LOST = (imaplib.IMAP4.abort, OSError)
"""What says that the connection is of no use any more."""
_AT_ONCE = 200
"""Mails whose structure is asked for at once."""
_RENEW_SECONDS = 300.0
"""So old an IDLE is begun anew, for servers and what is before them forget those who are silent."""


@dataclass(frozen=True, slots=True)
class _Session:
    """A connection with the folder selected.

    :param validity: the UIDVALIDITY of the folder: where it differs, UIDs name other mails.
    """

    client: Any
    validity: int

    def uid(self, key: str) -> int | None:
        """The UID of a mail; ``None`` if it was another folder that had it."""
        validity, _, uid = key.partition(".")
        return int(uid) if int(validity) == self.validity else None

    def close(self) -> None:
        """End the connection at once."""
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            self.client.shutdown()


class IMAPMailbox:
    """See :class:`~cmpkit_mail.mailboxes.Mailbox`. A key is UIDVALIDITY and UID (RFC 9051 section 2.3.1.1).

    :param timeout: seconds for one command.
    :param interval: how often it is looked at, whatever the server tells.
    :param folders: made if they are not there.
    """

    def __init__(
        self,
        address: MailServerAddress,
        login: Login,
        *,
        tls: ssl.SSLContext | None,
        timeout: float,
        interval: timedelta,
        folders: tuple[str, ...],
    ) -> None:
        self._address, self._login, self._tls, self._timeout = address, login, tls, timeout
        self._interval, self._folders = interval, folders
        self._turn = anyio.Lock()
        self._kept: _Session | None = None
        self._watch: _Session | None = None
        self._watched_since = 0.0
        self._tells = True

    async def open(self) -> None:
        """Log in, select the folder and make the others."""
        await self._do(self._make_folders)

    def _make_folders(self, session: _Session) -> None:
        for folder in self._folders:
            if not session.client.folder_exists(folder):
                session.client.create_folder(folder)

    async def look(self) -> list[str]:
        """The keys of all mails, the oldest first; what comes from now on ends :meth:`wait`."""
        if self._tells:
            async with self._turn:
                await to_thread.run_sync(self._begin_to_watch)
        return await self._do(self._find)

    @staticmethod
    def _find(session: _Session) -> list[str]:
        session.client.noop()
        return [f"{session.validity}.{uid}" for uid in sorted(session.client.search("UNDELETED"))]

    async def likely(self, keys: Sequence[str]) -> list[str]:
        """Those with a part of type application/pkixcmp, or one whose structure cannot be read."""
        found: list[str] = []
        for start in range(0, len(keys), _AT_ONCE):
            found += await self._do(partial(_with_messages, keys=keys[start : start + _AT_ONCE]))
        return found

    async def read(self, key: str, most: int) -> bytes | None:
        """A mail as it came; ``None`` if it is gone."""

        def fetch(session: _Session) -> bytes | None:
            uid = session.uid(key)
            if uid is None:
                return None
            try:
                found = session.client.fetch([uid], [f"BODY.PEEK[]<0.{most + 1}>"])
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise UnreadableMail(f"the server does not give it away: {error}") from error
            return found[uid].get(b"BODY[]<0>") if uid in found else None

        octets = await self._do(fetch)
        if octets is not None and len(octets) > most:
            raise UnreadableMail(f"it has more than {most} octets")
        return octets

    async def move(self, key: str, folder: str) -> None:
        """Move a mail to a folder."""

        def move(session: _Session) -> None:
            uid = session.uid(key)
            if uid is None:
                return
            try:
                _move(session, uid, folder)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error:
                # Somebody may have removed the folder.
                self._make_folders(session)
                _move(session, uid, folder)

        await self._do(move)

    async def remove(self, key: str) -> None:
        """Remove a mail."""

        def remove(session: _Session) -> None:
            uid = session.uid(key)
            if uid is not None:
                _remove(session, uid)

        await self._do(remove)

    async def wait(self) -> None:
        """Wait until the server tells of something, or it is time to look again."""
        if self._watch is None:
            await anyio.sleep(self._interval.total_seconds())
            return
        socket = self._watch.client.socket()
        with anyio.move_on_after(self._interval.total_seconds()) as waiting:
            # What TLS has read ahead the system does not tell of.
            if not (isinstance(socket, ssl.SSLSocket) and socket.pending()):
                with contextlib.suppress(anyio.ClosedResourceError):
                    await anyio.wait_readable(socket)
        if not waiting.cancelled_caught:
            async with self._turn:
                await to_thread.run_sync(self._hear)

    async def aclose(self) -> None:
        """End both connections."""
        if self._watch is not None:
            anyio.notify_closing(self._watch.client.socket())
        async with self._turn:
            self._drop_watch()
            self._drop()

    async def _do(self, work: Callable[[_Session], T]) -> T:
        """Do something with the connection that is kept, or a new one if that was lost."""
        async with self._turn:
            return await to_thread.run_sync(self._work, work)

    def _work(self, work: Callable[[_Session], T]) -> T:
        with self._clear_errors():
            if self._kept is not None:
                try:
                    return work(self._kept)
                except _LOST:
                    # It was idle for too long: that says nothing about the server.
                    self._drop()
            self._kept = self._connect(readonly=False)
            try:
                return work(self._kept)
            except _LOST:
                self._drop()
                raise

    def _begin_to_watch(self) -> None:
        if self._watch is not None and time.monotonic() > self._watched_since + _RENEW_SECONDS:
            try:
                self._watch.client.idle_done()
                self._idle(self._watch)
            except (imaplib.IMAP4.error, OSError):
                self._drop_watch()
        if self._watch is None:
            with self._clear_errors():
                session = self._connect(readonly=True)
                self._tells = session.client.has_capability("IDLE")
                try:
                    if self._tells:
                        self._idle(session)
                        self._watch = session
                finally:
                    if self._watch is None:
                        session.close()

    def _idle(self, session: _Session) -> None:
        session.client.idle()
        self._watched_since = time.monotonic()

    def _hear(self) -> None:
        """Read what the server tells; nothing at all means that the connection has ended."""
        try:
            if self._watch is not None and not self._watch.client.idle_check(timeout=0):
                self._drop_watch()
        except (imaplib.IMAP4.error, OSError):
            self._drop_watch()

    def _connect(self, *, readonly: bool) -> _Session:
        try:
            from imapclient import IMAPClient, SocketTimeout  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                "reading mail by IMAP needs IMAPClient", hint='pip install "cmpkit[mail]"'
            ) from error
        address = self._address
        timeout = SocketTimeout(connect=self._timeout, read=self._timeout)
        at_once = address.protection == "tls"
        client = IMAPClient(address.host, address.port, ssl=at_once, ssl_context=self._tls, timeout=timeout)
        try:
            if address.protection == "starttls":
                client.starttls(self._tls)
            self._log_in(client)
            return _Session(client, int(client.select_folder(address.folder, readonly=readonly)[b"UIDVALIDITY"]))
        except BaseException:
            with contextlib.suppress(OSError):
                client.shutdown()
            raise

    def _log_in(self, client: Any) -> None:
        try:
            client.login(self._login.user, self._login.password)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            raise TransportError(
                f"the IMAP server {self._address} does not let {self._login.user} in: {error}",
                hint="are the user and the password right?",
            ) from error

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _drop_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Turn what goes wrong with the server into a TransportError that says what to do.

        :raises TransportError: for each such error in the block.
        """
        where = f"the IMAP server {self._address}"
        try:
            yield
        except ssl.SSLError as error:
            said = getattr(error, "verify_message", "") or error.reason or error
            raise TransportError(f"{where}: TLS failed: {said}", hint="see the options about TLS", tls=True) from error
        except (imaplib.IMAP4.error, OSError, UnicodeError) as error:
            raise TransportError(f"{where}: {error}", retryable=True) from error


def _move(session: _Session, uid: int, folder: str) -> None:
    if session.client.has_capability("MOVE"):
        session.client.move([uid], folder)
    else:
        session.client.copy([uid], folder)
        _remove(session, uid)


def _remove(session: _Session, uid: int) -> None:
    """Without UIDPLUS it is marked only, for to expunge would concern other mails, too; they are not looked at."""
    session.client.delete_messages([uid], silent=True)
    if session.client.has_capability("UIDPLUS"):
        session.client.uid_expunge([uid])


def _with_messages(session: _Session, keys: Sequence[str]) -> list[str]:
    uids = {uid: key for key in keys if (uid := session.uid(key)) is not None}
    try:
        found = session.client.fetch(list(uids), ["BODYSTRUCTURE"]) if uids else {}
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:
        # One mail with an odd structure is enough: reading tells.
        return list(uids.values())
    return [key for uid, key in uids.items() if uid in found and _mentions_cmp(found[uid].get(b"BODYSTRUCTURE"))]


def _mentions_cmp(structure: Any) -> bool:
    if isinstance(structure, (tuple, list)):
        return any(map(_mentions_cmp, structure))
    return isinstance(structure, bytes) and b"pkixcmp" in structure.lower()
