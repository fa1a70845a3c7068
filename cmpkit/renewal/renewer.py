"""One certificate: renewed if it is due, deployed if it is new, and every step noted so that the next run goes on."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import anyio.to_thread

from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, ConfigurationError, DeploymentError, StillWaiting
from cmpkit.renewal.definition import load_definition
from cmpkit.renewal.hook import run_hook
from cmpkit.renewal.materials import Materials, Surroundings
from cmpkit.renewal.place import Place, Version, find_places
from cmpkit.renewal.requesting import Requester, forget_what_led_to, under_way
from cmpkit.renewal.schedule import lifetime_of, retry_pause
from cmpkit.renewal.standing import Standing, look
from cmpkit.renewal.state import RenewalState, Trouble, save_state

__all__ = ["Deed", "Outcome", "Renewer"]

_log = logging.getLogger("cmpkit.renewal")


class Deed(enum.Enum):
    """What was done."""

    ENROLLED = "enrolled"
    UPDATED = "updated"
    DEPLOYED = "deployed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one certificate in one run.

    :param done: what succeeded.
    :param errors: what failed.
    :param next_step: when there is something to do again.
    :param standing: how it stands now; ``None`` if that could not be found out.
    """

    name: str
    done: tuple[Deed, ...]
    errors: tuple[CMPError, ...]
    next_step: datetime
    standing: Standing | None = None


@dataclass(slots=True)
class Renewer:
    """Works on one certificate."""

    place: Place
    around: Surroundings

    async def work(self, *, force: bool = False) -> Outcome:
        """Do what is due.

        :param force: renew and deploy, due or not.
        :raises ConfigurationError: if its files cannot be used, or another process is working on it.
        """
        with self.place.locked():
            await anyio.to_thread.run_sync(forget_what_led_to, self.place)
            standing = await anyio.to_thread.run_sync(look, self.place)
            done: list[Deed] = []
            errors: list[CMPError] = []
            if force or standing.renewal_at(self.around.clock()) <= self.around.clock():
                await self._renew(standing, done, errors)
                standing = await anyio.to_thread.run_sync(look, self.place)
            deployment = standing.deployment_at(self.around.clock())
            if deployment is not None and (force or deployment <= self.around.clock()):
                await self._deploy(standing, done, errors)
                standing = await anyio.to_thread.run_sync(look, self.place)
            return Outcome(self.place.name, tuple(done), tuple(errors), self._next_step(standing), standing)

    def _next_step(self, standing: Standing) -> datetime:
        now, trouble = self.around.clock(), standing.state.renewal
        renewal, deployment = standing.renewal_at(now), standing.deployment_at(now)
        if trouble is not None and renewal <= now:
            # A fault of our own may be mended at any time: it is looked at in every run, but that need not be now.
            renewal = now + self._pause(standing, trouble.attempts)
        return renewal if deployment is None else min(renewal, deployment)

    async def _renew(self, standing: Standing, done: list[Deed], errors: list[CMPError]) -> None:
        try:
            version, deed = await self._obtain(standing)
            await anyio.to_thread.run_sync(self._take_into_use, version, standing.state)
        except CMPError as error:
            errors.append(error)
            await self._note_failure(standing, error)
            return
        done.append(deed)
        new, old = lifetime_of(version.certificate), standing.lifetime
        _log.info("%s: %s, valid until %s", self.place.name, deed.value, new.not_after.isoformat())
        if old is not None and new.not_after <= old.not_after and new.length < old.length:
            # Each renewal would be due sooner after the one before.
            useless = CMPError(
                "the new certificate ends no later than the one before",
                hint="has the CA come near its own end?",
            )
            errors.append(useless)
            await self._note_failure(replace(standing, state=replace(standing.state, deployment=None)), useless)

    async def _obtain(self, standing: Standing) -> tuple[Version, Deed]:
        requester = Requester(Materials(self.place, standing.definition, self.around))
        finished = await requester.finish(standing.version)
        if finished is not None:
            version, operation = finished
            return version, Deed.UPDATED if operation is BodyType.KUR else Deed.ENROLLED
        hopeless = standing.hopeless(self.around.clock())
        if hopeless is not None:
            raise hopeless
        if standing.version is None or standing.expired(self.around.clock()):
            return await requester.enroll(standing.version), Deed.ENROLLED
        return await requester.update(standing.version), Deed.UPDATED

    def _take_into_use(self, version: Version, state: RenewalState) -> None:
        self.place.switch_to(version)
        reach(self.around.plugins, Checkpoint.VERSION_IN_USE, None)
        save_state(self.place.state, replace(state, renewal=None, deployment=None))
        forget_what_led_to(self.place)

    async def _note_failure(self, standing: Standing, error: CMPError) -> None:
        attempts = standing.state.renewal.attempts + 1 if standing.state.renewal is not None else 1
        now = self.around.clock()
        at = now
        if isinstance(error, StillWaiting) and error.waiting:
            # Not in vain: it is asked again when the server said that it should be.
            attempts = 1
            times = [transaction.poll_at for transaction in under_way(self.place) if transaction.poll_at is not None]
            at = max([now + self._pause(standing, attempts), *times])
        elif not isinstance(error, ConfigurationError):
            at = now + self._pause(standing, attempts)
        state = replace(standing.state, renewal=Trouble(attempts, at, str(error)))
        await anyio.to_thread.run_sync(save_state, self.place.state, state)
        _log.warning("%s: attempt %d failed: %s", self.place.name, attempts, error)

    async def _deploy(self, standing: Standing, done: list[Deed], errors: list[CMPError]) -> None:
        definition, version = standing.definition, standing.version
        assert definition.deploy_hook is not None
        assert version is not None
        result = await run_hook(
            definition.deploy_hook,
            self.place.environment(definition.key),
            time_limit=definition.hook_timeout,
            without=await anyio.to_thread.run_sync(self._secret_variables),
        )
        for line in result.output.splitlines():
            _log.info("%s: deploy hook: %s", self.place.name, line)
        if not result.failure:
            reach(self.around.plugins, Checkpoint.DEPLOYED, None)
            state = replace(standing.state, deployment=None, deployed=version.name)
            done.append(Deed.DEPLOYED)
        else:
            attempts = standing.state.deployment.attempts + 1 if standing.state.deployment is not None else 1
            at = self.around.clock() + self._pause(standing, attempts)
            state = replace(standing.state, deployment=Trouble(attempts, at, result.failure))
            errors.append(DeploymentError(result.failure))
            _log.warning("%s: attempt %d failed: %s", self.place.name, attempts, result.failure)
        await anyio.to_thread.run_sync(save_state, self.place.state, state)

    def _pause(self, standing: Standing, attempts: int) -> timedelta:
        lifetime, window = standing.lifetime, timedelta()
        if lifetime is not None and standing.hopeless(self.around.clock()) is None:
            window = lifetime.window(standing.definition.window)
        return retry_pause(attempts, window, seed=self.place.name.encode())

    def _secret_variables(self) -> frozenset[str]:
        """The environment variables that hold secrets of any certificate here: no business of a hook."""
        found = set()
        for place in find_places(self.place.folder):
            try:
                definition = load_definition(place.definition)
            except ConfigurationError:
                continue
            for source in (definition.secret, definition.keypass):
                if source is not None and source.startswith("env:"):
                    found.add(source.removeprefix("env:"))
        return frozenset(found)
