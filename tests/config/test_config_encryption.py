"""The table ``[encryption]``: what requesters encrypt to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cmpkit.config import check_configuration, load_configuration, open_parts
from cmpkit.config.running import build_server
from cmpkit.crypto.names import parse_name
from cmpkit.errors import ConfigurationError
from cmpkit.plugins import Plugins

Write = Callable[..., Path]
TABLE = '\n[encryption]\ncertificate = "encryption.pem"\nkey = "file:encryption.key.pem"\n'


def make_encryption(directory: Path, usage: str) -> bytes:
    """A certificate of that keyUsage, with its key, as files."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(parse_name("CN=Example CA encryption"))
        .issuer_name(parse_name("CN=Example CA"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.KeyUsage(**{name: name == usage for name in (*names, *more)}), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "encryption.key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    (directory / "encryption.key.pem").chmod(0o600)
    (directory / "encryption.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate.public_bytes(serialization.Encoding.DER)


async def test_what_is_encrypted_to_the_certificate_is_opened_by_the_server(write: Write, plugins: Plugins) -> None:
    path = write(more=TABLE)
    certificate = make_encryption(path.parent, "key_agreement")
    configuration = load_configuration(path, plugins)
    async with open_parts(configuration, plugins) as parts:
        assert parts.encryption is not None
        assert parts.encryption.certificate == certificate
        server = build_server(configuration.server, parts, plugins)
        assert server.workshop.encryption == parts.encryption
        assert [source.name for source in server.verifier.secrets] == ["store", "revPassphrase"]


async def test_a_certificate_that_only_signs_is_a_mistake(write: Write, plugins: Plugins) -> None:
    path = write(more=TABLE)
    make_encryption(path.parent, "digital_signature")
    with pytest.raises(ConfigurationError, match=r"\[encryption\] certificate: nothing can be encrypted to its key"):
        await check_configuration(path, plugins, now=datetime.now(UTC))
