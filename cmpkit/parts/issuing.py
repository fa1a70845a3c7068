"""Issuers, profiles and policies: what is asked for, what is given, what is allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from cryptography import x509

from cmpkit.asn1 import AlgorithmIdentifier, EncryptedValue, EnvelopedData, Extension
from cmpkit.enums import BodyType, CRLReason, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts.identity import Authenticated, CertificateRecord, CertificateState
from cmpkit.values import changed, quick

__all__ = [
    "CertificateChange",
    "CertificateProfile",
    "CertificateRequest",
    "CrossCertification",
    "Issued",
    "Issuer",
    "KeyGeneratingProfile",
    "Pending",
    "Policy",
    "Registration",
    "Rejected",
    "RequestTemplate",
    "RevocationRequest",
    "Revoked",
    "RootKeyUpdate",
]


@dataclass(frozen=True, slots=True)
class Registration:
    """What a request says to those who register its requester (RFC 4211 sections 6 and 7).

    :param publish: whether the certificate should be published; ``None`` says nothing.
    :param pairs: names with values, as the requester or its registration authority gave them (utf8Pairs).
    :param token: the secret in the control regToken, for one request.
    :param authenticator: the secret in the control authenticator.
    """

    publish: bool | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    token: str | None = field(default=None, repr=False)
    authenticator: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CrossCertification:
    """What a request for a cross certificate says of its issuer (RFC 9810 section 6.6).

    :param issuer: the name of the CA that is asked.
    :param signing_algorithm: by which it is to sign the certificate.
    """

    issuer: x509.Name
    signing_algorithm: AlgorithmIdentifier


@quick
@dataclass(frozen=True)
class CertificateRequest:
    """What is asked for, once its proof of possession was checked.

    :param body_type: ir, cr, kur, p10cr, ccr, or krr for the signing key of who has archived keys back.
    :param cert_req_id: as in the request; -1 for p10cr (RFC 9810 section 5.3.4).
    :param public_key_info: DER of the SubjectPublicKeyInfo to certify; empty if the server is to generate the key.
    :param subject: the subject that is wished for, or ``None``.
    :param extensions: the extensions that are wished for.
    :param not_before: wish for the start of validity.
    :param not_after: wish for its end.
    :param profile: the profile that is asked for (certProfile, or the label of the address), or ``None``.
    :param old_certificate: for kur: the record of the certificate to update.
    :param key_algorithm: of the key that the server is to generate; ``None`` leaves it to the server.
    :param encryption_key: DER of the SubjectPublicKeyInfo that a generated key is to be encrypted to, by the control
        protocolEncrKey; empty if none is named.
    :param proof: how the requester shows that it has the private key; ``None`` if there is none, or another way.
    :param registration: what it says besides to those who register; ``None`` for nothing.
    :param archive: what it says of keeping the private key (RFC 4211 section 6.4): here it is, encrypted; whether one
        that is generated here is to be kept; ``None`` for nothing.
    :param cross: for ccr: what it says of the issuer.
    :param p10: DER of the PKCS#10 request, if it came as one.
    :param approval: whether a person has to agree, because the policy says so.
    :param passed_on: whether another server is to answer: what that one issued is not known here.
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
    key_algorithm: AlgorithmIdentifier | None = None
    encryption_key: bytes = b""
    proof: ProofMethod | None = None
    registration: Registration | None = None
    archive: EnvelopedData | bool | None = None
    cross: CrossCertification | None = None
    p10: bytes = field(default=b"", repr=False)
    approval: bool = False
    passed_on: bool = False

    def under(self, profile: str) -> CertificateRequest:
        """The same request under a profile, which a policy chose."""
        return changed(self, profile=profile)


@quick
@dataclass(frozen=True)
class Issued:
    """A certificate.

    :param certificate: what the store keeps.
    :param chain: DER certificates from its issuer upwards, without the trust anchor.
    :param modified: whether something differs from what was asked (grantedWithMods, RFC 4211 section 5).
    :param private_key: its private key, encrypted for the requester, if that was generated here (RFC 9483 section
        4.1.6).
    :param encrypted: the certificate, encrypted to its own key, if only so it may be handed over: who can confirm it
        has the private key (RFC 9810 section 5.2.8.3.2). An EncryptedValue is for those who ask by pvno 2.
    :param archived: DER of PrivateKeyInfo of its private key, if that is to be kept; empty if it is not.
    """

    certificate: CertificateRecord
    chain: tuple[bytes, ...] = ()
    modified: bool = False
    private_key: EnvelopedData | None = None
    encrypted: EnvelopedData | EncryptedValue | None = None
    archived: bytes = field(default=b"", repr=False)


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
    :param invalidity_date: since when the key or the certificate is suspect (RFC 5280 section 5.3.2).
    """

    issuer: x509.Name
    serial_number: int
    reason: CRLReason
    invalidity_date: datetime | None = None


@quick
@dataclass(frozen=True)
class CertificateChange:
    """A new state of a certificate in the store, on condition that it is in one of ``expected``.

    :param publish: whether repositories are to be told of it from now on.
    """

    issuer_key: str
    serial_number: int
    state: CertificateState
    expected: tuple[CertificateState, ...]
    at: datetime
    reason: CRLReason | None = None
    invalidity_date: datetime | None = None
    publish: bool = False


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revocation (or the end of a hold) that was granted."""

    change: CertificateChange


@dataclass(frozen=True, slots=True)
class RootKeyUpdate:
    """The new key of a root CA, in certificates that tie it to the old one (RFC 9810 section 4.4); all are DER.

    :param new_with_new: the new root certificate, signed by itself.
    :param new_with_old: the new key, signed by the old one: what those who trust the old one believe it by.
    :param old_with_new: the old key, signed by the new one, for those who trust the new one only.
    """

    new_with_new: bytes
    new_with_old: bytes | None = None
    old_with_new: bytes | None = None


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """What a request should ask for (RFC 9483 section 4.3.3).

    :param subject: the subject; ``None`` leaves it to the requester.
    :param extensions: the extensions.
    :param key_algorithms: the kinds of keys that are certified besides RSA; with ``rsa_key_lengths`` empty, too, every
        kind may be.
    :param rsa_key_lengths: bits of the RSA keys that are.
    """

    subject: x509.Name | None = None
    extensions: tuple[Extension, ...] = ()
    key_algorithms: tuple[AlgorithmIdentifier, ...] = ()
    rsa_key_lengths: tuple[int, ...] = ()


class Issuer(Protocol):
    """Issues and revokes; values in, values out, so that it may live in another process or on another host.

    :attr:`local` says that nothing outlives a call but its result: the core stores that with everything else of the
    transaction. Before a call of one that is not local, the core commits an :class:`Intent` with the idempotency key.

    :ivar crl_urls: where its CRL can be fetched, as its certificates say.
    """

    name: str
    local: bool
    crl_urls: tuple[str, ...]

    async def issue(
        self, request: CertificateRequest, auth: Authenticated, *, idempotency_key: str, now: datetime
    ) -> Issued | Pending | Rejected:
        """Issue a certificate. The same key gives the same certificate, however often it is asked."""

    async def confirm(
        self, certificate: CertificateRecord, *, accepted: bool, now: datetime
    ) -> CertificateChange | Pending:
        """The requester accepted or rejected the certificate, or said nothing in time (RFC 9810 section 5.3.18).

        After *pending* it is asked again, until it gives the change: the requester polls for the pkiconf.
        """

    async def revoke(
        self, request: RevocationRequest, auth: Authenticated, *, now: datetime
    ) -> Revoked | Pending | Rejected:
        """Revoke, put on hold, or lift a hold. After *pending* it is asked again: the requester polls for the rp."""

    async def ca_certificates(self) -> tuple[bytes, ...]:
        """DER certificates of this CA: the issuing one first, then its chain, the root included."""

    async def crl(self, *, now: datetime) -> bytes:
        """DER of the current CRL."""

    async def root_key_update(self) -> RootKeyUpdate | None:
        """The newest key of the root CA, if it changed and those who trust the old one are to learn of it."""


class CertificateProfile(Protocol):
    """What a certificate gets, and what may be asked for.

    One with the attribute ``publish = True`` has repositories told of its certificates (RFC 9810 section 5.3.14).
    One with the attribute ``approval = "manual"`` has its requests wait until a person agrees (``cmpkit request``). One
    with ``archive = "requested"`` has private keys kept where the requester wants that, one with ``archive = "always"``
    has every one kept.
    """

    name: str

    def content(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> tuple[x509.Name, tuple[Extension, ...], datetime, datetime, bool]:
        """Subject, extensions, notBefore, notAfter, and whether anything asked for was changed.

        :raises CMPError: badCertTemplate, badAlg or notAuthorized if the profile does not allow it.
        """

    def template(self, auth: Authenticated) -> RequestTemplate:
        """What this requester should ask for, to get just that.

        :raises CMPError: badCertTemplate if the profile has no names for it.
        """


@runtime_checkable
class KeyGeneratingProfile(Protocol):
    """What a :class:`CertificateProfile` has besides if keys may be generated for it (RFC 9483 section 4.1.6)."""

    def generated_key_type(self, request: CertificateRequest) -> str:
        """The type of the key to generate, in the words of ``--newkey-type``.

        :raises CMPError: badCertTemplate if requesters have to make their keys, badAlg if none is of the algorithm that
            is asked for.
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

    async def request_template(self, profile: str | None, auth: Authenticated, *, now: datetime) -> RequestTemplate:
        """What this sender should ask for in a request for a certificate.

        :param profile: the profile that it names, or ``None``.
        :raises CMPError: notAuthorized, badCertTemplate ... if it may not have certificates of that profile.
        """
