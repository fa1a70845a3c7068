"""AlgorithmIdentifier and the parameters that message protection needs (RFC 9481, RFC 9810 section 5.1.3, RFC 8018)."""

from __future__ import annotations

from typing import Annotated, Literal

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1.codec import OpenSequence, decode, encode
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.primitives import TLV, BitString, Default, Explicit, Holds, Null, Variant
from cmpkit.caching import cached_property, keep_last

__all__ = [
    "AlgorithmIdentifier",
    "DHBMParameter",
    "GMACParameters",
    "KMACwithSHAKE128Params",
    "KMACwithSHAKE256Params",
    "PBKDF2Params",
    "PBMAC1Params",
    "PBMParameter",
    "RSAESOAEPParams",
    "RSASSAPSSParams",
    "SubjectPublicKeyInfo",
    "read_public_key_info",
]


class AlgorithmIdentifier(OpenSequence):
    """``AlgorithmIdentifier ::= SEQUENCE { algorithm OID, parameters ANY OPTIONAL }`` (RFC 5280 section 4.1.1.2)."""

    __slots__ = ()

    algorithm = OpenSequence.oid
    """The OID of the algorithm."""

    @property
    def parameters(self) -> TLV | None:
        """The parameters as one unread element, or ``None`` if they are absent."""
        return self[1] if len(self) > 1 else None

    @property
    def has_null_or_no_parameters(self) -> bool:
        """Whether the parameters are absent or NULL, which most algorithms treat alike."""
        return self.value is None or (self.value.tag_bytes == b"\x05" and len(self.value.data) == 0)


@sequence
class SubjectPublicKeyInfo:
    """A public key with its algorithm (RFC 5280 section 4.1.2.7)."""

    algorithm: AlgorithmIdentifier
    subject_public_key: BitString

    @cached_property
    def der(self) -> bytes:
        """DER of the key.

        :raises CMPError: systemFailure if a field holds what its type does not allow.
        """
        der = encode(self)
        read_public_key_info.keep(der, self)
        return der


@keep_last
def read_public_key_info(der: bytes) -> SubjectPublicKeyInfo:
    """A public key, read; the last ones are kept, for each is looked at several times while one message is answered.

    :raises CMPError: badDataFormat if it is none.
    """
    return decode(SubjectPublicKeyInfo, der)


@sequence
class PBMParameter:
    """Parameters of id-PasswordBasedMac (RFC 9810 section 5.1.3.1)."""

    salt: bytes
    owf: AlgorithmIdentifier
    iteration_count: int
    mac: AlgorithmIdentifier


@sequence
class PBKDF2Params:
    """Parameters of id-PBKDF2 (RFC 8018 appendix A.2); the salt is an octet string, or an algorithm that gives it.

    ``prf`` absent means hmacWithSHA1, the DEFAULT of the ASN.1.
    """

    salt: (
        Variant[bytes, Literal["specified"]]
        | Annotated[Variant[TLV, Literal["other_source"]], Holds(AlgorithmIdentifier)]
    )
    iteration_count: int
    key_length: int | None = None
    prf: AlgorithmIdentifier | None = None


@sequence
class PBMAC1Params:
    """Parameters of id-PBMAC1 (RFC 8018 appendix A.5)."""

    key_derivation_func: AlgorithmIdentifier
    message_auth_scheme: AlgorithmIdentifier


@sequence
class DHBMParameter:
    """Parameters of id-DHBasedMac (RFC 9810 section 5.1.3.2)."""

    owf: AlgorithmIdentifier
    mac: AlgorithmIdentifier


@sequence
class GMACParameters:
    """Parameters of AES-GMAC (RFC 9044 section 2); ``length`` is that of the MAC in octets."""

    nonce: bytes
    length: Annotated[int, Default(12)] = 12


@sequence
class KMACwithSHAKE128Params:
    """Parameters of id-KMACWithSHAKE128 (RFC 8702 section 3.4); ``kmac_output_length`` counts bits."""

    kmac_output_length: Annotated[int, Default(256)] = 256
    customization_string: Annotated[bytes, Default(b"")] = b""


@sequence
class KMACwithSHAKE256Params:
    """Parameters of id-KMACWithSHAKE256 (RFC 8702 section 3.4); ``kmac_output_length`` counts bits."""

    kmac_output_length: Annotated[int, Default(512)] = 512
    customization_string: Annotated[bytes, Default(b"")] = b""


@sequence
class RSAESOAEPParams:
    """Parameters of id-RSAES-OAEP (RFC 4055 section 4.1); absent fields mean SHA-1, MGF1 with SHA-1, an empty label."""

    hash_func: Annotated[AlgorithmIdentifier | None, Explicit(0)] = None
    mask_gen_func: Annotated[AlgorithmIdentifier | None, Explicit(1)] = None
    p_source_func: Annotated[AlgorithmIdentifier | None, Explicit(2)] = None


@sequence
class RSASSAPSSParams:
    """Parameters of id-RSASSA-PSS (RFC 4055 section 3.1); absent fields mean SHA-1, MGF1 with SHA-1 and 20 octets."""

    hash_algorithm: Annotated[AlgorithmIdentifier | None, Explicit(0)] = None
    mask_gen_algorithm: Annotated[AlgorithmIdentifier | None, Explicit(1)] = None
    salt_length: Annotated[int, Explicit(2), Default(20)] = 20
    trailer_field: Annotated[int, Explicit(3), Default(1)] = 1

    @classmethod
    def for_hash(cls, digest: ObjectIdentifier, salt_length: int) -> RSASSAPSSParams:
        """PSS with MGF1 over the same hash.

        :param digest: the OID of the hash, not SHA-1.
        :param salt_length: octets of salt; the length of the digest is usual (RFC 4055 section 3.1).
        """
        algorithm = AlgorithmIdentifier(digest, Null())
        return cls(
            hash_algorithm=algorithm,
            mask_gen_algorithm=AlgorithmIdentifier(oids.MGF1, algorithm),
            salt_length=salt_length,
        )
