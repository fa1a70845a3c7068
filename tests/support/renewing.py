"""A device that keeps a certificate of a minute's life valid, in time that passes when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from device import URL, Device

from cmpkit.parts import CertificateRecord, CertificateState
from cmpkit.renewal.adding import add_certificate
from cmpkit.renewal.definition import Definition
from cmpkit.renewal.keeper import Keeper
from cmpkit.renewal.place import Place
from cmpkit.renewal.renewer import Outcome
from cmpkit.renewal.standing import Standing, look
from cmpkit.testing import VirtualClock


@dataclass
class Renewing:
    """The device, its server and their time.

    :param before_sleep: called with the seconds before they pass.
    """

    device: Device
    clock: VirtualClock
    before_sleep: Callable[[float], None] | None = None
    slept: list[float] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return Place(self.device.home / "renewal", "dev")

    @property
    def standing(self) -> Standing:
        return look(self.place)

    def definition(self, **changes: Any) -> Definition:
        values = {
            "url": URL,
            "trusted": (self.device.trusted,),
            "ref": "dev-42",
            "secret": f"file:{self.device.path('dev-42.secret')}",
            "subject": "CN=dev-42",
            "implicit_confirm": True,
        }
        return Definition(**{**values, **changes})

    async def add(self, pair: tuple[Path, str] | None = None, **changes: Any) -> None:
        await add_certificate(self.place, self.definition(**changes), self.device.plugins, pair=pair)

    def keeper(self) -> Keeper:
        return Keeper(self.place.folder, self.device.plugins, clock=self.clock, sleep=self._sleep)

    async def renew(self, names: Sequence[str] = (), *, force: bool = False) -> Outcome:
        (outcome,) = await self.keeper().renew(names, force=force)
        return outcome

    async def enrolled(self) -> tuple[Path, str]:
        """A certificate and its key, got by ``cmpkit enroll``."""
        await anyio.to_thread.run_sync(self.device.enroll)
        return self.device.path("dev-42.pem"), self.device.path("dev-42.key").as_uri()

    def until_due(self) -> datetime:
        """Let time pass until the next step."""
        step = self.standing.next_step(self.clock())
        return self.clock.advance(max(0.0, (step - self.clock()).total_seconds()))

    def until_expired(self) -> datetime:
        lifetime = self.standing.lifetime
        assert lifetime is not None
        return self.clock.advance(max(0.0, (lifetime.not_after - self.clock()).total_seconds()))

    def certificate(self) -> x509.Certificate:
        """The one in use; its key and its chain are beside it, and belong to it."""
        certificate = x509.load_pem_x509_certificate((self.place.current / "cert.pem").read_bytes())
        key = serialization.load_pem_private_key((self.place.current / "key.pem").read_bytes(), None)
        assert key.public_key() == certificate.public_key()
        chain = (self.place.current / "chain.pem").read_bytes()
        assert (self.place.current / "fullchain.pem").read_bytes().endswith(chain)
        assert x509.load_pem_x509_certificate(chain).subject == certificate.issuer
        return certificate

    async def issued(self) -> list[CertificateRecord]:
        """What the server has issued and not revoked."""
        return [record for record in await self.device.issued() if record.state is CertificateState.VALID]

    async def _sleep(self, seconds: float) -> None:
        if self.before_sleep is not None:
            self.before_sleep(seconds)
        self.slept.append(seconds)
        self.clock.advance(seconds)
