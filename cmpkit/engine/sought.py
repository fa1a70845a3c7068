"""A certificate that a client asks for, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cmpkit import oids
from cmpkit.asn1 import (
    CertifiedKeyPair,
    CertRepMessage,
    CertResponse,
    KeyRecRepContent,
    PKIBody,
    PKIStatusInfo,
    Variant,
    decode,
    encode,
    read_public_key_info,
    to_tlv,
)
from cmpkit.crypto.encrypted_values import TOLERATE_LEGACY_ENCRYPTION
from cmpkit.engine.answers import broken_answer, sent_key_answer_faults
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import PeerRefusal, raise_first

__all__ = ["SoughtCertificate", "answered_by", "refusal_by", "signing_certificate"]

_HINTS: Final[Mapping[PKIFailureInfo, str]] = {
    PKIFailureInfo.BAD_TIME: "the clocks differ, or the message is too old to be sent again",
    PKIFailureInfo.TRANSACTION_ID_IN_USE: "try again: the next attempt has a new transactionID",
    PKIFailureInfo.BAD_MESSAGE_CHECK: "check the reference and the secret, or the certificate and key",
    PKIFailureInfo.UNSUPPORTED_VERSION: "the server speaks another version of CMP",
    PKIFailureInfo.SYSTEM_UNAVAIL: "try again later",
    PKIFailureInfo.SYSTEM_FAILURE: "try again later",
}


def refusal_by(status: PKIStatusInfo, body: str) -> PeerRefusal:
    """The refusal that a status means.

    :param body: the wire name of the body that it came in.
    """
    hint = next((hint for bit, hint in _HINTS.items() if bit in status.failures), "")
    return PeerRefusal(status.failures, status=status.status, texts=status.texts, body=body, hint=hint)


@dataclass(frozen=True, slots=True)
class SoughtCertificate:
    """One of the certificates that a transaction is about.

    :param cert_req_id: that of the request, then that of the answer; -1 for p10cr.
    :param public_key_info: DER of the SubjectPublicKeyInfo that it must hold.
    :param subject: DER of the subject that was asked for, empty if any will do.
    :param status: DER of the PKIStatusInfo that the server gave last; empty before it did.
    :param certificate: DER of the certificate that came.
    :param is_central: whether the server is to generate the key; ``public_key_info`` is empty then.
    :param key_algorithm: DER of the AlgorithmIdentifier that was asked for then; empty if any will do.
    :param enveloped_key: DER of the EnvelopedData with the key that the server generated.
    :param is_challenged: whether the server is to challenge its key, and did not yet (RFC 9810 section 5.2.8.3.3).
    :param is_agreed: whether a MAC under an agreed secret proves its key (agreeMAC).
    :param is_encrypted: whether the certificate is to come encrypted to its key, as the proof of possession (RFC 9810
        section 5.2.8.3.2).
    :param encrypted: DER of the EncryptedKey in which it came.
    :param issuer: for ccr: DER of the name of the CA that is asked, which must issue it; empty for others.
    :param key_identifier: for ccr: the subjectKeyIdentifier that it must have, which what the requesting CA issued
        names; empty for others.
    :param is_decided: whether certConf about it was answered, or is dispensed with.
    :param rejection: why the certificate was refused by us, empty if it was not.
    """

    cert_req_id: int = 0
    public_key_info: bytes = b""
    subject: bytes = b""
    status: bytes = b""
    certificate: bytes = b""
    is_central: bool = False
    key_algorithm: bytes = b""
    enveloped_key: bytes = b""
    is_challenged: bool = False
    is_agreed: bool = False
    is_encrypted: bool = False
    encrypted: bytes = b""
    issuer: bytes = b""
    key_identifier: bytes = b""
    is_decided: bool = False
    rejection: str = ""

    @property
    def status_info(self) -> PKIStatusInfo | None:
        """What the server said of it last."""
        return decode(PKIStatusInfo, self.status) if self.status else None

    def needs_version_3(self, tolerances: frozenset[str]) -> bool:
        """Whether EnvelopedData is to come for it, or agreeMAC goes, which need pvno 3 (RFC 9810 section 7).

        :param tolerances: ``legacy-encryption`` has what is encrypted to an RSA key come in the forms of pvno 2.
        """
        if (self.is_encrypted or self.is_challenged) and TOLERATE_LEGACY_ENCRYPTION in tolerances:
            return read_public_key_info(self.public_key_info).algorithm.algorithm != oids.RSA_ENCRYPTION
        return self.is_central or self.is_agreed or self.is_encrypted or self.is_challenged

    @property
    def is_due(self) -> bool:
        """Whether the server has not answered the request for good."""
        return not self.status or self.is_waiting

    @property
    def is_waiting(self) -> bool:
        """Whether the server needs time (RFC 9810 section 5.3.22)."""
        info = self.status_info
        return info is not None and info.status is PKIStatus.WAITING

    @property
    def granted_with_mods(self) -> bool:
        """Whether the server says that the certificate differs from what was asked."""
        info = self.status_info
        return info is not None and info.status is PKIStatus.GRANTED_WITH_MODS

    @property
    def is_open(self) -> bool:
        """Whether a certificate came that is not confirmed yet."""
        return (self.certificate != b"" or self.encrypted != b"") and not self.is_decided

    def refusal(self, body: str) -> PeerRefusal | None:
        """The server's refusal, if it refused.

        :param body: the wire name of the body that answers the request.
        """
        info = self.status_info
        return refusal_by(info, body) if info is not None and info.status is PKIStatus.REJECTION else None

    def answered(self, response: CertResponse) -> SoughtCertificate:
        """The same with what the server answered.

        :raises TrustError: if the certificate is encrypted and should not be, or in a way that is over, or if a key
            that the server was to generate is not there, or one comes with a cross certificate.
        """
        pair = response.certified_key_pair
        encrypted = pair is not None and pair.cert_or_enc_cert.tag == "encrypted_cert"
        if encrypted and not self.is_encrypted:
            raise broken_answer("the certificate is encrypted, which was not asked for", "RFC 9810 section 5.2.8.3")
        if self.issuer:
            raise_first(sent_key_answer_faults(response))
        return replace(
            self,
            cert_req_id=response.cert_req_id,
            status=encode(response.status),
            certificate=encode(pair.cert_or_enc_cert.value) if pair is not None and not encrypted else b"",
            encrypted=encode(pair.cert_or_enc_cert.value) if pair is not None and encrypted else b"",
            enveloped_key=_enveloped_key(pair) if pair is not None and self.is_central else b"",
        )


def answered_by(
    content: CertRepMessage, sought: Sequence[SoughtCertificate], *, by_number: bool
) -> tuple[SoughtCertificate, ...]:
    """What is sought, with what the server says of each.

    :param by_number: whether the certReqIds tell which is which; otherwise there is one (RFC 9810 section 5.3.4).
    """
    if not by_number:
        return (sought[0].answered(content.response[0]),)
    responses = {response.cert_req_id: response for response in content.response}
    return tuple(one.answered(responses[one.cert_req_id]) if one.cert_req_id in responses else one for one in sought)


def signing_certificate(content: KeyRecRepContent, one: SoughtCertificate) -> PKIBody:
    """The newSigCert of a krp as what answers a request for a certificate."""
    assert content.new_sig_cert is not None
    pair = CertifiedKeyPair(cert_or_enc_cert=Variant(to_tlv(content.new_sig_cert), "certificate"))
    response = CertResponse(cert_req_id=one.cert_req_id, status=content.status, certified_key_pair=pair)
    return PKIBody(BodyType.CP, CertRepMessage(response=[response]))


def _enveloped_key(pair: CertifiedKeyPair) -> bytes:
    if pair.private_key is None or pair.private_key.tag != "enveloped_data":
        raise broken_answer("there is no private key as EnvelopedData beside the certificate", "RFC 9483 section 4.1.6")
    return encode(pair.private_key.value)
