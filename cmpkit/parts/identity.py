"""Who sent a message, and what that entitles to."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cryptography import x509

from cmpkit.enums import CRLReason
from cmpkit.parts.keys import ProtectionKind, SharedSecret
from cmpkit.values import quick

__all__ = [
    "Authenticated",
    "CertificateRecord",
    "CertificateState",
    "Credential",
    "Grant",
    "SecretRecord",
    "SecretSource",
]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a credential may ask for.

    :param subject: the subject that its certificates must have; ``None`` allows any.
    :param profile: the one profile that it may use; ``None`` allows any.
    :param uses: how many certificates it may still get; ``None`` means without limit.
    :param expires: until when it may open operations; ``None`` means for ever.
    :param reg_token: what a request must have as the control regToken (RFC 4211 section 6.1), once: it is used up with
        the first certificate, and empty then. ``None`` if requests must have none.
    :param authenticator: what a request must have as the control authenticator (RFC 4211 section 6.2), each time.
    :param revokes: of a revocation passphrase: whose certificates it revokes; it is good for nothing else then.
    """

    subject: x509.Name | None
    profile: str | None = None
    uses: int | None = 1
    expires: datetime | None = None
    reg_token: str | None = field(default=None, repr=False)
    authenticator: str | None = field(default=None, repr=False)
    revokes: str = ""


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A shared secret that a server knows, with what it grants."""

    secret: SharedSecret
    grant: Grant
    revoked: bool = False


class SecretSource(Protocol):
    """Finds the shared secret for a senderKID.

    The store counts uses: a source with secrets that are not in the store grants them without limit (``uses=None``)
    and without regToken.
    """

    name: str

    async def find(self, reference: bytes) -> SecretRecord | None:
        """The secret with that reference, used up or expired ones too, or ``None``."""


class CertificateState(enum.Enum):
    """Where a certificate that we issued stands."""

    ISSUED = "issued"
    """Given out, not confirmed yet."""
    VALID = "valid"
    ON_HOLD = "on hold"
    REVOKED = "revoked"


@quick
@dataclass(frozen=True)
class CertificateRecord:
    """A certificate that we issued.

    :param issuer_key: hex SHA-256 of the issuer's SubjectPublicKeyInfo: serial numbers are unique under one issuer.
    :param serial_number: its serial number.
    :param der: the certificate.
    :param fingerprint: SHA-256 over ``der``.
    :param subject: RFC 4514 text, for people and queries.
    :param profile: the profile it was issued under.
    :param request_key: the idempotency key of the request; there is at most one certificate per key.
    :param invalidity_date: since when it is suspect, if who revoked it said so (RFC 5280 section 5.3.2).
    :param enrolled_by: :attr:`Credential.id` of who asked for the first in the line of certificates, each of which was
        asked for with the one before; empty if that is not known.
    :param publish: whether repositories are to be told of it once it is valid (RFC 9810 section 5.3.14).
    """

    issuer_key: str
    serial_number: int
    der: bytes
    fingerprint: bytes
    subject: str
    not_before: datetime
    not_after: datetime
    profile: str
    request_key: str
    state: CertificateState = CertificateState.ISSUED
    revoked_at: datetime | None = None
    reason: CRLReason | None = None
    invalidity_date: datetime | None = None
    enrolled_by: str = ""
    publish: bool = False


@quick
@dataclass(frozen=True)
class Credential:
    """What a message was protected with.

    :param id: stable text that names it: ``mac:<hex of the reference>`` or ``cert:<hex SHA-256 of the certificate>``.
    :param secret: for a MAC.
    :param certificate: DER, for a signature.
    """

    kind: ProtectionKind
    id: str
    secret: SharedSecret | None = None
    certificate: bytes | None = None


@quick
@dataclass(frozen=True)
class Authenticated:
    """Who sent a message, as its protection shows.

    :param identity: the name of the sender, for profiles (``{identity}``), logs and audit.
    :param subject: the subject of its certificate, or the one that its secret grants.
    :param grant: what a shared secret grants; ``None`` for certificates, whose rights a policy knows.
    :param record: our record of the sender's certificate, if we issued it.
    :param roles: ``ra`` for an authorised registration authority, ``ca`` for an authorised CA.
    :param label: the label of the address that the message came to (:attr:`Peer.label`), which a policy may go by.
    """

    identity: str
    credential: Credential
    subject: x509.Name | None = None
    grant: Grant | None = None
    record: CertificateRecord | None = None
    roles: frozenset[str] = frozenset()
    label: str | None = None
