"""Hypothesis strategies for the wire types, whole messages last: any value that a class can hold, and pyasn1 can write.

pyasn1 drops an OPTIONAL field that is there and empty (a NULL-DN in a template) and zeros from the fraction of a
GeneralizedTime, and writes -128 and its like with an octet too many: test_values.py has these.
"""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st

from cmpkit import asn1, oids
from cmpkit.asn1 import TLV, BitString, GeneralizedTime, IA5String, Null, PrintableString, SetOf, UTCTime, Variant
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus


@asn1.sequence
class IssuerAndSerialNumber:
    """RFC 5652 section 10.2.4."""

    issuer: x509.Name
    serial_number: int


@asn1.sequence
class KeyTransRecipientInfo:
    """RFC 5652 section 6.2.1."""

    version: int
    rid: IssuerAndSerialNumber
    key_encryption_algorithm: asn1.AlgorithmIdentifier
    encrypted_key: bytes


PRINTABLE = "abcXYZ019 '()+,-./:=?"


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The value, or its absence."""
    return st.none() | strategy


def some(strategy: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    """``SEQUENCE SIZE (1..MAX) OF``, short."""
    return st.lists(strategy, min_size=1, max_size=most)


octets = st.binary(max_size=40)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
integers = st.integers(-(2**70), 2**160).filter(lambda n: n >= 0 or -n & (-n - 1)) | st.integers(-1, 3)
ia5_strings = st.text(st.characters(max_codepoint=127), max_size=12).map(IA5String)
printable_strings = st.text(PRINTABLE, max_size=12).map(PrintableString)
directory_strings = texts.filter(bool) | st.text(PRINTABLE, min_size=1, max_size=12).map(PrintableString)
arcs = st.lists(st.integers(0, 2**32), min_size=1, max_size=6)
object_identifiers = st.sampled_from(
    [oid for oid in vars(oids).values() if isinstance(oid, x509.ObjectIdentifier)]
) | st.builds(
    lambda first, rest: x509.ObjectIdentifier(".".join(map(str, (1, first, *rest)))), st.integers(0, 39), arcs
)


@st.composite
def _bit_strings(draw: st.DrawFn) -> BitString:
    data = draw(octets)
    unused = draw(st.integers(0, 7)) if data else 0
    return BitString(data[:-1] + bytes([data[-1] >> unused << unused]) if data else b"", unused)


bit_strings = _bit_strings()
moments = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31), timezones=st.just(datetime.UTC))
generalized_times = st.builds(
    lambda moment, fraction: GeneralizedTime(moment.replace(microsecond=fraction)),
    moments,
    st.sampled_from([0, 500_000, 120_000, 789_000]),
)
utc_times = (
    st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2049, 12, 31), timezones=st.just(datetime.UTC))
    .map(lambda moment: moment.replace(microsecond=0))
    .map(UTCTime)
)
times = utc_times | st.builds(
    lambda moment: GeneralizedTime(moment.replace(microsecond=0)),
    st.datetimes(datetime.datetime(2050, 1, 1), timezones=st.just(datetime.UTC)),
)
tlvs: st.SearchStrategy[TLV] = st.one_of(
    integers, octets.map(asn1.encode), texts, st.just(Null()), bit_strings, generalized_times
).map(asn1.to_tlv)
attributes_of_names = st.one_of(
    st.builds(lambda value: x509.NameAttribute(NameOID.COMMON_NAME, value), texts.filter(bool).map(lambda t: t[:16])),
    st.builds(lambda value: x509.NameAttribute(NameOID.ORGANIZATION_NAME, value), texts),
    st.builds(lambda value: x509.NameAttribute(NameOID.SERIAL_NUMBER, value), st.text(PRINTABLE, max_size=9)),
    st.sampled_from(["DE", "US"]).map(lambda value: x509.NameAttribute(NameOID.COUNTRY_NAME, value)),
)
relative_names = st.lists(attributes_of_names, min_size=1, max_size=2, unique_by=lambda attribute: attribute.oid).map(
    x509.RelativeDistinguishedName
)
distinguished_names = st.lists(relative_names, max_size=3).map(x509.Name)
names_in_templates = some(relative_names).map(x509.Name)
general_names: st.SearchStrategy[Any] = st.one_of(
    distinguished_names.map(asn1.directory_name),
    st.builds(asn1.AnotherName, type_id=object_identifiers, value=tlvs).map(lambda name: Variant(name, "other_name")),
    ia5_strings.map(lambda name: Variant(name, "rfc822_name")),
    ia5_strings.map(lambda name: Variant(name, "dns_name")),
    ia5_strings.map(lambda name: Variant(name, "uniform_resource_identifier")),
    st.builds(asn1.EDIPartyName, name_assigner=optional(directory_strings), party_name=directory_strings).map(
        lambda name: Variant(name, "edi_party_name")
    ),
    octets.map(lambda name: Variant(name, "ip_address")),
    object_identifiers.map(lambda name: Variant(name, "registered_id")),
)
algorithm_identifiers = st.builds(asn1.AlgorithmIdentifier, object_identifiers, optional(tlvs))
infos = st.builds(asn1.InfoTypeAndValue, object_identifiers, optional(tlvs))
public_keys = st.builds(asn1.SubjectPublicKeyInfo, algorithm=algorithm_identifiers, subject_public_key=bit_strings)
extensions = st.builds(asn1.Extension, extn_id=object_identifiers, critical=st.booleans(), extn_value=octets)
validities = st.builds(asn1.Validity, not_before=times, not_after=times)
revoked_certificates = st.builds(
    asn1.RevokedCertificate,
    user_certificate=integers,
    revocation_date=times,
    crl_entry_extensions=optional(some(extensions)),
)
tbs_certificates = st.builds(
    asn1.TBSCertificate,
    version=st.integers(0, 2),
    serial_number=integers,
    signature=algorithm_identifiers,
    issuer=distinguished_names.map(asn1.to_tlv),
    validity=validities,
    subject=distinguished_names.map(asn1.to_tlv),
    subject_public_key_info=public_keys.map(asn1.to_tlv),
    issuer_unique_id=optional(bit_strings),
    subject_unique_id=optional(bit_strings),
    extensions=optional(some(extensions)),
)
certificates = st.builds(
    asn1.CertificateWire,
    tbs_certificate=tbs_certificates.map(asn1.to_tlv),
    signature_algorithm=algorithm_identifiers,
    signature_value=bit_strings,
)
tbs_cert_lists = st.builds(
    asn1.TBSCertList,
    version=optional(st.just(1)),
    signature=algorithm_identifiers,
    issuer=distinguished_names,
    this_update=times,
    next_update=optional(times),
    revoked_certificates=optional(some(revoked_certificates)),
    crl_extensions=optional(some(extensions)),
)
certificate_lists = st.builds(
    asn1.CertificateList,
    tbs_cert_list=tbs_cert_lists.map(asn1.to_tlv),
    signature_algorithm=algorithm_identifiers,
    signature_value=bit_strings,
)
attributes = st.builds(asn1.Attribute, type=object_identifiers, values=some(tlvs, 1).map(SetOf))
certification_request_infos = st.builds(
    asn1.CertificationRequestInfo,
    version=st.just(0),
    subject=distinguished_names,
    subject_pk_info=public_keys,
    attributes=st.lists(attributes, max_size=1).map(SetOf),
)
certification_requests = st.builds(
    asn1.CertificationRequest,
    certification_request_info=certification_request_infos.map(asn1.to_tlv),
    signature_algorithm=algorithm_identifiers,
    signature=bit_strings,
)

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
subsequent_messages = st.sampled_from([b"\x81\x01\x00", b"\x81\x01\x01"]).map(asn1.to_tlv)
proofs = st.one_of(
    st.just(Variant(Null(), "ra_verified")),
    popo_signing_keys.map(lambda proof: Variant(proof, "signature")),
    subsequent_messages.map(lambda proof: Variant(proof, "key_encipherment")),
    subsequent_messages.map(lambda proof: Variant(proof, "key_agreement")),
)
cert_req_msgs = st.builds(
    asn1.CertReqMsg.build, cert_requests, optional(proofs), reg_info=optional(some(attributes_and_values))
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
recipients = st.builds(
    KeyTransRecipientInfo,
    version=st.just(0),
    rid=st.builds(IssuerAndSerialNumber, issuer=distinguished_names, serial_number=integers),
    key_encryption_algorithm=algorithm_identifiers,
    encrypted_key=octets,
).map(asn1.to_tlv)
_certificate_sets = certificates.map(lambda certificate: SetOf([asn1.to_tlv(certificate)]))
_list_sets = certificate_lists.map(lambda revoked: SetOf([asn1.to_tlv(revoked)]))
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
    unprotected_attrs=optional(attributes.map(lambda attribute: SetOf([asn1.to_tlv(attribute)]))),
)
encrypted_keys = encrypted_values.map(lambda value: Variant(value, "encrypted_value")) | enveloped_data.map(
    lambda value: Variant(value, "enveloped_data")
)
single_pub_infos = st.builds(
    asn1.SinglePubInfo,
    pub_method=st.integers(0, 3),
    pub_location=optional(general_names.filter(lambda name: name.tag != "directory_name" or name.value.rdns)),
)
publication_infos = st.builds(
    asn1.PKIPublicationInfo, action=st.integers(0, 1), pub_infos=optional(some(single_pub_infos))
)
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

failures = st.sets(st.sampled_from(list(PKIFailureInfo))).map(lambda bits: PKIFailureInfo(sum(bits)))
status_infos = st.builds(asn1.PKIStatusInfo.of, st.sampled_from(PKIStatus), st.lists(texts, max_size=2), failures)
certified_key_pairs = st.builds(
    asn1.CertifiedKeyPair,
    cert_or_enc_cert=certificates.map(lambda certificate: Variant(asn1.to_tlv(certificate), "certificate"))
    | encrypted_values.map(lambda value: Variant(asn1.to_tlv(value), "encrypted_cert")),
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
    ca_pubs=optional(some(certificates.map(asn1.to_tlv), 2)),
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
    crls=optional(some(certificate_lists.map(asn1.to_tlv), 2)),
)
poll_reqs = st.builds(asn1.PollReq, cert_req_id=integers)
poll_reps = st.builds(asn1.PollRep, cert_req_id=integers, check_after=integers, reason=optional(some(texts)))
error_msg_contents = st.builds(
    asn1.ErrorMsgContent,
    pki_status_info=status_infos,
    error_code=optional(integers),
    error_details=optional(some(texts)),
)

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
    BodyType.KUR: some(cert_req_msgs, 2),
    BodyType.KUP: cert_rep_messages,
    BodyType.RR: st.lists(rev_details, max_size=2),
    BodyType.RP: rev_rep_contents,
    BodyType.PKICONF: st.just(Null()),
    BodyType.GENM: st.lists(infos, max_size=3),
    BodyType.GENP: st.lists(infos, max_size=3),
    BodyType.ERROR: error_msg_contents,
    BodyType.CERT_CONF: st.lists(cert_statuses, max_size=3),
    BodyType.POLL_REQ: st.lists(poll_reqs, max_size=3),
    BodyType.POLL_REP: st.lists(poll_reps, max_size=3),
}
UNREAD_BODIES = tuple(kind for kind in BodyType if kind not in _CONTENTS)
READ_BODIES = tuple(_CONTENTS)


def bodies_of(kind: BodyType) -> st.SearchStrategy[asn1.PKIBody]:
    """Bodies of one type."""
    return st.builds(asn1.PKIBody, st.just(kind), _CONTENTS.get(kind, tlvs))


read_bodies = st.sampled_from(READ_BODIES).flatmap(bodies_of)
bodies = st.sampled_from(BodyType).flatmap(bodies_of)


def messages_with(bodies: st.SearchStrategy[asn1.PKIBody]) -> st.SearchStrategy[asn1.PKIMessage]:
    """Whole messages around such bodies."""
    return st.builds(
        asn1.PKIMessage,
        headers,
        bodies,
        optional(octets),
        st.lists(certificates.map(asn1.encode), max_size=2).map(tuple),
    )


messages = messages_with(bodies)
