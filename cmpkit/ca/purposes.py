"""Extended key usages by the names that they have in the configuration file."""

from __future__ import annotations

from typing import Final

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from cmpkit import oids

__all__ = ["PURPOSES", "purpose_name", "read_purpose"]

PURPOSES: Final = {
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "codeSigning": ExtendedKeyUsageOID.CODE_SIGNING,
    "emailProtection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timeStamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ipsecIKE": ExtendedKeyUsageOID.IPSEC_IKE,
    "smartcardLogon": ExtendedKeyUsageOID.SMARTCARD_LOGON,
    "ocspSigning": ExtendedKeyUsageOID.OCSP_SIGNING,
    "anyExtendedKeyUsage": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "cmcCA": oids.KP_CMC_CA,
    "cmcRA": oids.KP_CMC_RA,
    "cmKGA": oids.KP_CM_KGA,
}
"""The extended key usages that have names."""

_NAMES = {oid: name for name, oid in PURPOSES.items()}


def read_purpose(text: str) -> ObjectIdentifier:
    """An extended key usage by its name, or as OID.

    :raises ValueError: if it is neither.
    """
    if text in PURPOSES:
        return PURPOSES[text]
    try:
        return ObjectIdentifier(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither an OID nor one of {', '.join(PURPOSES)}") from None


def purpose_name(purpose: ObjectIdentifier) -> str:
    """An extended key usage by its name, else as OID."""
    return _NAMES.get(purpose, purpose.dotted_string)
