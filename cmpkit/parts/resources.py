"""What a server may offer beside CMP at its addresses: documents to fetch, and short questions with short answers.

Certificate revocation lists, certificates of CAs and OCSP (RFC 4387, RFC 6960 appendix A) are such resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

import anyio
from anyio.abc import TaskStatus

from cmpkit.parts.transports import Handler, TransportOptions

__all__ = ["Document", "Question", "Resource", "ResourceClient", "ResourceServer"]


@dataclass(frozen=True, slots=True)
class Document:
    """What a resource gives.

    :param content: its octets.
    :param asked_at: the time at which it was given.
    :param last_modified: since when it is as it is; with ``expires``, who fetched it may keep it until then.
    :param expires: ``None`` if it must not be kept.
    """

    content: bytes
    media_type: str
    asked_at: datetime
    last_modified: datetime | None = None
    expires: datetime | None = None


class Resource(Protocol):
    """Something under a path of its own.

    :ivar posts: the media type of the questions that :meth:`post` answers; empty if there are none.
    :ivar max_size: octets of a question; longer ones are refused before they are read.
    """

    posts: str
    max_size: int

    async def get(self, path: str) -> Document | None:
        """The document at a path, or ``None`` if there is none.

        :param path: what follows the path of the resource, as it was sent (percent-encoded).
        :raises CMPError: systemUnavail if it cannot be had now.
        """

    async def post(self, body: bytes) -> Document:
        """The answer to a question.

        :raises CMPError: systemUnavail if it cannot be had now.
        """


@dataclass(frozen=True, slots=True)
class Question:
    """What is put to a resource.

    :param answered_by: the media type of the answer.
    """

    content: bytes
    media_type: str
    answered_by: str


@runtime_checkable
class ResourceClient(Protocol):
    """What a :class:`ClientTransportFactory` may be able to do besides: to fetch documents and put questions."""

    async def fetch(self, url: str, options: TransportOptions, question: Question | None = None) -> bytes:
        """The document at an address, or the answer to a question that is put there.

        :param options: their ``max_response_size`` bounds what is read.
        :raises ConfigurationError: if the URL or an option cannot be used.
        :raises TransportError: if it cannot be had.
        """


@runtime_checkable
class ResourceServer(Protocol):
    """What a :class:`ServerTransport` may be able to do besides: to serve resources at the address of its messages."""

    async def serve_resources(
        self,
        url: str,
        handler: Handler | None,
        resources: Mapping[str, Resource],
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        """Serve messages and resources; see :meth:`ServerTransport.serve`.

        :param handler: ``None`` if no messages are taken at this address.
        :param resources: by their paths; one whose path ends in a slash has everything below it.
        """
