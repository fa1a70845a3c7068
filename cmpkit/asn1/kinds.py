"""What the values are that depend on an OID: of information types, controls, registration information, parameters."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Final

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1.algorithms import (
    AlgorithmIdentifier,
    DHBMParameter,
    GMACParameters,
    KMACwithSHAKE128Params,
    KMACwithSHAKE256Params,
    PBKDF2Params,
    PBMAC1Params,
    PBMParameter,
    RSAESOAEPParams,
    RSASSAPSSParams,
    SubjectPublicKeyInfo,
)
from cmpkit.asn1.announcements import CAKeyUpdAnnContent, RootCaKeyUpdateContent
from cmpkit.asn1.content import InfoTypeAndValue
from cmpkit.asn1.controls import PKIArchiveOptions, PKIPublicationInfo
from cmpkit.asn1.crmf import AttributeTypeAndValue, CertId, CertRequest
from cmpkit.asn1.elements import read_element
from cmpkit.asn1.encrypted_key import EncryptedKey
from cmpkit.asn1.information import CertReqTemplateContent, CRLStatus
from cmpkit.asn1.kem import KemBMParameter, KemCiphertextInfo
from cmpkit.asn1.message import PKIMessage
from cmpkit.asn1.primitives import GeneralizedTime, NonEmpty, Null
from cmpkit.asn1.recipients import KEMRecipientInfo, OtherRecipientInfo
from cmpkit.asn1.x509 import CertificateList, CMPCertificate

__all__ = ["OpenValue", "kind_of_value", "read_value"]

_Kinds = Mapping[ObjectIdentifier, Any]

_INFORMATION: Final[_Kinds] = types.MappingProxyType(
    {
        oids.CA_PROT_ENC_CERT: CMPCertificate,
        oids.SIGN_KEY_PAIR_TYPES: Annotated[list[AlgorithmIdentifier], NonEmpty],
        oids.ENC_KEY_PAIR_TYPES: Annotated[list[AlgorithmIdentifier], NonEmpty],
        oids.PREFERRED_SYMM_ALG: AlgorithmIdentifier,
        oids.CA_KEY_UPDATE_INFO: CAKeyUpdAnnContent,
        oids.CURRENT_CRL: CertificateList,
        oids.UNSUPPORTED_OIDS: Annotated[list[ObjectIdentifier], NonEmpty],
        oids.KEY_PAIR_PARAM_REQ: ObjectIdentifier,
        oids.KEY_PAIR_PARAM_REP: AlgorithmIdentifier,
        oids.REV_PASSPHRASE: EncryptedKey,
        oids.IMPLICIT_CONFIRM: Null,
        oids.CONFIRM_WAIT_TIME: GeneralizedTime,
        oids.ORIG_PKI_MESSAGE: Annotated[list[PKIMessage], NonEmpty],
        oids.SUPP_LANG_TAGS: list[str],
        oids.CA_CERTS: Annotated[list[CMPCertificate], NonEmpty],
        oids.ROOT_CA_KEY_UPDATE: RootCaKeyUpdateContent,
        oids.CERT_REQ_TEMPLATE: CertReqTemplateContent,
        oids.ROOT_CA_CERT: CMPCertificate,
        oids.CERT_PROFILE: Annotated[list[str], NonEmpty],
        oids.CRL_STATUS_LIST: Annotated[list[CRLStatus], NonEmpty],
        oids.CRLS: Annotated[list[CertificateList], NonEmpty],
        oids.KEM_CIPHERTEXT_INFO: KemCiphertextInfo,
    }
)
_ATTRIBUTES: Final[_Kinds] = types.MappingProxyType(
    {
        oids.REG_TOKEN: str,
        oids.AUTHENTICATOR: str,
        oids.PKI_PUBLICATION_INFO: PKIPublicationInfo,
        oids.PKI_ARCHIVE_OPTIONS: PKIArchiveOptions,
        oids.OLD_CERT_ID: CertId,
        oids.PROTOCOL_ENCR_KEY: SubjectPublicKeyInfo,
        oids.ALT_CERT_TEMPLATE: AttributeTypeAndValue,
        oids.ALG_ID: AlgorithmIdentifier,
        oids.RSA_KEY_LEN: int,
        oids.UTF8_PAIRS: str,
        oids.REG_INFO_CERT_REQ: CertRequest,
    }
)
_PARAMETERS: Final[_Kinds] = types.MappingProxyType(
    {
        oids.PASSWORD_BASED_MAC: PBMParameter,
        oids.PBMAC1: PBMAC1Params,
        oids.PBKDF2: PBKDF2Params,
        oids.DH_BASED_MAC: DHBMParameter,
        oids.KEM_BASED_MAC: KemBMParameter,
        oids.AES128_GMAC: GMACParameters,
        oids.AES192_GMAC: GMACParameters,
        oids.AES256_GMAC: GMACParameters,
        oids.KMAC_WITH_SHAKE128: KMACwithSHAKE128Params,
        oids.KMAC_WITH_SHAKE256: KMACwithSHAKE256Params,
        oids.RSASSA_PSS: RSASSAPSSParams,
        oids.RSAES_OAEP: RSAESOAEPParams,
        oids.MGF1: AlgorithmIdentifier,
        oids.EC_PUBLIC_KEY: ObjectIdentifier,
        oids.AES128_CBC: bytes,
        oids.AES192_CBC: bytes,
        oids.AES256_CBC: bytes,
    }
)
_OTHER_RECIPIENTS: Final[_Kinds] = types.MappingProxyType({oids.ORI_KEM: KEMRecipientInfo})

OpenValue = InfoTypeAndValue | AttributeTypeAndValue | AlgorithmIdentifier | OtherRecipientInfo
"""An OID with a value that depends on it."""


def kind_of_value(holder: OpenValue) -> Any | None:
    """What the value beside an OID is, for :func:`cmpkit.asn1.read_element`; ``None`` where we do not know the OID.

    :param holder: an information type (RFC 9810 section 5.3.19), a control or registration information (RFC 4211
        sections 6 and 7), an algorithm, or a recipient of another kind (RFC 9629).
    """
    match holder:
        case InfoTypeAndValue():
            return _INFORMATION.get(holder.info_type)
        case AttributeTypeAndValue():
            return _ATTRIBUTES.get(holder.type)
        case AlgorithmIdentifier():
            return _PARAMETERS.get(holder.algorithm)
        case _:
            return _OTHER_RECIPIENTS.get(holder.ori_type)


def read_value(holder: OpenValue) -> Any:
    """The value beside an OID, read; the unread element where we do not know the OID, ``None`` where it is absent.

    :param holder: an information type, control, registration information, algorithm, or recipient of another kind.
    :raises CMPError: badDataFormat if the value does not fit the OID.
    """
    kind, element = kind_of_value(holder), holder.ori_value if isinstance(holder, OtherRecipientInfo) else holder.value
    return element if kind is None or element is None else read_element(element, kind)
