"""The CA of this process: it signs with a key that it holds, and keeps its books in the store."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import Extension, encode
from cmpkit.asn1.codec import encode_octets
from cmpkit.ca.addresses import address_extensions
from cmpkit.ca.certificates import IssuerCertificate
from cmpkit.ca.changes import confirmation, revocation
from cmpkit.ca.crl import CRLMaker
from cmpkit.ca.extensions import ISSUER_EXTENSIONS, read_key_identifier
from cmpkit.ca.limits import line_of
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.x509 import (
    CertificateContent,
    build_certificate,
    extension,
    fingerprint,
    key_identifier,
    random_serial,
)
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import (
    Authenticated,
    CertificateChange,
    CertificateProfile,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    CrossCertification,
    Issued,
    PrivateKey,
    RandomOctets,
    Rejected,
    RevocationRequest,
    Revoked,
    RootKeyUpdate,
    StatusAddresses,
    Store,
)

__all__ = ["LocalIssuer", "certificate_record"]

_CROSS_RULE = "RFC 9810 section 6.6 and appendix D.6"
_NO_CERTIFICATES: Mapping[str, bytes] = MappingProxyType({})
_NO_ADDRESSES = StatusAddresses()
_VALID, _ISSUED, _ON_HOLD = CertificateState.VALID, CertificateState.ISSUED, CertificateState.ON_HOLD


def certificate_record(
    content: CertificateContent,
    der: bytes,
    *,
    issuer_key: str,
    profile: str,
    request_key: str,
    state: CertificateState,
    enrolled_by: str = "",
    publish: bool = False,
) -> CertificateRecord:
    """What the store keeps of a certificate that was built."""
    return CertificateRecord(
        issuer_key=issuer_key,
        serial_number=content.serial_number,
        der=der,
        fingerprint=fingerprint(der),
        subject=format_name(content.subject),
        not_before=content.not_before,
        not_after=content.not_after,
        profile=profile,
        request_key=request_key,
        state=state,
        enrolled_by=enrolled_by,
        publish=publish,
    )


class LocalIssuer:
    """A :class:`~cmpkit.parts.Issuer` with a private key. Who may ask for what was decided before it is asked.

    :param crl_validity: from thisUpdate to nextUpdate of its CRLs.
    :param crl_urls: where its CRL can be fetched, for the certificates it issues.
    :param delta_crl_validity: the same for delta CRLs; ``None`` makes none.
    :param addresses: where more can be fetched, for the certificates it issues.
    :param root_update: the new key of the root CA above, for those who trust the old one.
    :param earlier_root_updates: its keys before that, the latest first, for those who trust one of these.
    :param former: the same with keys of before, the latest first: they revoke what they issued, and list it.
    :param cross_certificates: DER of what other CAs issued for its key, by the names that they are published under.
    :param random: where serial numbers come from.
    :raises ConfigurationError: if the key is not that of the certificate.
    """

    name = "local"
    local = True

    def __init__(
        self,
        certificate: IssuerCertificate,
        key: PrivateKey,
        store: Store,
        profiles: Mapping[str, CertificateProfile],
        *,
        crl_validity: timedelta = timedelta(days=7),
        crl_urls: Sequence[str] = (),
        delta_crl_validity: timedelta | None = None,
        addresses: StatusAddresses = _NO_ADDRESSES,
        root_update: RootKeyUpdate | None = None,
        earlier_root_updates: Sequence[RootKeyUpdate] = (),
        former: Sequence[LocalIssuer] = (),
        cross_certificates: Mapping[str, bytes] = _NO_CERTIFICATES,
        random: RandomOctets = secrets.token_bytes,
    ) -> None:
        if key.public_key_info != certificate.public_key_info:
            raise ConfigurationError(
                f"the private key is not that of the certificate of {format_name(certificate.name)}",
                hint="give the key and the certificate that belong together",
            )
        self._certificate = certificate
        self._key = key
        self._store = store
        self._profiles = profiles
        self._random = random
        self.crl_urls = tuple(crl_urls)
        self.former = tuple(former)
        self.cross_certificates = cross_certificates
        self._root_update = root_update
        self.earlier_root_updates = tuple(earlier_root_updates)
        self._chain = _chain(certificate, root_update, self.earlier_root_updates)
        self.addresses = addresses
        self.ocsp_key: PrivateKey | None = key
        self._crl = CRLMaker(
            certificate,
            key,
            store,
            validity=crl_validity,
            delta_validity=delta_crl_validity,
            delta_urls=addresses.delta_crl,
        )
        self._fixed_extensions = (
            extension(x509.AuthorityKeyIdentifier(certificate.key_identifier, None, None)),
            *address_extensions(crl_urls, addresses),
        )

    async def issue(
        self, request: CertificateRequest, auth: Authenticated, *, idempotency_key: str, now: datetime
    ) -> Issued | Rejected:
        """A certificate as its profile says, not valid longer than the CA itself; nothing is stored here."""
        try:
            content, modified = self._content(request, auth, now)
        except CMPError as error:
            return Rejected(error)
        der = await build_certificate(content, self._key)
        record = certificate_record(
            content,
            der,
            issuer_key=self._certificate.key_id,
            profile=request.profile or "",
            request_key=idempotency_key,
            state=_ISSUED,
            enrolled_by=line_of(request, auth),
            publish=self._is_published(request),
        )
        return Issued(record, chain=self._chain, modified=modified)

    def _content(
        self, request: CertificateRequest, auth: Authenticated, now: datetime
    ) -> tuple[CertificateContent, bool]:
        profile = self._profiles.get(request.profile or "")
        if profile is None:
            raise CMPError(f"there is no profile {request.profile!r}", PKIFailureInfo.BAD_CERT_TEMPLATE)
        subject, extensions, not_before, not_after, modified = profile.content(request, auth, now=now)
        if not_before >= self._certificate.not_after:
            raise CMPError(
                f"the certificate of {format_name(self._certificate.name)} ends at {self._certificate.not_after}",
                PKIFailureInfo.SYSTEM_UNAVAIL,
                rule="RFC 5280 section 6.1.3",
                hint="renew the certificate of the CA",
            )
        if request.cross is not None:
            self._check_cross(request.cross)
        given = (*extensions, _subject_key(request), *self._fixed_extensions)
        content = CertificateContent(
            serial_number=random_serial(self._random),
            issuer=self._certificate.subject,
            subject=subject,
            not_before=not_before,
            not_after=min(not_after, self._certificate.not_after),
            public_key_info=request.public_key_info,
            extensions=given,
        )
        shortened = request.not_after is not None and content.not_after < not_after
        replaced = any(item not in given for item in request.extensions if item.extn_id in ISSUER_EXTENSIONS)
        # Who asks for publication where there is none gets something else.
        wished = request.registration is not None and bool(request.registration.publish)
        unpublished = wished and not self._is_published(request)
        return content, modified or shortened or replaced or unpublished

    def _is_published(self, request: CertificateRequest) -> bool:
        """Whether the profile has its certificates published, and the requester has nothing against it (RFC 4211
        section 6.3).
        """
        wish = None if request.registration is None else request.registration.publish
        return wish is not False and getattr(self._profiles.get(request.profile or ""), "publish", False) is True

    def _check_cross(self, asked: CrossCertification) -> None:
        """Whether a ccr means this CA, and the algorithm by which it signs (RFC 9810 appendix D.6)."""
        if not names_match(asked.issuer, self._certificate.name):
            raise CMPError(
                f"the ccr is for the CA {format_name(asked.issuer)}, this is {format_name(self._certificate.name)}",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                rule=_CROSS_RULE,
                hint="name the CA that is asked as issuer in the template",
            )
        own = self._key.signature_algorithm
        if encode(asked.signing_algorithm) != encode(own):
            raise CMPError(
                f"the ccr asks for a signature by {asked.signing_algorithm.algorithm.dotted_string}, "
                f"this CA signs by {own.algorithm.dotted_string}",
                PKIFailureInfo.BAD_ALG,
                rule=_CROSS_RULE,
                hint="put the algorithm by which the CA signs into the template",
                status_text=f"this CA signs by {own.algorithm.dotted_string}",
            )

    async def confirm(self, certificate: CertificateRecord, *, accepted: bool, now: datetime) -> CertificateChange:
        """Valid if it was accepted, else revoked: it went out, the requester may have it (RFC 9483 section 4.1.1)."""
        return confirmation(certificate, accepted=accepted, now=now)

    async def revoke(self, request: RevocationRequest, auth: Authenticated, *, now: datetime) -> Revoked | Rejected:
        """Revoke, put on hold, or lift a hold (RFC 5280 section 5.3.1); nothing is stored here."""
        record = None
        if names_match(request.issuer, self._certificate.name):
            record = await self._store.certificate(self._certificate.key_id, request.serial_number)
        try:
            return Revoked(revocation(record, request, now))
        except CMPError as error:
            return Rejected(error)

    async def ca_certificates(self) -> tuple[bytes, ...]:
        """The issuing certificate, then those above it."""
        return self._certificate.all

    async def crl(self, *, now: datetime) -> bytes:
        """The current CRL; it lists everything whose revocation was stored before."""
        return await self._crl.current(now)

    async def delta_crl(self, *, now: datetime) -> bytes | None:
        """The current delta CRL; see :meth:`cmpkit.parts.StatusPublisher.delta_crl`."""
        return await self._crl.current_delta(now)

    async def root_key_update(self) -> RootKeyUpdate | None:
        """What the operator put into the configuration."""
        return self._root_update


def _chain(
    certificate: IssuerCertificate, root_update: RootKeyUpdate | None, earlier: Sequence[RootKeyUpdate]
) -> tuple[bytes, ...]:
    """What is between a certificate and its trust anchor: under a new root, for those who trust an old one, too."""
    link = None if root_update is None else root_update.new_with_old
    if link is None or root_update is None or root_update.new_with_new != certificate.all[-1]:
        return certificate.without_root
    return (*certificate.without_root, link, *(one.new_with_old for one in earlier if one.new_with_old is not None))


def _subject_key(request: CertificateRequest) -> Extension:
    """subjectKeyIdentifier: of the key; of another CA the one that it has, which what it issued names."""
    asked = None if request.cross is None else read_key_identifier(request.extensions)
    identifier = encode_octets(key_identifier(request.public_key_info) if asked is None else asked)
    return Extension(extn_id=oids.SUBJECT_KEY_IDENTIFIER, extn_value=identifier)
