"""The command line in a process that dies (SIGKILL) at a checkpoint: ``python killed.py POINT NUMBER ARGUMENT...``.

NUMBER says at which passing of the checkpoint: 1 is the first. With POINT ``never`` it lives.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmpkit.cli import main
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import Event, Issuer, OpenContext
from cmpkit.plugins import Plugins, load_plugins


class Killer:
    """An observer that ends the process as a power failure would."""

    def __init__(self, point: str, number: int) -> None:
        self._point, self._left = point, number

    def observe(self, event: Event) -> None:
        if event.name == "checkpoint" and event.details["point"] == self._point:
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


if __name__ == "__main__":
    point, number, *arguments = sys.argv[1:]
    loaded = load_plugins()
    loaded.add(Faults(Killer(point, int(number)), loaded), "faults")
    main(arguments, plugins=loaded)
