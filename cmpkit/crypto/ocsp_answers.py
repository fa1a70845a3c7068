"""What an OCSP responder says of a certificate, and whether it may say so (RFC 6960 section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from cmpkit import oids
from cmpkit.asn1 import Extension, decode, encode, parse_tlv
from cmpkit.asn1.ocsp import (
    BasicOCSPResponse,
    CertID,
    OCSPRequest,
    OCSPResponse,
    Request,
    ResponseData,
    RevokedInfo,
    SingleResponse,
    TBSRequest,
)
from cmpkit.crypto.crl_checking import CLOCK_SKEW
from cmpkit.crypto.ocsp import OCSPResponseStatus, StatusInfo, ocsp_nonce
from cmpkit.crypto.stand_ins import check_signature
from cmpkit.crypto.x509 import certificate_public_key_info, key_identifier, outline
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.plugins import Plugins

__all__ = ["build_ocsp_request", "read_ocsp_response"]

_RULE: Final = "RFC 6960 section 3.2"
_MAX_CERTIFICATES: Final = 4
_WITHOUT_END: Final = timedelta(days=1)
"""How old an answer may be that says nothing of its end."""


def build_ocsp_request(asked: CertID, nonce: bytes) -> bytes:
    """DER of a question about one certificate.

    :param nonce: the octets to be echoed; a responder may leave them out.
    """
    extension = Extension(extn_id=oids.OCSP_NONCE, extn_value=encode(nonce))
    return encode(
        OCSPRequest(tbs_request=TBSRequest(request_list=[Request(req_cert=asked)], request_extensions=[extension]))
    )


def read_ocsp_response(
    der: bytes, asked: CertID, nonce: bytes, *, issuer: bytes, now: datetime, plugins: Plugins
) -> StatusInfo:
    """How the certificate stands, if the answer can be believed: the issuer signed it, or whom the issuer authorised.

    :param nonce: that of the question; an answer without one must be current, one with another is refused.
    :param issuer: DER of the certificate of the issuer.
    :raises CMPError: naming what is wrong with the answer.
    """
    response = decode(OCSPResponse, der)
    status = bytes(response.response_status.data)
    if response.response_bytes is None or status != bytes((OCSPResponseStatus.SUCCESSFUL,)):
        raise _refusal(f"the responder answers {_status_name(status)}")
    if response.response_bytes.response_type != oids.OCSP_BASIC:
        raise _refusal(f"a response of the kind {response.response_bytes.response_type.dotted_string} is not known")
    basic = decode(BasicOCSPResponse, response.response_bytes.response)
    data = parse_tlv(basic.tbs_response_data, ResponseData)
    _check_signature(basic, data, issuer, now, plugins)
    echoed = ocsp_nonce(data.response_extensions)
    if echoed is not None and decode(bytes, echoed.extn_value) != nonce:
        raise _refusal("the nonce is not that of the question: an answer to somebody else")
    for single in data.responses:
        if single.cert_id == asked:
            _check_time(single, now)
            return _status(single)
    raise _refusal("it is about another certificate")


def _refusal(detail: str) -> CMPError:
    return CMPError(f"the OCSP response cannot be believed: {detail}", PKIFailureInfo.SIGNER_NOT_TRUSTED, rule=_RULE)


def _status_name(status: bytes) -> str:
    names = {bytes((member,)): member.name.lower().replace("_", " ") for member in OCSPResponseStatus}
    return names.get(status, status.hex())


def _check_signature(
    basic: BasicOCSPResponse, data: ResponseData, issuer: bytes, now: datetime, plugins: Plugins
) -> None:
    for signer in _signers(basic, data, issuer):
        if signer != issuer:
            _check_authority(signer, issuer, now, plugins)
        fits = plugins.key_algorithm(basic.signature_algorithm.algorithm).verify(
            certificate_public_key_info(signer),
            basic.signature_algorithm,
            encode(basic.tbs_response_data),
            basic.signature.as_bytes(),
        )
        if not fits:
            raise _refusal("the signature does not fit")
        return
    raise _refusal("it comes without the certificate of its signer")


def _signers(basic: BasicOCSPResponse, data: ResponseData, issuer: bytes) -> Iterator[bytes]:
    """The certificates that the response names its signer by, that of the issuer first."""
    for der in (issuer, *map(encode, (basic.certs or [])[:_MAX_CERTIFICATES])):
        found = outline(der)
        named = data.responder_id.value
        if data.responder_id.tag == "by_key":
            matches = named == key_identifier(found.public_key_info)
        else:
            matches = encode(named) == found.subject_der
        if matches:
            yield der


def _check_authority(signer: bytes, issuer: bytes, now: datetime, plugins: Plugins) -> None:
    """Whether the issuer authorised the signer (RFC 6960 section 4.2.2.2)."""
    title = outline(signer).title
    if outline(signer).issuer_der != outline(issuer).subject_der:
        raise _refusal(f"its signer {title} has its certificate from somebody else than the issuer")
    check_signature(signer, issuer, plugins)
    not_before, not_after = outline(signer).validity_period
    if not not_before <= now <= not_after:
        raise _refusal(f"the certificate of its signer {title} is valid from {not_before} to {not_after} only")
    try:
        usage = x509.load_der_x509_certificate(signer).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        usage = None
    if usage is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usage.value:
        raise _refusal(f"its signer {title} has no extended key usage ocspSigning")


def _check_time(single: SingleResponse, now: datetime) -> None:
    begins = single.this_update.as_datetime()
    ends = begins + _WITHOUT_END if single.next_update is None else single.next_update.as_datetime()
    if not begins - CLOCK_SKEW <= now < ends:
        raise _refusal(f"it holds from {begins} to {ends}, not at {now}")


def _status(single: SingleResponse) -> StatusInfo:
    info = single.cert_status.value
    if not isinstance(info, RevokedInfo):
        return StatusInfo("good" if single.cert_status.tag == "good" else "unknown")
    reason = None
    if info.revocation_reason is not None:
        number = int.from_bytes(info.revocation_reason.value.data)
        reason = next((known for known in CRLReason if known == number), None)
    return StatusInfo("revoked", info.revocation_time.as_datetime(), reason)
