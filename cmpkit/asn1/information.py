"""Values of information types that have a structure of their own (RFC 9810 section 5.3.19)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cmpkit.asn1.crmf import AttributeTypeAndValue, CertTemplate
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.names import GeneralName
from cmpkit.asn1.primitives import TLV, Explicit, Holds, Implicit, NonEmpty, SetOf, Variant
from cmpkit.asn1.x509 import Time

__all__ = ["CRLSource", "CRLStatus", "CertReqTemplateContent", "DistributionPointName", "GeneralNames"]

GeneralNames: TypeAlias = Annotated[list[GeneralName], NonEmpty]
"""Several names of one thing (RFC 5280 section 4.2.1.6)."""


@sequence
class CertReqTemplateContent:
    """What a CA expects of requests (RFC 9810 section 5.3.19.16).

    The template has no public key. ``key_spec`` are the controls algId and rsaKeyLen.
    """

    cert_template: CertTemplate
    key_spec: Annotated[list[AttributeTypeAndValue] | None, NonEmpty] = None


# A CHOICE whose alternatives are lists is none to hazmat.asn1. Under the EXPLICIT tag that it has here, it is framed as
# a SEQUENCE with both alternatives as OPTIONAL fields would be under an IMPLICIT one.
@sequence
class DistributionPointName:
    """Where certificate lists are, exactly one of the two (RFC 5280 section 4.2.1.13).

    :raises ValueError: for both, and for none.
    """

    full_name: Annotated[list[GeneralName] | None, Implicit(0), NonEmpty] = None
    name_relative_to_crl_issuer: Annotated[SetOf[AttributeTypeAndValue] | None, Implicit(1)] = None

    def _check(self) -> None:
        if (self.full_name is None) == (self.name_relative_to_crl_issuer is None):
            raise ValueError("a DistributionPointName is a fullName or a nameRelativeToCRLIssuer")


CRLSource: TypeAlias = (
    Annotated[Variant[DistributionPointName, Literal["dpn"]], Implicit(0)]
    | Annotated[Variant[TLV, Literal["issuer"]], Explicit(1), Holds(GeneralNames)]
)
"""Which certificate list is meant (RFC 9810 section 5.3.19.18); ``issuer`` holds :data:`GeneralNames`, unread."""
name_choice(CRLSource, "CRLSource")


@sequence
class CRLStatus:
    """A certificate list, and when the one that the requester has was made (RFC 9810 section 5.3.19.17)."""

    source: CRLSource
    this_update: Time | None = None
