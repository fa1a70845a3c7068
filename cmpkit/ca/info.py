"""What a genm may ask of a CA: its certificates and its CRL (RFC 9810 section 5.3.19)."""

from __future__ import annotations

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import TLV, InfoTypeAndValue, encode_list
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import InfoContext

__all__ = ["CACertificatesInfo", "CurrentCRLInfo"]


def _check_absent(value: TLV | None, name: str, rule: str) -> None:
    if value is not None:
        raise CMPError(f"{name} is asked for with a value", PKIFailureInfo.BAD_DATA_FORMAT, rule=rule)


class CACertificatesInfo:
    """caCerts: the certificates of the CA, the issuing one first (RFC 9810 section 5.3.19.14)."""

    oid: ObjectIdentifier = oids.CA_CERTS
    name = "caCerts"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """Their sequence."""
        _check_absent(value, self.name, "RFC 9810 section 5.3.19.14")
        certificates = await context.issuer.ca_certificates()
        return InfoTypeAndValue(self.oid, encode_list(certificates) if certificates else None)


class CurrentCRLInfo:
    """currentCRL: the newest certificate revocation list (RFC 9810 section 5.3.19.6)."""

    oid: ObjectIdentifier = oids.CURRENT_CRL
    name = "currentCRL"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """The list."""
        _check_absent(value, self.name, "RFC 9810 section 5.3.19.6")
        return InfoTypeAndValue(self.oid, await context.issuer.crl(now=context.now))
