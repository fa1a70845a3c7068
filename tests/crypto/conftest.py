"""The plugins that the tests of cmpkit.crypto need, and a PKI that cryptography builds, as an independent witness."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import cmpkit_mac
import cmpkit_signature
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import NameOID

from cmpkit.crypto import plugin as crypto_plugin
from cmpkit.plugins import Plugins

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    loaded = Plugins()
    loaded.add(cmpkit_signature, "signature")
    loaded.add(cmpkit_mac, "mac")
    loaded.add(crypto_plugin, "keys")
    return loaded


class PKI:
    """Certificates by the names of their subjects; each name has one key."""

    now = datetime(2026, 6, 1, tzinfo=UTC)
    not_before = datetime(2026, 1, 1, tzinfo=UTC)
    not_after = datetime(2027, 1, 1, tzinfo=UTC)

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}

    @staticmethod
    def name(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    def key(self, name: str) -> Key:
        return self.keys.setdefault(name, ec.generate_private_key(ec.SECP256R1()))

    def certificate(
        self,
        subject: str,
        issuer: str,
        *,
        ca: bool | None = None,
        path_length: int | None = None,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        key: Key | None = None,
        issuer_key: str | None = None,
        subject_name: x509.Name | None = None,
        issuer_name: x509.Name | None = None,
        days: tuple[int, int] = (0, 365),
    ) -> bytes:
        signer = self.key(issuer_key or issuer)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name(subject) if subject_name is None else subject_name)
            .issuer_name(self.name(issuer) if issuer_name is None else issuer_name)
            .public_key((key or self.key(subject)).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.not_before + timedelta(days[0]))
            .not_valid_after(self.not_before + timedelta(days[1]))
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return builder.sign(signer, digest).public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="session")
def pki() -> PKI:
    return PKI()
