"""Controls and registration information for requests for certificates (RFC 4211 sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    CertRequest,
    PKIPublicationInfo,
    SinglePubInfo,
    SubjectPublicKeyInfo,
    decode,
    join_utf8_pairs,
    to_tlv,
)
from cmpkit.endpoints.requests import certificate_id

__all__ = [
    "authenticator",
    "old_certificate",
    "protocol_encryption_key",
    "publication",
    "registration_token",
    "replacement",
    "utf8_pairs",
]

_DONT_PUBLISH, _PLEASE_PUBLISH = 0, 1


def _attribute(kind: ObjectIdentifier, value: Any) -> AttributeTypeAndValue:
    return AttributeTypeAndValue(type=kind, value=to_tlv(value))


def registration_token(token: str) -> AttributeTypeAndValue:
    """The control regToken: a secret that the server told the requester, for one request (RFC 4211 section 6.1)."""
    return _attribute(oids.REG_TOKEN, token)


def authenticator(text: str) -> AttributeTypeAndValue:
    """The control authenticator: a secret that requester and server share for longer (RFC 4211 section 6.2)."""
    return _attribute(oids.AUTHENTICATOR, text)


def publication(*places: SinglePubInfo, publish: bool) -> AttributeTypeAndValue:
    """The control pkiPublicationInfo: whether the certificate should be published, and where (RFC 4211 section 6.3).

    :param places: where; none leaves that to the server.
    """
    action = _PLEASE_PUBLISH if publish else _DONT_PUBLISH
    return _attribute(oids.PKI_PUBLICATION_INFO, PKIPublicationInfo(action=action, pub_infos=list(places) or None))


def old_certificate(certificate: bytes) -> AttributeTypeAndValue:
    """The control oldCertID: the certificate that is to be updated (RFC 4211 section 6.5).

    :param certificate: DER.
    """
    return _attribute(oids.OLD_CERT_ID, certificate_id(certificate))


def protocol_encryption_key(public_key_info: bytes) -> AttributeTypeAndValue:
    """The control protocolEncrKey: a key of the requester that the server may encrypt to (RFC 4211 section 6.6).

    :param public_key_info: DER of the SubjectPublicKeyInfo.
    """
    return _attribute(oids.PROTOCOL_ENCR_KEY, decode(SubjectPublicKeyInfo, public_key_info))


def utf8_pairs(pairs: Iterable[tuple[str, str]]) -> AttributeTypeAndValue:
    """The regInfo utf8Pairs: names with values for the registration authority (RFC 4211 section 7.1).

    :raises CMPError: systemFailure for a name that is empty or begins with a digit.
    """
    return _attribute(oids.UTF8_PAIRS, join_utf8_pairs(pairs))


def replacement(request: CertRequest) -> AttributeTypeAndValue:
    """The regInfo certReq: what an RA wants certified in place of the requester's template (RFC 4211 section 7.2)."""
    return _attribute(oids.REG_INFO_CERT_REQ, request)
