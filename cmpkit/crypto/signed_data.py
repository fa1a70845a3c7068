"""CMS SignedData with one signer: contents that are signed, and verified (RFC 5652 section 5, RFC 9483 section 4.1.6).

Who the signer is, and whether that is enough, is for the caller to judge.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    CMSAttribute,
    EncapsulatedContentInfo,
    IssuerAndSerialNumber,
    Null,
    SetOf,
    SignedData,
    SignerInfo,
    Variant,
    decode,
    encode,
    parse_tlv,
    to_tlv,
)
from cmpkit.asn1.codec import der_wrap
from cmpkit.crypto.digests import HASH_NAMES, digest
from cmpkit.crypto.x509 import certificate_public_key_info, key_identifier, outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

__all__ = ["VerifiedContent", "sign_content", "verify_content"]

RULE: Final = "RFC 9483 section 4.1.6"
_VERSION = 3
_VERSIONS = (1, 3)
_SET = 0x31
_MAX_CERTIFICATES = 32
_USUAL_HASH = "sha512"
# RFC 8419 section 2.3: Ed448 goes with 512 bits of SHAKE256.
_SHAKE256 = AlgorithmIdentifier(oids.SHAKE256_LEN, encode(512))
_OIDS = {name: oid for oid, name in HASH_NAMES.items()}
_RSA: Final = {
    "sha224": oids.SHA224_WITH_RSA,
    "sha256": oids.SHA256_WITH_RSA,
    "sha384": oids.SHA384_WITH_RSA,
    "sha512": oids.SHA512_WITH_RSA,
}


@dataclass(frozen=True, slots=True)
class VerifiedContent:
    """A content whose signature fits.

    :param signer: DER of the certificate of the signer.
    :param certificates: DER of all certificates that came with it.
    """

    content_type: ObjectIdentifier
    content: bytes
    signer: bytes
    certificates: tuple[bytes, ...]


async def sign_content(
    content: bytes,
    content_type: ObjectIdentifier,
    *,
    key: PrivateKey,
    certificates: Sequence[bytes],
    plugins: Plugins,
) -> SignedData:
    """Sign a content, with the attributes that RFC 5652 section 5.3 wants and no others.

    :param key: of the signer.
    :param certificates: DER, that of the signer first, then its chain.
    :raises CMPError: badAlg if the key does not sign.
    """
    algorithm = key.signature_algorithm
    hash_name = plugins.key_algorithm(algorithm.algorithm).cert_hash(algorithm) or _USUAL_HASH
    hash_algorithm = _SHAKE256 if hash_name == "shake_256" else AlgorithmIdentifier(_OIDS[hash_name])
    attributes = [
        CMSAttribute(attr_type=oids.CONTENT_TYPE, attr_values=SetOf([to_tlv(content_type)])),
        CMSAttribute(attr_type=oids.MESSAGE_DIGEST, attr_values=SetOf([to_tlv(encode(digest(hash_name, content)))])),
    ]
    identifier = outline(certificates[0]).extension(oids.SUBJECT_KEY_IDENTIFIER)
    kid = key_identifier(key.public_key_info) if identifier is None else decode(bytes, identifier)
    signer = SignerInfo(
        version=_VERSION,
        sid=Variant(kid, "subject_key_identifier"),
        digest_algorithm=hash_algorithm,
        signed_attrs=SetOf(attributes),
        signature_algorithm=algorithm,
        signature=await key.sign(_signed_octets(attributes), algorithm),
    )
    return SignedData(
        version=_VERSION,
        digest_algorithms=SetOf([hash_algorithm]),
        encap_content_info=EncapsulatedContentInfo(e_content_type=content_type, e_content=content),
        certificates=SetOf([to_tlv(der) for der in dict.fromkeys(certificates)]),
        signer_infos=SetOf([signer]),
    )


def verify_content(
    signed: SignedData, *, content_types: Collection[ObjectIdentifier], plugins: Plugins
) -> VerifiedContent:
    """Check the signature over a content.

    :param content_types: those that are expected.
    :raises CMPError: badDataFormat if it is not of the form that RFC 9483 section 4.1.6 asks for, badAlg for algorithms
        that are not accepted, badMessageCheck if the signature does not fit.
    """
    signers = signed.signer_infos.as_list()
    content, content_type = signed.encap_content_info.e_content, signed.encap_content_info.e_content_type
    if signed.version not in _VERSIONS or len(signers) != 1 or content is None:
        raise _bad_structure("it needs version 3, one signer, and the content in it")
    if content_type not in content_types:
        raise _bad_structure(f"its content is of the type {content_type.dotted_string}")
    certificates = tuple(encode(element) for element in signed.certificates.as_list()) if signed.certificates else ()
    if len(certificates) > _MAX_CERTIFICATES:
        raise _bad_structure(f"it has {len(certificates)} certificates")
    (info,) = signers
    certificate = _find_signer(info, certificates)
    hash_name = _hash_name(info.digest_algorithm)
    attributes = info.signed_attrs.as_list() if info.signed_attrs is not None else []
    if _attribute(attributes, oids.CONTENT_TYPE, ObjectIdentifier) != content_type:
        raise _bad_structure("the signed attribute contentType is not that of the content")
    expected = _attribute(attributes, oids.MESSAGE_DIGEST, bytes)
    public_key_info = certificate_public_key_info(certificate)
    algorithm = _signature_algorithm(info.signature_algorithm, hash_name)
    part = plugins.key_algorithm_of(public_key_info)
    fits = part.verify(public_key_info, algorithm, _signed_octets(attributes), info.signature)
    if not fits or not hmac.compare_digest(expected, digest(hash_name, content)):
        raise CMPError(
            "the signature over the content does not fit the signer's key or the content",
            PKIFailureInfo.BAD_MESSAGE_CHECK,
            rule=RULE,
        )
    return VerifiedContent(content_type, content, certificate, certificates)


def _signed_octets(attributes: Sequence[CMSAttribute]) -> bytes:
    """DER of the attributes as SET OF, under the universal tag (RFC 5652 section 5.4)."""
    return der_wrap(_SET, b"".join(sorted(map(encode, attributes))))


def _attribute(attributes: Sequence[CMSAttribute], oid: ObjectIdentifier, kind: type[Any]) -> Any:
    """The value of the one attribute of that type.

    :raises CMPError: badDataFormat unless there is one, with one value.
    """
    found = [attribute.attr_values.as_list() for attribute in attributes if attribute.attr_type == oid]
    if len(found) != 1 or len(found[0]) != 1:
        raise _bad_structure(f"the signed attribute {oid.dotted_string} must be there once, with one value")
    return parse_tlv(found[0][0], kind)


def _find_signer(info: SignerInfo, certificates: Sequence[bytes]) -> bytes:
    for certificate in certificates:
        try:
            if _is_named(info.sid.value, certificate):
                return certificate
        except CMPError:
            continue  # one odd certificate must not spoil the others
    raise CMPError(
        "the certificate of the content's signer is not there",
        PKIFailureInfo.SIGNER_NOT_TRUSTED,
        rule=RULE,
        hint="the sender must put it into the SignedData",
    )


def _is_named(sid: IssuerAndSerialNumber | bytes, certificate: bytes) -> bool:
    found = outline(certificate)
    if isinstance(sid, bytes):
        identifier = found.extension(oids.SUBJECT_KEY_IDENTIFIER)
        own = key_identifier(found.public_key_info) if identifier is None else decode(bytes, identifier)
        return own == sid
    return found.serial_number == sid.serial_number and decode(x509.Name, found.issuer_der) == sid.issuer


def _hash_name(algorithm: AlgorithmIdentifier) -> str:
    if algorithm == _SHAKE256:
        return "shake_256"
    name = HASH_NAMES.get(algorithm.algorithm) if algorithm.has_null_or_no_parameters else None
    if name is None or name == "sha1":
        raise CMPError(
            f"the digest algorithm {algorithm.algorithm.dotted_string} of the signed content is weak or not known",
            PKIFailureInfo.BAD_ALG,
            rule=RULE,
            hint="use SHA-256",
        )
    return name


def _signature_algorithm(algorithm: AlgorithmIdentifier, hash_name: str) -> AlgorithmIdentifier:
    """What the signature is by; where it says rsaEncryption, the hash is that of the digest (RFC 3370 section 3.2)."""
    if algorithm.algorithm != oids.RSA_ENCRYPTION or hash_name not in _RSA:
        return algorithm
    return AlgorithmIdentifier(_RSA[hash_name], Null())


def _bad_structure(detail: str) -> CMPError:
    return CMPError(f"the signed content is not accepted: {detail}", PKIFailureInfo.BAD_DATA_FORMAT, rule=RULE)
