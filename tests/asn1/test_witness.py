"""pyasn1 reads what we write and writes what we read, for every class."""

from __future__ import annotations

from typing import Any

import pytest
import strategies
import witness
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit import asn1
from cmpkit.asn1 import PKIMessage, decode, decode_message, encode

EXAMPLES = settings(max_examples=25)
STRATEGIES: dict[type[Any], st.SearchStrategy[Any]] = {
    asn1.AlgorithmIdentifier: strategies.algorithm_identifiers,
    asn1.Attribute: strategies.attributes,
    asn1.AttributeTypeAndValue: strategies.attributes_and_values,
    asn1.CertId: strategies.cert_ids,
    asn1.CertRepMessage: strategies.cert_rep_messages,
    asn1.CertReqMsg: strategies.cert_req_msgs,
    asn1.CertRequest: strategies.cert_requests,
    asn1.CertResponse: strategies.cert_responses,
    asn1.CertStatus: strategies.cert_statuses,
    asn1.CertTemplate: strategies.cert_templates,
    asn1.CertificateList: strategies.certificate_lists,
    asn1.CertificateWire: strategies.certificates,
    asn1.CertificationRequest: strategies.certification_requests,
    asn1.CertificationRequestInfo: strategies.certification_request_infos,
    asn1.CertifiedKeyPair: strategies.certified_key_pairs,
    asn1.EncryptedContentInfo: strategies.encrypted_content_infos,
    asn1.EncryptedValue: strategies.encrypted_values,
    asn1.EnvelopedData: strategies.enveloped_data,
    asn1.ErrorMsgContent: strategies.error_msg_contents,
    asn1.Extension: strategies.extensions,
    asn1.InfoTypeAndValue: strategies.infos,
    asn1.OptionalValidity: strategies.optional_validities,
    asn1.OriginatorInfo: strategies.originator_infos,
    asn1.PBKDF2Params: strategies.pbkdf2_params,
    asn1.PBMAC1Params: strategies.pbmac1_params,
    asn1.PBMParameter: strategies.pbm_parameters,
    asn1.PKIHeader: strategies.headers,
    asn1.PKIPublicationInfo: strategies.publication_infos,
    asn1.PKIStatusInfo: strategies.status_infos,
    asn1.PKMACValue: strategies.pk_mac_values,
    asn1.POPOSigningKey: strategies.popo_signing_keys,
    asn1.POPOSigningKeyInput: strategies.popo_signing_key_inputs,
    asn1.PollRep: strategies.poll_reps,
    asn1.PollReq: strategies.poll_reqs,
    asn1.RSASSAPSSParams: strategies.rsassa_pss_params,
    asn1.RevDetails: strategies.rev_details,
    asn1.RevRepContent: strategies.rev_rep_contents,
    asn1.RevokedCertificate: strategies.revoked_certificates,
    asn1.SinglePubInfo: strategies.single_pub_infos,
    asn1.SubjectPublicKeyInfo: strategies.public_keys,
    asn1.TBSCertList: strategies.tbs_cert_lists,
    asn1.TBSCertificate: strategies.tbs_certificates,
    asn1.Validity: strategies.validities,
}
CLASSES = sorted(STRATEGIES, key=lambda cls: cls.__name__)


def test_every_declared_class_has_a_witness() -> None:
    declared = {
        cls
        for cls in vars(asn1).values()
        if isinstance(cls, type)
        and cls.__module__.startswith("cmpkit.asn1")
        and (hasattr(cls, "__dataclass_fields__") or issubclass(cls, asn1.OpenSequence))
    }
    parts_of_others = {asn1.AnotherName, asn1.EDIPartyName, asn1.OpenSequence, asn1.PKIBody, asn1.PKIMessage}
    assert declared - parts_of_others == set(STRATEGIES) == set(witness.SPECS)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
@EXAMPLES
def test_both_read_and_write_the_same(cls: type[Any], data: st.DataObject) -> None:
    value = data.draw(STRATEGIES[cls])
    der = encode(value)
    theirs = witness.read(der, witness.SPECS[cls])
    again = decode(cls, der)
    witness.assert_same(value, theirs, cls.__name__)
    witness.assert_same(again, theirs, cls.__name__)
    assert again == value
    assert witness.write(theirs) == der


@given(strategies.messages_with(strategies.read_bodies))
@EXAMPLES
def test_both_read_and_write_the_same_messages(message: PKIMessage) -> None:
    theirs = witness.read(message.raw, witness.MESSAGE)
    again = decode_message(message.raw)
    witness.assert_same_message(message, theirs)
    witness.assert_same_message(again, theirs)
    assert again == message
    assert witness.write(theirs) == message.raw
