"""What the object identifiers are called in the RFCs that define them."""

from __future__ import annotations

from typing import Final

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import wire_name

__all__ = ["object_name"]

_IRREGULAR: Final = {
    "CA_PROT_ENC_CERT": "caProtEncCert",
    "CURRENT_CRL": "currentCRL",
    "UNSUPPORTED_OIDS": "unsupportedOIDs",
    "ORIG_PKI_MESSAGE": "origPKIMessage",
    "KEM_CIPHERTEXT_INFO": "KemCiphertextInfo",
    "OLD_CERT_ID": "oldCertID",
    "UTF8_PAIRS": "utf8Pairs",
    "REG_INFO_CERT_REQ": "certReq",
    "DH_BASED_MAC": "id-DHBasedMac",
    "KEM_BASED_MAC": "id-KemBasedMac",
    "DATA": "id-data",
    "SIGNED_DATA": "id-signedData",
    "ENVELOPED_DATA": "id-envelopedData",
    "CT_ASYMMETRIC_KEY_PACKAGE": "id-ct-KP-aKeyPackage",
    "CT_ENC_KEY_WITH_ID": "id-ct-encKeyWithID",
    "ORI_KEM": "id-ori-kem",
    "PASSWORD_BASED_MAC": "id-PasswordBasedMac",
    "PBMAC1": "id-PBMAC1",
    "PBKDF2": "id-PBKDF2",
    "PBES2": "id-PBES2",
    "HMAC_SHA1": "hmacWithSHA1",
    "HMAC_SHA1_RFC4210": "hmac-SHA1",
    "AES128_GMAC": "id-aes128-GMAC",
    "AES192_GMAC": "id-aes192-GMAC",
    "AES256_GMAC": "id-aes256-GMAC",
    "KMAC_WITH_SHAKE128": "id-KMACWithSHAKE128",
    "KMAC_WITH_SHAKE256": "id-KMACWithSHAKE256",
    "AES128_CBC": "aes128-CBC",
    "AES192_CBC": "aes192-CBC",
    "AES256_CBC": "aes256-CBC",
    "SHA1": "id-sha1",
    "SHAKE128": "id-shake128",
    "SHAKE256": "id-shake256",
    "RSA_ENCRYPTION": "rsaEncryption",
    "RSASSA_PSS": "id-RSASSA-PSS",
    "MGF1": "id-mgf1",
    "RSAES_OAEP": "id-RSAES-OAEP",
    "EC_PUBLIC_KEY": "id-ecPublicKey",
    "SECP256R1": "secp256r1",
    "SECP384R1": "secp384r1",
    "SECP521R1": "secp521r1",
    "RSASSA_PSS_SHAKE128": "id-RSASSA-PSS-SHAKE128",
    "RSASSA_PSS_SHAKE256": "id-RSASSA-PSS-SHAKE256",
    "ECDSA_SHAKE128": "id-ecdsa-with-shake128",
    "ECDSA_SHAKE256": "id-ecdsa-with-shake256",
    "X25519": "id-X25519",
    "X448": "id-X448",
    "ED25519": "id-Ed25519",
    "ED448": "id-Ed448",
    "AES128_WRAP": "id-aes128-wrap",
    "AES192_WRAP": "id-aes192-wrap",
    "AES256_WRAP": "id-aes256-wrap",
    "PWRI_KEK": "id-alg-PWRI-KEK",
    "STD_DH_SHA1_KDF": "dhSinglePass-stdDH-sha1kdf-scheme",
    "STD_DH_SHA224_KDF": "dhSinglePass-stdDH-sha224kdf-scheme",
    "STD_DH_SHA256_KDF": "dhSinglePass-stdDH-sha256kdf-scheme",
    "STD_DH_SHA384_KDF": "dhSinglePass-stdDH-sha384kdf-scheme",
    "STD_DH_SHA512_KDF": "dhSinglePass-stdDH-sha512kdf-scheme",
    "STD_DH_HKDF_SHA256": "dhSinglePass-stdDH-hkdf-sha256-scheme",
    "STD_DH_HKDF_SHA384": "dhSinglePass-stdDH-hkdf-sha384-scheme",
    "STD_DH_HKDF_SHA512": "dhSinglePass-stdDH-hkdf-sha512-scheme",
    "P_SPECIFIED": "id-pSpecified",
    "CRL_NUMBER": "cRLNumber",
    "CRL_REASON": "reasonCode",
    "SUBJECT_ALTERNATIVE_NAME": "subjectAltName",
    "EXTENDED_KEY_USAGE": "extKeyUsage",
    "CRL_DISTRIBUTION_POINTS": "cRLDistributionPoints",
    "KP_CMC_CA": "id-kp-cmcCA",
    "KP_CMC_RA": "id-kp-cmcRA",
    "KP_CM_KGA": "id-kp-cmKGA",
}
# Identifiers that people meet in certificates and that nothing in this package decides by.
_OTHERS: Final = {
    "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1",
    "1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1",
    "1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "2.16.840.1.101.3.4.4.1": "id-alg-ml-kem-512",
    "2.16.840.1.101.3.4.4.2": "id-alg-ml-kem-768",
    "2.16.840.1.101.3.4.4.3": "id-alg-ml-kem-1024",
    "2.16.840.1.101.3.4.1.6": "id-aes128-GCM",
    "2.16.840.1.101.3.4.1.46": "id-aes256-GCM",
    "2.5.29.9": "subjectDirectoryAttributes",
    "2.5.29.16": "privateKeyUsagePeriod",
    "2.5.29.18": "issuerAltName",
    "2.5.29.24": "invalidityDate",
    "2.5.29.27": "deltaCRLIndicator",
    "2.5.29.28": "issuingDistributionPoint",
    "2.5.29.29": "certificateIssuer",
    "2.5.29.32": "certificatePolicies",
    "2.5.29.33": "policyMappings",
    "2.5.29.36": "policyConstraints",
    "2.5.29.37.0": "anyExtendedKeyUsage",
    "2.5.29.46": "freshestCRL",
    "2.5.29.54": "inhibitAnyPolicy",
    "1.3.6.1.5.5.7.1.1": "authorityInfoAccess",
    "1.3.6.1.5.5.7.1.11": "subjectInfoAccess",
    "1.3.6.1.5.5.7.1.24": "tlsFeature",
    "1.3.6.1.5.5.7.3.1": "id-kp-serverAuth",
    "1.3.6.1.5.5.7.3.2": "id-kp-clientAuth",
    "1.3.6.1.5.5.7.3.3": "id-kp-codeSigning",
    "1.3.6.1.5.5.7.3.4": "id-kp-emailProtection",
    "1.3.6.1.5.5.7.3.8": "id-kp-timeStamping",
    "1.3.6.1.5.5.7.3.9": "id-kp-OCSPSigning",
    "1.3.6.1.5.5.7.48.1": "id-ad-ocsp",
    "1.3.6.1.5.5.7.48.2": "id-ad-caIssuers",
    "1.2.840.113549.1.9.5": "signingTime",
    "1.2.840.113549.1.9.7": "challengePassword",
}


def _conventional(constant: str) -> str:
    """The name of an algorithm whose constant tells it all, else the constant in camel case, as ASN.1 has it."""
    words = constant.split("_")
    if words[0] == "HMAC":
        return f"hmacWith{'-'.join(words[1:])}" if "SHA3" in words else f"hmacWith{words[1]}"
    if words[0] == "ECDSA":
        return f"id-ecdsa-with-{'-'.join(words[1:]).lower()}" if "SHA3" in words else f"ecdsa-with-{words[1]}"
    if constant.endswith("_WITH_RSA"):
        digest = "-".join(words[:-2])
        return (
            f"id-rsassa-pkcs1-v1_5-with-{digest.lower()}" if "SHA3" in words else f"{digest.lower()}WithRSAEncryption"
        )
    if words[0] == "ML":
        return f"id-ml-dsa-{words[-1]}"
    if words[0].startswith("SHA"):
        return "id-" + "-".join(words).lower()
    return wire_name(constant.lower())


_NAMES: Final = _OTHERS | {
    oid.dotted_string: _IRREGULAR.get(constant) or _conventional(constant)
    for constant, oid in vars(oids).items()
    if isinstance(oid, ObjectIdentifier)
}


def object_name(oid: ObjectIdentifier) -> str:
    """The name of an object identifier; empty if it is not known here."""
    return _NAMES.get(oid.dotted_string, "")
