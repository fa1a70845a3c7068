"""From wire to value: what a certificate or revocation request asks for (RFC 9810 section 5.3, RFC 4211)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    CertId,
    CertificationRequest,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    PKIMessage,
    RDNSequence,
    RevDetails,
    Time,
    decode,
    distinguished_name,
    encode,
    parse_tlv,
)
from cmpkit.asn1 import Extension as _Extension
from cmpkit.crypto.names import names_match
from cmpkit.crypto.pop import p10_extensions, template_key_faults
from cmpkit.engine.states import P10_CERT_REQ_ID
from cmpkit.engine.wording import number_text
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, fault_of, raise_first
from cmpkit.parts import Authenticated, CertificateRecord, CertificateRequest, RevocationRequest

__all__ = [
    "p10_faults",
    "read_p10",
    "read_request",
    "read_revocation",
    "request_faults",
    "requested_profile",
    "revocation_faults",
]

_MAX_CERT_REQ_ID = (1 << 63) - 1
_LONGEST_SERIAL = 160
"""Bits; RFC 5280 section 4.1.2.2 allows 20 octets."""
# What they ask for cannot be left undone in silence; others are wishes, or of no consequence here.
_REFUSED_CONTROLS = {
    oids.REG_TOKEN: "regToken",
    oids.AUTHENTICATOR: "authenticator",
    oids.PKI_ARCHIVE_OPTIONS: "pkiArchiveOptions",
    oids.ALT_CERT_TEMPLATE: "altCertTemplate",
}


def read_request(
    body_type: BodyType, messages: list[CertReqMsg], auth: Authenticated, profile: str | None
) -> CertificateRequest:
    """The one request of an ir, cr or kur.

    :param profile: the profile that header or address name.
    :raises CMPError: the first of :func:`request_faults`; badCertId if oldCertID names another certificate (R-122).
    """
    raise_first(request_faults(body_type, messages))
    request = messages[0].request
    template = request.cert_template
    assert template.public_key is not None
    validity = template.validity
    return CertificateRequest(
        body_type=body_type,
        cert_req_id=request.cert_req_id,
        public_key_info=template.public_key.der,
        subject=template.subject.name if template.subject is not None else None,
        extensions=tuple(template.extensions or ()),
        not_before=_datetime(validity.not_before) if validity else None,
        not_after=_datetime(validity.not_after) if validity else None,
        profile=profile,
        old_certificate=_certificate_to_update(request, auth) if body_type is BodyType.KUR else None,
    )


def request_faults(body_type: BodyType, messages: list[CertReqMsg]) -> Iterator[CMPError]:
    """What a server refuses in an ir, cr or kur, but for the proofs (R-060 to R-062, R-073, R-122)."""
    if len(messages) != 1:
        yield CMPError(
            f"{len(messages)} requests in one message, one is allowed",
            rule="RFC 9483 section 4.1.1",
            hint="ask for each certificate in a transaction of its own",
        )
    for message in messages:
        unreadable = list(fault_of(lambda message: message.request, message))
        yield from unreadable
        if not unreadable:
            yield from _cert_request_faults(body_type, message.request)


def _cert_request_faults(body_type: BodyType, request: CertRequest) -> Iterator[CMPError]:
    """Whether the certReqId can be kept, no control asks for what would be left undone, and the template will do."""
    if not 0 <= request.cert_req_id <= _MAX_CERT_REQ_ID:
        yield CMPError(
            f"certReqId {number_text(request.cert_req_id)} cannot be used",
            rule="RFC 9483 section 4.1.1",
            hint="the client should use 0",
        )
    for control in request.controls or ():
        name = _REFUSED_CONTROLS.get(control.type)
        if name is not None:
            yield CMPError(
                f"the request has the control {name}, which this server does not serve",
                rule="RFC 4211 section 6",
                hint=f"leave {name} out",
            )
        if body_type is BodyType.KUR and control.type == oids.OLD_CERT_ID:
            yield from fault_of(parse_tlv, control.value, CertId)
    yield from _template_faults(request.cert_template)
    yield from template_key_faults(request.cert_template)
    yield from _name_faults(request.cert_template.subject)


def _name_faults(name: RDNSequence | None) -> Iterator[CMPError]:
    """Whether a name can be read; it is kept for whoever reads it next."""
    if name is not None:
        yield from fault_of(getattr, name, "name")


def _template_faults(template: CertTemplate) -> Iterator[CMPError]:
    for name in ("serial_number", "signing_alg", "issuer_uid", "subject_uid"):
        if getattr(template, name) is not None:
            yield _bad_template(
                f"the template has {name}, which a requester must leave out", "RFC 4211 section 5", f"leave {name} out"
            )
    if template.version not in (None, 2):
        yield _bad_template(
            f"the template asks for certificate version {number_text(template.version)}",
            "RFC 4211 section 5",
            "leave version out, or set it to 2, which is version 3",
        )


def _bad_template(detail: str, rule: str, hint: str) -> CMPError:
    return CMPError(detail, PKIFailureInfo.BAD_CERT_TEMPLATE, rule=rule, hint=hint)


def _datetime(time: Time | None) -> datetime | None:
    return None if time is None else time.as_datetime()


def _certificate_to_update(request: CertRequest, auth: Authenticated) -> CertificateRecord | None:
    """The certificate that protects a kur; oldCertID, if there, must name it (R-121, R-122)."""
    control = next((c for c in request.controls or () if c.type == oids.OLD_CERT_ID), None)
    if control is None or auth.record is None:
        return auth.record
    named = parse_tlv(control.value, CertId)
    issuer = x509.load_der_x509_certificate(auth.record.der).issuer
    named_issuer = distinguished_name(named.issuer)
    same_issuer = named_issuer is not None and names_match(named_issuer, issuer)
    if named.serial_number != auth.record.serial_number or not same_issuer:
        serial_number = f"{named.serial_number:x}"[:40]
        raise CMPError(
            f"oldCertID names certificate {serial_number}, the signer is {auth.record.serial_number:x}",
            PKIFailureInfo.BAD_CERT_ID,
            rule="RFC 9483 section 4.1.3",
            hint="sign a kur with the certificate that is to be updated",
        )
    return auth.record


def p10_faults(request: CertificationRequest) -> Iterator[CMPError]:
    """What a server refuses in a p10cr, but for its signature (R-130, R-131)."""
    unreadable = list(fault_of(lambda: request.info))
    yield from unreadable
    if not unreadable:
        yield from _version_faults(request)
        yield from fault_of(p10_extensions, request)


def _version_faults(request: CertificationRequest) -> Iterator[CMPError]:
    if request.info.version != 0:
        yield _bad_template(
            f"the PKCS#10 request has version {number_text(request.info.version)}",
            "RFC 2986 section 4.1",
            "set its version to 0, the only one there is",
        )


def read_p10(request: CertificationRequest, profile: str | None) -> CertificateRequest:
    """The request of a p10cr (R-130, R-131).

    :raises CMPError: the first of :func:`p10_faults`.
    """
    raise_first(_version_faults(request))
    return CertificateRequest(
        body_type=BodyType.P10CR,
        cert_req_id=P10_CERT_REQ_ID,
        public_key_info=encode(request.info.subject_pk_info),
        subject=request.info.subject,
        extensions=p10_extensions(request),
        profile=profile,
    )


def revocation_faults(details: list[RevDetails]) -> Iterator[CMPError]:
    """What a server refuses in an rr (R-141)."""
    if len(details) != 1:
        yield CMPError(
            f"{len(details)} certificates in one rr, one is allowed",
            rule="RFC 9483 section 4.2",
            hint="revoke each certificate in a transaction of its own",
        )
    for one in details:
        template = one.cert_details
        if template.serial_number is None or template.issuer is None:
            yield CMPError(
                "issuer and serialNumber of the certificate to revoke are needed",
                rule="RFC 9483 section 4.2",
                hint="put both into certDetails, as the certificate has them",
            )
        elif template.serial_number.bit_length() > _LONGEST_SERIAL:
            yield CMPError(
                f"there is no certificate with a serial number of {template.serial_number.bit_length()} bits",
                PKIFailureInfo.BAD_CERT_ID,
                rule="RFC 5280 section 4.1.2.2",
                hint="copy the serial number of the certificate",
            )
        yield from fault_of(_reason, one.crl_entry_details or [])
        yield from _name_faults(template.issuer)


def read_revocation(details: list[RevDetails]) -> RevocationRequest:
    """The one certificate that an rr names, by issuer and serial number (R-141).

    :raises CMPError: the first of :func:`revocation_faults`.
    """
    raise_first(revocation_faults(details))
    template = details[0].cert_details
    assert template.issuer is not None
    assert template.serial_number is not None
    return RevocationRequest(template.issuer.name, template.serial_number, _reason(details[0].crl_entry_details or []))


def _reason(extensions: list[_Extension]) -> CRLReason:
    """The reasonCode; RFC 9810 section 5.3.9 lets it be absent, which means unspecified."""
    reasons = [extension.extn_value for extension in extensions if extension.extn_id == oids.CRL_REASON]
    if not reasons:
        return CRLReason.UNSPECIFIED
    if len(reasons) > 1:
        raise CMPError(
            "more than one reasonCode",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 9483 section 4.2",
            hint="give one, unspecified (0) if there is none",
        )
    # ENUMERATED (tag 10) is an INTEGER but for its tag.
    octets = reasons[0]
    value = decode(int, b"\x02" + octets[1:]) if octets[:1] == b"\x0a" else -1
    try:
        return CRLReason(value)
    except ValueError:
        raise CMPError(
            f"reasonCode {octets[:16].hex()} is none",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 5280 section 5.3.1",
            hint="it is an ENUMERATED from 0 to 10, without 7",
        ) from None


def requested_profile(message: PKIMessage, labelled: str | None) -> str | None:
    """The profile that a request for a certificate names: by certProfile, else by the label of the address (R-027).

    :raises CMPError: badRequest unless there is one name, and no other than that of the address.
    """
    item = message.header.info(oids.CERT_PROFILE)
    if item is None:
        return labelled
    names = item.parse_list(str)
    if len(names) != 1:
        raise CMPError(
            f"certProfile has {len(names)} names, one is allowed",
            rule="RFC 9483 section 3.1",
            hint="name one profile, or leave certProfile out",
        )
    # An empty name asks for none (RFC 9810 section 5.3.19.18).
    if labelled and names[0] and names[0] != labelled:
        raise CMPError(
            f"certProfile says {names[0]!r}, the address says {labelled!r}",
            rule="RFC 9483 section 3.1",
            hint="name the profile in one place, or the same in both",
        )
    return names[0] or labelled
