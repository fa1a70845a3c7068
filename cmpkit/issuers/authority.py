"""A CA whose key is elsewhere: what may be asked of it, and whether what it gives is what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cmpkit.asn1 import CertificationRequest, decode
from cmpkit.ca.certificates import IssuerCertificate
from cmpkit.ca.limits import line_of
from cmpkit.crypto.crls import check_crl_signature, load_crl
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.stand_ins import check_signature
from cmpkit.crypto.x509 import certificate_public_key_info, fingerprint
from cmpkit.engine.template import read_p10
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateProfile,
    CertificateRecord,
    CertificateRequest,
    Issued,
    RevocationRequest,
    Store,
)
from cmpkit.plugins import Plugins

__all__ = ["Authority", "Order", "failed"]

_KINDS = (BodyType.IR, BodyType.CR, BodyType.KUR, BodyType.P10CR)
_LARGEST_SERIAL_NUMBER = (1 << 159) - 1


def failed(detail: str, *, hint: str = "") -> CMPError:
    """What the CA did that it should not have; the requester learns no more than that something failed."""
    return CMPError(detail, PKIFailureInfo.SYSTEM_FAILURE, hint=hint)


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate that is asked for, as its profile allows it, and what is to be known of it when it comes.

    :param key: the idempotency key of the request.
    :param public_key_info: DER of the key to certify.
    :param subject: the subject that is asked for.
    :param enrolled_by: as in :class:`~cmpkit.parts.CertificateRecord`, as are ``profile`` and ``publish``.
    :param modified: whether it differs from what the requester asked for.
    """

    key: str
    public_key_info: bytes
    subject: x509.Name
    profile: str
    enrolled_by: str
    publish: bool = False
    modified: bool = False


@dataclass(frozen=True)
class Authority:
    """A CA as its certificates show it, and the profiles under which certificates of it are asked for."""

    certificate: IssuerCertificate
    store: Store
    plugins: Plugins
    profiles: Mapping[str, CertificateProfile]

    def order(
        self, request: CertificateRequest, auth: Authenticated, key: str, now: datetime
    ) -> tuple[Order, CertificateRequest]:
        """What is asked for: the names, extensions and validity that the profile of the request gives it.

        :param key: the idempotency key.
        :returns: the order, and the request with what the profile chose; with its PKCS#10 only if that says the same.
        :raises CMPError: if the profile does not allow it.
        """
        if request.body_type not in _KINDS:
            raise CMPError(
                f"{request.body_type.wire_name} cannot be passed to another CA",
                hint="send it to the CA itself",
            )
        profile = self.profiles.get(request.profile or "")
        if profile is None:
            raise CMPError(f"there is no profile {request.profile!r}", PKIFailureInfo.BAD_CERT_TEMPLATE)
        subject, extensions, _, not_after, modified = profile.content(request, auth, now=now)
        publish = getattr(profile, "publish", False) is True
        wish = None if request.registration is None else request.registration.publish
        order = Order(
            key=key,
            public_key_info=request.public_key_info,
            subject=subject,
            profile=request.profile or "",
            enrolled_by=line_of(request, auth),
            publish=publish and wish is not False,
            modified=modified or (bool(wish) and not publish),
        )
        chosen = replace(request, subject=subject, extensions=extensions, not_after=not_after)
        return order, chosen if _says_the_same(chosen) else replace(chosen, p10=b"")

    async def issued(self, der: bytes, order: Order, now: datetime, *, modified: bool = False) -> Issued:
        """The certificate that came for an order.

        :param modified: whether the CA says that it changed something.
        :raises CMPError: systemFailure if it is not what was ordered.
        """
        record = self._record(der, order, now)
        known = await self.store.certificate(record.issuer_key, record.serial_number)
        if known is not None and known.request_key != order.key:
            raise failed(f"the CA gave a certificate that it had issued before, {record.serial_number:x}")
        changed = not names_match(x509.load_der_x509_certificate(der).subject, order.subject)
        return Issued(record, self.certificate.without_root, modified or order.modified or changed)

    def _record(self, der: bytes, order: Order, now: datetime) -> CertificateRecord:
        try:
            certificate = x509.load_der_x509_certificate(der)
            public_key_info = certificate_public_key_info(der)
            subject, issuer = certificate.subject, certificate.issuer
        except (ValueError, CMPError) as error:
            raise failed(f"the CA gave a certificate that cannot be read: {error}") from error
        if public_key_info != order.public_key_info:
            raise failed(f"the CA gave a certificate for another key, of {format_name(subject)}")
        if not names_match(issuer, self.certificate.name):
            raise failed(
                f"the certificate was issued by {format_name(issuer)}, not by {format_name(self.certificate.name)}",
                hint="correct authority of [issuer]",
            )
        try:
            check_signature(der, self.certificate.der, self.plugins)
        except CMPError as error:
            raise failed(f"the CA gave a certificate that it did not sign: {error.detail}") from error
        if certificate.not_valid_after_utc <= now:
            raise failed(f"the CA gave a certificate that ended at {certificate.not_valid_after_utc}")
        if not 0 < certificate.serial_number <= _LARGEST_SERIAL_NUMBER:
            raise failed(f"the CA gave a certificate with the serial number {certificate.serial_number:x}"[:120])
        return CertificateRecord(
            issuer_key=self.certificate.key_id,
            serial_number=certificate.serial_number,
            der=der,
            fingerprint=fingerprint(der),
            subject=format_name(subject),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            profile=order.profile,
            request_key=order.key,
            enrolled_by=order.enrolled_by,
            publish=order.publish,
        )

    async def record(self, request: RevocationRequest) -> CertificateRecord | None:
        """The record of the certificate that a revocation names, if this CA issued it."""
        if not names_match(request.issuer, self.certificate.name):
            return None
        return await self.store.certificate(self.certificate.key_id, request.serial_number)

    def checked_crl(self, data: bytes) -> bytes:
        """DER of a CRL that is to be of this CA.

        :param data: DER or PEM.
        :raises CMPError: systemFailure if it is not.
        """
        try:
            crl = load_crl(data)
            der = crl.public_bytes(Encoding.DER)
            check_crl_signature(der, self.certificate.der, self.plugins)
        except CMPError as error:
            raise failed(f"the CRL of {format_name(self.certificate.name)} cannot be used: {error}") from error
        if not names_match(crl.issuer, self.certificate.name):
            raise failed(f"there is a CRL of {format_name(crl.issuer)} in place of its own")
        return der


def _says_the_same(request: CertificateRequest) -> bool:
    """Whether the PKCS#10 that came asks for what is to be asked for: nothing in it can be changed."""
    if not request.p10:
        return False
    asked = read_p10(decode(CertificationRequest, request.p10), None)
    return asked.subject is not None and names_match(asked.subject, request.subject or x509.Name([]))
