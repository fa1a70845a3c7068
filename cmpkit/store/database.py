"""Connections: how a database is reached, and how work gets to it from async code."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry

from cmpkit.errors import ConfigurationError
from cmpkit.store.batches import Batches, Job
from cmpkit.store.faults import database_errors

__all__ = ["Database", "open_database"]

T = TypeVar("T")

_SQLITE_READERS = 4
_SERVER_READERS = 8
_SERVER_WRITERS = 8

# WAL lets readers go on beside the writer; FULL syncs each commit, so that it also survives a power failure. fullfsync
# makes macOS sync to the medium and is ignored elsewhere.
_SQLITE_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON")


class Database:
    """A database, and the worker threads in which it is used.

    Work that has begun is finished, also when the caller is cancelled. Short work that is asked for at the same time
    is done together, in one hop to a thread, and what is written in one transaction.

    :param reader: for statements outside transactions.
    :param writer: for transactions.
    :param path: the file of an embedded database.
    """

    def __init__(
        self, reader: sa.Engine, writer: sa.Engine, *, readers: int, writers: int, path: Path | None = None
    ) -> None:
        self.name = writer.url.render_as_string() if path is None else str(path)
        self._reader = reader
        self._writer = writer
        self._reading = anyio.CapacityLimiter(readers)
        self._lookups = Batches(self._look_up, threads=writers)
        self._writes = Batches(self._write, threads=writers)
        self._path = path

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What ``work`` returns; it executes one statement, or several that need not agree with each other.

        :raises CMPError: systemUnavail if the database cannot be used now.
        """
        return await anyio.to_thread.run_sync(self._read, work, limiter=self._reading)

    async def look_up(self, work: Callable[[sa.Connection], T]) -> T:
        """Like :meth:`read`, for what takes no time by itself.

        :raises CMPError: systemUnavail if the database cannot be used now.
        """
        return await self._lookups.do(work)

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """What ``work`` returns, once its transaction is durable. If it raises, nothing of it is stored.

        :param work: may be called again after what it did was rolled back: with others, one of which failed.
        :raises ConflictError: if something that ``work`` adds is stored already.
        :raises CMPError: systemUnavail if the database cannot be used now.
        """
        return await self._writes.do(work)

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        with database_errors(self.name), self._reader.connect() as connection:
            return work(connection)

    def _look_up(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            with database_errors(self.name), self._reader.connect() as connection:
                for job in jobs:
                    job.succeed(job.work(connection))
        except Exception as error:
            _fail_or_repeat(jobs, error, self._look_up)

    def _write(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            with database_errors(self.name), self._writer.begin() as connection:
                results = [job.work(connection) for job in jobs]
        except Exception as error:
            _fail_or_repeat(jobs, error, self._write)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.succeed(result)

    async def make_file(self) -> None:
        """Make the file of an embedded database, for its owner alone (mode 0600), if it is not there.

        :raises ConfigurationError: if it cannot be made.
        """
        if self._path is not None:
            await anyio.to_thread.run_sync(_make_private_file, self._path)

    async def aclose(self) -> None:
        """Close every connection."""
        await anyio.to_thread.run_sync(self._writer.dispose)


def _fail_or_repeat(jobs: Sequence[Job[Any]], error: Exception, run: Callable[[Sequence[Job[Any]]], None]) -> None:
    """A job that fails alone has failed; one of several spoils only itself."""
    if len(jobs) == 1:
        jobs[0].fail(error)
        return
    for job in jobs:
        run([job])


def open_database(url: str, *, busy_timeout: float = 10.0) -> Database:
    """The database behind ``url``; no connection is made yet.

    :param busy_timeout: seconds to wait while another program writes to an SQLite file.
    :raises ConfigurationError: if the URL cannot be used.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigurationError(
            "the url of the store cannot be read", hint="write it like sqlite:///cmpkit.db"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, busy_timeout)
    return _open_server(parsed)


def _open_sqlite(url: sa.URL, busy_timeout: float) -> Database:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
        raise ConfigurationError(
            f"the store {url.render_as_string()} must name a file, without parameters",
            hint="write it like sqlite:///cmpkit.db, or sqlite:////var/lib/cmpkit/cmpkit.db",
        )
    path = Path(url.database).absolute()
    # mode=rw: connecting never makes the file, so that it is made in one place and with its mode.
    writer = sa.create_engine(
        sa.URL.create("sqlite", database=path.as_uri(), query={"mode": "rw", "uri": "true"}),
        pool_size=_SQLITE_READERS + 2,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": busy_timeout},
    )
    event.listen(writer, "connect", _prepare_sqlite)
    reader = writer.execution_options()
    writer = writer.execution_options()
    event.listen(writer, "begin", _begin_immediate)
    return Database(reader, writer, readers=_SQLITE_READERS, writers=1, path=path)


def _prepare_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    # Without this the sqlite3 module begins transactions by itself, and too late for a lock.
    connection.isolation_level = None
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: sa.Connection) -> None:
    # Taking the write lock at once: one taken after a read fails if another program wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _open_server(url: sa.URL) -> Database:
    try:
        writer = sa.create_engine(
            url, pool_size=_SERVER_READERS + 2 * _SERVER_WRITERS, max_overflow=0, hide_parameters=True
        )
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise ConfigurationError(
            f"the store {url.render_as_string()} cannot be opened: {error}", hint="pip install 'cmpkit[postgres]'"
        ) from error
    reader = writer.execution_options(isolation_level="AUTOCOMMIT")
    return Database(reader, writer, readers=_SERVER_READERS, writers=_SERVER_WRITERS)


def _make_private_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise ConfigurationError(
            f"the file {path} of the store cannot be made: {error.strerror}",
            hint="see whether its directory exists and may be written",
        ) from error
