"""All certificates of a folder: once, or for as long as the process lives."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from cmpkit.errors import ConfigurationError
from cmpkit.parts import Observer
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.renewal.materials import Materials, Surroundings, utc_now
from cmpkit.renewal.place import Place, find_places
from cmpkit.renewal.renewer import Outcome, Renewer
from cmpkit.renewal.standing import Standing, look

__all__ = ["Keeper"]

_log = logging.getLogger("cmpkit.renewal")
_AT_ONCE = 4
"""How many certificates are worked on at a time."""
_LONGEST_REST = timedelta(minutes=10)
"""How soon it is seen at the latest that somebody added a certificate, or changed a definition."""
_SHORTEST_REST = timedelta(seconds=1)


class Keeper:
    """Keeps the certificates of a folder valid.

    :param folder: has a definition ``NAME.toml`` for each.
    :param plugins: the parts to use; without them, those that are installed.
    :param clock: gives the time, in UTC.
    :param sleep: waits for some seconds; a virtual clock has its own.
    :param observers: told of every message.
    """

    def __init__(
        self,
        folder: Path,
        plugins: Plugins | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.folder = folder.absolute()
        self._around = Surroundings(plugins or load_plugins(), clock, sleep, tuple(observers))
        self._woken = anyio.Event()

    def places(self, names: Sequence[str] = ()) -> tuple[Place, ...]:
        """The certificates of these names; without names, all.

        :raises ConfigurationError: if there is no folder, or no certificate of a name.
        """
        found = find_places(self.folder)
        known = {place.name: place for place in found}
        missing = [name for name in names if name not in known]
        if missing:
            raise ConfigurationError(
                f"there is no {', '.join(missing)} in {self.folder}", hint=f"there are: {', '.join(known) or 'none'}"
            )
        return tuple(known[name] for name in dict.fromkeys(names)) if names else found

    async def renew(self, names: Sequence[str] = (), *, force: bool = False) -> tuple[Outcome, ...]:
        """Do what is due, for several certificates at a time.

        :param names: which; without them, all.
        :param force: renew and deploy, due or not.
        :raises ConfigurationError: if there is no folder, or no certificate of a name. What goes wrong with one
            certificate is in its outcome, and keeps nobody from the others.
        """
        places = await anyio.to_thread.run_sync(self.places, names)
        outcomes: dict[str, Outcome] = {}
        limiter = anyio.CapacityLimiter(_AT_ONCE)

        async def work(place: Place) -> None:
            async with limiter:
                renewer = Renewer(place, self._around)
                try:
                    outcomes[place.name] = await renewer.work(force=force)
                except (ConfigurationError, OSError) as error:
                    outcomes[place.name] = self._failed(place, error)

        async with anyio.create_task_group() as workers:
            for place in places:
                workers.start_soon(work, place)
        return tuple(outcomes[place.name] for place in places)

    def _failed(self, place: Place, error: ConfigurationError | OSError) -> Outcome:
        if isinstance(error, OSError):
            error = ConfigurationError(f"{error.filename or place.directory}: {error.strerror}")
        _log.warning("%s: %s", place.name, error)
        return Outcome(place.name, (), (error,), self._around.clock() + _LONGEST_REST)

    async def check(self, place: Place) -> Standing:
        """Whether everything that a certificate needs can be used. No server is asked, and nothing changed.

        :raises ConfigurationError: naming what cannot be.
        """
        standing = await anyio.to_thread.run_sync(look, place)
        await Materials(place, standing.definition, self._around).check(standing.version)
        hopeless = standing.hopeless(self._around.clock())
        if hopeless is not None:
            raise hopeless
        return standing

    async def keep(self, stop: anyio.Event, *, told: Callable[[Outcome], None] | None = None) -> None:
        """Do what is due whenever it is, until ``stop`` is set; what is in flight then is finished first.

        Definitions are read anew each time: at the latest after ten minutes, or :meth:`wake`.

        :param told: gets the outcome of each certificate in each run.
        :raises ConfigurationError: if there is no folder.
        """
        while not stop.is_set():
            self._woken = anyio.Event()
            outcomes = await self.renew()
            if told is not None:
                for outcome in outcomes:
                    told(outcome)
            now = self._around.clock()
            due = min((outcome.next_step for outcome in outcomes), default=now + _LONGEST_REST)
            await self._rest(max(now + _SHORTEST_REST, min(due, now + _LONGEST_REST)), stop)

    def wake(self) -> None:
        """Look again at once, in :meth:`keep`."""
        self._woken.set()

    async def _rest(self, until: datetime, stop: anyio.Event) -> None:
        woken = self._woken

        async def first(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            waiting.cancel_scope.cancel()

        async with anyio.create_task_group() as waiting:
            waiting.start_soon(first, stop.wait)
            waiting.start_soon(first, woken.wait)
            waiting.start_soon(first, partial(self._around.sleep, (until - self._around.clock()).total_seconds()))
