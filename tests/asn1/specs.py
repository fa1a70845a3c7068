"""The types of the messages as pyasn1 knows them.

pyasn1-modules has RFC 4210 over the older RFC 2511 and RFC 2459. Here its newer modules (RFC 4211, RFC 5280, RFC 5652)
are put together as RFC 9810 has them, with its additions: hashAlg, encryptedKey, genp. What is newer than
pyasn1-modules is written out from the RFCs.
"""

from __future__ import annotations

from typing import Any

from pyasn1.type import char, constraint, namedtype, tag, univ, useful
from pyasn1_modules import rfc2986, rfc4055, rfc4210, rfc4211, rfc5280, rfc5652, rfc5958, rfc8018, rfc8702

from cmpkit import asn1
from cmpkit.enums import BodyType


def explicit(spec: Any, number: int) -> Any:
    """``[number] EXPLICIT spec``."""
    return spec.subtype(explicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number))


def implicit(spec: Any, number: int) -> Any:
    """``[number] IMPLICIT spec``."""
    return spec.subtype(implicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number))


def sequence_of(spec: Any, least: int = 0) -> Any:
    """``SEQUENCE SIZE (least..MAX) OF spec``."""
    return univ.SequenceOf(componentType=spec).subtype(sizeSpec=constraint.ValueSizeConstraint(least, float("inf")))


def sequence(**fields: Any) -> Any:
    """A SEQUENCE; a field in a tuple is OPTIONAL."""
    return univ.Sequence(componentType=_named(fields))


def choice(**alternatives: Any) -> Any:
    """A CHOICE."""
    return univ.Choice(componentType=_named(alternatives))


def _named(fields: dict[str, Any]) -> namedtype.NamedTypes:
    return namedtype.NamedTypes(
        *(
            namedtype.OptionalNamedType(name, spec[0]) if isinstance(spec, tuple) else namedtype.NamedType(name, spec)
            for name, spec in fields.items()
        )
    )


FREE_TEXT = sequence_of(char.UTF8String(), 1)
CERTIFICATE = rfc5280.Certificate()
ALGORITHM = rfc5280.AlgorithmIdentifier()
GENERAL_NAME = rfc5280.GeneralName()
INFO = sequence(infoType=univ.ObjectIdentifier(), infoValue=(univ.Any(),))
ENCRYPTED_KEY = choice(encryptedValue=rfc4211.EncryptedValue(), envelopedData=implicit(rfc5652.EnvelopedData(), 0))
ORIGINATOR_INFO = rfc5652.OriginatorInfo()
PUBLICATION_INFO = rfc4211.PKIPublicationInfo()
STATUS = rfc4210.PKIStatusInfo()
CERTIFIED_KEY_PAIR = sequence(
    certOrEncCert=choice(certificate=explicit(CERTIFICATE, 0), encryptedCert=explicit(ENCRYPTED_KEY, 1)),
    privateKey=(explicit(ENCRYPTED_KEY, 0),),
    publicationInfo=(explicit(PUBLICATION_INFO, 1),),
)
CERT_RESPONSE = sequence(
    certReqId=univ.Integer(),
    status=STATUS,
    certifiedKeyPair=(CERTIFIED_KEY_PAIR,),
    rspInfo=(univ.OctetString(),),
)
CERT_REP = sequence(caPubs=(explicit(sequence_of(CERTIFICATE, 1), 1),), response=sequence_of(CERT_RESPONSE))
CERT_STATUS = sequence(
    certHash=univ.OctetString(),
    certReqId=univ.Integer(),
    statusInfo=(STATUS,),
    hashAlg=(explicit(ALGORITHM, 0),),
)
REV_DETAILS = sequence(certDetails=rfc4211.CertTemplate(), crlEntryDetails=(rfc5280.Extensions(),))
REV_REP = sequence(
    status=sequence_of(STATUS, 1),
    revCerts=(explicit(sequence_of(rfc4211.CertId(), 1), 0),),
    crls=(explicit(sequence_of(rfc5280.CertificateList(), 1), 1),),
)
ENVELOPED_DATA = rfc5652.EnvelopedData()
KEY_REC_REP = sequence(
    status=STATUS,
    newSigCert=(explicit(CERTIFICATE, 0),),
    caCerts=(explicit(sequence_of(CERTIFICATE, 1), 1),),
    keyPairHist=(explicit(sequence_of(CERTIFIED_KEY_PAIR, 1), 2),),
)
CHALLENGE = sequence(
    owf=(ALGORITHM,),
    witness=univ.OctetString(),
    challenge=univ.OctetString(),
    encryptedRand=(explicit(ENVELOPED_DATA, 0),),
)
RAND = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("int", univ.Integer()), namedtype.NamedType("sender", GENERAL_NAME)
    )
)
CA_KEY_UPD_ANN = sequence(oldWithNew=CERTIFICATE, newWithOld=CERTIFICATE, newWithNew=CERTIFICATE)
ROOT_CA_KEY_UPDATE = sequence(
    newWithNew=CERTIFICATE, newWithOld=(explicit(CERTIFICATE, 0),), oldWithNew=(explicit(CERTIFICATE, 1),)
)
CA_KEY_UPD = choice(cAKeyUpdAnnV2=CA_KEY_UPD_ANN, cAKeyUpdAnnV3=explicit(ROOT_CA_KEY_UPDATE, 0))
REV_ANN = sequence(
    status=univ.Integer(),
    certId=rfc4211.CertId(),
    willBeRevokedAt=useful.GeneralizedTime(),
    badSinceDate=useful.GeneralizedTime(),
    crlDetails=(rfc5280.Extensions(),),
)
OOB_CERT_HASH = sequence(
    hashAlg=(explicit(ALGORITHM, 0),), certId=(explicit(rfc4211.CertId(), 1),), hashVal=univ.BitString()
)
GENERAL_NAMES = sequence_of(GENERAL_NAME, 1)
CRL_SOURCE = choice(dpn=explicit(rfc5280.DistributionPointName(), 0), issuer=explicit(GENERAL_NAMES, 1))
CRL_STATUS = sequence(source=CRL_SOURCE, thisUpdate=(rfc5280.Time(),))
CERT_REQ_TEMPLATE = sequence(certTemplate=rfc4211.CertTemplate(), keySpec=(rfc4211.Controls(),))
KEM_BM = sequence(kdf=ALGORITHM, kemContext=(explicit(univ.OctetString(), 0),), len=univ.Integer(), mac=ALGORITHM)
KEM_OTHER_INFO = sequence(
    staticString=FREE_TEXT, transactionID=univ.OctetString(), kemContext=(explicit(univ.OctetString(), 0),)
)
KEM_RECIPIENT = sequence(
    version=univ.Integer(),
    rid=rfc5652.RecipientIdentifier(),
    kem=ALGORITHM,
    kemct=univ.OctetString(),
    kdf=ALGORITHM,
    kekLength=univ.Integer(),
    ukm=(explicit(univ.OctetString(), 0),),
    wrap=ALGORITHM,
    encryptedKey=univ.OctetString(),
)
KEM_ORI_OTHER_INFO = sequence(wrap=ALGORITHM, kekLength=univ.Integer(), ukm=(explicit(univ.OctetString(), 0),))
GMAC = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("nonce", univ.OctetString()), namedtype.DefaultedNamedType("length", univ.Integer(12))
    )
)
ENC_KEY_WITH_ID = sequence(
    privateKey=rfc5958.OneAsymmetricKey(), identifier=(choice(string=char.UTF8String(), generalName=GENERAL_NAME),)
)
POLL_REQ = sequence(certReqId=univ.Integer())
POLL_REP = sequence(certReqId=univ.Integer(), checkAfter=univ.Integer(), reason=(FREE_TEXT,))
ERROR = sequence(pKIStatusInfo=STATUS, errorCode=(univ.Integer(),), errorDetails=(FREE_TEXT,))
HEADER = sequence(
    pvno=univ.Integer(),
    sender=GENERAL_NAME,
    recipient=GENERAL_NAME,
    messageTime=(explicit(useful.GeneralizedTime(), 0),),
    protectionAlg=(explicit(ALGORITHM, 1),),
    senderKID=(explicit(univ.OctetString(), 2),),
    recipKID=(explicit(univ.OctetString(), 3),),
    transactionID=(explicit(univ.OctetString(), 4),),
    senderNonce=(explicit(univ.OctetString(), 5),),
    recipNonce=(explicit(univ.OctetString(), 6),),
    freeText=(explicit(FREE_TEXT, 7),),
    generalInfo=(explicit(sequence_of(INFO, 1), 8),),
)
_CONTENTS = {
    BodyType.IR: rfc4211.CertReqMessages(),
    BodyType.IP: CERT_REP,
    BodyType.CR: rfc4211.CertReqMessages(),
    BodyType.CP: CERT_REP,
    BodyType.P10CR: rfc2986.CertificationRequest(),
    BodyType.KUR: rfc4211.CertReqMessages(),
    BodyType.KUP: CERT_REP,
    BodyType.RR: sequence_of(REV_DETAILS),
    BodyType.RP: REV_REP,
    BodyType.PKICONF: univ.Null(),
    BodyType.GENM: sequence_of(INFO),
    BodyType.GENP: sequence_of(INFO),
    BodyType.ERROR: ERROR,
    BodyType.CERT_CONF: sequence_of(CERT_STATUS),
    BodyType.POLL_REQ: sequence_of(POLL_REQ),
    BodyType.POLL_REP: sequence_of(POLL_REP),
    BodyType.POPDECC: sequence_of(CHALLENGE),
    BodyType.POPDECR: sequence_of(univ.Integer()),
    BodyType.KRR: rfc4211.CertReqMessages(),
    BodyType.KRP: KEY_REC_REP,
    BodyType.CCR: rfc4211.CertReqMessages(),
    BodyType.CCP: CERT_REP,
    BodyType.CKUANN: CA_KEY_UPD,
    BodyType.CANN: CERTIFICATE,
    BodyType.RANN: REV_ANN,
    BodyType.CRLANN: sequence_of(rfc5280.CertificateList()),
    BodyType.NESTED: sequence_of(univ.Any(), 1),
}
BODY = choice(**{kind.wire_name: explicit(content, kind) for kind, content in _CONTENTS.items()})
MESSAGE = sequence(
    header=HEADER,
    body=BODY,
    protection=(explicit(univ.BitString(), 0),),
    extraCerts=(explicit(sequence_of(CERTIFICATE, 1), 1),),
)
SPECS: dict[type[Any], Any] = {
    asn1.AlgorithmIdentifier: ALGORITHM,
    asn1.Attribute: rfc2986.Attribute(),
    asn1.AttributeTypeAndValue: rfc4211.AttributeTypeAndValue(),
    asn1.CertId: rfc4211.CertId(),
    asn1.CertRepMessage: CERT_REP,
    asn1.CertReqMsg: rfc4211.CertReqMsg(),
    asn1.CertRequest: rfc4211.CertRequest(),
    asn1.CertResponse: CERT_RESPONSE,
    asn1.CertStatus: CERT_STATUS,
    asn1.CertTemplate: rfc4211.CertTemplate(),
    asn1.CertificateList: rfc5280.CertificateList(),
    asn1.CertificateWire: CERTIFICATE,
    asn1.CertificationRequest: rfc2986.CertificationRequest(),
    asn1.CertificationRequestInfo: rfc2986.CertificationRequestInfo(),
    asn1.CertifiedKeyPair: CERTIFIED_KEY_PAIR,
    asn1.EncryptedContentInfo: rfc5652.EncryptedContentInfo(),
    asn1.EncryptedValue: rfc4211.EncryptedValue(),
    asn1.EnvelopedData: rfc5652.EnvelopedData(),
    asn1.ErrorMsgContent: ERROR,
    asn1.Extension: rfc5280.Extension(),
    asn1.InfoTypeAndValue: INFO,
    asn1.OptionalValidity: rfc4211.OptionalValidity(),
    asn1.OriginatorInfo: ORIGINATOR_INFO,
    asn1.PBKDF2Params: rfc8018.PBKDF2_params(),
    asn1.PBMAC1Params: rfc8018.PBMAC1_params(),
    asn1.PBMParameter: rfc4210.PBMParameter(),
    asn1.PKIHeader: HEADER,
    asn1.PKIPublicationInfo: PUBLICATION_INFO,
    asn1.PKIStatusInfo: STATUS,
    asn1.PKMACValue: rfc4211.PKMACValue(),
    asn1.POPOSigningKey: rfc4211.POPOSigningKey(),
    asn1.POPOSigningKeyInput: rfc4211.POPOSigningKeyInput(),
    asn1.PollRep: POLL_REP,
    asn1.PollReq: POLL_REQ,
    asn1.RSASSAPSSParams: rfc4055.RSASSA_PSS_params(),
    asn1.RevDetails: REV_DETAILS,
    asn1.RevRepContent: REV_REP,
    asn1.RevokedCertificate: rfc5280.TBSCertList()["revokedCertificates"].componentType,
    asn1.SinglePubInfo: rfc4211.SinglePubInfo(),
    asn1.SubjectPublicKeyInfo: rfc5280.SubjectPublicKeyInfo(),
    asn1.TBSCertList: rfc5280.TBSCertList(),
    asn1.TBSCertificate: rfc5280.TBSCertificate(),
    asn1.CAKeyUpdAnnContent: CA_KEY_UPD_ANN,
    asn1.CMSAttribute: rfc5652.Attribute(),
    asn1.CMSORIforKEMOtherInfo: KEM_ORI_OTHER_INFO,
    asn1.CRLStatus: CRL_STATUS,
    asn1.CertReqTemplateContent: CERT_REQ_TEMPLATE,
    asn1.Challenge: CHALLENGE,
    asn1.ContentInfo: rfc5652.ContentInfo(),
    asn1.DHBMParameter: rfc4210.DHBMParameter(),
    asn1.EncKeyWithID: ENC_KEY_WITH_ID,
    asn1.EncapsulatedContentInfo: rfc5652.EncapsulatedContentInfo(),
    asn1.GMACParameters: GMAC,
    asn1.IssuerAndSerialNumber: rfc5652.IssuerAndSerialNumber(),
    asn1.KEKIdentifier: rfc5652.KEKIdentifier(),
    asn1.KEKRecipientInfo: rfc5652.KEKRecipientInfo(),
    asn1.KEMRecipientInfo: KEM_RECIPIENT,
    asn1.KMACwithSHAKE128Params: rfc8702.KMACwithSHAKE128_params(),
    asn1.KMACwithSHAKE256Params: rfc8702.KMACwithSHAKE256_params(),
    asn1.KemBMParameter: KEM_BM,
    asn1.KemCiphertextInfo: sequence(kem=ALGORITHM, ct=univ.OctetString()),
    asn1.KemOtherInfo: KEM_OTHER_INFO,
    asn1.KeyAgreeRecipientInfo: rfc5652.KeyAgreeRecipientInfo(),
    asn1.KeyRecRepContent: KEY_REC_REP,
    asn1.KeyTransRecipientInfo: rfc5652.KeyTransRecipientInfo(),
    asn1.OOBCertHash: OOB_CERT_HASH,
    asn1.OneAsymmetricKey: rfc5958.OneAsymmetricKey(),
    asn1.OriginatorPublicKey: rfc5652.OriginatorPublicKey(),
    asn1.OtherKeyAttribute: rfc5652.OtherKeyAttribute(),
    asn1.OtherRecipientInfo: rfc5652.OtherRecipientInfo(),
    asn1.PasswordRecipientInfo: rfc5652.PasswordRecipientInfo(),
    asn1.RSAESOAEPParams: rfc4055.RSAES_OAEP_params(),
    asn1.Rand: RAND,
    asn1.RecipientEncryptedKey: rfc5652.RecipientEncryptedKey(),
    asn1.RecipientKeyIdentifier: rfc5652.RecipientKeyIdentifier(),
    asn1.RevAnnContent: REV_ANN,
    asn1.RootCaKeyUpdateContent: ROOT_CA_KEY_UPDATE,
    asn1.SignedData: rfc5652.SignedData(),
    asn1.SignerInfo: rfc5652.SignerInfo(),
    asn1.Validity: rfc5280.Validity(),
    asn1.AccessDescription: rfc5280.AccessDescription(),
    asn1.AuthorityKeyIdentifier: rfc5280.AuthorityKeyIdentifier(),
    asn1.BasicConstraints: rfc5280.BasicConstraints(),
    asn1.DistributionPoint: rfc5280.DistributionPoint(),
    asn1.GeneralSubtree: rfc5280.GeneralSubtree(),
    asn1.NameConstraints: rfc5280.NameConstraints(),
}
CHOICES: dict[str, Any] = {
    "CAKeyUpdContent": CA_KEY_UPD,
    "CRLSource": CRL_SOURCE,
    "EncryptedKey": ENCRYPTED_KEY,
    "GeneralName": GENERAL_NAME,
    "KeyAgreeRecipientIdentifier": rfc5652.KeyAgreeRecipientIdentifier(),
    "OriginatorIdentifierOrKey": rfc5652.OriginatorIdentifierOrKey(),
    "PKIArchiveOptions": rfc4211.PKIArchiveOptions(),
    "POPOPrivKey": rfc4211.POPOPrivKey(),
    "ProofOfPossession": rfc4211.ProofOfPossession(),
    "RecipientIdentifier": rfc5652.RecipientIdentifier(),
    "RecipientInfo": rfc5652.RecipientInfo(),
}
