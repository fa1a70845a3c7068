"""The messages as pyasn1 knows them: an independent reader and writer of the same types.

pyasn1-modules has RFC 4210 over the older RFC 2511 and RFC 2459. Here its newer modules (RFC 4211, RFC 5280, RFC 5652)
are put together as RFC 9810 has them, with its additions: hashAlg, encryptedKey, genp.
"""

from __future__ import annotations

import re
from typing import Any

from cryptography import x509
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import base, char, constraint, namedtype, tag, univ, useful
from pyasn1_modules import rfc2986, rfc4055, rfc4210, rfc4211, rfc5280, rfc5652, rfc8018

from cmpkit import asn1
from cmpkit.asn1 import (
    TLV,
    BitString,
    GeneralizedTime,
    IA5String,
    Null,
    OpenSequence,
    PrintableString,
    SetOf,
    UTCTime,
    Variant,
)
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
    asn1.Validity: rfc5280.Validity(),
}


def read(der: bytes, spec: Any) -> Any:
    """What pyasn1 reads, strictly all of it."""
    value, rest = decoder.decode(der, asn1Spec=spec)
    assert rest == b""
    return value


def write(value: Any) -> bytes:
    """What pyasn1 writes. It adds to the value what its optional fields could hold: compare first, then write."""
    return bytes(encoder.encode(value))


_OTHER_NAMES = {
    (asn1.CertReqMsg, "certReq"): "request",
    (asn1.CertificateWire, "signature"): "signature_value",
    (asn1.CertificateList, "signature"): "signature_value",
}
_DEFAULTS = {(asn1.PBKDF2Params, "prf")}
"""Fields whose DEFAULT is an absent value with us."""
_IRREGULAR = {
    "pKIStatusInfo": "pki_status_info",
    "subjectPKInfo": "subject_pk_info",
    "dNSName": "dns_name",
    "iPAddress": "ip_address",
}


def attribute_name(name: str) -> str:
    """Our name of a field: ``sender_kid`` for senderKID."""
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.replace("-", "_")).lower()


def assert_same(ours: Any, theirs: Any, path: str = "") -> None:
    """Fail unless a value of ours says what pyasn1's says, field by field.

    :param path: where in the message this is, for the failure.
    """
    if isinstance(theirs, univ.Choice) and not isinstance(ours, (TLV, x509.Name)):
        if isinstance(ours, Variant):
            assert ours.tag == attribute_name(theirs.getName()), path
            ours = ours.value
        assert_same(ours, theirs.getComponent(), f"{path}.{theirs.getName()}")
    elif isinstance(ours, (TLV, x509.Name)):
        octets = asn1.encode(ours)
        assert write(theirs)[-len(octets) :] == octets, path
    elif isinstance(ours, (list, SetOf)) and not isinstance(ours, OpenSequence):
        items = ours if isinstance(ours, list) else ours.as_list()
        assert len(items) == len(theirs), path
        for number, (one, other) in enumerate(zip(items, theirs, strict=True)):
            assert_same(one, other, f"{path}[{number}]")
    elif isinstance(theirs, univ.Sequence):
        for name in theirs:
            assert_same_field(ours, theirs, name, path)
    else:
        assert _plain(ours) == _plain_of_theirs(theirs), path


def assert_same_field(ours: Any, theirs: Any, name: str, path: str) -> None:
    """Fail unless a field is absent in both, or the same in both."""
    mine = getattr(ours, _OTHER_NAMES.get((type(ours), name)) or attribute_name(name))
    if _is_absent(theirs, name) or (mine is None and (type(ours), name) in _DEFAULTS):
        assert mine is None, f"{path}.{name}"
    else:
        assert mine is not None, f"{path}.{name}"
        assert_same(mine, theirs[name], f"{path}.{name}")


def _is_absent(theirs: Any, name: str) -> bool:
    """Whether an optional field was not there: ``theirs[name]`` would make an empty one, even a valid one."""
    field = theirs.getComponentByName(name, instantiate=False)
    return isinstance(field, base.NoValue) and theirs.componentType[name].isOptional


def _plain(value: Any) -> Any:
    if isinstance(value, BitString):
        return value.as_bytes(), len(value.as_bytes()) * 8 - value.padding_bits()
    if isinstance(value, UTCTime):
        return f"{value.as_datetime():%y%m%d%H%M%SZ}"
    if isinstance(value, GeneralizedTime):
        moment = value.as_datetime()
        fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
        return f"{moment.year:04}{moment:%m%d%H%M%S}{fraction}Z"
    if isinstance(value, (IA5String, PrintableString)):
        return value.as_str()
    if isinstance(value, x509.ObjectIdentifier):
        return value.dotted_string
    return None if isinstance(value, Null) else value


def _plain_of_theirs(value: Any) -> Any:
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(type(value).__name__)


_PLAIN: tuple[tuple[Any, Any], ...] = (
    (univ.BitString, lambda value: (_left_aligned(value), len(value))),
    (char.AbstractCharacterString, str),
    (univ.Null, lambda value: None),  # an OctetString to pyasn1
    (univ.OctetString, bytes),
    (univ.ObjectIdentifier, str),
    (univ.Boolean, bool),
    (univ.Integer, int),
)


def _left_aligned(bits: Any) -> bytes:
    octets = (len(bits) + 7) // 8
    return (int(bits) << (octets * 8 - len(bits))).to_bytes(octets, "big") if octets else b""


def assert_same_message(ours: asn1.PKIMessage, theirs: Any) -> None:
    """Fail unless a message of ours says what pyasn1's says."""
    assert_same(ours.header, theirs["header"], "header")
    assert theirs["body"].getName() == ours.body.type.wire_name
    assert_same(ours.body.content, theirs["body"].getComponent(), ours.body.type.wire_name)
    protection = theirs["protection"]
    assert ours.protection == (_left_aligned(protection) if protection.isValue else None)
    certificates = theirs["extraCerts"]
    assert len(ours.extra_certs) == (len(certificates) if certificates.isValue else 0)
    for one, other in zip(ours.extra_certs, certificates if certificates.isValue else (), strict=True):
        assert one == write(other)
