"""What the bodies hold: statuses, responses, confirmation, revocation, polling, information (RFC 9810 section 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.codec import OpenSequence
from cmpkit.asn1.controls import PKIPublicationInfo
from cmpkit.asn1.crmf import CertId, CertTemplate
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.encrypted_key import EncryptedKey
from cmpkit.asn1.primitives import TLV, BitString, Explicit, Holds, NonEmpty, Size, Variant
from cmpkit.asn1.x509 import CertificateList, CMPCertificate, Extension
from cmpkit.enums import PKIFailureInfo, PKIStatus

__all__ = [
    "CertRepMessage",
    "CertResponse",
    "CertStatus",
    "CertifiedKeyPair",
    "ErrorMsgContent",
    "InfoTypeAndValue",
    "KeyRecRepContent",
    "PKIStatusInfo",
    "PollRep",
    "PollReq",
    "RevDetails",
    "RevRepContent",
]

_NONE = PKIFailureInfo(0)
_FAILURE_OCTETS = 4
_FAILURE_BITS = len(PKIFailureInfo)


class InfoTypeAndValue(OpenSequence):
    """An information type and its value, in genm, genp and generalInfo (RFC 9810 section 5.3.19)."""

    __slots__ = ()

    @property
    def info_type(self) -> ObjectIdentifier:
        """The id-it."""
        return self.oid

    @property
    def info_value(self) -> TLV | None:
        """The value as one unread element, or ``None`` if it is absent."""
        return self.value


@sequence
class PKIStatusInfo:
    """Status, text and reasons (RFC 9810 section 5.2.3). :attr:`failures` reads ``fail_info`` as flags."""

    status: PKIStatus
    status_string: Annotated[list[str] | None, NonEmpty] = None
    fail_info: BitString | None = None

    @classmethod
    def of(cls, status: PKIStatus, texts: Sequence[str] = (), failures: PKIFailureInfo = _NONE) -> PKIStatusInfo:
        """A status from plain values.

        :param texts: the lines of the statusString; none leaves it out.
        :param failures: the failInfo bits; none leaves the field out.
        """
        return cls(status=status, status_string=list(texts) or None, fail_info=_failure_bits(failures))

    @property
    def texts(self) -> tuple[str, ...]:
        """The statusString, empty if there is none."""
        return tuple(self.status_string or ())

    @property
    def failures(self) -> PKIFailureInfo:
        """The failInfo bits; bits that have no name are left out."""
        if self.fail_info is None:
            return _NONE
        octets = self.fail_info.as_bytes()[:_FAILURE_OCTETS].ljust(_FAILURE_OCTETS, b"\0")
        bits = f"{int.from_bytes(octets, 'big'):0{_FAILURE_OCTETS * 8}b}"
        return PKIFailureInfo(int(bits[:_FAILURE_BITS][::-1], 2))


def _failure_bits(failures: PKIFailureInfo) -> BitString | None:
    """The BIT STRING of named bits, bit 0 first, trailing zero bits dropped (X.690 section 11.2.2)."""
    if not failures:
        return None
    bits = f"{int(failures):b}"[::-1]
    padding = -len(bits) % 8
    return BitString(int(bits + "0" * padding, 2).to_bytes((len(bits) + padding) // 8, "big"), padding)


@sequence
class CertifiedKeyPair:
    """A certificate, in clear or encrypted, and its private key if the CA made it (RFC 9810 section 5.3.4).

    ``cert_or_enc_cert`` holds an unread element: a certificate, or an EncryptedKey
    (``read_element(pair.cert_or_enc_cert.value, EncryptedKey)``).
    """

    cert_or_enc_cert: (
        Annotated[Variant[TLV, Literal["certificate"]], Explicit(0), Holds(CMPCertificate)]
        | Annotated[Variant[TLV, Literal["encrypted_cert"]], Explicit(1), Holds(EncryptedKey)]
    )
    private_key: Annotated[EncryptedKey | None, Explicit(0)] = None
    publication_info: Annotated[PKIPublicationInfo | None, Explicit(1)] = None


@sequence
class CertResponse:
    """The answer to one certificate request (RFC 9810 section 5.3.4)."""

    cert_req_id: int
    status: PKIStatusInfo
    certified_key_pair: CertifiedKeyPair | None = None
    rsp_info: bytes | None = None


@sequence
class CertRepMessage:
    """The content of ip, cp and kup (RFC 9810 section 5.3.4)."""

    ca_pubs: Annotated[list[Annotated[TLV, Holds(CMPCertificate)]] | None, Explicit(1), NonEmpty] = None
    response: list[CertResponse]


@sequence
class KeyRecRepContent:
    """The content of krp: recovered keys (RFC 9810 section 5.3.8)."""

    status: PKIStatusInfo
    new_sig_cert: Annotated[CMPCertificate | None, Explicit(0)] = None
    ca_certs: Annotated[list[CMPCertificate] | None, Explicit(1), NonEmpty] = None
    key_pair_hist: Annotated[list[CertifiedKeyPair] | None, Explicit(2), NonEmpty] = None


@sequence
class CertStatus:
    """Whether one certificate is accepted; absent ``status_info`` means yes (RFC 9810 section 5.3.18)."""

    cert_hash: bytes
    cert_req_id: int
    status_info: PKIStatusInfo | None = None
    hash_alg: Annotated[AlgorithmIdentifier | None, Explicit(0)] = None


@sequence
class RevDetails:
    """One certificate to revoke; the reason is an entry extension (RFC 9810 section 5.3.9).

    Extensions must not be empty; whether ``crl_entry_details`` may be nevertheless is for who serves it.
    """

    cert_details: CertTemplate
    crl_entry_details: list[Extension] | None = None


@sequence
class RevRepContent:
    """The content of rp, in the order of the request (RFC 9810 section 5.3.10)."""

    status: Annotated[list[PKIStatusInfo], Size(1, None)]
    rev_certs: Annotated[list[CertId] | None, Explicit(0), NonEmpty] = None
    crls: Annotated[list[Annotated[TLV, Holds(CertificateList)]] | None, Explicit(1), NonEmpty] = None


@sequence
class PollReq:
    """Asks for one answer that was announced as waiting (RFC 9810 section 5.3.22)."""

    cert_req_id: int


@sequence
class PollRep:
    """Says when to ask again, in seconds from now (RFC 9810 section 5.3.22)."""

    cert_req_id: int
    check_after: int
    reason: Annotated[list[str] | None, NonEmpty] = None


@sequence
class ErrorMsgContent:
    """The content of error (RFC 9810 section 5.3.21)."""

    pki_status_info: PKIStatusInfo
    error_code: int | None = None
    error_details: Annotated[list[str] | None, NonEmpty] = None
