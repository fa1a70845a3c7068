"""What a CA announces: its new keys, revocations, its key out of band (RFC 9810 sections 5.2.5, 5.3.13 to 5.3.16)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.crmf import CertId
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.primitives import BitString, Explicit, GeneralizedTime, NonEmpty, Variant
from cmpkit.asn1.x509 import CMPCertificate, Extension
from cmpkit.enums import PKIStatus

__all__ = ["CAKeyUpdAnnContent", "CAKeyUpdContent", "OOBCertHash", "RevAnnContent", "RootCaKeyUpdateContent"]


@sequence
class CAKeyUpdAnnContent:
    """The new key of a CA, with all three certificates (RFC 9810 section 5.3.13); deprecated with pvno 3."""

    old_with_new: CMPCertificate
    new_with_old: CMPCertificate
    new_with_new: CMPCertificate


@sequence
class RootCaKeyUpdateContent:
    """The new key of a root CA (RFC 9810 section 5.3.19.15)."""

    new_with_new: CMPCertificate
    new_with_old: Annotated[CMPCertificate | None, Explicit(0)] = None
    old_with_new: Annotated[CMPCertificate | None, Explicit(1)] = None


CAKeyUpdContent: TypeAlias = (
    Variant[CAKeyUpdAnnContent, Literal["ca_key_upd_ann_v2"]]
    | Annotated[Variant[RootCaKeyUpdateContent, Literal["ca_key_upd_ann_v3"]], Explicit(0)]
)
"""The content of ckuann; the second alternative needs pvno 3 (RFC 9810 section 5.3.13)."""
name_choice(CAKeyUpdContent, "CAKeyUpdContent")


@sequence
class RevAnnContent:
    """A certificate that is or will be revoked (RFC 9810 section 5.3.15)."""

    status: PKIStatus
    cert_id: CertId
    will_be_revoked_at: GeneralizedTime
    bad_since_date: GeneralizedTime
    crl_details: Annotated[list[Extension] | None, NonEmpty] = None


@sequence
class OOBCertHash:
    """The digest of a self-signed certificate, carried out of band (RFC 9810 section 5.2.5)."""

    hash_alg: Annotated[AlgorithmIdentifier | None, Explicit(0)] = None
    cert_id: Annotated[CertId | None, Explicit(1)] = None
    hash_val: BitString
