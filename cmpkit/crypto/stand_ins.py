"""Paths by algorithms that cryptography's validator does not know: Ed25519, Ed448, Brainpool, SHA-3, parts of others.

The key algorithms check the signatures. Everything else is left to that validator, which gets *stand-ins*: the same
certificates, octet for octet, but for other keys in those of the CAs and other signatures on all. So each rule of RFC
5280 has one implementation, whatever the algorithm, and none of it is here.

The keys of stand-ins are made for one path and are each used for one certificate: a stand-in can be verified by that of
the certificate above it in this very path, whose key was found to fit, and by no other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    CertificateWire,
    Null,
    decode,
    decode_list,
    encode,
    encode_list,
    read_public_key_info,
)
from cmpkit.asn1.codec import der_wrap
from cmpkit.crypto.x509 import certificate_public_key_info, outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.plugins import Plugins

__all__ = ["check_signature", "needs_stand_ins", "stand_ins"]

_BIT_STRING = 0x03
_VERSION_TAG = b"\xa0"
# Places in TBSCertificate, counted from the serial number (RFC 5280 section 4.1).
_SIGNATURE, _PUBLIC_KEY = 1, 5
_ALGORITHM = encode(AlgorithmIdentifier(oids.ECDSA_SHA256))
_SCHEME = ec.ECDSA(hashes.SHA256())


# What the validator takes by itself; RSASSA-PSS only with some parameters.
_KNOWN_SIGNATURES = frozenset(
    {
        *(
            AlgorithmIdentifier(oid, Null())
            for oid in (oids.SHA256_WITH_RSA, oids.SHA384_WITH_RSA, oids.SHA512_WITH_RSA)
        ),
        *map(AlgorithmIdentifier, (oids.ECDSA_SHA256, oids.ECDSA_SHA384, oids.ECDSA_SHA512)),
        *map(AlgorithmIdentifier, (oids.ML_DSA_44, oids.ML_DSA_65, oids.ML_DSA_87)),
    }
)
_KNOWN_KEYS = frozenset(
    {
        AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null()),
        *(AlgorithmIdentifier(oids.EC_PUBLIC_KEY, curve) for curve in (oids.SECP256R1, oids.SECP384R1, oids.SECP521R1)),
        *map(AlgorithmIdentifier, (oids.ML_DSA_44, oids.ML_DSA_65, oids.ML_DSA_87)),
    }
)


@dataclass(frozen=True, slots=True)
class _Issuers:
    """The stand-ins of all certificates of a path but the first, and the key of the nearest."""

    certificates: tuple[bytes, ...]
    key: ec.EllipticCurvePrivateKey


def needs_stand_ins(path: tuple[bytes, ...]) -> bool:
    """Whether the validator may have refused a path for an algorithm that it does not know.

    :param path: DER of the certificates, the trust anchor last; its own signature does not matter.
    :raises CMPError: badDataFormat if a certificate cannot be read.
    """
    signatures = {decode(CertificateWire, der).signature_algorithm for der in path[:-1]}
    keys = {read_public_key_info(certificate_public_key_info(der)).algorithm for der in path[1:]}
    return not (signatures <= _KNOWN_SIGNATURES and keys <= _KNOWN_KEYS)


def stand_ins(path: tuple[bytes, ...], plugins: Plugins) -> tuple[bytes, ...]:
    """Stand-ins for the certificates of a path, as DER, after each signature was checked with the key above it.

    Nothing else is checked, neither of the trust anchor nor of the others.

    :param path: DER of at least two certificates, the trust anchor last.
    :raises CMPError: badAlg if a signature is by an algorithm that is not accepted, signerNotTrusted if it does not
        fit, badDataFormat if a certificate cannot be read.
    """
    certificate, *_ = path
    issuers = _stand_in_issuers(path[1:], plugins)
    check_signature(certificate, path[1], plugins)
    return (_stand_in(certificate, None, issuers.key), *issuers.certificates)


@lru_cache(maxsize=64)
def _stand_in_issuers(issuers: tuple[bytes, ...], plugins: Plugins) -> _Issuers:
    """Kept, for most certificates come from the same few CAs; only what leads to a trust anchor gets here."""
    for child, issuer in itertools.pairwise(issuers):
        check_signature(child, issuer, plugins)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in issuers]
    signers = [*keys[1:], keys[-1]]
    certificates = tuple(_stand_in(der, key, signer) for der, key, signer in zip(issuers, keys, signers, strict=True))
    return _Issuers(certificates, keys[0])


def check_signature(certificate: bytes, issuer: bytes, plugins: Plugins) -> None:
    """Whether the signature of a certificate fits the key of another one, by whatever algorithm a plugin brings.

    :raises CMPError: badAlg if the algorithm is not accepted, signerNotTrusted if the signature does not fit,
        badDataFormat if a certificate cannot be read.
    """
    wire = decode(CertificateWire, certificate)
    algorithm = wire.signature_algorithm
    if algorithm != wire.tbs.signature:
        raise CMPError(
            f"the certificate {outline(certificate).title} names one signature algorithm inside and another outside",
            PKIFailureInfo.SIGNER_NOT_TRUSTED,
            rule="RFC 5280 section 4.1.1.2",
        )
    key = certificate_public_key_info(issuer)
    part = plugins.key_algorithm_of(key)
    if (
        algorithm.algorithm not in part.signature_oids
        or wire.signature_value.padding_bits()
        or not part.verify(key, algorithm, encode(wire.tbs_certificate), wire.signature_value.as_bytes())
    ):
        raise CMPError(
            f"the signature of the certificate {outline(certificate).title} does not fit the key of its issuer",
            PKIFailureInfo.SIGNER_NOT_TRUSTED,
            rule="RFC 5280 section 6.1.3",
        )


def _stand_in(certificate: bytes, key: ec.EllipticCurvePrivateKey | None, signer: ec.EllipticCurvePrivateKey) -> bytes:
    """The certificate with another signature and, unless it is ``None``, another key."""
    fields = [encode(field) for field in decode_list(TLV, encode(decode(CertificateWire, certificate).tbs_certificate))]
    start = 1 if fields[0].startswith(_VERSION_TAG) else 0
    fields[start + _SIGNATURE] = _ALGORITHM
    if key is not None:
        fields[start + _PUBLIC_KEY] = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    tbs = encode_list(fields)
    return encode_list((tbs, _ALGORITHM, der_wrap(_BIT_STRING, b"\x00" + signer.sign(tbs, _SCHEME))))
