"""What a client found of the certificates that came, as certConf says it."""

from __future__ import annotations

from dataclasses import dataclass

from cmpkit.asn1 import AlgorithmIdentifier, CertStatus, PKIStatusInfo
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.enums import PKIStatus
from cmpkit.errors import CMPError

__all__ = ["Judgement", "cert_status"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What comes of examining a certificate (R-084, R-092).

    :param cert_hash: over the certificate; empty if it could not be decrypted.
    :param hash_alg: the hash, where the certificate's signature does not name one; needs pvno 3.
    :param fault: why it is not acceptable, or ``None``.
    """

    cert_hash: bytes
    hash_alg: AlgorithmIdentifier | None = None
    fault: CMPError | None = None


def cert_status(one: SoughtCertificate, judgement: Judgement) -> CertStatus:
    """What certConf says of a certificate."""
    fault = judgement.fault
    return CertStatus(
        cert_hash=judgement.cert_hash,
        cert_req_id=one.cert_req_id,
        status_info=None if fault is None else PKIStatusInfo.of(PKIStatus.REJECTION, [fault.detail], fault.fail_info),
        hash_alg=judgement.hash_alg,
    )
