"""Object identifiers: each once, each the one that another library or RFC knows under that name."""

from __future__ import annotations

import pytest
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID
from pyasn1_modules import rfc4055, rfc4210, rfc4211, rfc5280, rfc5480, rfc5652, rfc5958, rfc8018, rfc8410, rfc8702

from cmpkit import oids

OIDS = {name: value for name, value in vars(oids).items() if isinstance(value, ObjectIdentifier)}
WITNESSES = {
    "PASSWORD_BASED_MAC": rfc4210.id_PasswordBasedMac,
    "OLD_CERT_ID": rfc4211.id_regCtrl_oldCertID,
    "PKI_PUBLICATION_INFO": rfc4211.id_regCtrl_pkiPublicationInfo,
    "PROTOCOL_ENCR_KEY": rfc4211.id_regCtrl_protocolEncrKey,
    "UTF8_PAIRS": rfc4211.id_regInfo_utf8Pairs,
    "REG_INFO_CERT_REQ": rfc4211.id_regInfo_certReq,
    "DH_BASED_MAC": rfc4210.id_DHBasedMac,
    "DATA": rfc5652.id_data,
    "SIGNED_DATA": rfc5652.id_signedData,
    "ENVELOPED_DATA": rfc5652.id_envelopedData,
    "CT_ASYMMETRIC_KEY_PACKAGE": rfc5958.id_ct_KP_aKeyPackage,
    "CT_ENC_KEY_WITH_ID": rfc4211.id_ct_encKeyWithID,
    "PBKDF2": rfc8018.id_PBKDF2,
    "PBMAC1": rfc8018.id_PBMAC1,
    "PBES2": rfc8018.id_PBES2,
    "HMAC_SHA1": rfc8018.id_hmacWithSHA1,
    "HMAC_SHA224": rfc8018.id_hmacWithSHA224,
    "HMAC_SHA256": rfc8018.id_hmacWithSHA256,
    "HMAC_SHA384": rfc8018.id_hmacWithSHA384,
    "HMAC_SHA512": rfc8018.id_hmacWithSHA512,
    "SHA1": rfc4055.id_sha1,
    "SHA224": rfc4055.id_sha224,
    "SHA256": rfc4055.id_sha256,
    "SHA384": rfc4055.id_sha384,
    "SHA512": rfc4055.id_sha512,
    "RSA_ENCRYPTION": rfc4055.rsaEncryption,
    "MGF1": rfc4055.id_mgf1,
    "RSAES_OAEP": rfc4055.id_RSAES_OAEP,
    "EC_PUBLIC_KEY": rfc5480.id_ecPublicKey,
    "SECP256R1": rfc5480.secp256r1,
    "SECP384R1": rfc5480.secp384r1,
    "SECP521R1": rfc5480.secp521r1,
    "KEY_USAGE": rfc5280.id_ce_keyUsage,
    "CRL_REASON": rfc5280.id_ce_cRLReasons,
    "SUBJECT_KEY_IDENTIFIER": ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    "SUBJECT_ALTERNATIVE_NAME": ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    "BASIC_CONSTRAINTS": ExtensionOID.BASIC_CONSTRAINTS,
    "CRL_NUMBER": ExtensionOID.CRL_NUMBER,
    "EXTENDED_KEY_USAGE": ExtensionOID.EXTENDED_KEY_USAGE,
    "AUTHORITY_KEY_IDENTIFIER": ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    "CRL_DISTRIBUTION_POINTS": ExtensionOID.CRL_DISTRIBUTION_POINTS,
    "RSASSA_PSS": SignatureAlgorithmOID.RSASSA_PSS,
    "SHA1_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA1,
    "SHA224_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA224,
    "SHA256_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA256,
    "SHA384_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA384,
    "SHA512_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA512,
    "ECDSA_SHA1": SignatureAlgorithmOID.ECDSA_WITH_SHA1,
    "ECDSA_SHA224": SignatureAlgorithmOID.ECDSA_WITH_SHA224,
    "ECDSA_SHA256": SignatureAlgorithmOID.ECDSA_WITH_SHA256,
    "ECDSA_SHA384": SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    "ECDSA_SHA512": SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    "SHA3_224_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA3_224,
    "SHA3_256_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA3_256,
    "SHA3_384_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA3_384,
    "SHA3_512_WITH_RSA": SignatureAlgorithmOID.RSA_WITH_SHA3_512,
    "ECDSA_SHA3_224": SignatureAlgorithmOID.ECDSA_WITH_SHA3_224,
    "ECDSA_SHA3_256": SignatureAlgorithmOID.ECDSA_WITH_SHA3_256,
    "ECDSA_SHA3_384": SignatureAlgorithmOID.ECDSA_WITH_SHA3_384,
    "ECDSA_SHA3_512": SignatureAlgorithmOID.ECDSA_WITH_SHA3_512,
    "ML_DSA_44": SignatureAlgorithmOID.ML_DSA_44,
    "ML_DSA_65": SignatureAlgorithmOID.ML_DSA_65,
    "ML_DSA_87": SignatureAlgorithmOID.ML_DSA_87,
    "ED25519": rfc8410.id_Ed25519,
    "ED448": rfc8410.id_Ed448,
    "SHAKE128": rfc8702.id_shake128,
    "SHAKE256": rfc8702.id_shake256,
    "RSASSA_PSS_SHAKE128": rfc8702.id_RSASSA_PSS_SHAKE128,
    "RSASSA_PSS_SHAKE256": rfc8702.id_RSASSA_PSS_SHAKE256,
    "ECDSA_SHAKE128": rfc8702.id_ecdsa_with_shake128,
    "ECDSA_SHAKE256": rfc8702.id_ecdsa_with_shake256,
    "KP_CMC_CA": getattr(ExtendedKeyUsageOID, "CMC_CA", "1.3.6.1.5.5.7.3.27"),
}


@pytest.mark.parametrize("name", WITNESSES)
def test_others_know_it_as_the_same(name: str) -> None:
    witness = WITNESSES[name]
    assert OIDS[name].dotted_string == getattr(witness, "dotted_string", str(witness))


def test_no_number_has_two_names() -> None:
    assert len({oid.dotted_string for oid in OIDS.values()}) == len(OIDS)


def test_every_one_is_public() -> None:
    assert set(OIDS) <= set(oids.__all__)
    assert not [name for name in oids.__all__ if name not in OIDS and name != "ID_IT"]
