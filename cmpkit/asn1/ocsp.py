"""Requests and responses of the Online Certificate Status Protocol as wire types (RFC 6960 section 4).

What is signed stays one unread element, so that a signature is checked over the octets that came. The module of RFC
6960 has explicit tags, where those of CMP have implicit ones.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from cryptography import x509 as _x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.names import GeneralName
from cmpkit.asn1.primitives import (
    TLV,
    BitString,
    Default,
    Explicit,
    GeneralizedTime,
    Holds,
    Implicit,
    NonEmpty,
    Null,
    Variant,
)
from cmpkit.asn1.x509 import Extension

__all__ = [
    "BasicOCSPResponse",
    "CertID",
    "CertStatus",
    "Enumerated",
    "OCSPRequest",
    "OCSPResponse",
    "Request",
    "RequestSignature",
    "ResponderID",
    "ResponseBytes",
    "ResponseData",
    "RevokedInfo",
    "SingleResponse",
    "TBSRequest",
]

_V1: Final = 0


@sequence
class CertID:
    """Which certificate is meant: by hashes over the issuer's name and key, and its serial number."""

    hash_algorithm: AlgorithmIdentifier
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int


@sequence
class Request:
    """One certificate that is asked about."""

    req_cert: CertID
    single_request_extensions: Annotated[list[Extension] | None, Explicit(0), NonEmpty] = None


@sequence
class TBSRequest:
    """What is asked; ``version`` 0 is v1."""

    version: Annotated[int, Explicit(0), Default(_V1)] = _V1
    requestor_name: Annotated[GeneralName | None, Explicit(1)] = None
    request_list: list[Request]
    request_extensions: Annotated[list[Extension] | None, Explicit(2), NonEmpty] = None


@sequence
class RequestSignature:
    """The signature that a request may have."""

    signature_algorithm: AlgorithmIdentifier
    signature: BitString
    certs: Annotated[list[TLV] | None, Explicit(0)] = None


@sequence
class OCSPRequest:
    """A request (RFC 6960 section 4.1.1)."""

    tbs_request: TBSRequest
    optional_signature: Annotated[RequestSignature | None, Explicit(0)] = None


@sequence
class Enumerated:
    """An ENUMERATED under an explicit tag, as the one element that the tag holds."""

    value: TLV


@sequence
class RevokedInfo:
    """Since when a certificate is revoked, and why.

    An explicit tag around an ENUMERATED is an implicit one of a sequence that holds it.
    """

    revocation_time: GeneralizedTime
    revocation_reason: Annotated[Enumerated | None, Implicit(0)] = None


CertStatus: TypeAlias = (
    Annotated[Variant[Null, Literal["good"]], Implicit(0)]
    | Annotated[Variant[RevokedInfo, Literal["revoked"]], Implicit(1)]
    | Annotated[Variant[Null, Literal["unknown"]], Implicit(2)]
)
"""How a certificate stands (RFC 6960 section 4.2.1)."""
name_choice(CertStatus, "CertStatus")

ResponderID: TypeAlias = (
    Annotated[Variant[TLV, Literal["by_name"]], Explicit(1), Holds(_x509.Name)]
    | Annotated[Variant[bytes, Literal["by_key"]], Explicit(2)]
)
"""Who signed a response: by its name, or SHA-1 over its key."""
name_choice(ResponderID, "ResponderID")


@sequence
class SingleResponse:
    """The answer about one certificate."""

    cert_id: CertID
    cert_status: CertStatus
    this_update: GeneralizedTime
    next_update: Annotated[GeneralizedTime | None, Explicit(0)] = None
    single_extensions: Annotated[list[Extension] | None, Explicit(1), NonEmpty] = None


@sequence
class ResponseData:
    """The signed part of a basic response; ``version`` 0 is v1."""

    version: Annotated[int, Explicit(0), Default(_V1)] = _V1
    responder_id: ResponderID
    produced_at: GeneralizedTime
    responses: list[SingleResponse]
    response_extensions: Annotated[list[Extension] | None, Explicit(1), NonEmpty] = None


@sequence
class BasicOCSPResponse:
    """A basic response, the one kind there is, whose signed part is one unread element."""

    tbs_response_data: Annotated[TLV, Holds(ResponseData)]
    signature_algorithm: AlgorithmIdentifier
    signature: BitString
    certs: Annotated[list[TLV] | None, Explicit(0)] = None


@sequence
class ResponseBytes:
    """A response of some kind; ``response`` is the DER inside the OCTET STRING."""

    response_type: ObjectIdentifier
    response: bytes


@sequence
class OCSPResponse:
    """A response (RFC 6960 section 4.2.1); ``response_status`` is an ENUMERATED."""

    response_status: TLV
    response_bytes: Annotated[ResponseBytes | None, Explicit(0)] = None
