"""Both event loops, and what the parts need around them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cmpkit.parts import OpenContext
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.testing import VirtualClock


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Parts run on both."""
    backend: str = request.param
    return backend


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """What is installed."""
    return load_plugins()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short name: the path of a socket has a hundred octets at most."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def context(directory: Path, plugins: Plugins) -> OpenContext:
    """What a factory is told. The secrets of this plugin need no store, so there is none."""
    store: Any = None
    return OpenContext(directory, store, plugins, {})


class OneCertificate:
    """As much of an issuer as an info type may ask for."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    async def ca_certificates(self) -> tuple[bytes, ...]:
        return (self._der,)


@pytest.fixture
def issuer(clock: VirtualClock) -> OneCertificate:
    """A CA whose certificate ends in ten days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example CA")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(clock())
        .not_valid_after(clock() + timedelta(days=10))
        .sign(key, hashes.SHA256())
    )
    return OneCertificate(certificate.public_bytes(Encoding.DER))
