"""Hypothesis strategies for certificate requests, proofs of possession and controls."""

from __future__ import annotations

from base_strategies import (
    bit_strings,
    general_names,
    integers,
    named_general_names,
    names_in_templates,
    object_identifiers,
    octets,
    optional,
    some,
    times,
    tlvs,
)
from cms_strategies import encrypted_keys, enveloped_data, tagged
from hypothesis import strategies as st
from x509_strategies import algorithm_identifiers, extensions, public_keys

from cmpkit import asn1
from cmpkit.asn1 import Null, Variant
from cmpkit.enums import SubsequentMessage

cert_ids = st.builds(asn1.CertId, issuer=general_names, serial_number=integers)
attributes_and_values = st.builds(asn1.AttributeTypeAndValue, type=object_identifiers, value=tlvs)
optional_validities = st.builds(asn1.OptionalValidity, not_before=times, not_after=optional(times)) | st.builds(
    asn1.OptionalValidity, not_after=times
)
cert_templates = st.builds(
    asn1.CertTemplate,
    version=optional(st.just(2)),
    serial_number=optional(integers),
    signing_alg=optional(algorithm_identifiers),
    issuer=optional(names_in_templates),
    validity=optional(optional_validities),
    subject=optional(names_in_templates),
    public_key=optional(public_keys),
    issuer_uid=optional(bit_strings),
    subject_uid=optional(bit_strings),
    extensions=optional(some(extensions)),
)
cert_requests = st.builds(
    asn1.CertRequest,
    cert_req_id=integers,
    cert_template=cert_templates,
    controls=optional(some(attributes_and_values)),
)
pk_mac_values = st.builds(asn1.PKMACValue, alg_id=algorithm_identifiers, value=bit_strings)
popo_signing_key_inputs = st.builds(
    asn1.POPOSigningKeyInput,
    auth_info=general_names.map(lambda name: Variant(asn1.encode_general_name(name), "sender"))
    | pk_mac_values.map(lambda value: Variant(value, "public_key_mac")),
    public_key=public_keys,
)
popo_signing_keys = st.builds(
    asn1.POPOSigningKey,
    poposk_input=optional(popo_signing_key_inputs),
    algorithm_identifier=algorithm_identifiers,
    signature=bit_strings,
)
popo_priv_keys = st.one_of(
    tagged("this_message", bit_strings),
    tagged("subsequent_message", st.sampled_from(SubsequentMessage)),
    tagged("dh_mac", bit_strings),
    tagged("agree_mac", pk_mac_values),
    tagged("encrypted_key", enveloped_data),
)
_priv_key_elements = popo_priv_keys.map(lambda proof: asn1.make_element(proof, asn1.POPOPrivKey))
proofs = st.one_of(
    st.just(Variant(Null(), "ra_verified")),
    tagged("signature", popo_signing_keys),
    tagged("key_encipherment", _priv_key_elements),
    tagged("key_agreement", _priv_key_elements),
)
cert_req_msgs = st.builds(
    asn1.CertReqMsg.build, cert_requests, optional(proofs), reg_info=optional(some(attributes_and_values))
)
single_pub_infos = st.builds(
    asn1.SinglePubInfo,
    pub_method=st.integers(0, 3),
    pub_location=optional(named_general_names),
)
publication_infos = st.builds(
    asn1.PKIPublicationInfo, action=st.integers(0, 1), pub_infos=optional(some(single_pub_infos))
)
archive_options = st.one_of(
    tagged("encrypted_priv_key", encrypted_keys.map(lambda key: asn1.make_element(key, asn1.EncryptedKey))),
    tagged("key_gen_parameters", octets),
    tagged("archive_rem_gen_priv_key", st.booleans()),
)
challenges = st.builds(
    asn1.Challenge,
    owf=optional(algorithm_identifiers),
    witness=octets,
    challenge=octets,
    encrypted_rand=optional(enveloped_data),
)
rands = st.builds(asn1.Rand, int_=integers, sender=general_names)
cert_req_template_contents = st.builds(
    asn1.CertReqTemplateContent, cert_template=cert_templates, key_spec=optional(some(attributes_and_values))
)
