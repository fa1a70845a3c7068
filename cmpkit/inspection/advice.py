"""What senders should do and receivers do not insist on: rules of RFC 9483 and RFC 9810 that no message fails for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    CertRepMessage,
    CertReqMsg,
    CertStatus,
    ErrorMsgContent,
    GeneralizedTime,
    Null,
    PKIHeader,
    PKIMessage,
    PKIStatusInfo,
    RevDetails,
    RevRepContent,
    distinguished_name,
    read_name,
)
from cmpkit.crypto.names import common_name, format_name, names_match
from cmpkit.crypto.x509 import outline
from cmpkit.endpoints.signer import MAX_EXTRA_CERTS, find_signer
from cmpkit.engine.header import NONCE_SIZE
from cmpkit.engine.states import CERTIFICATE_REQUESTS, CRMF_REQUESTS, OPENS
from cmpkit.enums import PVNO, BodyType, PKIStatus
from cmpkit.errors import CMPError, fault_of

__all__ = ["MACS", "Note", "advise"]

MACS = frozenset(
    {oids.PASSWORD_BASED_MAC, oids.PBMAC1, oids.DH_BASED_MAC, oids.KEM_BASED_MAC}
    | {oids.KMAC_WITH_SHAKE128, oids.KMAC_WITH_SHAKE256, oids.AES128_GMAC, oids.AES192_GMAC, oids.AES256_GMAC}
)
"""Algorithms of protectionAlg that are MACs."""

_CERTIFICATE_ANSWERS = frozenset({BodyType.IP, BodyType.CP, BodyType.KUP, BodyType.CCP})
_IMPLICIT_CONFIRM = CERTIFICATE_REQUESTS | _CERTIFICATE_ANSWERS
_PROFILE = CERTIFICATE_REQUESTS | {BodyType.GENM}
_FROM_CLIENTS = OPENS | {BodyType.CERT_CONF, BodyType.POLL_REQ}
_HEADER_RULE = "RFC 9483 section 3.1"
_EXTRA_CERTS_RULE = "RFC 9483 section 3.3"
_ONE_DAY = 86400


@dataclass(frozen=True, slots=True)
class Note:
    """What a sender should do otherwise.

    :param detail: what is unusual.
    :param rule: the rule, as an RFC section.
    :param change: what to change.
    """

    detail: str
    rule: str
    change: str


def advise(message: PKIMessage) -> Iterator[Note]:
    """Every note about a message."""
    yield from _header_notes(message)
    yield from _general_info_notes(message)
    yield from _sender_notes(message)
    yield from _extra_certs_notes(message)
    yield from _body_notes(message)


def _header_notes(message: PKIMessage) -> Iterator[Note]:
    header = message.header
    if header.transaction_id and len(header.transaction_id) != NONCE_SIZE:
        detail = f"transactionID has {len(header.transaction_id)} octets"
        yield Note(detail, _HEADER_RULE, f"use {NONCE_SIZE} random octets")
    if message.body.type is BodyType.ERROR and message.protection is None:
        yield Note(
            "the error is not protected: anybody may have sent it",
            "RFC 9483 section 3.6",
            "protect errors wherever the request could be read; cmpkit takes this with --unprotected-errors only",
        )
    if header.message_time is None:
        yield Note("messageTime is missing", _HEADER_RULE, "send the time, so that old messages can be told from new")
    if message.protection is not None and header.sender_kid is None:
        yield Note(
            "senderKID is missing",
            _HEADER_RULE,
            "send the reference of the secret, or the SubjectKeyIdentifier of the protecting certificate",
        )


def _general_info_notes(message: PKIMessage) -> Iterator[Note]:
    header, body = message.header, message.body
    implicit = header.info(oids.IMPLICIT_CONFIRM)
    wait = header.info(oids.CONFIRM_WAIT_TIME)
    if implicit is not None:
        if body.type not in _IMPLICIT_CONFIRM:
            detail = f"implicitConfirm in {body.type.wire_name} means nothing"
            yield Note(detail, _HEADER_RULE, "send it in requests for certificates and their answers only")
        if list(fault_of(implicit.parse, Null)):
            yield Note("the value of implicitConfirm is not NULL", _HEADER_RULE, "send NULL as its value")
    if wait is not None:
        if body.type not in _CERTIFICATE_ANSWERS:
            detail = f"confirmWaitTime in {body.type.wire_name} means nothing"
            yield Note(detail, _HEADER_RULE, "send it in answers to requests for certificates only")
        if implicit is not None:
            yield Note(
                "confirmWaitTime together with implicitConfirm: there is nothing to wait for",
                _HEADER_RULE,
                "send one of them",
            )
        if list(fault_of(wait.parse, GeneralizedTime)):
            yield Note("the value of confirmWaitTime is no GeneralizedTime", _HEADER_RULE, "send a point in time")
    if header.info(oids.CERT_PROFILE) is not None and body.type not in _PROFILE:
        detail = f"certProfile in {body.type.wire_name} means nothing"
        yield Note(detail, _HEADER_RULE, "send it in requests for certificates only")
    yield from _repeated(header)


def _repeated(header: PKIHeader) -> Iterator[Note]:
    types = [item.info_type for item in header.general_info or ()]
    for oid in dict.fromkeys(oid for oid in types if types.count(oid) > 1):
        yield Note(
            f"generalInfo has {oid.dotted_string} {types.count(oid)} times",
            "RFC 9810 section 5.1.1",
            "send it once; receivers take the first",
        )


def _sender_notes(message: PKIMessage) -> Iterator[Note]:
    header = message.header
    if header.protection_alg is None:
        return
    if header.protection_alg.algorithm in MACS:
        if message.body.type not in _FROM_CLIENTS:
            return
        yield from _mac_sender_notes(header)
    elif message.extra_certs:
        for fault in fault_of(find_signer, message):
            yield Note(fault.detail, fault.rule, fault.hint)


def _mac_sender_notes(header: PKIHeader) -> Iterator[Note]:
    """R-012: the reference of the secret is senderKID and the commonName of the sender."""
    try:
        name = distinguished_name(header.sender)
    except CMPError as error:
        yield Note(f"sender cannot be read: {error.detail}", "RFC 9483 section 3.5", "send a directoryName")
        return
    if name is None:
        yield Note("sender is no directoryName", _HEADER_RULE, "send a distinguished name with the reference as CN")
        return
    reference = (header.sender_kid or b"").decode(errors="replace")
    if reference and common_name(name) != reference:
        yield Note(
            f"the CN of the sender {format_name(name) or 'with no name'} is not the reference in senderKID",
            _HEADER_RULE,
            "under a MAC, send the reference of the secret in both",
        )


def _extra_certs_notes(message: PKIMessage) -> Iterator[Note]:
    certificates = message.extra_certs
    if len(certificates) > MAX_EXTRA_CERTS:
        yield Note(
            f"extraCerts has {len(certificates)} certificates, {MAX_EXTRA_CERTS} are looked at",
            "RFC 9810 section 8.11",
            "send those that are needed",
        )
    if len(set(certificates)) != len(certificates):
        yield Note("extraCerts has a certificate twice", _EXTRA_CERTS_RULE, "send each certificate once")
    read: list[tuple[x509.Name, x509.Name] | None] = []
    for number, der in enumerate(certificates[:MAX_EXTRA_CERTS]):
        try:
            read.append((read_name(outline(der).subject_der), read_name(outline(der).issuer_der)))
        except CMPError as error:
            read.append(None)
            yield Note(f"extraCerts[{number}] cannot be read: {error}", _EXTRA_CERTS_RULE, "send DER certificates")
    yield from _order_notes(message, read)


def _order_notes(message: PKIMessage, read: list[tuple[x509.Name, x509.Name] | None]) -> Iterator[Note]:
    """R-045: the protecting certificate first, then its chain, no self-signed ones."""
    for number, names in enumerate(read):
        if names is not None and number and names_match(*names):
            yield Note(
                f"extraCerts[{number}] is self-signed: {format_name(names[0])}",
                _EXTRA_CERTS_RULE,
                "leave it out: a trust anchor must be there already",
            )
    by_signature = message.header.protection_alg is not None and message.header.protection_alg.algorithm not in MACS
    if not by_signature or not read:
        return
    signer = next((number for number, der in enumerate(message.extra_certs) if _signed_by(message, der)), None)
    if signer:
        yield Note(
            f"the protecting certificate is extraCerts[{signer}], not the first",
            _EXTRA_CERTS_RULE,
            "send it first, then each certificate after the one that it certifies",
        )


def _signed_by(message: PKIMessage, der: bytes) -> bool:
    return not list(fault_of(find_signer, PKIMessage(message.header, message.body), (der,)))


def _body_notes(message: PKIMessage) -> Iterator[Note]:
    body, content = message.body, message.body.content
    if body.type in CRMF_REQUESTS:
        for request in content:
            yield from _request_notes(body.type, request)
    if body.type is BodyType.KUR and message.header.protection_alg and message.header.protection_alg.algorithm in MACS:
        yield Note(
            "a kur under a shared secret", "RFC 9483 section 4.1.5", "sign it with the certificate to be updated"
        )
    if body.type is BodyType.RR:
        for details in content:
            yield from _revocation_notes(details)
    if body.type is BodyType.GENM and len(content) != 1:
        yield Note(f"genm with {len(content)} questions", "RFC 9483 section 4.3", "ask one question in each")
    if body.type is BodyType.CERT_CONF:
        yield from _confirmation_notes(message.header, content)
    if body.type is BodyType.POLL_REP:
        for entry in content:
            if entry.check_after > _ONE_DAY:
                yield Note(
                    "checkAfter is more than a day",
                    "RFC 9810 section 5.3.22",
                    "it is seconds from now; clients may ask again earlier",
                )
    for status in _statuses(message):
        yield from _status_notes(status)


def _request_notes(body_type: BodyType, message: CertReqMsg) -> Iterator[Note]:
    try:
        request = message.request
    except CMPError:
        return
    if request.cert_req_id != 0:
        yield Note("certReqId is not 0", "RFC 9483 section 4.1.1", "use 0 for the only request of a message")
    if request.cert_template.version == 2 and body_type is not BodyType.CCR:
        yield Note("the template has version 2", "RFC 4211 section 5", "leave version out")
    if request.cert_template.subject is None and body_type is not BodyType.KUR:
        yield Note("the template has no subject", "RFC 9483 section 4.1.1", "name the subject of the certificate")
    if message.popo is not None and message.popo.tag == "ra_verified":
        yield Note(
            "raVerified: only a registration authority may say so",
            "RFC 9810 section 5.2.8.1",
            "unless the signer is one, prove the key by its signature",
        )


def _revocation_notes(details: RevDetails) -> Iterator[Note]:
    if not any(extension.extn_id == oids.CRL_REASON for extension in details.crl_entry_details or ()):
        yield Note("no reasonCode", "RFC 9483 section 4.2", "send one, unspecified (0) if there is none")


def _confirmation_notes(header: PKIHeader, content: list[CertStatus]) -> Iterator[Note]:
    if not content:
        yield Note("an empty certConf rejects every certificate", "RFC 9810 section 5.3.18", "say so for each")
    for status in content:
        if status.hash_alg is not None and header.pvno < PVNO.CMP2021:
            yield Note("hashAlg needs pvno 3", "RFC 9810 section 5.3.18", "send pvno 3")


def _statuses(message: PKIMessage) -> Iterator[PKIStatusInfo]:
    content = message.body.content
    if isinstance(content, CertRepMessage):
        yield from (response.status for response in content.response)
    elif isinstance(content, RevRepContent):
        yield from content.status
    elif isinstance(content, ErrorMsgContent):
        yield content.pki_status_info
    elif message.body.type is BodyType.CERT_CONF:
        yield from (status.status_info for status in content if status.status_info is not None)


def _status_notes(status: PKIStatusInfo) -> Iterator[Note]:
    if status.status is PKIStatus.REJECTION and not status.failures:
        yield Note("rejection without failInfo", "RFC 9810 section 5.2.3", "say why, in failInfo")
