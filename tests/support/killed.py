"""The command line in a process that dies (SIGKILL) at a checkpoint."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from cmpkit.cli import main
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import Event, Issuer, OpenContext
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.transports import CrashPoint


class Killer(logging.Handler):
    """An observer, and a reader of the road's log, that ends the process as a power failure would."""

    def __init__(self, point: str, number: int) -> None:
        super().__init__()
        self._point, self._left = point, number

    def observe(self, event: Event) -> None:
        if event.name == "checkpoint" and event.details["point"] == self._point:
            self._pass()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(f"{self._point}: "):
            self._pass()

    def _pass(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


class Elsewhere:
    """The local issuer behind a face that says it is not here: intents are committed before it is asked."""

    local = False

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


@dataclass(frozen=True)
class ElsewhereFactory:
    """Opens :class:`Elsewhere` for ``kind = "elsewhere"``."""

    plugins: Plugins
    kind: str = "elsewhere"

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Elsewhere:
        return Elsewhere(await self.plugins.require("issuer", "local").open(settings, context))


class Faults:
    """The plugin that brings both."""

    def __init__(self, killer: Killer, plugins: Plugins) -> None:
        self._killer, self._plugins = killer, plugins

    @hookimpl
    def cmpkit_observers(self) -> list[Killer]:
        return [self._killer]

    @hookimpl
    def cmpkit_issuers(self) -> list[ElsewhereFactory]:
        return [ElsewhereFactory(self._plugins)]


def run(arguments: Sequence[str], killed_at: tuple[str, int]) -> NoReturn:
    """Run a command in this process, which ends with it or before.

    :param killed_at: the value of a Checkpoint, or of a CrashPoint of store-and-forward roads, and at which passing of
        it: 1 is the first. With ``("never", 1)`` it lives.
    """
    point, number = killed_at
    killer = Killer(point, number)
    if point in {one.value for one in CrashPoint}:
        road_log = logging.getLogger("cmpkit.road")
        road_log.setLevel(logging.DEBUG)
        road_log.addHandler(killer)
    loaded = load_plugins()
    loaded.add(Faults(killer, loaded), "faults")
    main(arguments, plugins=loaded)
