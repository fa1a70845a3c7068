"""The other end of a road while it is checked: a handler that does special things, and a server around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup, TaskStatus

from cmpkit.errors import ConfigurationError
from cmpkit.parts import Answer, Disposition, Handler, Peer, ServerTransport
from cmpkit.testing.contract import refused, require, require_name, require_schemes, success

__all__ = [
    "FAIL",
    "FAIL_AT_FIRST",
    "HOLD",
    "MALFORMED_WITH_DER",
    "MAX_MESSAGE_SIZE",
    "SIZES",
    "SPECIAL",
    "STEP_SECONDS",
    "UNAVAILABLE_AT_FIRST",
    "Partner",
    "answer_to",
    "limit",
    "message_of",
    "require_server",
    "start",
]

STEP_SECONDS = 30.0
MAX_MESSAGE_SIZE = 100_000
SIZES = (1, 2, 127, 128, 1460, 16_384, 60_000)
HOLD, FAIL, MALFORMED_WITH_DER = b"hold", b"fail", b"malformed, with an answer"
UNAVAILABLE_AT_FIRST, FAIL_AT_FIRST = b"unavailable at first", b"fail at first"
SPECIAL = {
    b"nothing more": Answer(None, Disposition.NOTHING_MORE),
    b"malformed": Answer(None, Disposition.MALFORMED),
    b"too large": Answer(None, Disposition.TOO_LARGE),
    b"unavailable": Answer(None, Disposition.UNAVAILABLE),
    MALFORMED_WITH_DER: Answer(b"a CMP error message", Disposition.MALFORMED),
}


class Partner:
    """The handler of the checks.

    :ivar calls: how often it was called with each message.
    """

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.calls: Counter[bytes] = Counter()
        self.largest = 0
        self.held = anyio.Event()
        self.release = anyio.Event()
        self._called = anyio.Event()

    async def __call__(self, message: bytes, peer: Peer) -> Answer:
        self.peers.append(peer)
        self.calls[message] += 1
        self.largest = max(self.largest, len(message))
        self._called.set()
        self._called = anyio.Event()
        if message == FAIL or (message == FAIL_AT_FIRST and self.calls[message] == 1):
            raise RuntimeError("the handler fails, as the check of the transport wants it")
        if message == UNAVAILABLE_AT_FIRST and self.calls[message] == 1:
            return Answer(None, Disposition.UNAVAILABLE)
        if message == HOLD:
            self.held.set()
            await self.release.wait()
        return SPECIAL.get(message) or Answer(answer_to(message))

    async def called_with(self, message: bytes) -> None:
        """Wait until it was."""
        while not self.calls[message]:
            await self._called.wait()


def answer_to(message: bytes) -> bytes:
    """What the handler answers to a message that is not special."""
    return b"answer to " + message[::-1]


def message_of(size: int) -> bytes:
    """A message of so many octets."""
    return bytes(index % 251 for index in range(size))


def require_server(transport: ServerTransport, url: str) -> None:
    """Demand what a server transport says of itself and of addresses.

    :raises AssertionError: naming what is wrong.
    """
    require_name(transport)
    require_schemes(transport)
    delayed = getattr(transport, "delayed", None)
    require(isinstance(delayed, bool), f"delayed must be True or False, not {delayed!r}")
    with success(f"check() must accept {url!r}, on which it can listen"):
        transport.check(url)
    with refused("a URL with nothing after its scheme", by=ConfigurationError):
        transport.check(f"{transport.schemes[0]}:")


async def start(
    tasks: TaskGroup, transport: ServerTransport, url: str, handler: Handler, shutdown: anyio.Event
) -> tuple[str, anyio.Event]:
    """Start to serve; returns the reported address, and what is set when ``serve`` has returned."""
    returned = anyio.Event()

    async def serve(*, task_status: TaskStatus[str]) -> None:
        await transport.serve(
            url, handler, max_message_size=MAX_MESSAGE_SIZE, shutdown=shutdown, task_status=task_status
        )
        returned.set()

    with limit("serve() must call started()"):
        address: str = await tasks.start(serve)
    return address, returned


@contextmanager
def limit(otherwise: str) -> Iterator[None]:
    """Fail with that text if what is in the block takes too long."""
    try:
        with anyio.fail_after(STEP_SECONDS):
            yield
    except TimeoutError as error:
        raise AssertionError(otherwise) from error
