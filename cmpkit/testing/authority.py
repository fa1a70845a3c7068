"""A CA with its CMP server in this process: for tests, and for experiments that need somebody to talk to."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from cryptography import x509

from cmpkit.ca.certificates import IssuerCertificate
from cmpkit.ca.hierarchy import SIGNER_PROFILE, make_hierarchy, make_signer
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.policy import load_policy
from cmpkit.ca.profiles import load_profile
from cmpkit.ca.secrets import StoredSecrets
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import Protector
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.endpoints.verifier import ServerVerifier, issuer_key_of
from cmpkit.endpoints.work import Workshop
from cmpkit.parts import (
    Answer,
    CertificateProfile,
    CertificateRecord,
    ClientTransport,
    Grant,
    Observer,
    Peer,
    PrivateKey,
    RandomOctets,
    SecretRecord,
    SharedSecret,
    Store,
    Transform,
    UnitOfWork,
)
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.transports import MemoryRoad

__all__ = ["InProcessCA"]

_PROFILE = "device"
_SECRET_OCTETS = 24
_SEALING_OCTETS = 32


def _utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class InProcessCA:
    """A root, an issuing CA, a CMP server and its store; made by :meth:`make`. It needs ``cmpkit[server]``.

    It belongs to no event loop: clients on asyncio, on trio and in other threads may use it. Everything is in the
    store, which is opened for each message.

    :param plugins: the parts of server and clients; parts that are tried out are added to them.
    :param clock: gives the time, to the server and to clients.
    :param sleep: how its clients wait.
    :param random: where nonces, salts and serial numbers of the server come from.
    :param settings: how the server behaves.
    :param tolerances: what the server allows beyond the default, for the protection parts.
    """

    directory: Path
    plugins: Plugins
    profiles: Mapping[str, CertificateProfile]
    issuing: IssuerCertificate
    issuing_key: PrivateKey = field(repr=False)
    signer: SigningCredentials
    clock: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    random: RandomOctets = secrets.token_bytes
    settings: ServerSettings = field(default_factory=ServerSettings)
    tolerances: frozenset[str] = frozenset()
    _sealing_key: bytes = field(repr=False)

    @classmethod
    async def make(
        cls,
        directory: Path | str,
        *,
        subject: str = "CN=Test CA",
        key_type: str = "p256",
        profile: Mapping[str, Any] | None = None,
        plugins: Plugins | None = None,
        clock: Callable[[], datetime] = _utc_now,
        **more: Any,
    ) -> InProcessCA:
        """Make a CA.

        :param directory: where its database goes; it must exist.
        :param subject: of the issuing CA.
        :param key_type: of its three keys.
        :param profile: the settings of its one profile, ``device``, as in the configuration file.
        :param plugins: without them, those that are installed.
        :param more: further parameters of the class: ``random``, ``settings`` …
        :raises ConfigurationError: if a setting cannot be used, or a package is missing.
        """
        plugins = plugins or load_plugins()
        root_key, issuing_key, signer_key = (generate_key(key_type, plugins) for _ in range(3))
        now = clock().replace(microsecond=0)
        hierarchy = await make_hierarchy(parse_name(subject), root_key=root_key, issuing_key=issuing_key, now=now)
        signer = await make_signer(hierarchy.issuing, issuing_key, key=signer_key, now=now)
        made = cls(
            directory=Path(directory),
            plugins=plugins,
            profiles={_PROFILE: load_profile(_PROFILE, dict(profile or {}), plugins)},
            issuing=hierarchy.issuing,
            issuing_key=issuing_key,
            signer=SigningCredentials(signer.der, signer_key, hierarchy.issuing.all),
            clock=clock,
            _sealing_key=secrets.token_bytes(_SEALING_OCTETS),
            **more,
        )
        await plugins.store(made._store_url).create(made._store_url)
        async with made.store() as store:
            await store.commit(UnitOfWork(certificates=(signer,)))
        return made

    @property
    def trust(self) -> tuple[bytes, ...]:
        """DER of the root, the trust anchor for clients."""
        return self.issuing.all[-1:]

    @property
    def _store_url(self) -> str:
        return f"sqlite:///{self.directory.absolute()}/cmpkit.db"

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """Its store, open until the block ends."""
        store = self.plugins.store(self._store_url).open(self._store_url, sealing_key=self._sealing_key)
        try:
            yield store
        finally:
            with anyio.CancelScope(shield=True):
                await store.aclose()

    async def handle(self, message: bytes, peer: Peer) -> Answer:
        """Answer one message: a :data:`cmpkit.parts.Handler`, for any server transport."""
        async with self.store() as store:
            return await self.server(store).handle(message, peer)

    def server(self, store: Store) -> Server:
        """The server around an open store; each is as good as the next."""
        issuer = LocalIssuer(self.issuing, self.issuing_key, store, self.profiles, random=self.random)
        policy = load_policy({"default_profile": _PROFILE}, self.profiles)
        return Server(
            self.plugins,
            Workshop(self.plugins, store, issuer, issuer_key_of(self.issuing.all[0]), policy),
            ServerVerifier(
                self.plugins,
                store,
                [StoredSecrets(store)],
                self.issuing.all[:1],
                self.trust,
                self.issuing.all,
                tolerances=self.tolerances,
            ),
            Protector(self.plugins, self.signer, self.signer.subject, self.random),
            self.settings,
            self.clock,
        )

    def road(self) -> MemoryRoad:
        """A client transport to the server."""
        return MemoryRoad(self.handle)

    def options(self, **options: Any) -> ClientOptions:
        """Options of a client that lives by the clock of this CA; further ones as they are given."""
        return ClientOptions(**{"clock": self.clock, "sleep": self.sleep, **options})

    def client(
        self,
        credentials: Credentials,
        *,
        transport: ClientTransport | None = None,
        transform: Transform | None = None,
        observers: Sequence[Observer] = (),
        **options: Any,
    ) -> Client:
        """A client that trusts this CA and reaches its server.

        :param transport: another road than :meth:`road`, one around it for instance.
        :param options: of :class:`~cmpkit.ClientOptions`.
        """
        return Client(
            "memory:",
            credentials=credentials,
            trust=self.trust,
            options=self.options(**options),
            plugins=self.plugins,
            transport=transport or self.road(),
            observers=observers,
            transform=transform,
        )

    async def add_secret(
        self, reference: str = "dev-42", *, subject: str | x509.Name | None = "", **grant: Any
    ) -> SharedSecret:
        """A shared secret that the server knows.

        :param subject: the subject that it may ask for: empty means CN=REFERENCE, ``None`` any.
        :param grant: further fields of :class:`cmpkit.parts.Grant`; without them, it may be used any number of times.
        """
        name = parse_name(subject or f"CN={reference}") if isinstance(subject, str) else subject
        secret = SharedSecret(reference, secrets.token_urlsafe(_SECRET_OCTETS))
        async with self.store() as store:
            await store.add_secret(SecretRecord(secret, Grant(**{"subject": name, "uses": None, **grant})))
        return secret

    async def certificates(self) -> tuple[CertificateRecord, ...]:
        """What was issued to clients."""
        async with self.store() as store:
            return tuple(record for record in await store.certificates() if record.profile != SIGNER_PROFILE)
