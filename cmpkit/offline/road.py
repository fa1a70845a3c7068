"""The road of a device that no network reaches, ``offline:``: messages wait where they are saved, to be carried.

What is sent is in its saved transaction already, and bundles are packed from these; what has come is in a bundle. So
nothing is waited for: an operation goes on as far as what has come takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import anyio.lowlevel

from cmpkit.endpoints.options import ClientOptions
from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions, Wanted
from cmpkit.transports import refuse_other_options

__all__ = ["OFFLINE", "OfflineClients", "OfflineRoad", "without_waiting"]

OFFLINE: Final = "offline:"
"""The one address of this road."""


class OfflineRoad:
    """See :class:`cmpkit.parts.ForwardingTransport`.

    The client must keep its transactions (``ClientOptions.state``): they are what is carried.

    :param answers: the messages that have come.
    """

    def __init__(self, answers: Sequence[bytes] = ()) -> None:
        self._answers = tuple(answers)

    async def send(self, message: bytes) -> None:
        """Nothing: the message is in its saved transaction, from which it is packed."""
        await anyio.lowlevel.checkpoint()

    async def receive(self, wanted: Wanted) -> bytes:
        """An answer that is wanted.

        :raises TimeoutError: if none has come: none will by waiting.
        """
        for answer in self._answers:
            if await wanted(answer):
                return answer
        raise TimeoutError

    async def done(self, message: bytes) -> None:
        """It is not received here again; the bundle that it came in stays as it is."""
        await anyio.lowlevel.checkpoint()
        self._answers = tuple(answer for answer in self._answers if answer != message)

    async def aclose(self) -> None:
        """Nothing is open."""


def without_waiting(options: ClientOptions) -> ClientOptions:
    """The options of a client on this road: time passes while messages are carried, so it is no use to wait.

    Where a server says that it needs time, the pollReq that asks again is the next message to be carried.
    """
    return replace(options, sleep=_pass_by, total_timeout=None)


async def _pass_by(seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


class OfflineClients:
    """Opens this road with nothing that has come; see :class:`cmpkit.parts.ClientTransportFactory`."""

    schemes: tuple[str, ...] = ("offline",)

    def open(self, url: str, options: TransportOptions) -> OfflineRoad:
        """The road.

        :raises ConfigurationError: if the URL says more than ``offline:``, or an option has no meaning here.
        """
        if url.casefold() != OFFLINE:
            raise ConfigurationError(f"{url!r}: the address of devices without a network is {OFFLINE}")
        refuse_other_options(options, url)
        return OfflineRoad()
