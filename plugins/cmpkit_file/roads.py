"""The two parts of this plugin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from anyio.abc import TaskStatus

from cmpkit.errors import TransportError
from cmpkit.parts import Check, Examination, Handler, Layer, TransportOptions, Verdict
from cmpkit.transports import read_own_options, refuse_other_options, work_off
from cmpkit_file.addresses import read_url
from cmpkit_file.claims import Claims
from cmpkit_file.client import FileClient
from cmpkit_file.inbox import DirectoryInbox
from cmpkit_file.layout import DropDirectory
from cmpkit_file.options import FileClientOptions, FileServerOptions
from cmpkit_file.watching import watching

__all__ = ["FileClients", "FileServer"]


class FileClients:
    """Opens client transports to drop-directories."""

    schemes: tuple[str, ...] = ("file",)

    def open(self, url: str, options: TransportOptions) -> FileClient:
        """A transport to ``url``; see :class:`~cmpkit_file.options.FileClientOptions` for its options.

        :raises ConfigurationError: if the URL or an option cannot be used.
        """
        refuse_other_options(options, url, "own")
        own = read_own_options(FileClientOptions, options.own, directory=options.directory)
        place = DropDirectory(read_url(url, options.directory))
        return FileClient(place, own, max_response_size=options.max_response_size)

    async def examine(self, url: str, examination: Examination) -> str | None:
        """Whether requests can be put there; see :meth:`cmpkit.parts.RoadExaminer.examine`."""
        place = DropDirectory(read_url(url, examination.options.directory))
        try:
            await to_thread.run_sync(_try_writing, place)
        except TransportError as error:
            examination.report(Check("directory", Layer.CONNECTION, Verdict.BAD, error.detail, error.hint))
            return None
        examination.report(Check("directory", Layer.CONNECTION, Verdict.GOOD, f"{place.root} can be written"))
        return url


def _try_writing(place: DropDirectory) -> None:
    place.make(place.requests, place.answers)
    place.put(place.requests, ".examined.tmp", b"").unlink(missing_ok=True)


class FileServer:
    """Serves drop-directories.

    :param directory: where relative paths start.
    """

    name = "file"
    schemes: tuple[str, ...] = ("file",)
    delayed = True

    def __init__(self, options: FileServerOptions | None = None, directory: Path = Path()) -> None:
        self._options, self._directory = options or FileServerOptions(), directory

    def configured(self, settings: Mapping[str, Any], directory: Path) -> FileServer:
        """The transport with the keys of one table, those of :class:`~cmpkit_file.options.FileServerOptions`.

        :raises ConfigurationError: naming each key that is wrong.
        """
        return FileServer(read_own_options(FileServerOptions, settings, directory=directory), directory)

    def check(self, url: str) -> None:
        """Whether the URL names a directory; see :meth:`cmpkit.parts.ServerTransport.check`."""
        read_url(url, self._directory)

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """Answer what is put there until ``shutdown`` is set; what is in flight then is finished.

        :param url: of a directory that is there; the folders in it are made.
        :raises ConfigurationError: if the URL names none.
        :raises TransportError: if the directory cannot be used now.
        """
        place = DropDirectory(await to_thread.run_sync(read_url(url, self._directory).resolve))
        claims = await to_thread.run_sync(_open, place, self._options)
        try:
            async with watching(place.requests, self._options.watch) as changes:
                inbox = DirectoryInbox(
                    *(place, claims, changes, self._options), road=self.name, max_message_size=max_message_size
                )
                task_status.started(place.root.as_uri())
                await work_off(inbox, handler, shutdown=shutdown, road=self.name)
        finally:
            claims.close()


def _open(place: DropDirectory, options: FileServerOptions) -> Claims:
    place.make(place.requests, place.answers, place.work, place.done, place.failed)
    return Claims(place, locks=options.locks)
