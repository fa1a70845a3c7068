"""What a CA announces, at who receives it: is it believed (RFC 9810 section 5.3.13 to 5.3.16; R-194, R-195)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    CAKeyUpdAnnContent,
    CertificateList,
    CertificateWire,
    PKIMessage,
    RevAnnContent,
    RootCaKeyUpdateContent,
    decode,
    distinguished_name,
    encode,
    read_name,
)
from cmpkit.crypto.crls import check_crl_signature
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.protection import find_protection
from cmpkit.crypto.x509 import outline
from cmpkit.endpoints.signer import MAX_EXTRA_CERTS, find_signer, validate_signer, verify_signature
from cmpkit.endpoints.support import believe_root_update
from cmpkit.engine.header import request_header_faults
from cmpkit.enums import PVNO, BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import ProtectionKind, RootKeyUpdate
from cmpkit.plugins import Plugins

__all__ = [
    "ANNOUNCEMENTS",
    "Announced",
    "AnnouncedCRLs",
    "AnnouncedCertificate",
    "AnnouncedRevocation",
    "AnnouncedRoot",
    "AnnouncementVerifier",
]

_E = TypeVar("_E", bound=x509.ExtensionType)
ANNOUNCEMENTS = frozenset({BodyType.CKUANN, BodyType.CANN, BodyType.RANN, BodyType.CRLANN})
"""The bodies that announce something; they have no CMP answer."""


@dataclass(frozen=True, slots=True)
class AnnouncedRoot:
    """ckuann: the new key of a root CA, which an old one that is trusted vouches for."""

    update: RootKeyUpdate


@dataclass(frozen=True, slots=True)
class AnnouncedCertificate:
    """cann: a certificate that leads to a trust anchor.

    :param der: the certificate.
    """

    der: bytes


@dataclass(frozen=True, slots=True)
class AnnouncedRevocation:
    """rann: a certificate of the announcing CA that is or will be revoked."""

    issuer: x509.Name
    serial_number: int
    content: RevAnnContent


@dataclass(frozen=True, slots=True)
class AnnouncedCRLs:
    """crlann: CRLs, each with the certificate of its issuer.

    :param crls: DER of the CRL, DER of the certificate.
    """

    crls: tuple[tuple[bytes, bytes], ...]


Announced: TypeAlias = AnnouncedRoot | AnnouncedCertificate | AnnouncedRevocation | AnnouncedCRLs
"""What was announced, once it is believed."""


@dataclass(frozen=True, slots=True)
class _Received:
    """An announcement whose protection verified.

    :param path: from the signer to the trust anchor.
    """

    message: PKIMessage
    path: tuple[bytes, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class AnnouncementVerifier:
    """Judges announcements: signed by a CA that is trusted, or by whom it authorised with cmcCA, and true.

    :param anchors: DER trust anchors: the roots of the CAs that may announce something.
    """

    plugins: Plugins
    anchors: tuple[bytes, ...]

    async def verify(self, message: PKIMessage, *, now: datetime) -> Announced:
        """What the message announces.

        :raises CMPError: wrongIntegrity, badMessageCheck, signerNotTrusted, notAuthorized or badDataFormat if it is not
            to be believed.
        """
        raise_first(request_header_faults(message))
        assert message.header.protection_alg is not None
        protection = find_protection(self.plugins, message.header.protection_alg.algorithm)
        if protection.kind is not ProtectionKind.SIGNATURE:
            raise CMPError(
                "an announcement must be signed",
                PKIFailureInfo.WRONG_INTEGRITY,
                rule="RFC 9810 section 5.1.3",
                hint="the CA should sign it with the key of its certificate",
            )
        signer = find_signer(message)
        await verify_signature(message, signer, self.plugins)
        path = validate_signer(message, signer, anchors=self.anchors, now=now, plugins=self.plugins)
        if not _may_announce(path[0]):
            raise CMPError(
                f"{outline(signer).title} is trusted, but neither a CA nor authorised by one (cmcCA)",
                PKIFailureInfo.NOT_AUTHORIZED,
                rule="RFC 9810 section 4.5",
            )
        return _READERS[message.body.type](self, _Received(message, path, now))

    def _root(self, received: _Received) -> AnnouncedRoot:
        content, pvno = received.message.body.content.value, received.message.header.pvno
        wanted = PVNO.CMP2021 if isinstance(content, RootCaKeyUpdateContent) else PVNO.CMP2000
        if pvno != wanted:
            raise CMPError(
                f"a ckuann of this form has pvno {wanted.value}, not {pvno}",
                PKIFailureInfo.BAD_DATA_FORMAT,
                rule="RFC 9810 section 5.3.13",
            )
        update = _root_key_update(content)
        return AnnouncedRoot(believe_root_update(update, self.anchors, plugins=self.plugins, now=received.now))

    def _certificate(self, received: _Received) -> AnnouncedCertificate:
        der = encode(received.message.body.content)
        self._validate(der, received)
        return AnnouncedCertificate(der)

    @staticmethod
    def _revocation(received: _Received) -> AnnouncedRevocation:
        content: RevAnnContent = received.message.body.content
        issuer = distinguished_name(content.cert_id.issuer)
        cas = [read_name(outline(der).subject_der) for der in received.path if _is_ca(der)]
        if issuer is None or not any(names_match(issuer, ca) for ca in cas):
            shown = "a name of another form" if issuer is None else format_name(issuer)
            raise CMPError(
                f"the revocation of a certificate of {shown} is announced by another CA",
                PKIFailureInfo.NOT_AUTHORIZED,
                rule="RFC 9810 section 5.3.15",
            )
        return AnnouncedRevocation(issuer, content.cert_id.serial_number, content)

    def _crls(self, received: _Received) -> AnnouncedCRLs:
        crls: Sequence[CertificateList] = received.message.body.content
        if not crls:
            raise CMPError("a crlann without a CRL", PKIFailureInfo.BAD_DATA_FORMAT, rule="RFC 9810 section 5.3.16")
        return AnnouncedCRLs(tuple((encode(crl), self._crl_issuer(encode(crl), received)) for crl in crls))

    def _crl_issuer(self, crl: bytes, received: _Received) -> bytes:
        """The certificate of the CA that signed a CRL, once both are believed."""
        name = decode(x509.CertificateRevocationList, crl).issuer
        fault: CMPError | None = None
        for der in self._cas(received):
            if not names_match(read_name(outline(der).subject_der), name):
                continue
            try:
                self._validate(der, received)
                check_crl_signature(crl, der, self.plugins)
            except CMPError as error:
                fault = fault or error
            else:
                return der
        raise fault or CMPError(
            f"there is no certificate of {format_name(name)}, which issued the CRL",
            PKIFailureInfo.SIGNER_NOT_TRUSTED,
            hint="the CA should send it along in extraCerts",
        )

    def _cas(self, received: _Received) -> Iterator[bytes]:
        for der in dict.fromkeys((*received.path, *received.message.extra_certs[:MAX_EXTRA_CERTS], *self.anchors)):
            try:
                if _is_ca(der):
                    yield der
            except CMPError:
                continue  # one odd certificate must not spoil the others (RFC 9483 section 3.3)

    def _validate(self, der: bytes, received: _Received) -> None:
        candidates = (*received.path[1:], *received.message.extra_certs[:MAX_EXTRA_CERTS])
        validate_path(der, candidates=candidates, anchors=self.anchors, now=received.now, plugins=self.plugins)


def _root_key_update(content: CAKeyUpdAnnContent | RootCaKeyUpdateContent) -> RootKeyUpdate:
    links: tuple[CertificateWire | None, ...] = (content.new_with_old, content.old_with_new)
    new_with_old, old_with_new = (None if link is None else encode(link) for link in links)
    return RootKeyUpdate(encode(content.new_with_new), new_with_old, old_with_new)


def _may_announce(der: bytes) -> bool:
    if _is_ca(der):
        return True
    usage = _extension(der, x509.ExtendedKeyUsage)
    return usage is not None and oids.KP_CMC_CA in usage


def _is_ca(der: bytes) -> bool:
    constraints = _extension(der, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _extension(der: bytes, kind: type[_E]) -> _E | None:
    try:
        return decode(x509.Certificate, der).extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


_READERS: dict[BodyType, Callable[[Any, _Received], Announced]] = {
    BodyType.CKUANN: AnnouncementVerifier._root,
    BodyType.CANN: AnnouncementVerifier._certificate,
    BodyType.RANN: lambda _, received: AnnouncementVerifier._revocation(received),
    BodyType.CRLANN: AnnouncementVerifier._crls,
}
