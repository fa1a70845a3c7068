"""Extended key usages by the names that they have in the configuration file."""

from __future__ import annotations

from typing import Final

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from cmpkit import oids

__all__ = ["PURPOSES", "purpose_name"]

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


def purpose_name(purpose: ObjectIdentifier) -> str:
    """An extended key usage by its name, else as OID."""
    return _NAMES.get(purpose, purpose.dotted_string)
