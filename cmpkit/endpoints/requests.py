"""The bodies of a client's requests (RFC 9810 sections 5.3.1 to 5.3.9, RFC 4211)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    CertId,
    CertificationRequest,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    Extension,
    PKIBody,
    RDNSequence,
    RevDetails,
    SubjectPublicKeyInfo,
    decode,
    directory_name,
    to_tlv,
)
from cmpkit.crypto.pop import sign_popo
from cmpkit.crypto.x509 import extension
from cmpkit.enums import BodyType, CRLReason
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey

__all__ = ["certificate_request", "p10_request", "revocation_request", "subject_alternative_names"]


async def certificate_request(
    operation: BodyType,
    key: PrivateKey,
    *,
    subject: x509.Name | None,
    sender: x509.Name,
    extensions: Sequence[Extension] = (),
    old_certificate: bytes | None = None,
) -> PKIBody:
    """ir, cr or kur for one certificate, with proof of possession by signature.

    :param sender: of the header; a POPOSigningKeyInput repeats it.
    :param old_certificate: DER of the certificate that a kur renews.
    """
    controls = None
    if old_certificate is not None:
        loaded = x509.load_der_x509_certificate(old_certificate)
        old = CertId(issuer=directory_name(loaded.issuer), serial_number=loaded.serial_number)
        controls = [AttributeTypeAndValue(type=oids.OLD_CERT_ID, value=to_tlv(old))]
    template = CertTemplate(
        subject=None if subject is None else RDNSequence.of(subject),
        public_key=decode(SubjectPublicKeyInfo, key.public_key_info),
        extensions=list(extensions) or None,
    )
    request = CertRequest(cert_req_id=0, cert_template=template, controls=controls)
    popo = await sign_popo(request, key, sender=directory_name(sender))
    return PKIBody(operation, [CertReqMsg.build(request, popo)])


def p10_request(csr: bytes) -> PKIBody:
    """p10cr around a PKCS#10 request.

    :param csr: DER.
    :raises CMPError: badDataFormat if it cannot be read.
    """
    return PKIBody(BodyType.P10CR, decode(CertificationRequest, csr))


def revocation_request(certificate: bytes, reason: CRLReason) -> PKIBody:
    """rr for one certificate.

    :param certificate: DER of the certificate to revoke.
    """
    loaded = x509.load_der_x509_certificate(certificate)
    template = CertTemplate(serial_number=loaded.serial_number, issuer=RDNSequence.of(loaded.issuer))
    # ENUMERATED: an INTEGER but for its tag (RFC 5280 section 5.3.1).
    entry = Extension(extn_id=oids.CRL_REASON, extn_value=bytes((0x0A, 1, reason)))
    return PKIBody(BodyType.RR, [RevDetails(cert_details=template, crl_entry_details=[entry])])


def subject_alternative_names(text: str | None) -> tuple[Extension, ...]:
    """The extension for ``--sans``: DNS names, IP addresses, URIs and mail addresses by comma; ``critical`` among them.

    :raises ConfigurationError: naming the one that cannot be read.
    """
    words = [word for word in (text or "").replace(",", " ").split() if word]
    names = [_general_name(word) for word in words if word != "critical"]
    if not names:
        return ()
    return (extension(x509.SubjectAlternativeName(names), critical="critical" in words),)


def _general_name(word: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(word))
    except ValueError:
        pass
    try:
        if "://" in word or word.startswith("urn:"):
            return x509.UniformResourceIdentifier(word)
        return x509.RFC822Name(word) if "@" in word else x509.DNSName(word)
    except ValueError as error:
        raise ConfigurationError(f"--sans: {word!r} cannot be used: {error}") from error
