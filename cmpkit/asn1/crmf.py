"""The Certificate Request Message Format (RFC 4211); its module has IMPLICIT tags."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier, SubjectPublicKeyInfo
from cmpkit.asn1.cms import EnvelopedData
from cmpkit.asn1.codec import decode, der_wrap, encode, to_tlv
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.names import GeneralName
from cmpkit.asn1.primitives import TLV, BitString, Explicit, GeneralizedTime, Implicit, NonEmpty, Null, UTCTime, Variant
from cmpkit.asn1.x509 import Extension
from cmpkit.caching import cached_property

__all__ = [
    "AttributeTypeAndValue",
    "CertId",
    "CertReqMsg",
    "CertRequest",
    "CertTemplate",
    "EncryptedKey",
    "EncryptedValue",
    "OptionalValidity",
    "PKIPublicationInfo",
    "PKMACValue",
    "POPOSigningKey",
    "POPOSigningKeyInput",
    "ProofOfPossession",
    "SinglePubInfo",
    "decode_encrypted_key",
]


@sequence
class AttributeTypeAndValue:
    """A control or registration information (RFC 4211 sections 6 and 7)."""

    type: ObjectIdentifier
    value: TLV


@sequence
class CertId:
    """Issuer and serial number of a certificate, the value of the control oldCertID (RFC 4211 section 6.5)."""

    issuer: GeneralName
    serial_number: int


@sequence
class OptionalValidity:
    """The validity that is asked for; at least one of the two (RFC 4211 section 5)."""

    not_before: Annotated[UTCTime | GeneralizedTime | None, Explicit(0)] = None
    not_after: Annotated[UTCTime | GeneralizedTime | None, Explicit(1)] = None


@sequence
class CertTemplate:
    """What the certificate should say (RFC 4211 section 5); each field may be absent."""

    version: Annotated[int | None, Implicit(0)] = None
    serial_number: Annotated[int | None, Implicit(1)] = None
    signing_alg: Annotated[AlgorithmIdentifier | None, Implicit(2)] = None
    issuer: Annotated[x509.Name | None, Explicit(3)] = None
    validity: Annotated[OptionalValidity | None, Implicit(4)] = None
    subject: Annotated[x509.Name | None, Explicit(5)] = None
    public_key: Annotated[SubjectPublicKeyInfo | None, Implicit(6)] = None
    issuer_uid: Annotated[BitString | None, Implicit(7)] = None
    subject_uid: Annotated[BitString | None, Implicit(8)] = None
    extensions: Annotated[list[Extension] | None, Implicit(9), NonEmpty] = None


@sequence
class CertRequest:
    """A template with its identifier and controls (RFC 4211 section 5)."""

    cert_req_id: int
    cert_template: CertTemplate
    controls: Annotated[list[AttributeTypeAndValue] | None, NonEmpty] = None


@sequence
class EncryptedValue:
    """A value encrypted for the holder of a key (RFC 4211 section 2.1); deprecated in favour of EnvelopedData."""

    intended_alg: Annotated[AlgorithmIdentifier | None, Implicit(0)] = None
    symm_alg: Annotated[AlgorithmIdentifier | None, Implicit(1)] = None
    enc_symm_key: Annotated[BitString | None, Implicit(2)] = None
    key_alg: Annotated[AlgorithmIdentifier | None, Implicit(3)] = None
    value_hint: Annotated[bytes | None, Implicit(4)] = None
    enc_value: BitString


EncryptedKey: TypeAlias = (
    Variant[EncryptedValue, Literal["encrypted_value"]]
    | Annotated[Variant[EnvelopedData, Literal["enveloped_data"]], Implicit(0)]
)
"""A private key, certificate or passphrase, encrypted (RFC 4211 section 2.1, RFC 9810 section 5.2.2)."""


@sequence
class _EncryptedKeyHolder:
    key: EncryptedKey


def decode_encrypted_key(tlv: TLV) -> EncryptedKey:
    """Read an element as EncryptedKey (a CHOICE cannot stand alone in hazmat.asn1).

    :raises CMPError: badDataFormat if it is none.
    """
    return decode(_EncryptedKeyHolder, der_wrap(0x30, encode(tlv))).key


@sequence
class SinglePubInfo:
    """Where to publish: ``pub_method`` is dontCare(0), x500(1), web(2) or ldap(3) (RFC 4211 section 6.3)."""

    pub_method: int
    pub_location: GeneralName | None = None


@sequence
class PKIPublicationInfo:
    """Whether to publish: ``action`` is dontPublish(0) or pleasePublish(1) (RFC 4211 section 6.3)."""

    action: int
    pub_infos: Annotated[list[SinglePubInfo] | None, NonEmpty] = None


@sequence
class PKMACValue:
    """A MAC over the public key (RFC 4211 section 4.1)."""

    alg_id: AlgorithmIdentifier
    value: BitString


@sequence
class POPOSigningKeyInput:
    """What is signed where the template lacks subject or public key (RFC 4211 section 4.1).

    ``auth_info`` is ``sender``, a GeneralName as unread element (:func:`cmpkit.asn1.decode_general_name`), or a
    PKMACValue.
    """

    auth_info: Annotated[Variant[TLV, Literal["sender"]], Explicit(0)] | Variant[PKMACValue, Literal["public_key_mac"]]
    public_key: SubjectPublicKeyInfo


@sequence
class POPOSigningKey:
    """Proof of possession by signature (RFC 4211 section 4.1)."""

    poposk_input: Annotated[POPOSigningKeyInput | None, Implicit(0)] = None
    algorithm_identifier: AlgorithmIdentifier
    signature: BitString


ProofOfPossession: TypeAlias = (
    Annotated[Variant[Null, Literal["ra_verified"]], Implicit(0)]
    | Annotated[Variant[POPOSigningKey, Literal["signature"]], Implicit(1)]
    | Annotated[Variant[TLV, Literal["key_encipherment"]], Explicit(2)]
    | Annotated[Variant[TLV, Literal["key_agreement"]], Explicit(3)]
)
"""How the requester shows that it has the private key (RFC 4211 section 4)."""


@sequence
class CertReqMsg:
    """One certificate request with its proof (RFC 4211 section 3).

    ``cert_req`` is unread: the proof is computed over its octets. :attr:`request` is the same, read.
    """

    cert_req: TLV
    popo: ProofOfPossession | None = None
    reg_info: Annotated[list[AttributeTypeAndValue] | None, NonEmpty] = None

    @cached_property
    def request(self) -> CertRequest:
        """The CertRequest, read.

        :raises CMPError: badDataFormat if it cannot be.
        """
        return decode(CertRequest, self.request_der)

    @cached_property
    def request_der(self) -> bytes:
        """DER of the CertRequest, the octets that came."""
        return encode(self.cert_req)

    @classmethod
    def build(
        cls,
        request: CertRequest,
        popo: ProofOfPossession | None = None,
        *,
        reg_info: list[AttributeTypeAndValue] | None = None,
    ) -> CertReqMsg:
        """A message around a request that is given as value."""
        return cls(cert_req=to_tlv(request), popo=popo, reg_info=reg_info)
