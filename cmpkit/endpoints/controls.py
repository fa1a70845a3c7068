"""Controls and registration information for requests for certificates (RFC 4211 sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    CertRequest,
    EncryptedKey,
    EnvelopedData,
    PKIArchiveOptions,
    PKIBody,
    PKIPublicationInfo,
    SinglePubInfo,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    join_utf8_pairs,
    make_element,
    to_tlv,
)
from cmpkit.crypto.handed_keys import recipient_of, seal_private_key
from cmpkit.crypto.later_proof import proof_method
from cmpkit.endpoints.requests import certificate_id
from cmpkit.engine.registration import read_archive_option
from cmpkit.enums import BodyType, ProofMethod
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.plugins import Plugins

__all__ = [
    "archived_key",
    "authenticator",
    "generated_key_archival",
    "hands_over_key",
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


async def archived_key(
    key: PrivateKey, server: SharedSecret | bytes, holder: x509.Name, *, plugins: Plugins
) -> AttributeTypeAndValue:
    """The control pkiArchiveOptions with the private key to certify, for the CA to keep (RFC 4211 section 6.4).

    :param server: what it is encrypted with: the secret that is shared with the CA, or DER of the certificate that the
        CA has for that (caProtEncCert).
    :param holder: the name of who has the key.
    :raises CMPError: badAlg if nothing can be encrypted to that certificate, or the key cannot leave its place.
    """
    enveloped = await seal_private_key(key, recipient_of(server), holder, plugins=plugins)
    element = make_element(Variant(enveloped, "enveloped_data"), EncryptedKey)
    return _archiving(Variant(element, "encrypted_priv_key"))


def generated_key_archival(wanted: bool) -> AttributeTypeAndValue:
    """The control pkiArchiveOptions: whether a key that the server generates is to be kept (RFC 4211 section 6.4)."""
    return _archiving(Variant(wanted, "archive_rem_gen_priv_key"))


def hands_over_key(body: PKIBody) -> bool:
    """Whether a request brings a private key to be kept, which needs pvno 3 (RFC 9810 section 5.2.2)."""
    if body.type is BodyType.P10CR:
        return False
    return any(
        proof_method(message) is ProofMethod.ENCRYPTED_KEY
        or isinstance(read_archive_option(message.request), EnvelopedData)
        for message in body.content
    )


def _archiving(options: Any) -> AttributeTypeAndValue:
    return _attribute(oids.PKI_ARCHIVE_OPTIONS, make_element(options, PKIArchiveOptions))


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
