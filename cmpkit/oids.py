"""Object identifiers of CMP, CRMF and the algorithms, under the names that the RFCs use."""

from __future__ import annotations

from typing import Final

from cryptography.x509 import ObjectIdentifier as _Oid

# Information types, id-it (RFC 9810 section 5.3.19)
ID_IT: Final = "1.3.6.1.5.5.7.4"
CA_PROT_ENC_CERT: Final = _Oid(f"{ID_IT}.1")
SIGN_KEY_PAIR_TYPES: Final = _Oid(f"{ID_IT}.2")
ENC_KEY_PAIR_TYPES: Final = _Oid(f"{ID_IT}.3")
PREFERRED_SYMM_ALG: Final = _Oid(f"{ID_IT}.4")
CA_KEY_UPDATE_INFO: Final = _Oid(f"{ID_IT}.5")
CURRENT_CRL: Final = _Oid(f"{ID_IT}.6")
UNSUPPORTED_OIDS: Final = _Oid(f"{ID_IT}.7")
IMPLICIT_CONFIRM: Final = _Oid(f"{ID_IT}.13")
CONFIRM_WAIT_TIME: Final = _Oid(f"{ID_IT}.14")
ORIG_PKI_MESSAGE: Final = _Oid(f"{ID_IT}.15")
SUPP_LANG_TAGS: Final = _Oid(f"{ID_IT}.16")
CA_CERTS: Final = _Oid(f"{ID_IT}.17")
CERT_PROFILE: Final = _Oid(f"{ID_IT}.21")

# CRMF registration controls, id-regCtrl (RFC 4211 section 6, RFC 9810 section 5.2.1)
REG_TOKEN: Final = _Oid("1.3.6.1.5.5.7.5.1.1")
AUTHENTICATOR: Final = _Oid("1.3.6.1.5.5.7.5.1.2")
PKI_ARCHIVE_OPTIONS: Final = _Oid("1.3.6.1.5.5.7.5.1.4")
OLD_CERT_ID: Final = _Oid("1.3.6.1.5.5.7.5.1.5")
ALT_CERT_TEMPLATE: Final = _Oid("1.3.6.1.5.5.7.5.1.7")

# Protection by shared secret (RFC 9481 section 6)
PASSWORD_BASED_MAC: Final = _Oid("1.2.840.113533.7.66.13")
PBMAC1: Final = _Oid("1.2.840.113549.1.5.14")
PBKDF2: Final = _Oid("1.2.840.113549.1.5.12")
HMAC_SHA1: Final = _Oid("1.2.840.113549.2.7")
HMAC_SHA1_RFC4210: Final = _Oid("1.3.6.1.5.5.8.1.2")
HMAC_SHA224: Final = _Oid("1.2.840.113549.2.8")
HMAC_SHA256: Final = _Oid("1.2.840.113549.2.9")
HMAC_SHA384: Final = _Oid("1.2.840.113549.2.10")
HMAC_SHA512: Final = _Oid("1.2.840.113549.2.11")

# Encryption of private keys at rest (RFC 8018)
PBES2: Final = _Oid("1.2.840.113549.1.5.13")
AES128_CBC: Final = _Oid("2.16.840.1.101.3.4.1.2")
AES192_CBC: Final = _Oid("2.16.840.1.101.3.4.1.22")
AES256_CBC: Final = _Oid("2.16.840.1.101.3.4.1.42")

# Hashes (RFC 9481 section 2)
SHA1: Final = _Oid("1.3.14.3.2.26")
SHA224: Final = _Oid("2.16.840.1.101.3.4.2.4")
SHA256: Final = _Oid("2.16.840.1.101.3.4.2.1")
SHA384: Final = _Oid("2.16.840.1.101.3.4.2.2")
SHA512: Final = _Oid("2.16.840.1.101.3.4.2.3")

# Public keys and signatures (RFC 9481 section 3)
RSA_ENCRYPTION: Final = _Oid("1.2.840.113549.1.1.1")
RSASSA_PSS: Final = _Oid("1.2.840.113549.1.1.10")
MGF1: Final = _Oid("1.2.840.113549.1.1.8")
SHA224_WITH_RSA: Final = _Oid("1.2.840.113549.1.1.14")
SHA256_WITH_RSA: Final = _Oid("1.2.840.113549.1.1.11")
SHA384_WITH_RSA: Final = _Oid("1.2.840.113549.1.1.12")
SHA512_WITH_RSA: Final = _Oid("1.2.840.113549.1.1.13")
SHA1_WITH_RSA: Final = _Oid("1.2.840.113549.1.1.5")
EC_PUBLIC_KEY: Final = _Oid("1.2.840.10045.2.1")
ECDSA_SHA1: Final = _Oid("1.2.840.10045.4.1")
ECDSA_SHA224: Final = _Oid("1.2.840.10045.4.3.1")
ECDSA_SHA256: Final = _Oid("1.2.840.10045.4.3.2")
ECDSA_SHA384: Final = _Oid("1.2.840.10045.4.3.3")
ECDSA_SHA512: Final = _Oid("1.2.840.10045.4.3.4")
SECP256R1: Final = _Oid("1.2.840.10045.3.1.7")
SECP384R1: Final = _Oid("1.3.132.0.34")
SECP521R1: Final = _Oid("1.3.132.0.35")

# Certificate extensions and attributes (RFC 5280, RFC 2985)
SUBJECT_KEY_IDENTIFIER: Final = _Oid("2.5.29.14")
KEY_USAGE: Final = _Oid("2.5.29.15")
SUBJECT_ALTERNATIVE_NAME: Final = _Oid("2.5.29.17")
BASIC_CONSTRAINTS: Final = _Oid("2.5.29.19")
CRL_NUMBER: Final = _Oid("2.5.29.20")
CRL_REASON: Final = _Oid("2.5.29.21")
NAME_CONSTRAINTS: Final = _Oid("2.5.29.30")
EXTENDED_KEY_USAGE: Final = _Oid("2.5.29.37")
AUTHORITY_KEY_IDENTIFIER: Final = _Oid("2.5.29.35")
CRL_DISTRIBUTION_POINTS: Final = _Oid("2.5.29.31")
EXTENSION_REQUEST: Final = _Oid("1.2.840.113549.1.9.14")

# Extended key usages of CMP (RFC 9810 section 4.5)
KP_CMC_CA: Final = _Oid("1.3.6.1.5.5.7.3.27")
KP_CMC_RA: Final = _Oid("1.3.6.1.5.5.7.3.28")
KP_CM_KGA: Final = _Oid("1.3.6.1.5.5.7.3.32")

__all__ = [name for name in dir() if name.isupper()]
