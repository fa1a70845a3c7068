"""A CA with its CMP server, a registration authority before it with a store of its own, and devices before that."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.ca.certificates import IssuerCertificate
from cmpkit.ca.extensions import purposes_extension
from cmpkit.ca.hierarchy import SIGNER_PROFILE
from cmpkit.ca.issuer import certificate_record
from cmpkit.ca.key_generation import KeyGeneration
from cmpkit.ca.policy import load_policy
from cmpkit.ca.profiles import load_profile
from cmpkit.ca.secrets import StoredSecrets
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import CertificateContent, build_certificate, extension, key_identifier, random_serial
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import Protector
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.endpoints.verifier import ServerVerifier, issuer_key_of
from cmpkit.endpoints.work import Workshop
from cmpkit.enums import BodyType
from cmpkit.issuers.authority import Authority
from cmpkit.issuers.cmp import CMPIssuer
from cmpkit.issuers.correspondence import Correspondence
from cmpkit.parts import (
    Authenticated,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    ClientTransport,
    Credential,
    Grant,
    Issuer,
    Peer,
    ProtectionKind,
    SecretRecord,
    SharedSecret,
    Store,
    UnitOfWork,
)
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.testing import VirtualClock
from cmpkit.testing.authority import InProcessCA
from cmpkit.transports import MemoryRoad

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "correct horse battery staple"
DEVICE = Authenticated("dev-42", Credential(ProtectionKind.MAC, "mac:6465762d3432"))


class TrustingPolicy:
    """Lets registration authorities ask for what they want, and others what the default policy lets them."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        if "ra" not in auth.roles:
            await self.inner.authorize(body_type, auth, now=now)

    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        if "ra" in auth.roles:
            return request.under(request.profile or "device")
        return await self.inner.authorize_request(request, auth, now=now)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass(frozen=True, kw_only=True)
class UpstreamCA(InProcessCA):
    """A CA that believes registration authorities; what comes, and what is answered, can be changed."""

    front: Any = None
    messages: list[bytes] = field(default_factory=list)

    def server(self, store: Store) -> Server:
        made = super().server(store)
        workshop = replace(made.workshop, policy=TrustingPolicy(made.workshop.policy))
        if self.front is not None:
            workshop = replace(workshop, issuer=self.front(workshop.issuer))
        return replace(made, workshop=workshop)

    async def handle(self, message: bytes, peer: Peer) -> Any:
        self.messages.append(message)
        return await super().handle(message, peer)


@dataclass
class Landscape:
    """The CA, and the registration authority."""

    plugins: Plugins
    ca: UpstreamCA
    store: Store
    credentials: SigningCredentials
    clock: VirtualClock
    profile: dict[str, Any] = field(default_factory=dict)
    settings: ServerSettings = field(default_factory=ServerSettings)
    issuer: Any = None

    @property
    def authority(self) -> Authority:
        profiles = {"device": load_profile("device", self.profile, self.plugins)}
        return Authority(self.ca.issuing, self.store, self.plugins, profiles)

    def cmp_issuer(
        self, *, road: ClientTransport | None = None, patience: float = 5.0, credentials: Any = None, **options: Any
    ) -> CMPIssuer:
        client = Client(
            "memory:",
            credentials=credentials or self.credentials,
            trust=self.ca.trust,
            options=ClientOptions(clock=self.clock, sleep=self.sleep, total_timeout=patience),
            plugins=self.plugins,
            transport=road or self.ca.road(),
        )
        return CMPIssuer(self.authority, Correspondence(client, self.store, patience, 10), **options)

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def server(self, issuer: Issuer) -> Server:
        """The registration authority."""
        profiles = self.authority.profiles
        generation = KeyGeneration(self.plugins, profiles, self.credentials.key, self.credentials.extra_certs)
        return Server(
            self.plugins,
            Workshop(
                self.plugins,
                self.store,
                issuer,
                issuer_key_of(self.ca.issuing.der),
                load_policy({"default_profile": "device"}, profiles),
                key_generation=generation,
            ),
            ServerVerifier(
                self.plugins,
                self.store,
                [StoredSecrets(self.store)],
                self.ca.issuing.all[:1],
                self.ca.trust,
                self.ca.issuing.all,
            ),
            Protector(self.plugins, self.credentials, self.credentials.subject),
            self.settings,
            self.clock,
        )

    def device(self, credentials: Credentials, issuer: Issuer, **options: Any) -> Client:
        """A client of the registration authority."""
        return Client(
            "memory:",
            credentials=credentials,
            trust=self.ca.trust,
            options=ClientOptions(**{"clock": self.clock, "sleep": self.sleep, **options}),
            plugins=self.plugins,
            transport=MemoryRoad(self.server(issuer).handle),
        )

    async def secret(self, reference: str = "dev-42", **grant: Any) -> SharedSecret:
        """A shared secret that the registration authority knows."""
        secret = SharedSecret(reference, SECRET)
        subject = parse_name(f"CN={reference}")
        await self.store.add_secret(SecretRecord(secret, Grant(**{"subject": subject, "uses": None, **grant})))
        return secret

    def request(self, **changes: Any) -> CertificateRequest:
        """A request for a new key."""
        key = generate_key("p256", self.plugins)
        values = {"subject": parse_name("CN=dev-42"), "profile": "device", **changes}
        return CertificateRequest(BodyType.IR, 0, key.public_key_info, **values)

    async def issued_by_ca(self) -> list[CertificateState]:
        """How the certificates stand that the CA issued, the oldest first."""
        return [record.state for record in reversed(await self.ca.certificates())]


async def _make_landscape(directory: Path) -> tuple[UpstreamCA, SigningCredentials]:
    plugins = load_plugins()
    ca = await UpstreamCA.make(
        directory, plugins=plugins, clock=VirtualClock(NOW), profile={"allow_requested_names": True}
    )
    key = generate_key("p256", plugins)
    record = await ra_certificate(ca.issuing, ca.issuing_key, key)
    async with ca.store() as store:
        await store.commit(UnitOfWork(certificates=(record,)))
    return ca, SigningCredentials(record.der, key, ca.issuing.all)


async def ra_certificate(issuing: IssuerCertificate, issuing_key: Any, key: Any) -> CertificateRecord:
    """The certificate of a registration authority."""
    content = CertificateContent(
        serial_number=random_serial(),
        issuer=issuing.subject,
        subject=parse_name("CN=RA"),
        not_before=NOW - timedelta(hours=1),
        not_after=NOW + timedelta(days=300),
        public_key_info=key.public_key_info,
        extensions=(
            purposes_extension([oids.KP_CMC_RA, oids.KP_CM_KGA]),
            extension(x509.SubjectKeyIdentifier(key_identifier(key.public_key_info))),
            extension(x509.AuthorityKeyIdentifier(issuing.key_identifier, None, None)),
        ),
    )
    return certificate_record(
        content,
        await build_certificate(content, issuing_key),
        issuer_key=issuing.key_id,
        profile=SIGNER_PROFILE,
        request_key="ra",
        state=CertificateState.VALID,
    )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[UpstreamCA, SigningCredentials]:
    """It takes longer than most tests, so each gets a copy of the databases."""
    directory = tmp_path_factory.mktemp("issuers")
    return anyio.run(partial(_make_landscape, directory))


@pytest.fixture
async def landscape(
    tmp_path: Path, prepared: tuple[UpstreamCA, SigningCredentials], anyio_backend: str
) -> AsyncIterator[Landscape]:
    ca, credentials = prepared
    for name in ("ca", "ra"):
        shutil.copytree(ca.directory, tmp_path / name)
    clock = VirtualClock(NOW)
    own = replace(ca, directory=tmp_path / "ca", clock=clock, messages=[])
    async with replace(ca, directory=tmp_path / "ra", clock=clock).store() as store:
        yield Landscape(ca.plugins, own, store, credentials, clock)
