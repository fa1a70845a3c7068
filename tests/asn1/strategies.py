"""Hypothesis strategies for the contents of bodies and for whole messages."""

from __future__ import annotations

from typing import Any

from base_strategies import (
    bit_strings,
    general_names,
    generalized_times,
    integers,
    object_identifiers,
    octets,
    optional,
    some,
    texts,
    times,
    tlvs,
)
from cms_strategies import encrypted_keys, tagged
from crmf_strategies import (
    attributes_and_values,
    cert_ids,
    cert_req_msgs,
    cert_templates,
    challenges,
    publication_infos,
)
from hypothesis import strategies as st
from x509_strategies import (
    algorithm_identifiers,
    certification_requests,
    extensions,
    few_certificate_lists,
    few_certificates,
)

from cmpkit import asn1
from cmpkit.asn1 import Null, SetOf, Variant
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus

infos = st.builds(asn1.InfoTypeAndValue, object_identifiers, optional(tlvs))
failures = st.sets(st.sampled_from(list(PKIFailureInfo))).map(lambda bits: PKIFailureInfo(sum(bits)))
status_infos = st.builds(asn1.PKIStatusInfo.of, st.sampled_from(PKIStatus), st.lists(texts, max_size=2), failures)
certified_key_pairs = st.builds(
    asn1.CertifiedKeyPair,
    cert_or_enc_cert=few_certificates.map(lambda certificate: Variant(asn1.to_tlv(certificate), "certificate"))
    | tagged("encrypted_cert", encrypted_keys.map(lambda key: asn1.make_element(key, asn1.EncryptedKey))),
    private_key=optional(encrypted_keys),
    publication_info=optional(publication_infos),
)
cert_responses = st.builds(
    asn1.CertResponse,
    cert_req_id=integers,
    status=status_infos,
    certified_key_pair=optional(certified_key_pairs),
    rsp_info=optional(octets),
)
cert_rep_messages = st.builds(
    asn1.CertRepMessage,
    ca_pubs=optional(some(few_certificates.map(asn1.to_tlv), 2)),
    response=st.lists(cert_responses, max_size=2),
)
cert_statuses = st.builds(
    asn1.CertStatus,
    cert_hash=octets,
    cert_req_id=integers,
    status_info=optional(status_infos),
    hash_alg=optional(algorithm_identifiers),
)
rev_details = st.builds(asn1.RevDetails, cert_details=cert_templates, crl_entry_details=optional(some(extensions)))
rev_rep_contents = st.builds(
    asn1.RevRepContent,
    status=some(status_infos),
    rev_certs=optional(some(cert_ids)),
    crls=optional(some(few_certificate_lists.map(asn1.to_tlv), 2)),
)
poll_reqs = st.builds(asn1.PollReq, cert_req_id=integers)
poll_reps = st.builds(asn1.PollRep, cert_req_id=integers, check_after=integers, reason=optional(some(texts)))
error_msg_contents = st.builds(
    asn1.ErrorMsgContent,
    pki_status_info=status_infos,
    error_code=optional(integers),
    error_details=optional(some(texts)),
)
key_rec_rep_contents = st.builds(
    asn1.KeyRecRepContent,
    status=status_infos,
    new_sig_cert=optional(few_certificates),
    ca_certs=optional(some(few_certificates, 2)),
    key_pair_hist=optional(some(certified_key_pairs, 2)),
)
ca_key_upd_ann_contents = st.builds(
    asn1.CAKeyUpdAnnContent, old_with_new=few_certificates, new_with_old=few_certificates, new_with_new=few_certificates
)
root_ca_key_update_contents = st.builds(
    asn1.RootCaKeyUpdateContent,
    new_with_new=few_certificates,
    new_with_old=optional(few_certificates),
    old_with_new=optional(few_certificates),
)
ca_key_upd_contents = tagged("ca_key_upd_ann_v2", ca_key_upd_ann_contents) | tagged(
    "ca_key_upd_ann_v3", root_ca_key_update_contents
)
rev_ann_contents = st.builds(
    asn1.RevAnnContent,
    status=st.sampled_from(PKIStatus),
    cert_id=cert_ids,
    will_be_revoked_at=generalized_times,
    bad_since_date=generalized_times,
    crl_details=optional(some(extensions)),
)
oob_cert_hashes = st.builds(
    asn1.OOBCertHash, hash_alg=optional(algorithm_identifiers), cert_id=optional(cert_ids), hash_val=bit_strings
)
distribution_point_names = st.builds(asn1.DistributionPointName, full_name=some(general_names, 2)) | st.builds(
    asn1.DistributionPointName,
    name_relative_to_crl_issuer=attributes_and_values.map(lambda attribute: SetOf([attribute])),
)
crl_sources = tagged("dpn", distribution_point_names) | tagged(
    "issuer", some(general_names, 2).map(lambda names: asn1.make_element(names, asn1.GeneralNames))
)
crl_statuses = st.builds(asn1.CRLStatus, source=crl_sources, this_update=optional(times))

headers = st.builds(
    asn1.PKIHeader,
    pvno=st.integers(1, 3),
    sender=general_names,
    recipient=general_names,
    message_time=optional(generalized_times),
    protection_alg=optional(algorithm_identifiers),
    sender_kid=optional(octets),
    recip_kid=optional(octets),
    transaction_id=optional(octets),
    sender_nonce=optional(octets),
    recip_nonce=optional(octets),
    free_text=optional(some(texts)),
    general_info=optional(some(infos)),
)
_CONTENTS: dict[BodyType, st.SearchStrategy[Any]] = {
    BodyType.IR: some(cert_req_msgs, 2),
    BodyType.IP: cert_rep_messages,
    BodyType.CR: some(cert_req_msgs, 2),
    BodyType.CP: cert_rep_messages,
    BodyType.P10CR: certification_requests,
    BodyType.POPDECC: st.lists(challenges, max_size=2),
    BodyType.POPDECR: st.lists(integers, max_size=3),
    BodyType.KUR: some(cert_req_msgs, 2),
    BodyType.KUP: cert_rep_messages,
    BodyType.KRR: some(cert_req_msgs, 1),
    BodyType.KRP: key_rec_rep_contents,
    BodyType.RR: st.lists(rev_details, max_size=2),
    BodyType.RP: rev_rep_contents,
    BodyType.CCR: some(cert_req_msgs, 1),
    BodyType.CCP: cert_rep_messages,
    BodyType.CKUANN: ca_key_upd_contents,
    BodyType.CANN: few_certificates,
    BodyType.RANN: rev_ann_contents,
    BodyType.CRLANN: st.lists(few_certificate_lists, max_size=2),
    BodyType.PKICONF: st.just(Null()),
    BodyType.GENM: st.lists(infos, max_size=3),
    BodyType.GENP: st.lists(infos, max_size=3),
    BodyType.ERROR: error_msg_contents,
    BodyType.CERT_CONF: st.lists(cert_statuses, max_size=3),
    BodyType.POLL_REQ: st.lists(poll_reqs, max_size=3),
    BodyType.POLL_REP: st.lists(poll_reps, max_size=3),
}


def bodies_of(kind: BodyType) -> st.SearchStrategy[asn1.PKIBody]:
    """Bodies of one type, nested ones aside."""
    return st.builds(asn1.PKIBody, st.just(kind), _CONTENTS[kind])


plain_bodies = st.sampled_from(list(_CONTENTS)).flatmap(bodies_of)


def messages_with(bodies: st.SearchStrategy[asn1.PKIBody]) -> st.SearchStrategy[asn1.PKIMessage]:
    """Whole messages around such bodies."""
    return st.builds(
        asn1.PKIMessage,
        headers,
        bodies,
        optional(octets),
        st.lists(few_certificates.map(asn1.encode), max_size=2).map(tuple),
    )


plain_messages = messages_with(plain_bodies)
_short_bodies = st.sampled_from([BodyType.PKICONF, BodyType.POLL_REQ, BodyType.GENM]).flatmap(bodies_of)
nested_bodies = some(messages_with(_short_bodies), 2).map(
    lambda messages: asn1.PKIBody(BodyType.NESTED, [asn1.to_tlv(message.raw) for message in messages])
)
bodies = plain_bodies | nested_bodies
messages = messages_with(bodies)
