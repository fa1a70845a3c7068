"""RSAES-OAEP: its parameters on the wire and for cryptography (RFC 4055 section 4.1, RFC 9481 section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Null, RSAESOAEPParams, encode
from cmpkit.crypto.digests import HASH_NAMES
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = ["OAEPParameters"]

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - the DEFAULT of the ASN.1; who opens contents refuses it unless told otherwise
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_OIDS = {name: oid for oid, name in HASH_NAMES.items()}
_SHA1 = AlgorithmIdentifier(oids.SHA1, Null())
_DEFAULT_MASK = AlgorithmIdentifier(oids.MGF1, _SHA1)
_LONGEST_LABEL = 128


@dataclass(frozen=True, slots=True)
class OAEPParameters:
    """How a secret is padded before RSA encrypts it.

    :param hash_name: hashlib's name of the hash over the label.
    :param mask_hash_name: that of the hash in the mask generation function.
    :param label: octets that both sides must know; usually none.
    """

    hash_name: str = "sha256"
    mask_hash_name: str = "sha256"
    label: bytes = b""

    @classmethod
    def of(cls, algorithm: AlgorithmIdentifier) -> Self:
        """The parameters of an id-RSAES-OAEP.

        :raises CMPError: badAlg for hashes that are not known and masks of other kinds, badDataFormat if they cannot be
            read.
        """
        params = algorithm.parse(RSAESOAEPParams)
        mask = params.mask_gen_func or _DEFAULT_MASK
        if mask.algorithm != oids.MGF1:
            raise _bad_alg(f"OAEP with the mask generation function {mask.algorithm.dotted_string}")
        label = b""
        if params.p_source_func is not None:
            if params.p_source_func.algorithm != oids.P_SPECIFIED:
                raise _bad_alg("OAEP with a label from another source than its parameters")
            label = params.p_source_func.parse(bytes)
        if len(label) > _LONGEST_LABEL:
            raise _bad_alg(f"OAEP with a label of {len(label)} octets")
        return cls(_hash_name(params.hash_func or _SHA1), _hash_name(mask.parse(AlgorithmIdentifier)), label)

    @property
    def hash_names(self) -> tuple[str, str]:
        """Of both hashes."""
        return self.hash_name, self.mask_hash_name

    def to_algorithm(self) -> AlgorithmIdentifier:
        """The AlgorithmIdentifier; an empty label, which is the DEFAULT, is left out."""
        label = AlgorithmIdentifier(oids.P_SPECIFIED, encode(self.label)) if self.label else None
        params = RSAESOAEPParams(
            hash_func=AlgorithmIdentifier(_OIDS[self.hash_name], Null()),
            mask_gen_func=AlgorithmIdentifier(oids.MGF1, AlgorithmIdentifier(_OIDS[self.mask_hash_name], Null())),
            p_source_func=label,
        )
        return AlgorithmIdentifier(oids.RSAES_OAEP, params)

    def to_padding(self) -> padding.OAEP:
        """The same for cryptography."""
        return padding.OAEP(padding.MGF1(_HASHES[self.mask_hash_name]), _HASHES[self.hash_name], self.label or None)


def _hash_name(algorithm: AlgorithmIdentifier) -> str:
    name = HASH_NAMES.get(algorithm.algorithm) if algorithm.has_null_or_no_parameters else None
    if name not in _HASHES:
        raise _bad_alg(f"OAEP with the hash {algorithm.algorithm.dotted_string}")
    return name


def _bad_alg(detail: str) -> CMPError:
    return CMPError(detail, PKIFailureInfo.BAD_ALG, rule="RFC 9481 section 4.2", hint="use OAEP with SHA-256 and MGF1")
