"""Hypothesis strategies for the parameters of algorithms."""

from __future__ import annotations

from base_strategies import integers, octets, optional, some, texts
from hypothesis import strategies as st
from x509_strategies import algorithm_identifiers

from cmpkit import asn1, oids
from cmpkit.asn1 import Variant

pbm_parameters = st.builds(
    asn1.PBMParameter, salt=octets, owf=algorithm_identifiers, iteration_count=integers, mac=algorithm_identifiers
)
pbkdf2_params = st.builds(
    asn1.PBKDF2Params,
    salt=octets.map(lambda salt: Variant(salt, "specified"))
    | algorithm_identifiers.map(lambda source: Variant(asn1.to_tlv(source), "other_source")),
    iteration_count=st.integers(1, 2**40),
    key_length=optional(st.integers(1, 2**40)),
    # pyasn1 cannot compare another hmacWithSHA1 with its DEFAULT.
    prf=optional(algorithm_identifiers.filter(lambda prf: prf.algorithm != oids.HMAC_SHA1)),
)
pbmac1_params = st.builds(
    asn1.PBMAC1Params, key_derivation_func=algorithm_identifiers, message_auth_scheme=algorithm_identifiers
)
rsassa_pss_params = st.builds(
    asn1.RSASSAPSSParams,
    hash_algorithm=optional(algorithm_identifiers),
    mask_gen_algorithm=optional(algorithm_identifiers),
    salt_length=integers,
    trailer_field=integers,
)
rsaes_oaep_params = st.builds(
    asn1.RSAESOAEPParams,
    hash_func=optional(algorithm_identifiers),
    mask_gen_func=optional(algorithm_identifiers),
    p_source_func=optional(algorithm_identifiers),
)
dhbm_parameters = st.builds(asn1.DHBMParameter, owf=algorithm_identifiers, mac=algorithm_identifiers)
gmac_parameters = st.builds(asn1.GMACParameters, nonce=octets, length=st.integers(12, 16))
kmac128_params = st.builds(asn1.KMACwithSHAKE128Params, kmac_output_length=integers, customization_string=octets)
kmac256_params = st.builds(asn1.KMACwithSHAKE256Params, kmac_output_length=integers, customization_string=octets)
kem_bm_parameters = st.builds(
    asn1.KemBMParameter,
    kdf=algorithm_identifiers,
    kem_context=optional(octets),
    len=integers,
    mac=algorithm_identifiers,
)
kem_ciphertext_infos = st.builds(asn1.KemCiphertextInfo, kem=algorithm_identifiers, ct=octets)
kem_other_infos = st.builds(
    asn1.KemOtherInfo, static_string=some(texts), transaction_id=octets, kem_context=optional(octets)
)
