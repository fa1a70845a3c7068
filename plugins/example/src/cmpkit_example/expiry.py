"""An info type: until when the certificates of the CA are valid, so that devices fetch new trust anchors in time.

::

    id-it-caExpiry OBJECT IDENTIFIER ::= { 2 999 1 1 }
    CAExpiryRequest ::= INTEGER (0..MAX)   -- how far up the chain, absent: 0, the issuing certificate
    CAExpiry ::= SEQUENCE { notAfter GeneralizedTime, remaining INTEGER }   -- in seconds, negative if it is over
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import TLV, GeneralizedTime, InfoTypeAndValue, parse_tlv, sequence
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import InfoContext

__all__ = ["CAExpiry", "CAExpiryInfo"]


@sequence
class CAExpiry:
    """The answer: when a certificate ends, and how many seconds are left."""

    not_after: GeneralizedTime
    remaining: int


class CAExpiryInfo:
    """The part; see :class:`cmpkit.parts.InfoType`."""

    oid = ObjectIdentifier("2.999.1.1")
    name = "caExpiry"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """When the certificate that was asked about ends."""
        position = 0 if value is None else parse_tlv(value, int)
        certificates = await context.issuer.ca_certificates()
        if not 0 <= position < len(certificates):
            raise CMPError(
                f"caExpiry of certificate {position} of a chain of {len(certificates)}",
                PKIFailureInfo.ADD_INFO_NOT_AVAILABLE,
                hint=f"ask about 0 to {len(certificates) - 1}",
            )
        not_after = x509.load_der_x509_certificate(certificates[position]).not_valid_after_utc
        remaining = int((not_after - context.now).total_seconds())
        return InfoTypeAndValue(self.oid, CAExpiry(not_after=GeneralizedTime(not_after), remaining=remaining))
