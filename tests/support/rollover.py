"""A root CA whose key was replaced, built by cryptography: the old root, the new one, and the links between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cmpkit.crypto.x509 import to_pem
from cmpkit.parts import RootKeyUpdate

DAY = timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    subject: x509.Name,
    key: Any,
    issuer: x509.Name,
    issuer_key: Any,
    *,
    now: datetime,
    begins: timedelta = -DAY,
    ends: timedelta = DAY,
    ca: bool | None = True,
) -> bytes:
    """DER of a certificate.

    :param ca: of basicConstraints; ``None`` leaves the extension out.
    """
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before((now + begins).replace(microsecond=0))
        .not_valid_after((now + ends).replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Rollover:
    """The certificates, and what makes others like them.

    :param old_key: the key of the old root; without it, a new one.
    """

    def __init__(self, now: datetime | None = None, *, subject: x509.Name | None = None, old_key: Any = None) -> None:
        self.now = now or datetime.now(UTC)
        self.subject = subject or name("Root CA")
        self.old_key = old_key or ec.generate_private_key(ec.SECP256R1())
        self.new_key = ec.generate_private_key(ec.SECP256R1())
        self.old_root = self.make(self.old_key, self.old_key)
        self.new_with_new = self.make(self.new_key, self.new_key)
        self.new_with_old = self.make(self.new_key, self.old_key)
        self.old_with_new = self.make(self.old_key, self.new_key)

    def make(self, key: Any, issuer_key: Any, **changes: Any) -> bytes:
        subject, issuer = changes.pop("subject", self.subject), changes.pop("issuer", self.subject)
        return certificate(subject, key, issuer, issuer_key, now=self.now, **changes)

    @property
    def update(self) -> RootKeyUpdate:
        return RootKeyUpdate(self.new_with_new, self.new_with_old, self.old_with_new)

    def write(self, folder: Path) -> None:
        """Each certificate as a PEM file: ``old-root.pem``, ``new-with-new.pem`` ..."""
        for file in ("old_root", "new_with_new", "new_with_old", "old_with_new"):
            (folder / f"{file.replace('_', '-')}.pem").write_bytes(to_pem(getattr(self, file)))
