"""Who and what the tests of the engine are about: messages, senders, certificates, and parts that do as told."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    AttributeTypeAndValue,
    BitString,
    CertificationRequest,
    CertReqMsg,
    CertRequest,
    CertStatus,
    CertTemplate,
    ErrorMsgContent,
    Extension,
    InfoTypeAndValue,
    Null,
    OptionalValidity,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PKIStatusInfo,
    PollReq,
    POPOSigningKey,
    RDNSequence,
    RevDetails,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    decode_message,
    directory_name,
    encode_list,
    encode_message,
)
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import as_time
from cmpkit.engine.header import whole_seconds
from cmpkit.engine.needs import Authorize, CheckProof, Confirm, FindCertificate, Inform, Issue, Revoke
from cmpkit.engine.replies import Reply
from cmpkit.engine.responder import ResponderSettings, respond
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.parts import (
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateState,
    Credential,
    Grant,
    Issued,
    ProtectionKind,
    Revoked,
    SharedSecret,
    Transaction,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
TRANSACTION_ID = b"transaction-id-1"
ISSUER = parse_name("CN=Issuing CA")
SETTINGS = ResponderSettings()
IMPLICIT_CONFIRM = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())

_key = ec.generate_private_key(ec.SECP256R1())
PUBLIC_KEY_INFO = _key.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
PUBLIC_KEY = decode(SubjectPublicKeyInfo, PUBLIC_KEY_INFO)
_counter = itertools.count(1)


def nonce() -> bytes:
    """16 octets, others each time."""
    return next(_counter).to_bytes(16, "big")


def certificate(serial_number: int = 0x1001, subject: str = "CN=alice") -> CertificateRecord:
    """What the issuer gives; equal arguments make one certificate."""
    return _certificate(serial_number, subject)


@functools.cache
def _certificate(serial_number: int, subject: str) -> CertificateRecord:
    made = (
        x509.CertificateBuilder()
        .subject_name(parse_name(subject))
        .issuer_name(ISSUER)
        .public_key(_key.public_key())
        .serial_number(serial_number)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=30))
        .sign(_key, hashes.SHA256())
    )
    der = made.public_bytes(serialization.Encoding.DER)
    return CertificateRecord(
        issuer_key="1f" * 32,
        serial_number=serial_number,
        der=der,
        fingerprint=hashlib.sha256(der).digest(),
        subject=subject,
        not_before=NOW,
        not_after=NOW + timedelta(days=30),
        profile="device",
        request_key="",
    )


def cert_hash(record: CertificateRecord) -> bytes:
    """The certHash of a certificate that is signed by ECDSA with SHA-256."""
    return hashlib.sha256(record.der).digest()


def by_mac(reference: str = "alice", uses: int | None = 1) -> Authenticated:
    """Somebody with a shared secret."""
    secret = SharedSecret(reference, "the secret of " + reference)
    credential = Credential(ProtectionKind.MAC, f"mac:{reference.encode().hex()}", secret=secret)
    subject = parse_name(f"CN={reference}")
    return Authenticated(reference, credential, subject, Grant(subject, uses=uses))


def by_certificate(record: CertificateRecord | None = None) -> Authenticated:
    """Somebody with a certificate of ours."""
    record = record or certificate()
    credential = Credential(ProtectionKind.SIGNATURE, f"cert:{record.fingerprint.hex()}", certificate=record.der)
    return Authenticated("alice", credential, parse_name(record.subject), record=record)


def message(body: PKIBody, *, protected: bool = True, extra_certs: Sequence[bytes] = (), **header: Any) -> PKIMessage:
    """A message as it comes by wire; ``header`` are fields to set otherwise."""
    fields: dict[str, Any] = {
        "pvno": 2,
        "sender": directory_name(parse_name("CN=alice")),
        "recipient": directory_name(parse_name("CN=server")),
        "message_time": whole_seconds(NOW),
        "protection_alg": AlgorithmIdentifier(oids.PASSWORD_BASED_MAC) if protected else None,
        "transaction_id": TRANSACTION_ID,
        "sender_nonce": nonce(),
        **header,
    }
    protection = b"not looked at" if protected else None
    made = PKIMessage(PKIHeader(**fields), body, protection, tuple(extra_certs))
    return decode_message(encode_message(made), max_size=1 << 24)


def cert_template(**fields: Any) -> CertTemplate:
    """A template whose names may be given as values."""
    return CertTemplate(
        **{name: RDNSequence.of(value) if isinstance(value, x509.Name) else value for name, value in fields.items()}
    )


def crmf(cert_req_id: int = 0, controls: Sequence[AttributeTypeAndValue] = (), **template: Any) -> CertReqMsg:
    """One request for a certificate; ``template`` are fields to set otherwise."""
    wanted = cert_template(**{"subject": parse_name("CN=alice"), "public_key": PUBLIC_KEY, **template})
    request = CertRequest(cert_req_id=cert_req_id, cert_template=wanted, controls=list(controls) or None)
    return CertReqMsg.build(request)


def ir(*requests: CertReqMsg, body_type: BodyType = BodyType.IR) -> PKIBody:
    return PKIBody(body_type, list(requests) or [crmf()])


def ccr(*requests: CertReqMsg, **template: Any) -> PKIBody:
    """A request for a cross certificate, which is complete; ``template`` are fields to set otherwise."""
    return PKIBody(BodyType.CCR, list(requests) or [cross_request(**template)])


def cross_request(controls: Sequence[AttributeTypeAndValue] = (), **template: Any) -> CertReqMsg:
    """One of them, with a proof that nobody looks at."""
    complete = {
        "version": 2,
        "signing_alg": AlgorithmIdentifier(oids.ECDSA_SHA256),
        "issuer": ISSUER,
        "validity": OptionalValidity(not_before=as_time(NOW), not_after=as_time(NOW + timedelta(days=30))),
        "extensions": [Extension(extn_id=oids.BASIC_CONSTRAINTS, critical=True, extn_value=b"\x30\x03\x01\x01\xff")],
    }
    proof = POPOSigningKey(
        algorithm_identifier=AlgorithmIdentifier(oids.ECDSA_SHA256), signature=BitString(b"proof", 0)
    )
    request = crmf(0, controls, **{**complete, **template})
    return CertReqMsg(cert_req=request.cert_req, popo=Variant(proof, "signature"))


@functools.cache
def p10(version: int = 0) -> PKIBody:
    made = x509.CertificateSigningRequestBuilder().subject_name(parse_name("CN=alice")).sign(_key, hashes.SHA256())
    der = made.public_bytes(serialization.Encoding.DER)
    # The version is the first field: 02 01 00.
    start = der.index(b"\x02\x01\x00")
    return PKIBody(BodyType.P10CR, decode(CertificationRequest, der[: start + 2] + bytes([version]) + der[start + 3 :]))


def rr(*details: RevDetails) -> PKIBody:
    return PKIBody(BodyType.RR, list(details) or [revocation(reason=b"\x0a\x01\x01")])


def revocation(*, reason: bytes | None = None, **template: Any) -> RevDetails:
    """A certificate to revoke; ``reason`` is DER of the reasonCode."""
    wanted = cert_template(**{"issuer": ISSUER, "serial_number": 0x1001, **template})
    extensions = None if reason is None else [Extension(extn_id=oids.CRL_REASON, extn_value=reason)]
    return RevDetails(cert_details=wanted, crl_entry_details=extensions)


def cert_conf(*statuses: CertStatus) -> PKIBody:
    return PKIBody(BodyType.CERT_CONF, list(statuses))


def cert_status(
    record: CertificateRecord | None = None,
    cert_req_id: int = 0,
    status: PKIStatus | None = None,
    hash_alg: AlgorithmIdentifier | None = None,
) -> CertStatus:
    info = None if status is None else PKIStatusInfo.of(status)
    value = cert_hash(record or certificate())
    return CertStatus(cert_hash=value, cert_req_id=cert_req_id, status_info=info, hash_alg=hash_alg)


def poll_req(*cert_req_ids: int) -> PKIBody:
    return PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=number) for number in cert_req_ids])


def error_body(status: PKIStatus = PKIStatus.REJECTION, *texts: str, failures: PKIFailureInfo | None = None) -> PKIBody:
    info = PKIStatusInfo.of(status, texts, failures or PKIFailureInfo(0))
    return PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=info))


def pki_conf() -> PKIBody:
    return PKIBody(BodyType.PKICONF, Null())


def genm(*questions: InfoTypeAndValue) -> PKIBody:
    return PKIBody(BodyType.GENM, list(questions))


def cert_profile(*names: str) -> InfoTypeAndValue:
    return InfoTypeAndValue(oids.CERT_PROFILE, encode_list(names))


def change_of(need: Confirm) -> CertificateChange:
    """What an issuer makes of a confirmation."""
    state = CertificateState.VALID if need.accepted else CertificateState.REVOKED
    record = need.certificate
    return CertificateChange(record.issuer_key, record.serial_number, state, (CertificateState.ISSUED,), NOW)


REVOKED = CertificateChange(certificate().issuer_key, 0x1001, CertificateState.REVOKED, (CertificateState.VALID,), NOW)


@dataclass
class Parts:
    """Everything that a responder needs, as the test wants it: results by the class of the need.

    A result may be an error, which is thrown into the engine, or a function of the need.
    """

    results: dict[type, Any] = field(default_factory=dict)
    needs: list[Any] = field(default_factory=list)

    def result(self, need: Any) -> Any:
        usual: dict[type, Any] = {
            Authorize: None,
            CheckProof: None,
            Issue: Issued(certificate(), chain=(certificate(2, "CN=Issuing CA").der,)),
            FindCertificate: (certificate(), cert_hash(certificate())),
            Confirm: change_of,
            Revoke: Revoked(REVOKED),
            Inform: (InfoTypeAndValue(oids.CA_CERTS),),
        }
        given = {**usual, **self.results}[type(need)]
        return given(need) if isinstance(given, Callable) else given

    def run(self, steps: Generator[Any, Any, Reply]) -> Reply:
        """Answer every need, to the reply."""
        try:
            need = next(steps)
            while True:
                self.needs.append(need)
                result = self.result(need)
                need = steps.throw(result) if isinstance(result, Exception) else steps.send(result)
        except StopIteration as stop:
            return stop.value

    def of(self, kind: type) -> list[Any]:
        return [need for need in self.needs if isinstance(need, kind)]


def answer(
    request: PKIMessage,
    auth: Authenticated | None = None,
    transaction: Transaction | None = None,
    *,
    parts: Parts | None = None,
    settings: ResponderSettings = SETTINGS,
    now: datetime = NOW,
    profile: str | None = None,
    **results: Any,
) -> Reply:
    """The responder's reply; ``results`` are those of needs, by their names in lower case."""
    parts = parts or Parts()
    kinds = {kind.__name__: kind for kind in (Authorize, CheckProof, Issue, FindCertificate, Confirm, Revoke, Inform)}
    parts.results.update({kinds[name]: result for name, result in results.items()})
    return parts.run(respond(request, auth or by_mac(), transaction, settings=settings, now=now, profile=profile))
