"""The bodies of a client's requests (RFC 9810 sections 5.3.1 to 5.3.9, RFC 4211)."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

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
    GeneralizedTime,
    GeneralName,
    Null,
    PKIBody,
    PKMACValue,
    ProofOfPossession,
    RDNSequence,
    RevDetails,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    directory_name,
    distinguished_name,
    encode,
)
from cmpkit.ca.extensions import read_key_identifier
from cmpkit.crypto.agreed_proof import AgreedProof, prove_by_agreement
from cmpkit.crypto.handed_keys import HandedKey
from cmpkit.crypto.later_proof import later_popo, proof_method
from cmpkit.crypto.pop import mac_public_key, sign_popo
from cmpkit.crypto.x509 import extension, outline, wished_validity
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.credentials import Credentials
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import CrossCertification, PrivateKey, RandomOctets, SharedSecret
from cmpkit.plugins import Plugins

__all__ = [
    "ProofChoice",
    "Prover",
    "PublicKey",
    "Wish",
    "alternative_names_of",
    "certificate_id",
    "certificate_request",
    "p10_request",
    "recovery_request",
    "revocation_request",
    "sought_certificate",
    "subject_alternative_names",
]


ProofChoice: TypeAlias = ProofMethod | AgreedProof | HandedKey
"""How to show that one has a key."""

_VERSION_3 = 2
_RA_VERIFIED: ProofOfPossession = Variant(Null(), "ra_verified")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The key of somebody else, who has shown a registration authority that he has it (RFC 9483 section 5.3.1).

    :param public_key_info: DER of the SubjectPublicKeyInfo.
    """

    public_key_info: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A certificate to ask for (RFC 4211 section 5).

    :param key: the key to certify, or that the server is to generate one; of a :class:`PublicKey` its proof is that a
        registration authority says so (raVerified).
    :param subject: the subject to ask for; ``None`` leaves it to the server.
    :param extensions: extensions to ask for.
    :param not_before: when it should begin to be valid; ``None`` leaves that to the server.
    :param not_after: when it should end to be valid, likewise.
    :param controls: controls of the request, see :mod:`cmpkit.endpoints.controls`.
    :param reg_info: what goes to registration authorities besides, see there.
    :param profile: the certificate profile to ask for; empty takes that of the client's options.
    :param proof: how to show that one has the key; ``None`` takes a signature if the key signs, else the encrypted
        certificate. ``RA_VERIFIED`` is for registration authorities, which have seen to it (RFC 9810 section 5.2.8.1);
        a MAC under an agreed secret needs to know with which key of the server's: an
        :class:`~cmpkit.crypto.agreed_proof.AgreedProof`; a key that is handed over, for whom it is encrypted: a
        :class:`~cmpkit.crypto.handed_keys.HandedKey`.
    :param cross: for a cross certificate: what the other CA is and by which algorithm it signs; all that may be absent
        otherwise must be given then (:func:`cmpkit.endpoints.cross_certification.cross_wish`).
    """

    key: PrivateKey | CentralKey | PublicKey
    subject: x509.Name | None = None
    extensions: tuple[Extension, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    controls: tuple[AttributeTypeAndValue, ...] = ()
    reg_info: tuple[AttributeTypeAndValue, ...] = ()
    profile: str = ""
    proof: ProofChoice | None = None
    cross: CrossCertification | None = None


@dataclass(frozen=True, slots=True)
class Prover:
    """What makes the proofs that are MACs.

    :param credentials: what the request is protected with.
    :param random: where salts come from.
    """

    plugins: Plugins
    credentials: Credentials
    random: RandomOctets = secrets.token_bytes


async def certificate_request(
    operation: BodyType, *wishes: Wish, sender: x509.Name, prover: Prover | None = None
) -> PKIBody:
    """ir, cr, kur or ccr, with proofs of possession where there is a key; the certReqIds are 0, 1 and so on.

    :param wishes: the certificates to ask for; servers take one unless they are told otherwise.
    :param sender: of the header; a POPOSigningKeyInput repeats it.
    :param prover: makes proofs that are MACs: by an agreed secret, and publicKeyMAC where a shared secret is all that
        is known of the sender (RFC 4211 section 4.1). Without it there are none.
    :raises CMPError: badPOP if a key can prove nothing in the way that is wanted.
    """
    name = directory_name(sender)
    return PKIBody(operation, [await _request(number, wish, name, prover) for number, wish in enumerate(wishes)])


def sought_certificate(message: CertReqMsg, wish: Wish) -> SoughtCertificate:
    """What the answer to a request must bring.

    :param message: as :func:`certificate_request` made it of the wish.
    """
    number = message.request.cert_req_id
    subject = wish.subject.public_bytes() if wish.subject is not None else b""
    if not isinstance(wish.key, CentralKey):
        proof = proof_method(message)
        return SoughtCertificate(
            number,
            wish.key.public_key_info,
            subject,
            is_challenged=proof is ProofMethod.CHALLENGE_RESPONSE,
            is_agreed=proof is ProofMethod.AGREED_MAC,
            is_encrypted=proof is ProofMethod.ENCRYPTED_CERTIFICATE,
            issuer=b"" if wish.cross is None else wish.cross.issuer.public_bytes(),
            key_identifier=b"" if wish.cross is None else read_key_identifier(wish.extensions) or b"",
        )
    algorithm = wish.key.algorithm
    return SoughtCertificate(
        number, subject=subject, is_central=True, key_algorithm=b"" if algorithm is None else encode(algorithm)
    )


async def _request(number: int, wish: Wish, sender: GeneralName, prover: Prover | None) -> CertReqMsg:
    key = wish.key
    cross = wish.cross
    template = CertTemplate(
        version=None if cross is None else _VERSION_3,
        signing_alg=None if cross is None else cross.signing_algorithm,
        issuer=None if cross is None else RDNSequence.of(cross.issuer),
        validity=wished_validity(wish.not_before, wish.not_after),
        subject=None if wish.subject is None else RDNSequence.of(wish.subject),
        public_key=_template_key(key),
        extensions=list(wish.extensions) or None,
    )
    request = CertRequest(cert_req_id=number, cert_template=template, controls=list(wish.controls) or None)
    popo: ProofOfPossession | None = None
    if isinstance(key, PublicKey):
        popo = _RA_VERIFIED
    elif not isinstance(key, CentralKey):
        popo = await _prove(request, key, wish.proof, sender, prover)
    return CertReqMsg.build(request, popo, reg_info=list(wish.reg_info) or None)


async def _prove(
    request: CertRequest,
    key: PrivateKey,
    method: ProofChoice | None,
    sender: GeneralName,
    prover: Prover | None,
) -> ProofOfPossession:
    if method is None:
        method = ProofMethod.SIGNATURE if _signs(key) else ProofMethod.ENCRYPTED_CERTIFICATE
    if isinstance(method, AgreedProof | HandedKey):
        if prover is None:
            raise ConfigurationError("nothing makes such a proof here", hint="give a prover")
        if isinstance(method, HandedKey):
            return await method.prove(key, _holder(request, sender), plugins=prover.plugins)
        return await prove_by_agreement(request, key, method, plugins=prover.plugins, random=prover.random)
    if method is ProofMethod.SIGNATURE:
        return await sign_popo(request, key, sender=await _authenticated_by(request, key, sender, prover))
    if method is ProofMethod.RA_VERIFIED:
        return _RA_VERIFIED
    return later_popo(key, method)


def _holder(request: CertRequest, sender: GeneralName) -> x509.Name:
    """Who has the key: the subject that is asked for, else the sender."""
    name = distinguished_name(sender) if request.cert_template.subject is None else request.cert_template.subject.name
    assert name is not None
    return name


async def _authenticated_by(
    request: CertRequest, key: PrivateKey, sender: GeneralName, prover: Prover | None
) -> GeneralName | PKMACValue:
    """What POPOSigningKeyInput says of the requester, where there is one."""
    if request.cert_template.subject is not None or prover is None or not isinstance(prover.credentials, SharedSecret):
        return sender
    return await mac_public_key(key.public_key_info, prover.credentials, prover.plugins, random=prover.random)


def _signs(key: PrivateKey) -> bool:
    try:
        return bool(key.signature_algorithm)
    except CMPError:
        return False


def _template_key(key: PrivateKey | CentralKey | PublicKey) -> SubjectPublicKeyInfo | None:
    return key.template_key if isinstance(key, CentralKey) else decode(SubjectPublicKeyInfo, key.public_key_info)


def p10_request(csr: bytes) -> PKIBody:
    """p10cr around a PKCS#10 request.

    :param csr: DER.
    :raises CMPError: badDataFormat if it cannot be read.
    """
    return PKIBody(BodyType.P10CR, decode(CertificationRequest, csr))


async def recovery_request(
    key: PrivateKey | None,
    subject: x509.Name | None,
    controls: Sequence[AttributeTypeAndValue],
    *,
    sender: x509.Name,
) -> PKIBody:
    """krr for the archived keys of a subject, and for a certificate (RFC 9810 section 5.3.7).

    :param key: a signing key to certify besides; ``None`` asks for no certificate.
    :param controls: with the key that archived keys are to be encrypted to (protocolEncrKey).
    """
    wish = Wish(key=CentralKey() if key is None else key, subject=subject, controls=tuple(controls))
    return await certificate_request(BodyType.KRR, wish, sender=sender)


def revocation_request(
    certificates: Sequence[CertId], reason: CRLReason, invalidity_date: datetime | None = None
) -> PKIBody:
    """rr for one certificate or several (RFC 9810 section 5.3.9).

    :param certificates: what to revoke; servers take one unless they are told otherwise.
    :param invalidity_date: since when the key or certificate is suspect (RFC 5280 section 5.3.2).
    :raises CMPError: badDataFormat if an issuer is not a directory name.
    """
    # ENUMERATED: an INTEGER but for its tag (RFC 5280 section 5.3.1).
    entry = [Extension(extn_id=oids.CRL_REASON, extn_value=bytes((0x0A, 1, reason)))]
    if invalidity_date is not None:
        moment = GeneralizedTime(invalidity_date.astimezone(UTC).replace(microsecond=0))
        entry.append(Extension(extn_id=oids.INVALIDITY_DATE, extn_value=encode(moment)))
    return PKIBody(BodyType.RR, [RevDetails(cert_details=_named(one), crl_entry_details=entry) for one in certificates])


def _named(certificate: CertId) -> CertTemplate:
    issuer = distinguished_name(certificate.issuer)
    if issuer is None:
        raise CMPError(
            "the issuer of a certificate to revoke is not a directory name",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 9483 section 4.2",
        )
    return CertTemplate(serial_number=certificate.serial_number, issuer=RDNSequence.of(issuer))


def certificate_id(certificate: bytes) -> CertId:
    """Issuer and serial number of a certificate.

    :param certificate: DER.
    """
    loaded = x509.load_der_x509_certificate(certificate)
    return CertId(issuer=directory_name(loaded.issuer), serial_number=loaded.serial_number)


def alternative_names_of(certificate: bytes) -> tuple[Extension, ...]:
    """The subjectAltName of a certificate, for an update, which keeps it (RFC 9483 section 4.1.3).

    :param certificate: DER.
    """
    extensions = outline(certificate).extensions or ()
    return tuple(item for item in extensions if item.extn_id == oids.SUBJECT_ALTERNATIVE_NAME)


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
