"""How a certificate stands: what there is of it, and what is due when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cmpkit.errors import ConfigurationError
from cmpkit.renewal.definition import Definition, load_definition
from cmpkit.renewal.place import Place, Version
from cmpkit.renewal.requesting import under_way
from cmpkit.renewal.schedule import Lifetime, lifetime_of, renewal_time
from cmpkit.renewal.state import RenewalState, load_state

__all__ = ["Standing", "look"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A certificate as its files tell.

    :param version: the version in use, ``None`` if there is none yet.
    :param lifetime: of its certificate.
    :param begun: whether a request was begun and is not over.
    """

    place: Place
    definition: Definition
    version: Version | None
    lifetime: Lifetime | None
    state: RenewalState
    begun: bool

    def expired(self, now: datetime) -> bool:
        """Whether there is a certificate, and it is too late to update it."""
        return self.lifetime is not None and self.lifetime.is_over(now)

    def due(self, now: datetime) -> datetime:
        """When a new certificate is due; what was begun is due at once."""
        if self.version is None or self.lifetime is None or self.begun:
            return now
        seed = self.version.certificate
        return renewal_time(self.lifetime, self.definition.window, self.definition.jitter, seed=seed)

    def renewal_at(self, now: datetime) -> datetime:
        """When it is tried to get it: not before the pause after a failure is over."""
        trouble = self.state.renewal
        return self.due(now) if trouble is None else max(self.due(now), trouble.next_attempt)

    def deployment_at(self, now: datetime) -> datetime | None:
        """When the deploy hook is to run, ``None`` if there is nothing to run it for."""
        if self.definition.deploy_hook is None or self.version is None or self.state.deployed == self.version.name:
            return None
        return now if self.state.deployment is None else self.state.deployment.next_attempt

    def next_step(self, now: datetime) -> datetime:
        """When something is to be done next."""
        deployment = self.deployment_at(now)
        renewal = self.renewal_at(now)
        return renewal if deployment is None else min(renewal, deployment)

    def hopeless(self, now: datetime) -> ConfigurationError | None:
        """Why no certificate can be asked for, and what to do about it; ``None`` if one can."""
        if self.definition.ref is not None or (self.lifetime is not None and not self.expired(now)):
            return None
        if self.lifetime is None:
            what = "there is no certificate, and no shared secret to get one"
        else:
            what = f"the certificate expired at {self.lifetime.not_after:%Y-%m-%d %H:%M:%S} UTC: too late to update it"
        name, folder = self.place.name, self.place.folder
        return ConfigurationError(
            what,
            rule="RFC 9483 section 4.1.3",
            hint=f"set ref and secret in {self.place.definition}, or get a certificate by cmpkit enroll and bring it "
            f"with: cmpkit renew import {name} --state {folder} --cert FILE --key FILE",
        )


def look(place: Place) -> Standing:
    """Read the files of a certificate; nothing is changed.

    :raises ConfigurationError: naming the file that cannot be used.
    """
    definition = load_definition(place.definition)
    version = place.version()
    lifetime = None if version is None else lifetime_of(version.certificate)
    return Standing(place, definition, version, lifetime, load_state(place.state), bool(under_way(place)))
