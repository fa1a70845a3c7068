"""A PKI that cryptography builds, as an independent witness."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.x509 import NameOID

Key = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
)


def new_p256() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


SHA256 = hashes.SHA256()


class PKI:
    """Certificates by the names of their subjects; each name has one key."""

    now = datetime(2026, 6, 1, tzinfo=UTC)
    not_before = datetime(2026, 1, 1, tzinfo=UTC)
    not_after = datetime(2027, 1, 1, tzinfo=UTC)

    def __init__(self, new_key: Callable[[], Key] = new_p256) -> None:
        self.keys: dict[str, Key] = {}
        self.new_key = new_key

    @staticmethod
    def name(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    def key(self, name: str) -> Key:
        if name not in self.keys:
            self.keys[name] = self.new_key()
        return self.keys[name]

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
        digest: hashes.HashAlgorithm = SHA256,
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
        hashed = isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return builder.sign(signer, digest if hashed else None).public_bytes(serialization.Encoding.DER)
