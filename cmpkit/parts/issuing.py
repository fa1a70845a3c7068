"""Issuers, profiles and policies: what is asked for, what is given, what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from cmpkit.asn1 import Extension
from cmpkit.enums import BodyType, CRLReason
from cmpkit.errors import CMPError
from cmpkit.parts.identity import Authenticated, CertificateRecord, CertificateState

__all__ = [
    "CertificateChange",
    "CertificateProfile",
    "CertificateRequest",
    "Issued",
    "Issuer",
    "Pending",
    "Policy",
    "Rejected",
    "RevocationRequest",
    "Revoked",
]


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What is asked for, once its proof of possession was checked.

    :param body_type: ir, cr, kur or p10cr.
    :param cert_req_id: as in the request; -1 for p10cr (RFC 9810 section 5.3.4).
    :param public_key_info: DER of the SubjectPublicKeyInfo to certify.
    :param subject: the subject that is wished for, or ``None``.
    :param extensions: the extensions that are wished for.
    :param not_before: wish for the start of validity.
    :param not_after: wish for its end.
    :param profile: the profile that is asked for (certProfile, or the label of the address), or ``None``.
    :param old_certificate: for kur: the record of the certificate to update.
    """

    body_type: BodyType
    cert_req_id: int
    public_key_info: bytes
    subject: x509.Name | None = None
    extensions: tuple[Extension, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    profile: str | None = None
    old_certificate: CertificateRecord | None = None

    def under(self, profile: str) -> CertificateRequest:
        """The same request under a profile, which a policy chose."""
        # Field by field, because dataclasses.replace takes five times as long and every request needs this.
        return CertificateRequest(
            body_type=self.body_type,
            cert_req_id=self.cert_req_id,
            public_key_info=self.public_key_info,
            subject=self.subject,
            extensions=self.extensions,
            not_before=self.not_before,
            not_after=self.not_after,
            profile=profile,
            old_certificate=self.old_certificate,
        )


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate.

    :param certificate: what the store keeps.
    :param chain: DER certificates from its issuer upwards, without the trust anchor.
    :param modified: whether something differs from what was asked (grantedWithMods, RFC 4211 section 5).
    """

    certificate: CertificateRecord
    chain: tuple[bytes, ...] = ()
    modified: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer comes later.

    :param check_after: seconds until it is worth asking again.
    """

    check_after: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal, with all that the peer and the operator should know."""

    error: CMPError


@dataclass(frozen=True, slots=True)
class RevocationRequest:
    """A revocation that is asked for.

    :param reason: ``REMOVE_FROM_CRL`` lifts a hold (RFC 5280 section 5.3.1).
    """

    issuer: x509.Name
    serial_number: int
    reason: CRLReason


@dataclass(frozen=True, slots=True)
class CertificateChange:
    """A new state of a certificate in the store, on condition that it is in one of ``expected``."""

    issuer_key: str
    serial_number: int
    state: CertificateState
    expected: tuple[CertificateState, ...]
    at: datetime
    reason: CRLReason | None = None


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revocation (or the end of a hold) that was granted."""

    change: CertificateChange


class Issuer(Protocol):
    """Issues and revokes; values in, values out, so that it may live in another process or on another host.

    :attr:`local` says that nothing outlives a call but its result: the core stores that with everything else of the
    transaction. Before a call of one that is not local, the core commits an :class:`Intent` with the idempotency key.
    """

    name: str
    local: bool

    async def issue(
        self, request: CertificateRequest, auth: Authenticated, *, idempotency_key: str, now: datetime
    ) -> Issued | Pending | Rejected:
        """Issue a certificate. The same key gives the same certificate, however often it is asked."""

    async def confirm(self, certificate: CertificateRecord, *, accepted: bool, now: datetime) -> CertificateChange:
        """The requester accepted or rejected the certificate, or said nothing in time (RFC 9810 section 5.3.18)."""

    async def revoke(
        self, request: RevocationRequest, auth: Authenticated, *, now: datetime
    ) -> Revoked | Pending | Rejected:
        """Revoke, put on hold, or lift a hold."""

    async def ca_certificates(self) -> tuple[bytes, ...]:
        """DER certificates of this CA: the issuing one first, then its chain, the root included."""

    async def crl(self, *, now: datetime) -> bytes:
        """DER of the current CRL."""


class CertificateProfile(Protocol):
    """What a certificate gets, and what may be asked for."""

    name: str

    def content(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> tuple[x509.Name, tuple[Extension, ...], datetime, datetime, bool]:
        """Subject, extensions, notBefore, notAfter, and whether anything asked for was changed.

        :raises CMPError: badCertTemplate, badAlg or notAuthorized if the profile does not allow it.
        """


class Policy(Protocol):
    """Says who may do what. Nothing is allowed unless it says so."""

    name: str

    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        """Whether this sender may open this kind of operation.

        :raises CMPError: notAuthorized, certRevoked ... if not.
        """

    async def authorize_request(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> CertificateRequest:
        """The request as it may be put to the issuer: subject and profile are decided.

        :raises CMPError: notAuthorized, badCertTemplate, badCertId ... if it may not.
        """

    async def authorize_revocation(
        self, request: RevocationRequest, record: CertificateRecord, auth: Authenticated, *, now: datetime
    ) -> None:
        """Whether this sender may revoke that certificate.

        :raises CMPError: notAuthorized if not.
        """
