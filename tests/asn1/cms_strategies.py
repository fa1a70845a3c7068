"""Hypothesis strategies for the Cryptographic Message Syntax, its recipients and key packages."""

from __future__ import annotations

from typing import Any

from base_strategies import (
    bit_strings,
    distinguished_names,
    generalized_times,
    integers,
    named_general_names,
    object_identifiers,
    octets,
    optional,
    some,
    texts,
    tlvs,
)
from hypothesis import strategies as st
from x509_strategies import algorithm_identifiers, few_certificate_lists, few_certificates

from cmpkit import asn1
from cmpkit.asn1 import SetOf, Variant


def tagged(tag: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An alternative of a CHOICE."""
    return values.map(lambda value: Variant(value, tag))


cms_attributes = st.builds(asn1.CMSAttribute, attr_type=object_identifiers, attr_values=some(tlvs, 1).map(SetOf))
attribute_sets = cms_attributes.map(lambda attribute: SetOf([attribute]))
content_infos = st.builds(asn1.ContentInfo, content_type=object_identifiers, content=tlvs)
issuers_and_numbers = st.builds(asn1.IssuerAndSerialNumber, issuer=distinguished_names, serial_number=integers)
by_issuer_and_number = tagged("issuer_and_serial_number", issuers_and_numbers)
by_key = tagged("subject_key_identifier", octets)
other_key_attributes = st.builds(asn1.OtherKeyAttribute, object_identifiers, optional(tlvs))
key_trans_recipient_infos = st.builds(
    asn1.KeyTransRecipientInfo,
    version=st.sampled_from([0, 2]),
    rid=by_issuer_and_number | by_key,
    key_encryption_algorithm=algorithm_identifiers,
    encrypted_key=octets,
)
originator_public_keys = st.builds(asn1.OriginatorPublicKey, algorithm=algorithm_identifiers, public_key=bit_strings)
originators = by_issuer_and_number | by_key | tagged("originator_key", originator_public_keys)
recipient_key_identifiers = st.builds(
    asn1.RecipientKeyIdentifier,
    subject_key_identifier=octets,
    date=optional(generalized_times),
    other=optional(other_key_attributes),
)
key_agree_recipients = by_issuer_and_number | tagged("r_key_id", recipient_key_identifiers)
recipient_encrypted_keys = st.builds(asn1.RecipientEncryptedKey, rid=key_agree_recipients, encrypted_key=octets)
key_agree_recipient_infos = st.builds(
    asn1.KeyAgreeRecipientInfo,
    version=st.just(3),
    originator=originators,
    ukm=optional(octets),
    key_encryption_algorithm=algorithm_identifiers,
    recipient_encrypted_keys=st.lists(recipient_encrypted_keys, max_size=2),
)
kek_identifiers = st.builds(
    asn1.KEKIdentifier, key_identifier=octets, date=optional(generalized_times), other=optional(other_key_attributes)
)
kek_recipient_infos = st.builds(
    asn1.KEKRecipientInfo,
    version=st.just(4),
    kekid=kek_identifiers,
    key_encryption_algorithm=algorithm_identifiers,
    encrypted_key=octets,
)
password_recipient_infos = st.builds(
    asn1.PasswordRecipientInfo,
    version=st.just(0),
    key_derivation_algorithm=optional(algorithm_identifiers),
    key_encryption_algorithm=algorithm_identifiers,
    encrypted_key=octets,
)
kem_recipient_infos = st.builds(
    asn1.KEMRecipientInfo,
    version=st.just(0),
    rid=by_issuer_and_number | by_key,
    kem=algorithm_identifiers,
    kemct=octets,
    kdf=algorithm_identifiers,
    kek_length=integers,
    ukm=optional(octets),
    wrap=algorithm_identifiers,
    encrypted_key=octets,
)
kem_other_infos_of_recipients = st.builds(
    asn1.CMSORIforKEMOtherInfo, wrap=algorithm_identifiers, kek_length=integers, ukm=optional(octets)
)
other_recipient_infos = st.builds(asn1.OtherRecipientInfo, ori_type=object_identifiers, ori_value=tlvs)
recipients = st.one_of(
    tagged("ktri", key_trans_recipient_infos),
    tagged("kari", key_agree_recipient_infos),
    tagged("kekri", kek_recipient_infos),
    tagged("pwri", password_recipient_infos),
    tagged("ori", other_recipient_infos),
)
_certificate_sets = few_certificates.map(lambda certificate: SetOf([asn1.to_tlv(certificate)]))
_list_sets = few_certificate_lists.map(lambda revoked: SetOf([asn1.to_tlv(revoked)]))
originator_infos = st.builds(asn1.OriginatorInfo, certs=_certificate_sets, crls=optional(_list_sets)) | st.builds(
    asn1.OriginatorInfo, crls=_list_sets
)
encrypted_content_infos = st.builds(
    asn1.EncryptedContentInfo,
    content_type=object_identifiers,
    content_encryption_algorithm=algorithm_identifiers,
    encrypted_content=optional(octets),
)
enveloped_data = st.builds(
    asn1.EnvelopedData,
    version=st.sampled_from([0, 2, 3]),
    originator_info=optional(originator_infos),
    recipient_infos=recipients.map(lambda recipient: SetOf([recipient])),
    encrypted_content_info=encrypted_content_infos,
    unprotected_attrs=optional(attribute_sets),
)
encrypted_values = st.builds(
    asn1.EncryptedValue,
    intended_alg=optional(algorithm_identifiers),
    symm_alg=optional(algorithm_identifiers),
    enc_symm_key=optional(bit_strings),
    key_alg=optional(algorithm_identifiers),
    value_hint=optional(octets),
    enc_value=bit_strings,
)
encrypted_keys = encrypted_values.map(lambda value: Variant(value, "encrypted_value")) | enveloped_data.map(
    lambda value: Variant(value, "enveloped_data")
)
encapsulated_content_infos = st.builds(
    asn1.EncapsulatedContentInfo, e_content_type=object_identifiers, e_content=optional(octets)
)
signer_infos = st.builds(
    asn1.SignerInfo,
    version=st.sampled_from([1, 3]),
    sid=by_issuer_and_number | by_key,
    digest_algorithm=algorithm_identifiers,
    signed_attrs=optional(attribute_sets),
    signature_algorithm=algorithm_identifiers,
    signature=octets,
    unsigned_attrs=optional(attribute_sets),
)
signed_data = st.builds(
    asn1.SignedData,
    version=st.sampled_from([1, 3, 4, 5]),
    digest_algorithms=st.lists(algorithm_identifiers, max_size=1).map(SetOf),
    encap_content_info=encapsulated_content_infos,
    certificates=optional(_certificate_sets),
    crls=optional(_list_sets),
    signer_infos=st.lists(signer_infos, max_size=1).map(SetOf),
)
one_asymmetric_keys = st.builds(
    asn1.OneAsymmetricKey,
    version=st.integers(0, 1),
    private_key_algorithm=algorithm_identifiers,
    private_key=octets,
    attributes=optional(attribute_sets),
    public_key=optional(bit_strings),
)
enc_keys_with_id = st.builds(
    asn1.EncKeyWithID,
    private_key=one_asymmetric_keys,
    identifier=optional(
        tagged("string", texts) | tagged("general_name", named_general_names.map(asn1.encode_general_name))
    ),
)
