"""A store-and-forward road: messages and answers are rows of an SQLite file, ``queue:///var/spool/cmp.db``.

Client and server need not run at the same time. A row that a server has claimed belongs to it until the claim is so old
that the server must be gone; the endpoint gives the same answer if that was an error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Disposition, Handler, Peer, ServerTransport, TransportOptions, Wanted
from cmpkit.transports import read_own_options, refuse_other_options, work_off

__all__ = ["QueueClient", "QueueClients", "QueueOptions", "QueueServer"]

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY, octets BLOB NOT NULL, claimed REAL NOT NULL DEFAULT 0, aside TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY, octets BLOB NOT NULL);
"""
_CLAIM = """
UPDATE messages SET claimed = julianday('now') WHERE id = (
  SELECT id FROM messages WHERE aside = '' AND claimed < julianday('now') - :days ORDER BY claimed, id LIMIT 1)
RETURNING id, octets
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """What only this road knows, in a table ``[[listen]]`` and after ``--road-option``.

    :param poll: seconds from one look into the file to the next.
    :param stale: when a claim is so old that its server must be gone.
    """

    poll: float = 1.0
    stale: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Queue:
    """The file. Each step has a connection of its own, in a worker thread, and is on the disk when it returns."""

    path: Path

    @classmethod
    def at(cls, url: str) -> _Queue:
        parts = urlsplit(url)
        if parts.scheme != "queue" or parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
            raise ConfigurationError(f"{url!r} names no queue", hint="write queue:///PATH")
        return cls(Path(unquote(parts.path)))

    async def do(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """What a step gives; it is done as a whole, or not at all.

        :raises TransportError: if it cannot be done now.
        """

        def run() -> T:
            with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
                connection.executescript(_SCHEMA)
                return step(connection)

        try:
            # Not to be cancelled half-way: nobody would know what was claimed.
            with anyio.CancelScope(shield=True):
                found = await anyio.to_thread.run_sync(run)
        except sqlite3.Error as error:
            raise TransportError(f"the queue {self.path} cannot be used: {error}", retryable=True) from error
        return found


class QueueClients:
    """The part for clients; see :class:`cmpkit.parts.ClientTransportFactory`."""

    schemes: tuple[str, ...] = ("queue",)

    def open(self, url: str, options: TransportOptions) -> QueueClient:
        """A transport to a queue; nothing is opened."""
        refuse_other_options(options, url, "own")
        own = read_own_options(QueueOptions, options.own, directory=options.directory)
        return QueueClient(_Queue.at(url), own, options.max_response_size)


class QueueClient:
    """See :class:`cmpkit.parts.ForwardingTransport`."""

    def __init__(self, queue: _Queue, own: QueueOptions, max_response_size: int) -> None:
        self._queue, self._own, self._max_response_size = queue, own, max_response_size

    async def send(self, message: bytes) -> None:
        """Put a message into the queue."""
        await self._queue.do(lambda db: db.execute("INSERT INTO messages (octets) VALUES (?)", (message,)))

    async def announce(self, message: bytes) -> Disposition:
        """Put an announcement into the queue; it needs not be sent again."""
        await self.send(message)
        return Disposition.STORED

    async def receive(self, wanted: Wanted) -> bytes:
        """Wait for an answer that is wanted."""
        while True:
            for octets in await self._queue.do(self._answers):
                if await wanted(octets):
                    return octets
            await anyio.sleep(self._own.poll)

    def _answers(self, db: sqlite3.Connection) -> list[bytes]:
        found = db.execute("SELECT octets FROM answers WHERE length(octets) <= ?", (self._max_response_size,))
        return [octets for (octets,) in found]

    async def done(self, message: bytes) -> None:
        """Take an answer out of the queue."""
        await self._queue.do(lambda db: db.execute("DELETE FROM answers WHERE octets = ?", (message,)))

    async def aclose(self) -> None:
        """Between the steps nothing is open."""


class QueueServer:
    """The part for servers; see :class:`cmpkit.parts.ServerTransport`."""

    name = "queue"
    schemes: tuple[str, ...] = ("queue",)
    delayed = True

    def __init__(self, own: QueueOptions | None = None) -> None:
        self._own = own or QueueOptions()

    def configured(self, settings: Mapping[str, Any], directory: Path) -> ServerTransport:
        """The part with the keys of a table; see :class:`cmpkit.parts.ConfigurableServer`."""
        return QueueServer(read_own_options(QueueOptions, settings, directory=directory))

    def check(self, url: str) -> None:
        """Whether the URL names a queue."""
        _Queue.at(url)

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """Work the queue off until ``shutdown``."""
        inbox = _Inbox(_Queue.at(url), self._own, max_message_size)
        await inbox.queue.do(lambda db: None)
        task_status.started(url)
        await work_off(inbox, handler, shutdown=shutdown, road=self.name)


@dataclass(frozen=True, slots=True)
class _Inbox:
    """See :class:`cmpkit.transports.Inbox`."""

    queue: _Queue
    own: QueueOptions
    max_message_size: int

    async def claim(self) -> _Parcel:
        while True:
            found = await self.queue.do(self._claim_one)
            if found is None:
                await anyio.sleep(self.own.poll)
                continue
            parcel = _Parcel(self.queue, *found, Peer("queue", str(self.queue.path)))
            if len(parcel.octets) <= self.max_message_size:
                return parcel
            await parcel.quarantine(f"it has {len(parcel.octets)} octets, {self.max_message_size} are read")

    def _claim_one(self, db: sqlite3.Connection) -> tuple[int, bytes] | None:
        found: tuple[int, bytes] | None = db.execute(_CLAIM, {"days": self.own.stale / timedelta(days=1)}).fetchone()
        return found


@dataclass(frozen=True, slots=True)
class _Parcel:
    """See :class:`cmpkit.transports.Parcel`."""

    queue: _Queue
    number: int
    octets: bytes
    peer: Peer

    async def answer(self, der: bytes) -> None:
        await self.queue.do(lambda db: db.execute("INSERT INTO answers (octets) VALUES (?)", (der,)))

    async def finish(self) -> None:
        await self.queue.do(lambda db: db.execute("DELETE FROM messages WHERE id = ?", (self.number,)))

    async def quarantine(self, reason: str) -> None:
        change = "UPDATE messages SET aside = ? WHERE id = ?"
        await self.queue.do(lambda db: db.execute(change, (reason, self.number)))

    async def put_back(self) -> None:
        await self.queue.do(lambda db: db.execute("UPDATE messages SET claimed = 0 WHERE id = ?", (self.number,)))
