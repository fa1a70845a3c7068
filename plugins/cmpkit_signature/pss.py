"""Parameters of RSASSA-PSS: what a signature uses, and what a key permits (RFC 4055 sections 3.1 and 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import padding

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, RSASSAPSSParams, decode, encode
from cmpkit.crypto.digests import HASH_NAMES, SHAKE_SIZES
from cmpkit_signature.common import HASHES, bad_alg, refuse_sha1

__all__ = ["PSSParameters"]

# With SHAKE there is no MGF1 (RFC 8702 section 3.2.1): that is another algorithm.
_HASH_NAMES = {oid: name for oid, name in HASH_NAMES.items() if name not in SHAKE_SIZES}
_HASH_OIDS = {name: oid for oid, name in _HASH_NAMES.items()}
_TRAILER_BC = 1
_RULE = "RFC 4055 section 3.1"


@dataclass(frozen=True, slots=True)
class PSSParameters:
    """Hash and salt of a PSS signature, or the hash and the least salt that a key permits.

    :param hash_name: for the digest and for MGF1 alike.
    :param salt_length: octets.
    """

    hash_name: str
    salt_length: int

    @classmethod
    def of(cls, algorithm: AlgorithmIdentifier) -> PSSParameters:
        """The parameters of an id-RSASSA-PSS that has some; SHA-1 is read too.

        :raises CMPError: badAlg for combinations that are not accepted, badDataFormat for what cannot be read.
        """
        if algorithm.parameters is None:
            raise bad_alg("id-RSASSA-PSS without parameters in a signature", "RFC 4055 wants them there")
        params = algorithm.parse(RSASSAPSSParams)
        hash_name = _hash_name(params.hash_algorithm)
        if _mgf_hash_name(params.mask_gen_algorithm) != hash_name:
            raise bad_alg("RSASSA-PSS with another hash in MGF1 than for the message", f"use one hash ({_RULE})")
        if params.trailer_field != _TRAILER_BC or params.salt_length < 0:
            raise bad_alg(f"RSASSA-PSS with trailerField {params.trailer_field}, saltLength {params.salt_length}")
        return cls(hash_name, params.salt_length)

    def to_algorithm(self) -> AlgorithmIdentifier:
        """The AlgorithmIdentifier of signatures with these parameters."""
        params = RSASSAPSSParams.for_hash(_HASH_OIDS[self.hash_name], self.salt_length)
        return AlgorithmIdentifier(oids.RSASSA_PSS, params)

    def padding_for(self, key_bits: int) -> padding.PSS:
        """The padding of a signature by a key of that size.

        :raises CMPError: badAlg if the salt does not fit in, or the hash is SHA-1.
        """
        refuse_sha1(self.hash_name, oids.RSASSA_PSS)
        digest = HASHES[self.hash_name]
        room = (key_bits - 1 + 7) // 8 - digest.digest_size - 2  # RFC 8017 section 9.1.1
        if self.salt_length > room:
            raise bad_alg(f"a PSS salt of {self.salt_length} octets does not fit into a signature of {key_bits} bits")
        return padding.PSS(mgf=padding.MGF1(digest), salt_length=self.salt_length)


def _hash_name(algorithm: AlgorithmIdentifier | None) -> str:
    if algorithm is None:
        return "sha1"
    name = _HASH_NAMES.get(algorithm.algorithm) if algorithm.has_null_or_no_parameters else None
    if name is None:
        raise bad_alg(f"RSASSA-PSS with the hash {algorithm.algorithm.dotted_string}", "use SHA-256 or better")
    return name


def _mgf_hash_name(algorithm: AlgorithmIdentifier | None) -> str:
    if algorithm is None:
        return "sha1"
    if algorithm.algorithm != oids.MGF1 or algorithm.parameters is None:
        raise bad_alg(f"RSASSA-PSS with the mask generation {algorithm.algorithm.dotted_string}", "use MGF1")
    return _hash_name(decode(AlgorithmIdentifier, encode(algorithm.parameters)))
