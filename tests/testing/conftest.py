"""Our own parts, for the checks to pass, and what they need around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import cmpkit_mac
import cmpkit_signature
import pytest

from cmpkit.ca import plugin as ca_plugin
from cmpkit.ca.hierarchy import Hierarchy, make_hierarchy
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.profiles import ConfiguredProfile, load_profile
from cmpkit.crypto import plugin as keys_plugin
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType
from cmpkit.parts import (
    Authenticated,
    CertificateRequest,
    Credential,
    Grant,
    OpenContext,
    PrivateKey,
    ProtectionKind,
    SharedSecret,
    Store,
)
from cmpkit.plugins import Plugins
from cmpkit.store import plugin as store_plugin
from cmpkit.testing import VirtualClock


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    loaded = Plugins()
    for module in (cmpkit_mac, cmpkit_signature, keys_plugin, store_plugin, ca_plugin):
        loaded.add(module, module.__name__)
    return loaded


@pytest.fixture(scope="session")
def key(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


@pytest.fixture(scope="session")
def other_key(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def store(tmp_path: Path, anyio_backend: str, plugins: Plugins) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/cmpkit.db"
    factory = plugins.store(url)
    await factory.create(url)
    opened = factory.open(url, sealing_key=bytes(32))
    yield opened
    await opened.aclose()


@pytest.fixture
async def hierarchy(anyio_backend: str, key: PrivateKey, other_key: PrivateKey) -> Hierarchy:
    name = parse_name("CN=Example CA,O=Example")
    return await make_hierarchy(name, root_key=other_key, issuing_key=key, now=VirtualClock()())


@pytest.fixture
def profile(plugins: Plugins) -> ConfiguredProfile:
    return load_profile("device", {"subject": "CN={identity},O=Example"}, plugins)


@dataclass(frozen=True)
class Asking:
    """Who asks, and for what."""

    auth: Authenticated
    plugins: Plugins

    def request(self) -> CertificateRequest:
        public = generate_key("p256", self.plugins).public_key_info
        return CertificateRequest(BodyType.IR, 0, public, parse_name("CN=dev-42,O=Example"), profile="device")


@pytest.fixture
def asking(plugins: Plugins) -> Asking:
    secret = SharedSecret("dev-42", "a shared secret")
    credential = Credential(ProtectionKind.MAC, f"mac:{secret.reference.hex()}", secret=secret)
    grant = Grant(parse_name("CN=dev-42,O=Example"), profile="device")
    return Asking(Authenticated("dev-42", credential, grant.subject, grant), plugins)


@pytest.fixture
def issuer(hierarchy: Hierarchy, key: PrivateKey, store: Store, profile: ConfiguredProfile) -> LocalIssuer:
    return LocalIssuer(hierarchy.issuing, key, store, {"device": profile})


@pytest.fixture
def context(tmp_path: Path, store: Store, plugins: Plugins, profile: ConfiguredProfile) -> OpenContext:
    return OpenContext(tmp_path, store, plugins, {"device": profile})
