"""A whole server with its CA and its store, and clients that reach it without a network."""

from __future__ import annotations

import base64
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509

from cmpkit.ca.approval import Approvals
from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.key_generation import KeyGeneration
from cmpkit.ca.policy import load_policy
from cmpkit.ca.profiles import load_profile
from cmpkit.ca.secrets import StoredSecrets
from cmpkit.ca.setup import Initialised, initialise
from cmpkit.ca.sources import resolve_store_url
from cmpkit.crypto.keys import load_private_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import Protector
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.endpoints.verifier import ServerVerifier, issuer_key_of
from cmpkit.endpoints.work import Workshop
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import (
    Answer,
    CertificateRecord,
    ClientTransport,
    EncryptionCredentials,
    Event,
    Grant,
    Issuer,
    Observer,
    Peer,
    Policy,
    SecretRecord,
    SharedSecret,
    Store,
    Transform,
    TransportOptions,
)
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.testing import VirtualClock
from cmpkit.transports import MemoryRoad
from cmpkit.transports.address import open_transport

from .forge import NOW

SECRET = "correct horse battery staple"


@dataclass
class Watcher:
    """An observer that remembers, and does at a checkpoint what it is told."""

    events: list[Event] = field(default_factory=list)
    at: dict[str, Callable[[], None]] = field(default_factory=dict)

    def observe(self, event: Event) -> None:
        self.events.append(event)
        if event.name == "checkpoint":
            action = self.at.pop(str(event.details["point"]), None)
            if action is not None:
                action()

    def of(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


@dataclass
class World:
    """A server, what it stores, and what can be known of it."""

    plugins: Plugins
    directory: Path
    store: Store
    issuer: LocalIssuer
    signer: SigningCredentials
    trust: tuple[bytes, ...]
    issuing: tuple[bytes, ...]
    clock: VirtualClock
    watcher: Watcher
    settings: ServerSettings = field(default_factory=ServerSettings)
    tolerances: frozenset[str] = frozenset()
    foreign: tuple[bytes, ...] = ()
    authorities: tuple[bytes, ...] = ()
    front: Issuer | None = None
    approvals: Approvals = field(default_factory=Approvals)
    key_generation: KeyGeneration | None = None
    encryption: EncryptionCredentials | None = None
    policy: Policy | None = None
    peer: Peer = field(default_factory=lambda: Peer("memory", "192.0.2.1"))

    @property
    def server(self) -> Server:
        """The server; each is as good as the next, for everything is in the store."""
        profiles = {"device": load_profile("device", {}, self.plugins)}
        policy = self.policy or load_policy({"default_profile": "device"}, profiles)
        workshop = Workshop(self.plugins, self.store, self.front or self.issuer, issuer_key_of(self.issuing[0]), policy)
        workshop = replace(
            workshop,
            approvals=self.approvals,
            key_generation=self.key_generation,
            encryption=self.encryption,
        )
        verifier = ServerVerifier(
            self.plugins,
            self.store,
            [StoredSecrets(self.store)],
            self.issuing[:1],
            (*self.trust, *self.foreign),
            self.issuing,
            registration_authorities=self.authorities,
            tolerances=self.tolerances,
        )
        protector = Protector(self.plugins, self.signer, self.signer.subject)
        return Server(self.plugins, workshop, verifier, protector, self.settings, self.clock)

    async def handle(self, der: bytes) -> Answer:
        return await self.server.handle(der, self.peer)

    def road(self) -> MemoryRoad:
        return MemoryRoad(self.server.handle, peer=self.peer)

    def client(
        self,
        credentials: Credentials,
        *,
        transport: Any = None,
        transform: Transform | None = None,
        observers: Sequence[Observer] = (),
        **options: Any,
    ) -> Client:
        return Client(
            "memory:",
            credentials=credentials,
            trust=self.trust,
            options=ClientOptions(clock=self.clock, **{"total_timeout": 5.0, **options}),
            plugins=self.plugins,
            transport=transport or self.road(),
            observers=observers,
            transform=transform,
        )

    async def secret(self, reference: str = "dev-42", **grant: Any) -> SharedSecret:
        """A shared secret that the server knows."""
        subject = parse_name(f"CN={reference}")
        secret = SharedSecret(reference, SECRET)
        await self.store.add_secret(SecretRecord(secret, Grant(**{"subject": subject, **grant})))
        return secret

    async def certificates(self) -> tuple[CertificateRecord, ...]:
        """What was issued to clients."""
        return tuple(record for record in await self.store.certificates() if record.profile == "device")

    def with_(self, **changes: Any) -> World:
        """The same world with a server that behaves differently."""
        return replace(self, **changes)


@asynccontextmanager
async def over_http(world: World) -> AsyncIterator[Callable[[], ClientTransport]]:
    """Makes roads to the server of a world, which listens until the block ends."""
    address, shutdown = "http://127.0.0.1:0/.well-known/cmp", anyio.Event()
    serve = world.plugins.server_transport(address).serve
    listen = partial(serve, address, world.server.handle, max_message_size=1 << 20, shutdown=shutdown)
    async with anyio.create_task_group() as tasks:
        url = await tasks.start(listen)
        yield partial(open_transport, world.plugins, url, TransportOptions())
        shutdown.set()


@pytest.fixture(scope="session")
def make_ca(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Initialised]:
    """What ``cmpkit init`` makes, by its key type; it takes longer than most tests, so each gets a copy."""

    @cache
    def make(key_type: str) -> Initialised:
        directory, name = tmp_path_factory.mktemp("ca") / "ca", parse_name("CN=Example CA,O=Example")
        options = {"subject": name, "key_type": key_type, "plugins": load_plugins(), "now": NOW - timedelta(days=1)}
        return anyio.run(partial(initialise, directory, **options))

    return make


@pytest.fixture
def key_type() -> str:
    """Of the keys of the CA; tests may name another."""
    return "p256"


@pytest.fixture
def made(make_ca: Callable[[str], Initialised], key_type: str) -> Initialised:
    """The one that the test is for; made outside of any event loop."""
    return make_ca(key_type)


@pytest.fixture
async def world(tmp_path: Path, made: Initialised, anyio_backend: str) -> AsyncIterator[World]:
    directory = tmp_path / "ca"
    shutil.copytree(made.directory, directory)
    watcher = Watcher()
    plugins = load_plugins()
    plugins.add(Observing(watcher), "watcher")
    url = resolve_store_url("sqlite:///cmpkit.db", directory)
    sealing_key = base64.b64decode((directory / "keys/store.key").read_bytes())
    store = plugins.store(url).open(url, sealing_key=sealing_key)
    issuing = load_certificates((directory / "issuing.pem").read_bytes())
    key = load_private_key((directory / "keys/issuing.key.pem").read_bytes(), None, plugins)
    signer_chain = load_certificates((directory / "signer.pem").read_bytes())
    signer_key = load_private_key((directory / "keys/signer.key.pem").read_bytes(), None, plugins)
    profiles = {"device": load_profile("device", {}, plugins)}
    yield World(
        plugins,
        directory,
        store,
        LocalIssuer(read_issuer_certificate(issuing), key, store, profiles),
        SigningCredentials(signer_chain[0], signer_key, signer_chain[1:]),
        load_certificates((directory / "trust.pem").read_bytes()),
        issuing,
        VirtualClock(NOW),
        watcher,
    )
    await store.aclose()


class Observing:
    """A plugin with one observer."""

    def __init__(self, observer: Watcher) -> None:
        self._observer = observer

    @hookimpl
    def cmpkit_observers(self) -> list[Watcher]:
        return [self._observer]


def subject_of(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).subject.rfc4514_string()
