"""A CA on a store of its own, and those who ask it."""

from __future__ import annotations

import base64
import itertools
import shutil
import stat
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import cmpkit_signature
import pytest
from cryptography import x509
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder
from cryptography.x509.verification import Store as TrustStore

from cmpkit import oids
from cmpkit.asn1 import Extension
from cmpkit.ca import plugin as ca_plugin
from cmpkit.ca.extensions import alternative_names_extension, key_usage_extension, purposes_extension
from cmpkit.ca.hierarchy import Hierarchy, make_hierarchy
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.profiles import ConfiguredProfile, load_profile
from cmpkit.ca.setup import Initialised, initialise
from cmpkit.ca.sources import resolve_store_url
from cmpkit.crypto import plugin as keys_plugin
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import extension
from cmpkit.enums import BodyType, CRLReason
from cmpkit.parts import (
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateRequest,
    Credential,
    Grant,
    Issued,
    OpenContext,
    PrivateKey,
    ProtectionKind,
    RevocationRequest,
    Revoked,
    SharedSecret,
    Store,
    UnitOfWork,
)
from cmpkit.plugins import Plugins
from cmpkit.store import plugin as store_plugin

NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
SECOND = NOW.replace(microsecond=0)
ANY = Grant(subject=None, uses=None)


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    loaded = Plugins()
    for name, module in (
        ("signature", cmpkit_signature),
        ("keys", keys_plugin),
        ("store", store_plugin),
        ("ca", ca_plugin),
    ):
        loaded.add(module, name)
    return loaded


@pytest.fixture(scope="session")
def device_key(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


@pytest.fixture(scope="session")
def other_key(plugins: Plugins) -> PrivateKey:
    return generate_key("p384", plugins)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins) -> Path:
    """The file of a store in which nothing is: to make it takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "cmpkit.db"
    anyio.run(plugins.store("sqlite://").create, f"sqlite:///{path}")
    return path


@pytest.fixture
async def store(tmp_path: Path, empty_store: Path, anyio_backend: str, plugins: Plugins) -> AsyncIterator[Store]:
    path = tmp_path / "cmpkit.db"
    shutil.copyfile(empty_store, path)
    opened = plugins.store("sqlite://").open(f"sqlite:///{path}", sealing_key=bytes(32))
    yield opened
    await opened.aclose()


class Ask:
    """Makes requests, extensions and senders in few words."""

    now, second, any = NOW, SECOND, ANY

    def __init__(self, key: PrivateKey) -> None:
        self.key = key

    def request(self, subject: str | None = "CN=dev-42", *wanted: Extension, **changes: Any) -> CertificateRequest:
        request = CertificateRequest(
            body_type=BodyType.IR,
            cert_req_id=0,
            public_key_info=self.key.public_key_info,
            subject=None if subject is None else parse_name(subject),
            extensions=wanted,
            profile="device",
        )
        return replace(request, **changes)

    @staticmethod
    def names(*names: x509.GeneralName) -> Extension:
        return extension(x509.SubjectAlternativeName(names))

    @staticmethod
    def raw_names(*ders: bytes) -> Extension:
        return alternative_names_extension(ders)

    @staticmethod
    def usage(*usages: str) -> Extension:
        return key_usage_extension(usages)

    @staticmethod
    def purposes(*dotted: str) -> Extension:
        return purposes_extension([x509.ObjectIdentifier(oid) for oid in dotted])

    @staticmethod
    def constraints(*, ca: bool) -> Extension:
        return extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)

    @staticmethod
    def unknown() -> Extension:
        return Extension(extn_id=x509.ObjectIdentifier("1.2.3.4"), extn_value=b"\x05\x00")

    @staticmethod
    def malformed(oid: x509.ObjectIdentifier = oids.KEY_USAGE) -> Extension:
        return Extension(extn_id=oid, extn_value=b"\x30\x00")

    @staticmethod
    def by_secret(identity: str = "dev-42", grant: Grant | None = ANY) -> Authenticated:
        secret = SharedSecret(identity, "secret")
        credential = Credential(ProtectionKind.MAC, f"mac:{secret.reference.hex()}", secret=secret)
        return Authenticated(identity, credential, grant and grant.subject, grant)

    @staticmethod
    def by_certificate(record: CertificateRecord | None, *roles: str, identity: str = "dev-42") -> Authenticated:
        certificate = record.der if record else b"another certificate"
        credential = Credential(ProtectionKind.SIGNATURE, "cert:ab", certificate=certificate)
        return Authenticated(identity, credential, record=record, roles=frozenset(roles))


@pytest.fixture
def ask(device_key: PrivateKey) -> Ask:
    return Ask(device_key)


@pytest.fixture
def profile(plugins: Plugins) -> Callable[..., ConfiguredProfile]:
    """A profile by its keys in the configuration file."""

    def make(name: str = "device", **table: Any) -> ConfiguredProfile:
        return load_profile(name, table, plugins)

    return make


class CA:
    """A CA, and what its server does with the answers: store them."""

    def __init__(self, hierarchy: Hierarchy, key: PrivateKey, store: Store, plugins: Plugins, ask: Ask) -> None:
        self.hierarchy, self.certificate, self.key = hierarchy, hierarchy.issuing, key
        self.store, self.plugins, self.ask = store, plugins, ask
        self.profiles = {"device": load_profile("device", {}, plugins)}
        self.issuer = self.reopened()
        self._numbers = itertools.count(1)

    def reopened(self, **settings: Any) -> LocalIssuer:
        """The same CA in another process."""
        return LocalIssuer(self.certificate, self.key, self.store, self.profiles, **settings)

    async def issue(self, request: CertificateRequest | None = None, *, confirm: bool = True) -> CertificateRecord:
        result = await self.issuer.issue(
            request or self.ask.request(), self.ask.by_secret(), idempotency_key=str(next(self._numbers)), now=NOW
        )
        assert isinstance(result, Issued), result
        changes: tuple[CertificateChange, ...] = ()
        if confirm:
            changes = (await self.issuer.confirm(result.certificate, accepted=True, now=NOW),)
        await self.store.commit(UnitOfWork(certificates=(result.certificate,), changes=changes))
        return await self.stored(result.certificate)

    async def stored(self, record: CertificateRecord) -> CertificateRecord:
        found = await self.store.certificate(record.issuer_key, record.serial_number)
        assert found is not None
        return found

    def revocation(self, record: CertificateRecord, reason: CRLReason) -> RevocationRequest:
        return RevocationRequest(self.certificate.name, record.serial_number, reason)

    async def revoke(
        self, record: CertificateRecord, reason: CRLReason = CRLReason.KEY_COMPROMISE, *, now: datetime = NOW
    ) -> CertificateRecord:
        result = await self.issuer.revoke(self.revocation(record, reason), self.ask.by_certificate(record), now=now)
        assert isinstance(result, Revoked), result
        await self.store.commit(UnitOfWork(changes=(result.change,)))
        return await self.stored(record)


@pytest.fixture(scope="session")
def issuing_key(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


@pytest.fixture(scope="session")
def root_key(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


@pytest.fixture(scope="session")
def hierarchy(root_key: PrivateKey, issuing_key: PrivateKey) -> Hierarchy:
    name, yesterday = parse_name("CN=Example CA,O=Example"), NOW - timedelta(days=1)
    return anyio.run(partial(make_hierarchy, name, root_key=root_key, issuing_key=issuing_key, now=yesterday))


@pytest.fixture
def ca(hierarchy: Hierarchy, issuing_key: PrivateKey, store: Store, plugins: Plugins, ask: Ask) -> CA:
    return CA(hierarchy, issuing_key, store, plugins, ask)


@pytest.fixture
def init(tmp_path: Path, plugins: Plugins) -> Callable[..., Awaitable[Initialised]]:
    """``cmpkit init`` for the directory ``ca``."""

    async def run(**options: Any) -> Initialised:
        return await initialise(tmp_path / "ca", **{"plugins": plugins, "now": NOW, **options})

    return run


class Look:
    """Looks at what ``init`` made."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins

    @staticmethod
    def certificates(path: Path) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(path.read_bytes())

    @staticmethod
    def tree(directory: Path) -> dict[str, bytes]:
        return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}

    @staticmethod
    def entries(directory: Path) -> list[Path]:
        return list(directory.rglob("*"))

    @staticmethod
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    async def open_ca(self, made: Initialised) -> tuple[Any, Store]:
        """Issuer and store, everything opened as the configuration file says."""
        configuration = tomllib.loads(made.config.read_text())
        tables = configuration["store"]
        url = resolve_store_url(tables["url"], made.directory)
        sealing_key = base64.b64decode((made.directory / tables["sealing_key_file"]).read_bytes())
        store = self.plugins.store(url).open(url, sealing_key=sealing_key)
        await store.check()
        profiles = {name: load_profile(name, table, self.plugins) for name, table in configuration["profiles"].items()}
        context = OpenContext(made.directory, store, self.plugins, profiles)
        policy, issuer = configuration["policy"], configuration["issuer"]
        await self.plugins.require("policy", policy.pop("kind")).open(policy, context)
        for source in configuration["secrets"]:
            await self.plugins.require("secret source", source.pop("kind")).open(source, context)
        return await self.plugins.require("issuer", issuer.pop("kind")).open(issuer, context), store

    def verify(self, made: Initialised, der: bytes) -> None:
        """Whether a certificate leads to trust.pem, by cryptography's verifier."""
        policy = (
            PolicyBuilder()
            .store(TrustStore(self.certificates(made.trust)))
            .time(SECOND + timedelta(seconds=1))
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        )
        intermediates = self.certificates(made.directory / "issuing.pem")
        policy.build_client_verifier().verify(x509.load_der_x509_certificate(der), intermediates)


@pytest.fixture
def look(plugins: Plugins) -> Look:
    return Look(plugins)
