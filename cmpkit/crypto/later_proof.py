"""Proof of possession that comes after the request, for keys that do not sign: the encrypted certificate.

RFC 9810 section 5.2.8.3, RFC 4211 section 4.2. The request only says that the proof will come so. The certificate is
handed over encrypted to its own key; who sends its hash could read it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, Final, Literal

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    CertReqMsg,
    EncryptedKey,
    EncryptedValue,
    EnvelopedData,
    IssuerAndSerialNumber,
    POPOPrivKey,
    POPOSigningKey,
    ProofOfPossession,
    Variant,
    make_element,
    read_element,
)
from cmpkit.crypto.encrypted_values import open_value
from cmpkit.crypto.enveloping import KeyRecipient, envelop, open_envelope
from cmpkit.crypto.x509 import outline
from cmpkit.enums import PKIFailureInfo, ProofMethod, SubsequentMessage
from cmpkit.errors import CMPError
from cmpkit.parts import AgreementKey, KeyAgreement, KeyTransport, PrivateKey, RandomOctets, TransportKey
from cmpkit.plugins import Plugins

__all__ = [
    "envelop_certificate",
    "later_popo",
    "later_popo_faults",
    "open_certificate",
    "private_popo",
    "proof_method",
]

_RULE: Final = "RFC 9810 section 5.2.8.3"
_METHODS: Final = {
    SubsequentMessage.ENCR_CERT: ProofMethod.ENCRYPTED_CERTIFICATE,
    SubsequentMessage.CHALLENGE_RESP: ProofMethod.CHALLENGE_RESPONSE,
}
_MESSAGES: Final = {method: message for message, method in _METHODS.items()}


def proof_method(message: CertReqMsg) -> ProofMethod | None:
    """How a request proves its key; ``None`` if it does not, or in a way that is not known here.

    :raises CMPError: badDataFormat if the proof cannot be read.
    """
    popo = message.popo
    if popo is None:
        return None
    if popo.tag == "ra_verified":
        return ProofMethod.RA_VERIFIED
    if isinstance(popo.value, POPOSigningKey):
        by_mac = popo.value.algorithm_identifier.algorithm == oids.DH_BASED_MAC
        return ProofMethod.DH_BASED_MAC if by_mac else ProofMethod.SIGNATURE
    assert isinstance(popo.value, TLV)
    private = read_element(popo.value, POPOPrivKey)
    if private.tag == "encrypted_key":
        return ProofMethod.ENCRYPTED_KEY
    if private.tag == "agree_mac" and popo.tag == "key_agreement":
        return ProofMethod.AGREED_MAC
    return _METHODS.get(private.value) if private.tag == "subsequent_message" else None


def later_popo(key: PrivateKey, method: ProofMethod) -> ProofOfPossession:
    """What stands in a request whose proof comes later.

    :param key: what will open the certificate.
    :param method: the encrypted certificate, or challenge and response.
    :raises CMPError: badPOP if the key can prove nothing in this way.
    """
    if method not in _MESSAGES:
        raise CMPError(
            f"{method.value} does not come after the request", PKIFailureInfo.BAD_POP, rule="RFC 4211 section 4.2"
        )
    return private_popo(key, Variant(_MESSAGES[method], "subsequent_message"))


def private_popo(key: PrivateKey, private: Variant[Any, Any]) -> ProofOfPossession:
    """A POPOPrivKey in the alternative for what the key does.

    :raises CMPError: badPOP if it neither encrypts nor agrees.
    """
    return Variant(make_element(private, POPOPrivKey), _alternative(key, TransportKey, AgreementKey, key.key_type))


def later_popo_faults(message: CertReqMsg, public_key_info: bytes, plugins: Plugins) -> Iterator[CMPError]:
    """What is wrong with the announcement of a proof: a key that encrypts and one that agrees are told apart.

    :raises CMPError: badPOP if the key can prove nothing in this way, badAlg if it is not known.
    """
    assert message.popo is not None
    part = plugins.key_algorithm_of(public_key_info)
    if message.popo.tag != _alternative(part, KeyTransport, KeyAgreement, part.key_type(public_key_info)):
        yield CMPError(
            "the proof by keyEncipherment is for another kind of key, this one agrees on secrets"
            if message.popo.tag == "key_encipherment"
            else "the proof by keyAgreement is for another kind of key, this one encrypts",
            PKIFailureInfo.BAD_POP,
            rule="RFC 4211 section 4.2",
            hint="keyEncipherment is for RSA keys, keyAgreement for X25519, X448 and EC keys",
            tolerance="openssl-encrypted-cert",
        )


def _alternative(
    able: object, transports: type[Any], agrees: type[Any], key_type: str
) -> Literal["key_encipherment", "key_agreement"]:
    """Of ProofOfPossession, by what a key or its algorithm can do.

    :raises CMPError: badPOP if it can do neither.
    """
    if isinstance(able, transports):
        return "key_encipherment"
    if isinstance(able, agrees):
        return "key_agreement"
    raise CMPError(
        f"nothing can be encrypted to a key of type {key_type}",
        PKIFailureInfo.BAD_POP,
        rule=_RULE,
        hint="prove a signing key by its signature",
    )


async def envelop_certificate(
    certificate: bytes, cert_req_id: int, *, plugins: Plugins, random: RandomOctets = secrets.token_bytes
) -> EnvelopedData:
    """A certificate, encrypted to the key in it.

    :param certificate: DER.
    :param cert_req_id: of its request; it stands where the number of a certificate does, as in challenges.
    :raises CMPError: badAlg if nothing can be encrypted to that key, or its keyUsage does not allow it.
    """
    recipient = KeyRecipient.of_certificate(certificate)
    unnamed = IssuerAndSerialNumber(issuer=x509.Name([]), serial_number=cert_req_id)
    named = KeyRecipient(recipient.public_key_info, unnamed, recipient.key_usages)
    return await envelop(certificate, named, plugins=plugins, content_type=oids.DATA, random=random)


async def open_certificate(
    encrypted: EncryptedKey, key: PrivateKey, *, tolerances: frozenset[str] = frozenset()
) -> bytes:
    """DER of the certificate that was encrypted to a key (R-085); whose key the sender names is not looked at.

    :param tolerances: see :func:`cmpkit.crypto.enveloping.open_envelope`; ``legacy-encryption`` allows EncryptedValue.
    :raises CMPError: badAlg for algorithms that are not accepted; badDataFormat if it cannot be decrypted, or is no
        certificate.
    """
    content = encrypted.value
    if isinstance(content, EncryptedValue):
        return await open_value(content, key, read=_read_certificate, tolerances=tolerances)
    return await open_envelope(content, key, read=_read_certificate, tolerances=tolerances)


def _read_certificate(octets: bytes) -> bytes:
    outline(octets)
    return octets
