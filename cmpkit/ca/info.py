"""What a genm may ask of a CA (RFC 9810 section 5.3.19, RFC 9483 section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AttributeTypeAndValue,
    CAKeyUpdAnnContent,
    CertificateWire,
    CertReqTemplateContent,
    CertTemplate,
    CRLSource,
    CRLStatus,
    GeneralName,
    IA5String,
    InfoTypeAndValue,
    RDNSequence,
    RootCaKeyUpdateContent,
    decode,
    decode_list,
    distinguished_name,
    encode,
    encode_list,
    parse_tlv,
    read_name,
    to_tlv,
)
from cmpkit.crypto.crls import source_names
from cmpkit.crypto.names import names_match
from cmpkit.crypto.root_update import is_update_of
from cmpkit.crypto.x509 import outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    InfoContext,
    Issuer,
    RequestTemplate,
    cross_certificates_of,
    issuers_of,
    root_key_updates,
)

__all__ = [
    "CACertificatesInfo",
    "CAKeyUpdateInfo",
    "CAProtEncCertInfo",
    "CRLStatusListInfo",
    "CertReqTemplateInfo",
    "CurrentCRLInfo",
    "RootCACertInfo",
    "check_absent",
]

_MAX_SOURCES = 16


def check_absent(value: TLV | None, name: str, rule: str) -> None:
    """Whether a question has no value, as it must not.

    :param name: of the information type, for people.
    :raises CMPError: badDataFormat if it has one.
    """
    if value is not None:
        raise CMPError(f"{name} is asked for with a value", PKIFailureInfo.BAD_DATA_FORMAT, rule=rule)


class CACertificatesInfo:
    """caCerts: the certificates of the CA, the issuing one first, then its cross certificates.

    RFC 9810 section 5.3.19.14.
    """

    oid: ObjectIdentifier = oids.CA_CERTS
    name = "caCerts"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """Their sequence."""
        check_absent(value, self.name, "RFC 9810 section 5.3.19.14")
        crossed = (der for issuer in issuers_of(context.issuer) for der in cross_certificates_of(issuer).values())
        certificates = (*await context.issuer.ca_certificates(), *crossed)
        return InfoTypeAndValue(self.oid, encode_list(certificates) if certificates else None)


class CAProtEncCertInfo:
    """caProtEncCert: the certificate that requesters encrypt to (RFC 9810 section 5.3.19.1)."""

    oid: ObjectIdentifier = oids.CA_PROT_ENC_CERT
    name = "caProtEncCert"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """The certificate; nothing if there is none."""
        check_absent(value, self.name, "RFC 9810 section 5.3.19.1")
        return InfoTypeAndValue(
            self.oid, None if context.encryption is None else to_tlv(context.encryption.certificate)
        )


class CurrentCRLInfo:
    """currentCRL: the newest certificate revocation list (RFC 9810 section 5.3.19.6)."""

    oid: ObjectIdentifier = oids.CURRENT_CRL
    name = "currentCRL"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """The list."""
        check_absent(value, self.name, "RFC 9810 section 5.3.19.6")
        return InfoTypeAndValue(self.oid, await context.issuer.crl(now=context.now))


class RootCACertInfo:
    """rootCaCert: the new key of a root CA, for who has the old one (RFC 9810 section 5.3.19.15)."""

    oid: ObjectIdentifier = oids.ROOT_CA_CERT
    name = "rootCaCert"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """rootCaKeyUpdate: the key that came next after that root, which vouches for it; nothing if there is none."""
        root = None if value is None else encode(parse_tlv(value, CertificateWire))
        updates = await root_key_updates(context.issuer)
        update = next((one for one in updates if root is None or is_update_of(one, root)), None)
        if update is None:
            return InfoTypeAndValue(oids.ROOT_CA_KEY_UPDATE)
        content = RootCaKeyUpdateContent(
            new_with_new=decode(CertificateWire, update.new_with_new),
            new_with_old=_certificate(update.new_with_old),
            old_with_new=_certificate(update.old_with_new),
        )
        return InfoTypeAndValue(oids.ROOT_CA_KEY_UPDATE, content)


class CAKeyUpdateInfo:
    """caKeyUpdateInfo: the same as before pvno 3, which has rootCaCert instead (RFC 9810 section 5.3.19.5)."""

    oid: ObjectIdentifier = oids.CA_KEY_UPDATE_INFO
    name = "caKeyUpdateInfo"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """All three certificates; nothing if one of them is not here."""
        check_absent(value, self.name, "RFC 9810 section 5.3.19.5")
        update = await context.issuer.root_key_update()
        if update is None or update.new_with_old is None or update.old_with_new is None:
            return InfoTypeAndValue(self.oid)
        content = CAKeyUpdAnnContent(
            old_with_new=decode(CertificateWire, update.old_with_new),
            new_with_old=decode(CertificateWire, update.new_with_old),
            new_with_new=decode(CertificateWire, update.new_with_new),
        )
        return InfoTypeAndValue(self.oid, content)


def _certificate(der: bytes | None) -> CertificateWire | None:
    return None if der is None else decode(CertificateWire, der)


class CertReqTemplateInfo:
    """certReqTemplate: what a request should ask for (RFC 9810 section 5.3.19.16)."""

    oid: ObjectIdentifier = oids.CERT_REQ_TEMPLATE
    name = "certReqTemplate"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """The template of the profile that certProfile names, else of the one that the sender gets."""
        check_absent(value, self.name, "RFC 9810 section 5.3.19.16")
        if context.policy is None:
            return InfoTypeAndValue(self.oid)
        template = await context.policy.request_template(context.profile, context.auth, now=context.now)
        return InfoTypeAndValue(self.oid, _template_content(template))


def _template_content(template: RequestTemplate) -> CertReqTemplateContent:
    controls = [
        *(AttributeTypeAndValue(type=oids.ALG_ID, value=to_tlv(item)) for item in template.key_algorithms),
        *(AttributeTypeAndValue(type=oids.RSA_KEY_LEN, value=to_tlv(bits)) for bits in template.rsa_key_lengths),
    ]
    return CertReqTemplateContent(
        cert_template=CertTemplate(
            subject=None if template.subject is None else RDNSequence.of(template.subject),
            extensions=list(template.extensions) or None,
        ),
        key_spec=controls or None,
    )


class CRLStatusListInfo:
    """crlStatusList: the CRL, if there is a newer one than the sender has (RFC 9810 section 5.3.19.17)."""

    oid: ObjectIdentifier = oids.CRL_STATUS_LIST
    name = "crlStatusList"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """crls; nothing if the sender has the newest, or asks for those of others. No address is looked up (R-185)."""
        rule = "RFC 9810 section 5.3.19.17"
        statuses = [] if value is None else decode_list(CRLStatus, encode(value))
        if not 1 <= len(statuses) <= _MAX_SOURCES:
            raise CMPError(
                f"{len(statuses)} CRLs are asked for, 1 to {_MAX_SOURCES} may be",
                PKIFailureInfo.BAD_DATA_FORMAT,
                rule=rule,
            )
        crls = [await _newer_crl(issuer, statuses, context.now) for issuer in issuers_of(context.issuer)]
        newer = [crl for crl in crls if crl is not None]
        return InfoTypeAndValue(oids.CRLS, encode_list(newer) if newer else None)


async def _newer_crl(issuer: Issuer, statuses: Sequence[CRLStatus], now: datetime) -> bytes | None:
    """DER of the CRL of an issuer, if one of the sources is it, and has an older one."""
    name = read_name(outline((await issuer.ca_certificates())[0]).subject_der)
    wanted = [status for status in statuses if _is_ours(status.source, name, issuer.crl_urls)]
    if not wanted:
        return None
    crl = await issuer.crl(now=now)
    made = x509.load_der_x509_crl(crl).last_update_utc
    return crl if any(_is_newer(made, status) for status in wanted) else None


def _is_newer(made: datetime, status: CRLStatus) -> bool:
    return status.this_update is None or made > status.this_update.as_datetime()


def _is_ours(source: CRLSource, issuer: x509.Name, urls: tuple[str, ...]) -> bool:
    """Whether a source is our CRL, by the name of its issuer or by an address that our certificates have."""
    return any(_names_us(name, issuer, urls) for name in source_names(source))


def _names_us(name: GeneralName, issuer: x509.Name, urls: tuple[str, ...]) -> bool:
    if isinstance(name.value, IA5String) and name.tag == "uniform_resource_identifier":
        return name.value.as_str() in urls
    known = distinguished_name(name)
    return known is not None and names_match(known, issuer)
