"""Questions and answers of OCSP (RFC 6960), apart from who answers what."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    Extension,
    GeneralizedTime,
    Null,
    Variant,
    decode,
    encode,
    read_public_key_info,
    to_tlv,
)
from cmpkit.asn1.codec import der_wrap
from cmpkit.asn1.ocsp import (
    BasicOCSPResponse,
    CertID,
    CertStatus,
    Enumerated,
    OCSPRequest,
    OCSPResponse,
    ResponseBytes,
    ResponseData,
    RevokedInfo,
    SingleResponse,
)
from cmpkit.crypto.digests import HASH_NAMES, digest
from cmpkit.crypto.x509 import key_identifier, outline
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey

__all__ = [
    "MAX_NONCE",
    "IssuerHashes",
    "OCSPResponseStatus",
    "Standing",
    "StatusInfo",
    "build_ocsp_response",
    "cert_id",
    "ocsp_error",
    "ocsp_nonce",
    "read_ocsp_request",
]

MAX_NONCE: Final = 128
"""Octets of the longest nonce (RFC 9654 section 2.1)."""
_ENUMERATED: Final = 0x0A

Standing: TypeAlias = Literal["good", "revoked", "unknown"]
"""How a certificate stands, in the words of RFC 6960 section 2.2."""


class OCSPResponseStatus(enum.IntEnum):
    """What became of a question (RFC 6960 section 4.2.1); 4 is not used."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


@dataclass(frozen=True, slots=True)
class StatusInfo:
    """How one certificate stands.

    :param revoked_at: since when it is revoked or on hold.
    :param source: for people: who says so; of what is unknown, why nobody does.
    """

    standing: Standing
    revoked_at: datetime | None = None
    reason: CRLReason | None = None
    source: str = field(default="", compare=False)


class IssuerHashes:
    """The hashes by which questions name an issuer, over its name and its key.

    :param certificate: DER of the certificate of the issuer.
    """

    def __init__(self, certificate: bytes) -> None:
        read = outline(certificate)
        self._name = read.subject_der
        self._key = read_public_key_info(read.public_key_info).subject_public_key.as_bytes()
        self._known: dict[ObjectIdentifier, tuple[bytes, bytes]] = {}

    def by(self, hash_oid: ObjectIdentifier) -> tuple[bytes, bytes] | None:
        """The two hashes, or ``None`` for a hash that is not known."""
        if hash_oid not in self._known:
            name = HASH_NAMES.get(hash_oid)
            if name is None:
                return None
            self._known[hash_oid] = digest(name, self._name), digest(name, self._key)
        return self._known[hash_oid]

    def match(self, asked: CertID) -> bool:
        """Whether that is the issuer of the certificate that is asked about."""
        return self.by(asked.hash_algorithm.algorithm) == (asked.issuer_name_hash, asked.issuer_key_hash)


def cert_id(issuer: bytes, serial_number: int, hash_oid: ObjectIdentifier = oids.SHA1) -> CertID:
    """Which certificate is meant.

    :param issuer: DER of the certificate of its issuer.
    :param hash_oid: SHA-1 is what every responder knows (RFC 5019 section 2.1.1); nothing rests on it.
    :raises CMPError: badAlg for a hash that is not known.
    """
    hashes = IssuerHashes(issuer).by(hash_oid)
    if hashes is None:
        raise CMPError(f"no hash is known as {hash_oid.dotted_string}", PKIFailureInfo.BAD_ALG)
    parameters = Null() if hash_oid == oids.SHA1 else None
    return CertID(
        hash_algorithm=AlgorithmIdentifier(hash_oid, parameters),
        issuer_name_hash=hashes[0],
        issuer_key_hash=hashes[1],
        serial_number=serial_number,
    )


def read_ocsp_request(der: bytes, *, max_certificates: int) -> OCSPRequest:
    """A question, if it can be answered. Its signature, if it has one, is not looked at (RFC 6960 section 4.1.2).

    :param max_certificates: how many certificates may be asked about.
    :raises CMPError: badDataFormat if it is none, is of another version, asks about none or too many, or has a critical
        extension that is not known.
    """
    request = decode(OCSPRequest, der)
    asked = request.tbs_request
    if asked.version != 0:
        raise _malformed(f"version {asked.version + 1}, only 1 is known")
    if not 1 <= len(asked.request_list) <= max_certificates:
        raise _malformed(f"{len(asked.request_list)} certificates, 1 to {max_certificates} may be asked about")
    single = [item for request in asked.request_list for item in request.single_request_extensions or ()]
    for item in (*(asked.request_extensions or ()), *single):
        if item.critical and item.extn_id != oids.OCSP_NONCE:
            raise _malformed(f"the critical extension {item.extn_id.dotted_string} is not known")
    return request


def ocsp_nonce(extensions: Sequence[Extension] | None) -> Extension | None:
    """The nonce of a question or an answer.

    :raises CMPError: badDataFormat if it is none, or has more than 128 octets or none at all (RFC 9654 section 2.1).
    """
    found = [item for item in extensions or () if item.extn_id == oids.OCSP_NONCE]
    if not found:
        return None
    if len(found) > 1 or not 1 <= len(decode(bytes, found[0].extn_value)) <= MAX_NONCE:
        raise _malformed(f"the nonce must be one of 1 to {MAX_NONCE} octets")
    return found[0]


def _malformed(detail: str) -> CMPError:
    return CMPError(f"not a request for OCSP: {detail}", PKIFailureInfo.BAD_DATA_FORMAT, rule="RFC 6960 section 4.1")


def ocsp_error(status: OCSPResponseStatus) -> bytes:
    """DER of a response that answers nothing; it is not signed (RFC 6960 section 2.3)."""
    return encode(OCSPResponse(response_status=to_tlv(der_wrap(_ENUMERATED, bytes((status,))))))


async def build_ocsp_response(
    statuses: Sequence[tuple[CertID, StatusInfo]],
    *,
    key: PrivateKey,
    certificates: Sequence[bytes] = (),
    this_update: datetime,
    next_update: datetime,
    extensions: Sequence[Extension] = (),
) -> bytes:
    """DER of a response, signed, by a responder that is named by its key.

    :param statuses: the certificates as the question named them, with the answers.
    :param certificates: DER certificates that are sent along: that of the signer, unless it is the issuer itself.
    :raises CMPError: if a field holds what its type does not allow.
    """
    tbs = encode(
        ResponseData(
            responder_id=Variant(key_identifier(key.public_key_info), "by_key"),
            produced_at=_time(this_update),
            responses=[
                SingleResponse(
                    cert_id=asked,
                    cert_status=_cert_status(status),
                    this_update=_time(this_update),
                    next_update=_time(next_update),
                )
                for asked, status in statuses
            ],
            response_extensions=list(extensions) or None,
        )
    )
    algorithm = key.signature_algorithm
    basic = BasicOCSPResponse(
        tbs_response_data=to_tlv(tbs),
        signature_algorithm=algorithm,
        signature=BitString(await key.sign(tbs), 0),
        certs=[to_tlv(der) for der in certificates] or None,
    )
    return encode(
        OCSPResponse(
            response_status=to_tlv(der_wrap(_ENUMERATED, bytes((OCSPResponseStatus.SUCCESSFUL,)))),
            response_bytes=ResponseBytes(response_type=oids.OCSP_BASIC, response=encode(basic)),
        )
    )


def _cert_status(status: StatusInfo) -> CertStatus:
    if status.standing == "good":
        return Variant(Null(), "good")
    if status.standing == "unknown":
        return Variant(Null(), "unknown")
    assert status.revoked_at is not None
    reason = status.reason
    # "The reasonCode CRL entry extension SHOULD be absent instead of using the unspecified" (RFC 5280 section 5.3.1).
    given = None if reason is None or reason is CRLReason.UNSPECIFIED else der_wrap(_ENUMERATED, bytes((reason,)))
    return Variant(
        RevokedInfo(
            revocation_time=_time(status.revoked_at),
            revocation_reason=None if given is None else Enumerated(value=to_tlv(given)),
        ),
        "revoked",
    )


def _time(moment: datetime) -> GeneralizedTime:
    return GeneralizedTime(moment.astimezone(UTC).replace(microsecond=0))
