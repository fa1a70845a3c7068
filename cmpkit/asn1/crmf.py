"""The Certificate Request Message Format (RFC 4211); its module has IMPLICIT tags."""

from __future__ import annotations

from typing import Annotated

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1.algorithms import AlgorithmIdentifier, SubjectPublicKeyInfo
from cmpkit.asn1.codec import decode, encode, to_tlv
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.names import GeneralName, RDNSequence
from cmpkit.asn1.pop import ProofOfPossession
from cmpkit.asn1.primitives import TLV, BitString, Explicit, GeneralizedTime, Holds, Implicit, NonEmpty, UTCTime
from cmpkit.asn1.show import show
from cmpkit.asn1.x509 import Extension
from cmpkit.caching import cached_property

__all__ = [
    "AttributeTypeAndValue",
    "CertId",
    "CertReqMsg",
    "CertRequest",
    "CertTemplate",
    "OptionalValidity",
]


@sequence
class AttributeTypeAndValue:
    """A control or registration information (RFC 4211 sections 6 and 7)."""

    type: ObjectIdentifier
    value: TLV

    @property
    def is_secret(self) -> bool:
        """Whether the value is a secret (regToken, authenticator), which is not shown."""
        return self.type in _SECRETS

    def __repr__(self) -> str:
        value = "<not shown>" if self.is_secret else show(self.value)
        return f"AttributeTypeAndValue(type={show(self.type)}, value={value})"


_SECRETS = (oids.REG_TOKEN, oids.AUTHENTICATOR)


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
    """What the certificate should say (RFC 4211 section 5); each field may be absent.

    Names are read when they are asked for: most devices ask for the name that they have already.
    """

    version: Annotated[int | None, Implicit(0)] = None
    serial_number: Annotated[int | None, Implicit(1)] = None
    signing_alg: Annotated[AlgorithmIdentifier | None, Implicit(2)] = None
    issuer: Annotated[RDNSequence | None, Explicit(3)] = None
    validity: Annotated[OptionalValidity | None, Implicit(4)] = None
    subject: Annotated[RDNSequence | None, Explicit(5)] = None
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
class CertReqMsg:
    """One certificate request with its proof (RFC 4211 section 3).

    ``cert_req`` is unread: the proof is computed over its octets. :attr:`request` is the same, read.
    """

    cert_req: Annotated[TLV, Holds(CertRequest)]
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
