"""The certificates of a CA's own: root, issuing CA, and the signer of its CMP messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509 import NameOID

from cmpkit import oids
from cmpkit.asn1 import Extension
from cmpkit.ca.certificates import IssuerCertificate, read_issuer_certificate
from cmpkit.ca.extensions import key_usage_extension, purposes_extension
from cmpkit.ca.issuer import certificate_record
from cmpkit.crypto.crl_building import build_crl
from cmpkit.crypto.names import common_name
from cmpkit.crypto.pop import build_p10
from cmpkit.crypto.x509 import (
    CertificateContent,
    build_certificate,
    extension,
    key_identifier,
    outline,
    random_serial,
)
from cmpkit.errors import ConfigurationError
from cmpkit.parts import CertificateRecord, CertificateState, PrivateKey

__all__ = [
    "OCSP_SIGNER_VALIDITY",
    "SIGNER_PROFILE",
    "Hierarchy",
    "issuing_request",
    "make_hierarchy",
    "make_issuing",
    "make_ocsp_signer",
    "make_root",
    "make_root_crl",
    "make_signer",
]

ROOT_VALIDITY = timedelta(days=3650)
ISSUING_VALIDITY = timedelta(days=1825)
OCSP_SIGNER_VALIDITY = timedelta(days=90)
"""How long the certificate of a signer of OCSP responses lives, whose status nobody asks; the server renews it."""
SIGNER_PROFILE = "cmp-signer"
"""The profile that the store names for what signs in the name of the CA, messages and OCSP responses; no configuration
has it: nobody can ask for it."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A root and the issuing CA below it.

    :param root: DER of the self-signed certificate.
    """

    root: bytes
    issuing: IssuerCertificate


async def make_hierarchy(
    subject: x509.Name, *, root_key: PrivateKey, issuing_key: PrivateKey, now: datetime, path_length: int | None = 0
) -> Hierarchy:
    """A root for ten years, and an issuing CA for five.

    :param subject: that of the issuing CA.
    :param path_length: how many CAs may be below the issuing one; ``None`` for any number.
    :raises ConfigurationError: if no name for the root can be made of it.
    """
    root_name = _related_name(subject, "Root")
    root = await make_root(root_name, root_key, signed_by=root_key, not_before=now, not_after=now + ROOT_VALIDITY)
    issuing = await make_issuing(
        subject, issuing_key, root_name=root_name, root_key=root_key, now=now, path_length=path_length
    )
    return Hierarchy(root, read_issuer_certificate((issuing, root)))


async def make_root(
    name: x509.Name, key: PrivateKey, *, signed_by: PrivateKey, not_before: datetime, not_after: datetime
) -> bytes:
    """DER of a certificate for the key of a root, self-signed, or signed by another key of it (RFC 9810 section 4.4).

    :param key: the one that is certified; its public half is used.
    """
    return await build_certificate(
        CertificateContent(
            serial_number=random_serial(),
            issuer=name.public_bytes(),
            subject=name,
            not_before=not_before,
            not_after=not_after,
            public_key_info=key.public_key_info,
            extensions=(*_ca_extensions(key, path_length=None), _authority(signed_by.public_key_info)),
        ),
        signed_by,
    )


async def make_issuing(
    subject: x509.Name,
    key: PrivateKey,
    *,
    root_name: x509.Name,
    root_key: PrivateKey,
    now: datetime,
    path_length: int | None = 0,
) -> bytes:
    """DER of the certificate of an issuing CA for five years.

    :param path_length: how many CAs may be below it; ``None`` for any number.
    """
    return await build_certificate(
        CertificateContent(
            serial_number=random_serial(),
            issuer=root_name.public_bytes(),
            subject=subject,
            not_before=now,
            not_after=now + ISSUING_VALIDITY,
            public_key_info=key.public_key_info,
            extensions=(*_ca_extensions(key, path_length=path_length), _authority(root_key.public_key_info)),
        ),
        root_key,
    )


async def issuing_request(subject: x509.Name, key: PrivateKey, *, path_length: int = 0) -> bytes:
    """DER of a PKCS#10 request for the certificate of an issuing CA.

    :param path_length: how many CAs it asks to have below it.
    """
    return await build_p10(subject, key, _ca_extensions(key, path_length=path_length))


async def make_signer(
    issuer: IssuerCertificate, issuer_key: PrivateKey, *, key: PrivateKey, now: datetime
) -> CertificateRecord:
    """The certificate that signs CMP messages for the CA and the keys that it generates, valid as long as the CA is.

    It has cmcCA and cmKGA (RFC 9810 section 4.5); which keys are generated is for the profiles to say.

    :param key: the signer's.
    :raises ConfigurationError: if no name can be made of the subject of the CA.
    """
    name = _related_name(issuer.name, "CMP")
    purpose = (purposes_extension([oids.KP_CMC_CA, oids.KP_CM_KGA]),)
    return await _make_signer(issuer, issuer_key, name, purpose, key=key, now=now, not_after=issuer.not_after)


async def make_ocsp_signer(
    issuer: IssuerCertificate,
    issuer_key: PrivateKey,
    *,
    key: PrivateKey,
    now: datetime,
    validity: timedelta = OCSP_SIGNER_VALIDITY,
) -> CertificateRecord:
    """The certificate that signs OCSP responses for the CA (RFC 6960 section 4.2.2.2), not valid longer than the CA is.

    It has ocsp-nocheck: nobody asks whether it is revoked itself.

    :param key: the signer's.
    :raises ConfigurationError: if no name can be made of the subject of the CA.
    """
    name = _related_name(issuer.name, "OCSP")
    purpose = (purposes_extension([oids.KP_OCSP_SIGNING]), extension(x509.OCSPNoCheck()))
    until = min(now.replace(microsecond=0) + validity, issuer.not_after)
    return await _make_signer(issuer, issuer_key, name, purpose, key=key, now=now, not_after=until)


async def make_root_crl(root: bytes, root_key: PrivateKey, *, now: datetime) -> bytes:
    """DER of the CRL of a root that is carried away: empty, and valid as long as the issuing CA.

    :param root: DER of its certificate.
    """
    return await build_crl(
        issuer=outline(root).subject_der,
        issuer_key=root_key,
        this_update=now,
        next_update=now + ISSUING_VALIDITY,
        number=1,
        entries=b"",
        authority_key_identifier=key_identifier(root_key.public_key_info),
    )


async def _make_signer(
    issuer: IssuerCertificate,
    issuer_key: PrivateKey,
    name: x509.Name,
    purpose: tuple[Extension, ...],
    *,
    key: PrivateKey,
    now: datetime,
    not_after: datetime,
) -> CertificateRecord:
    content = CertificateContent(
        serial_number=random_serial(),
        issuer=issuer.subject,
        subject=name,
        not_before=now.replace(microsecond=0),
        not_after=not_after,
        public_key_info=key.public_key_info,
        extensions=(
            extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
            key_usage_extension({"digitalSignature"}),
            *purpose,
            extension(x509.SubjectKeyIdentifier(key_identifier(key.public_key_info))),
            extension(x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None)),
        ),
    )
    return certificate_record(
        content,
        await build_certificate(content, issuer_key),
        issuer_key=issuer.key_id,
        profile=SIGNER_PROFILE,
        request_key=f"{SIGNER_PROFILE}:{content.serial_number:x}",
        state=CertificateState.VALID,
    )


def _ca_extensions(key: PrivateKey, *, path_length: int | None) -> tuple[Extension, ...]:
    return (
        extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True),
        key_usage_extension({"keyCertSign", "cRLSign"}),
        extension(x509.SubjectKeyIdentifier(key_identifier(key.public_key_info))),
    )


def _authority(public_key_info: bytes) -> Extension:
    return extension(x509.AuthorityKeyIdentifier(key_identifier(public_key_info), None, None))


def _related_name(subject: x509.Name, addition: str) -> x509.Name:
    """The subject with ``addition`` after its commonName: names of one CA look alike and differ."""
    base = common_name(subject)
    text = addition if base is None else f"{base} {addition}"
    kept = [rdn for rdn in subject.rdns if not any(item.oid == NameOID.COMMON_NAME for item in rdn)]
    try:
        attribute = x509.NameAttribute(NameOID.COMMON_NAME, text)
    except ValueError as error:
        raise ConfigurationError(
            f"the commonName {base!r} of the CA is too long: {text!r} has more than 64 characters",
            hint="choose one with at most 59 characters",
        ) from error
    return x509.Name([*kept, x509.RelativeDistinguishedName([attribute])])
