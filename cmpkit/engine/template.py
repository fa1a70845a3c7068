"""From wire to value: what a certificate or revocation request asks for (RFC 9810 section 5.3, RFC 4211)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    CertId,
    CertificationRequest,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    EnvelopedData,
    PKIMessage,
    POPOPrivKey,
    RDNSequence,
    SubjectPublicKeyInfo,
    Time,
    distinguished_name,
    encode,
    parse_tlv,
    read_element,
)
from cmpkit.crypto.later_proof import proof_method
from cmpkit.crypto.names import names_match
from cmpkit.crypto.pop import leaves_key_to_server, p10_extensions
from cmpkit.engine.cross_certification import (
    complete_template_faults,
    cross_certification,
    cross_proof_faults,
    sent_key_faults,
)
from cmpkit.engine.registration import (
    control_faults,
    find_attribute,
    read_archive_option,
    read_registration,
    registration_faults,
    replaced_request,
)
from cmpkit.engine.states import P10_CERT_REQ_ID
from cmpkit.engine.wording import number_text
from cmpkit.enums import PVNO, BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, fault_of, raise_first
from cmpkit.parts import Authenticated, CertificateRecord, CertificateRequest
from cmpkit.tolerances import Leniency

__all__ = [
    "archived_key_faults",
    "certificate_named",
    "is_by_rsa",
    "key_generation_faults",
    "p10_faults",
    "proof_version_faults",
    "read_p10",
    "read_request",
    "request_faults",
    "requested_profiles",
    "single_request_faults",
]

_MAX_CERT_REQ_ID = (1 << 63) - 1


def read_request(
    body_type: BodyType, message: CertReqMsg, auth: Authenticated, profile: str | None
) -> CertificateRequest:
    """One request of an ir, cr, kur or ccr.

    :param profile: the profile that header or address name.
    :raises CMPError: the first of :func:`single_request_faults`; badCertId if oldCertID names another certificate
        (R-122).
    """
    raise_first(single_request_faults(body_type, message))
    request = message.request if message.reg_info is None else _registered(body_type, message, auth)
    template, key = request.cert_template, request.cert_template.public_key
    left_to_us = leaves_key_to_server(template)
    validity = template.validity
    proof, archive = proof_method(message), read_archive_option(request) if request.controls else None
    return CertificateRequest(
        body_type=body_type,
        cert_req_id=request.cert_req_id,
        public_key_info=b"" if key is None or left_to_us else key.der,
        subject=template.subject.name if template.subject is not None else None,
        extensions=tuple(template.extensions or ()),
        not_before=_datetime(validity.not_before) if validity else None,
        not_after=_datetime(validity.not_after) if validity else None,
        profile=profile,
        old_certificate=_certificate_to_update(request, auth) if body_type is BodyType.KUR else None,
        key_algorithm=key.algorithm if key is not None and left_to_us else None,
        encryption_key=_encryption_key(request),
        proof=proof,
        registration=read_registration(message) if request.controls or message.reg_info else None,
        archive=_handed_over(message, archive) if proof is ProofMethod.ENCRYPTED_KEY else archive,
        cross=cross_certification(template) if body_type is BodyType.CCR else None,
    )


def _handed_over(message: CertReqMsg, archive: EnvelopedData | bool | None) -> EnvelopedData:
    """The private key that is its own proof, and is to be archived (R-074).

    :raises CMPError: badRequest if pkiArchiveOptions says something of it, too.
    """
    if archive is not None:
        raise CMPError(
            "the private key is in the proof of possession, and there are pkiArchiveOptions, too",
            rule="RFC 9810 section 5.2.8.3.1",
            hint="leave one of them out",
        )
    assert message.popo is not None
    assert isinstance(message.popo.value, TLV)
    enveloped: EnvelopedData = read_element(message.popo.value, POPOPrivKey).value
    return enveloped


def _registered(body_type: BodyType, message: CertReqMsg, auth: Authenticated) -> CertRequest:
    """The request that counts where there is regInfo.

    :raises CMPError: if it will not do.
    """
    request = replaced_request(message, auth)
    if request is not message.request:
        raise_first(_cert_request_faults(body_type, request))
    return request


def request_faults(messages: list[CertReqMsg], most: int = 1) -> Iterator[CMPError]:
    """What a server refuses requests as a whole for: how many there are, and their certReqIds (R-060).

    :param most: how many requests there may be.
    """
    if not 1 <= len(messages) <= most:
        yield CMPError(
            f"{len(messages)} requests in one message, {'one is' if most == 1 else f'at most {most} are'} allowed",
            rule="RFC 9483 section 4.1.1",
            hint="ask for each certificate in a transaction of its own"
            if most == 1
            else "ask for the others by further requests",
        )
    if len(messages) > 1:
        unreadable = [error for message in messages for error in fault_of(lambda message: message.request, message)]
        yield from unreadable
        ids = [] if unreadable else [message.request.cert_req_id for message in messages]
        if len(set(ids)) != len(ids):
            yield CMPError(
                f"the certReqIds {', '.join(map(number_text, ids))} are not all different",
                rule="RFC 4211 section 5",
                hint="number the requests: 0, 1, 2 ...",
            )


def single_request_faults(body_type: BodyType, message: CertReqMsg) -> Iterator[CMPError]:
    """What a server refuses in one request of an ir, cr, kur or ccr (R-061, R-062, R-073, R-122, R-190, R-191).

    How keys are proven is looked at elsewhere, but that of a ccr, for which there is one way.
    """
    unreadable = list(fault_of(lambda message: message.request, message))
    yield from unreadable
    if not unreadable:
        if body_type is BodyType.CCR:
            yield from sent_key_faults(message)
        yield from _cert_request_faults(body_type, message.request)
        if body_type is BodyType.CCR:
            yield from cross_proof_faults(message)
        if message.reg_info is not None:
            yield from registration_faults(message)


def _cert_request_faults(body_type: BodyType, request: CertRequest) -> Iterator[CMPError]:
    """Whether the certReqId can be kept, no control asks for what would be left undone, and the template will do."""
    if not 0 <= request.cert_req_id <= _MAX_CERT_REQ_ID:
        yield CMPError(
            f"certReqId {number_text(request.cert_req_id)} cannot be used",
            rule="RFC 9483 section 4.1.1",
            hint="the client should use 0",
        )
    if request.controls is not None:
        yield from control_faults(body_type, request)
    if body_type is BodyType.CCR:
        yield from complete_template_faults(request.cert_template)
        yield from _template_faults(request.cert_template, ("serial_number", "issuer_uid", "subject_uid"))
        yield from _name_faults(request.cert_template.issuer)
    else:
        yield from _template_faults(request.cert_template, _LEFT_OUT)
    yield from _name_faults(request.cert_template.subject)


def _name_faults(name: RDNSequence | None) -> Iterator[CMPError]:
    """Whether a name can be read; it is kept for whoever reads it next."""
    if name is not None:
        yield from fault_of(getattr, name, "name")


_LEFT_OUT = ("serial_number", "signing_alg", "issuer_uid", "subject_uid")


def _template_faults(template: CertTemplate, left_out: Sequence[str]) -> Iterator[CMPError]:
    for name in left_out:
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


def key_generation_faults(pvno: int) -> Iterator[CMPError]:
    """What a server refuses in a message that leaves a key to it: the key comes as EnvelopedData (R-170).

    :param pvno: of the message.
    """
    if pvno < PVNO.CMP2021:
        yield CMPError(
            f"the key is to be generated by the server, and the message has pvno {pvno}",
            PKIFailureInfo.BAD_CERT_TEMPLATE,
            rule="RFC 9483 section 4.1.6",
            hint="set pvno to 3, or put a public key into the template",
            tolerance="openssl-central-keygen",
        )


def is_by_rsa(message: CertReqMsg, pvno: int, leniency: Leniency) -> bool:
    """Whether what proves a key is to be encrypted by RSA itself, as in pvno 2; otherwise it is EnvelopedData.

    :param pvno: of the message.
    :raises CMPError: badPOP if pvno allows neither.
    """
    if pvno >= PVNO.CMP2021:
        return False
    key = message.request.cert_template.public_key
    if key is not None and key.algorithm.algorithm == oids.RSA_ENCRYPTION and leniency.allows("legacy-encryption"):
        return True
    raise_first(proof_version_faults(proof_method(message), pvno), leniency)
    return False


def proof_version_faults(proof: ProofMethod | None, pvno: int) -> Iterator[CMPError]:
    """What a server refuses in a proof that its version of CMP does not know: EnvelopedData, and agreeMAC.

    :param pvno: of the message.
    """
    if pvno >= PVNO.CMP2021:
        return
    if proof is ProofMethod.AGREED_MAC:
        yield CMPError(
            f"the proof is agreeMAC, and the message has pvno {pvno}",
            PKIFailureInfo.BAD_POP,
            rule="RFC 9810 section 7",
            hint="set pvno to 3, or put DHBasedMac into the place of a signature",
        )
    if proof is ProofMethod.ENCRYPTED_KEY:
        yield from archived_key_faults(pvno)
    if proof in (ProofMethod.ENCRYPTED_CERTIFICATE, ProofMethod.CHALLENGE_RESPONSE):
        yield CMPError(
            f"the proof needs EnvelopedData, and the message has pvno {pvno}",
            PKIFailureInfo.BAD_POP,
            rule="RFC 9810 section 5.2.2",
            hint="set pvno to 3, or for an RSA key allow legacy-encryption",
            tolerance="openssl-encrypted-cert",
        )


def archived_key_faults(pvno: int) -> Iterator[CMPError]:
    """What a server refuses in a message with a key to archive: it is in EnvelopedData (R-074).

    :param pvno: of the message.
    """
    if pvno < PVNO.CMP2021:
        yield CMPError(
            f"a private key comes in EnvelopedData, and the message has pvno {pvno}",
            rule="RFC 9810 section 5.2.2",
            hint="set pvno to 3",
        )


def _encryption_key(request: CertRequest) -> bytes:
    """DER of the key in the control protocolEncrKey; empty if there is none (RFC 4211 section 6.6)."""
    control = find_attribute(request.controls, oids.PROTOCOL_ENCR_KEY)
    return b"" if control is None else parse_tlv(control.value, SubjectPublicKeyInfo).der


def _datetime(time: Time | None) -> datetime | None:
    return None if time is None else time.as_datetime()


def certificate_named(request: CertRequest) -> CertId | None:
    """The certificate that a request names as the one to update; ``None`` if it names none.

    :raises CMPError: badDataFormat if it cannot be read.
    """
    control = find_attribute(request.controls, oids.OLD_CERT_ID)
    return None if control is None else parse_tlv(control.value, CertId)


def _certificate_to_update(request: CertRequest, auth: Authenticated) -> CertificateRecord | None:
    """The certificate that protects a kur; oldCertID, if there, must name it (R-121, R-122).

    ``None`` if it is not known here, or is that of another, in whose name a registration authority asks.
    """
    named = certificate_named(request)
    if named is None or auth.record is None:
        return auth.record
    issuer = x509.load_der_x509_certificate(auth.record.der).issuer
    named_issuer = distinguished_name(named.issuer)
    same_issuer = named_issuer is not None and names_match(named_issuer, issuer)
    if named.serial_number != auth.record.serial_number or not same_issuer:
        if "ra" in auth.roles:
            return None
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
        proof=ProofMethod.SIGNATURE,
        p10=encode(request),
    )


def requested_profiles(message: PKIMessage, labelled: str | None, count: int = 1) -> tuple[str | None, ...]:
    """The profiles that requests for certificates name: by certProfile, else by the label of the address (R-027).

    :param count: how many requests there are; each name is about one, in their order (RFC 9810 section 5.1.1.4).
    :raises CMPError: badRequest if there are more names, or another than that of the address.
    """
    item = message.header.info(oids.CERT_PROFILE)
    if item is None:
        return (labelled,) * count
    names = item.parse_list(str)
    if not 1 <= len(names) <= count:
        raise CMPError(
            f"certProfile has {len(names)} names, {'one is' if count == 1 else f'at most {count} are'} allowed",
            rule="RFC 9483 section 3.1",
            hint="name one profile for each request, or leave certProfile out",
        )
    for name in names:
        # An empty name asks for none (RFC 9810 section 5.3.19.18).
        if labelled and name and name != labelled:
            raise CMPError(
                f"certProfile says {name!r}, the address says {labelled!r}",
                rule="RFC 9483 section 3.1",
                hint="name the profile in one place, or the same in both",
            )
    return tuple(name or labelled for name in (*names, *[""] * (count - len(names))))
