"""pyasn1 reads what we write and writes what we read, for every class."""

from __future__ import annotations

from typing import Any

import algorithm_strategies
import base_strategies
import cms_strategies
import crmf_strategies
import extension_strategies
import pytest
import specs
import strategies
import witness
import x509_strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit import asn1
from cmpkit.asn1 import PKIMessage, decode, decode_message, encode
from cmpkit.asn1.elements import is_choice

EXAMPLES = settings(max_examples=12)
STRATEGIES: dict[type[Any], st.SearchStrategy[Any]] = {
    asn1.AccessDescription: extension_strategies.access_descriptions,
    asn1.AlgorithmIdentifier: x509_strategies.algorithm_identifiers,
    asn1.Attribute: x509_strategies.attributes,
    asn1.AttributeTypeAndValue: crmf_strategies.attributes_and_values,
    asn1.AuthorityKeyIdentifier: extension_strategies.authority_key_identifiers,
    asn1.BasicConstraints: extension_strategies.basic_constraints,
    asn1.CAKeyUpdAnnContent: strategies.ca_key_upd_ann_contents,
    asn1.CMSAttribute: cms_strategies.cms_attributes,
    asn1.CMSORIforKEMOtherInfo: cms_strategies.kem_other_infos_of_recipients,
    asn1.CRLStatus: strategies.crl_statuses,
    asn1.CertId: crmf_strategies.cert_ids,
    asn1.CertRepMessage: strategies.cert_rep_messages,
    asn1.CertReqMsg: crmf_strategies.cert_req_msgs,
    asn1.CertReqTemplateContent: crmf_strategies.cert_req_template_contents,
    asn1.CertRequest: crmf_strategies.cert_requests,
    asn1.CertResponse: strategies.cert_responses,
    asn1.CertStatus: strategies.cert_statuses,
    asn1.CertTemplate: crmf_strategies.cert_templates,
    asn1.CertificateList: x509_strategies.certificate_lists,
    asn1.CertificateWire: x509_strategies.certificates,
    asn1.CertificationRequest: x509_strategies.certification_requests,
    asn1.CertificationRequestInfo: x509_strategies.certification_request_infos,
    asn1.CertifiedKeyPair: strategies.certified_key_pairs,
    asn1.Challenge: crmf_strategies.challenges,
    asn1.ContentInfo: cms_strategies.content_infos,
    asn1.DHBMParameter: algorithm_strategies.dhbm_parameters,
    asn1.DistributionPoint: extension_strategies.distribution_points,
    asn1.EncKeyWithID: cms_strategies.enc_keys_with_id,
    asn1.EncapsulatedContentInfo: cms_strategies.encapsulated_content_infos,
    asn1.EncryptedContentInfo: cms_strategies.encrypted_content_infos,
    asn1.EncryptedValue: cms_strategies.encrypted_values,
    asn1.EnvelopedData: cms_strategies.enveloped_data,
    asn1.ErrorMsgContent: strategies.error_msg_contents,
    asn1.Extension: x509_strategies.extensions,
    asn1.GMACParameters: algorithm_strategies.gmac_parameters,
    asn1.GeneralSubtree: extension_strategies.general_subtrees,
    asn1.InfoTypeAndValue: strategies.infos,
    asn1.IssuerAndSerialNumber: cms_strategies.issuers_and_numbers,
    asn1.KEKIdentifier: cms_strategies.kek_identifiers,
    asn1.KEKRecipientInfo: cms_strategies.kek_recipient_infos,
    asn1.KEMRecipientInfo: cms_strategies.kem_recipient_infos,
    asn1.KMACwithSHAKE128Params: algorithm_strategies.kmac128_params,
    asn1.KMACwithSHAKE256Params: algorithm_strategies.kmac256_params,
    asn1.KemBMParameter: algorithm_strategies.kem_bm_parameters,
    asn1.KemCiphertextInfo: algorithm_strategies.kem_ciphertext_infos,
    asn1.KemOtherInfo: algorithm_strategies.kem_other_infos,
    asn1.KeyAgreeRecipientInfo: cms_strategies.key_agree_recipient_infos,
    asn1.KeyRecRepContent: strategies.key_rec_rep_contents,
    asn1.KeyTransRecipientInfo: cms_strategies.key_trans_recipient_infos,
    asn1.NameConstraints: extension_strategies.name_constraints,
    asn1.OOBCertHash: strategies.oob_cert_hashes,
    asn1.OneAsymmetricKey: cms_strategies.one_asymmetric_keys,
    asn1.OptionalValidity: crmf_strategies.optional_validities,
    asn1.OriginatorInfo: cms_strategies.originator_infos,
    asn1.OriginatorPublicKey: cms_strategies.originator_public_keys,
    asn1.OtherKeyAttribute: cms_strategies.other_key_attributes,
    asn1.OtherRecipientInfo: cms_strategies.other_recipient_infos,
    asn1.PBKDF2Params: algorithm_strategies.pbkdf2_params,
    asn1.PBMAC1Params: algorithm_strategies.pbmac1_params,
    asn1.PBMParameter: algorithm_strategies.pbm_parameters,
    asn1.PKIHeader: strategies.headers,
    asn1.PKIPublicationInfo: crmf_strategies.publication_infos,
    asn1.PKIStatusInfo: strategies.status_infos,
    asn1.PKMACValue: crmf_strategies.pk_mac_values,
    asn1.POPOSigningKey: crmf_strategies.popo_signing_keys,
    asn1.POPOSigningKeyInput: crmf_strategies.popo_signing_key_inputs,
    asn1.PasswordRecipientInfo: cms_strategies.password_recipient_infos,
    asn1.PollRep: strategies.poll_reps,
    asn1.PollReq: strategies.poll_reqs,
    asn1.RSAESOAEPParams: algorithm_strategies.rsaes_oaep_params,
    asn1.RSASSAPSSParams: algorithm_strategies.rsassa_pss_params,
    asn1.Rand: crmf_strategies.rands,
    asn1.RecipientEncryptedKey: cms_strategies.recipient_encrypted_keys,
    asn1.RecipientKeyIdentifier: cms_strategies.recipient_key_identifiers,
    asn1.RevAnnContent: strategies.rev_ann_contents,
    asn1.RevDetails: strategies.rev_details,
    asn1.RevRepContent: strategies.rev_rep_contents,
    asn1.RevokedCertificate: x509_strategies.revoked_certificates,
    asn1.RootCaKeyUpdateContent: strategies.root_ca_key_update_contents,
    asn1.SignedData: cms_strategies.signed_data,
    asn1.SignerInfo: cms_strategies.signer_infos,
    asn1.SinglePubInfo: crmf_strategies.single_pub_infos,
    asn1.SubjectPublicKeyInfo: x509_strategies.public_keys,
    asn1.TBSCertList: x509_strategies.tbs_cert_lists,
    asn1.TBSCertificate: x509_strategies.tbs_certificates,
    asn1.Validity: x509_strategies.validities,
}
CHOICES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "CAKeyUpdContent": (asn1.CAKeyUpdContent, strategies.ca_key_upd_contents),
    "CRLSource": (asn1.CRLSource, strategies.crl_sources),
    "EncryptedKey": (asn1.EncryptedKey, cms_strategies.encrypted_keys),
    "GeneralName": (asn1.GeneralName, base_strategies.general_names),
    "KeyAgreeRecipientIdentifier": (asn1.KeyAgreeRecipientIdentifier, cms_strategies.key_agree_recipients),
    "OriginatorIdentifierOrKey": (asn1.OriginatorIdentifierOrKey, cms_strategies.originators),
    "PKIArchiveOptions": (asn1.PKIArchiveOptions, crmf_strategies.archive_options),
    "POPOPrivKey": (asn1.POPOPrivKey, crmf_strategies.popo_priv_keys),
    "ProofOfPossession": (asn1.ProofOfPossession, crmf_strategies.proofs),
    "RecipientIdentifier": (asn1.RecipientIdentifier, cms_strategies.by_issuer_and_number | cms_strategies.by_key),
    "RecipientInfo": (asn1.RecipientInfo, cms_strategies.recipients),
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
    parts_of_others = {
        asn1.AnotherName,
        asn1.DistributionPointName,
        asn1.EDIPartyName,
        asn1.Field,
        asn1.Member,
        asn1.OpenSequence,
        asn1.PKIBody,
        asn1.PKIMessage,
    }
    assert declared - parts_of_others == set(STRATEGIES) == set(specs.SPECS)


def test_every_choice_has_a_witness() -> None:
    others = (asn1.OpenValue, asn1.Time)
    declared = [value for value in vars(asn1).values() if is_choice(value) and value not in others]
    assert {asn1.name_of_kind(kind) for kind in declared} == set(CHOICES)
    assert set(CHOICES) == set(specs.CHOICES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
@EXAMPLES
def test_both_read_and_write_the_same(cls: type[Any], data: st.DataObject) -> None:
    value = data.draw(STRATEGIES[cls])
    der = encode(value)
    theirs = witness.read(der, specs.SPECS[cls])
    again = decode(cls, der)
    witness.assert_same(value, theirs, cls.__name__)
    witness.assert_same(again, theirs, cls.__name__)
    assert again == value
    assert witness.write(theirs) == der


@pytest.mark.parametrize("name", CHOICES)
@given(data=st.data())
@EXAMPLES
def test_both_read_and_write_the_same_choice(name: str, data: st.DataObject) -> None:
    kind, values = CHOICES[name]
    value = data.draw(values)
    element = asn1.make_element(value, kind)
    theirs = witness.read(encode(element), specs.CHOICES[name])
    again = asn1.read_element(element, kind)
    witness.assert_same(value, theirs, name)
    witness.assert_same(again, theirs, name)
    assert encode(asn1.make_element(again, kind)) == witness.write(theirs) == encode(element)


@given(strategies.messages)
@EXAMPLES
def test_both_read_and_write_the_same_messages(message: PKIMessage) -> None:
    theirs = witness.read(message.raw, specs.MESSAGE)
    again = decode_message(message.raw)
    witness.assert_same_message(message, theirs)
    witness.assert_same_message(again, theirs)
    assert again == message
    assert witness.write(theirs) == message.raw
