"""What the key algorithms share: hashes, refusals, reading and writing of keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, Self, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import AlgorithmIdentifier, decode
from cmpkit.crypto.digests import SHAKE_SIZES
from cmpkit.crypto.pkcs8 import PrivateKeyInfo, encrypt_pkcs8
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = [
    "HASHES",
    "RULE",
    "bad_alg",
    "load_curve_key",
    "load_public_key",
    "refuse_sha1",
    "to_pkcs8",
    "wrong_algorithm",
]

RULE: Final = "RFC 9481 section 3"

HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3_224": hashes.SHA3_224(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
    "shake_128": hashes.SHAKE128(SHAKE_SIZES["shake_128"]),
    "shake_256": hashes.SHAKE256(SHAKE_SIZES["shake_256"]),
}


def bad_alg(detail: str, hint: str = "") -> CMPError:
    """A refusal of an algorithm or a key."""
    return CMPError(detail, PKIFailureInfo.BAD_ALG, rule=RULE, hint=hint)


def refuse_sha1(hash_name: str, oid: ObjectIdentifier) -> None:
    """Refuse a signature over a SHA-1 digest.

    :raises CMPError: badAlg if the hash is SHA-1.
    """
    if hash_name == "sha1":
        raise bad_alg(f"the signature {oid.dotted_string} is over SHA-1", "sign with SHA-256 or better")


def wrong_algorithm(algorithm: AlgorithmIdentifier, keys: str) -> CMPError:
    """The refusal of a signature algorithm that these keys do not have, or not with these parameters."""
    oid = algorithm.algorithm.dotted_string
    return bad_alg(f"{keys} cannot verify or make signatures by {oid} with these parameters")


def load_public_key(public_key_info: bytes, keys: str) -> PublicKeyTypes:
    """The key of DER SubjectPublicKeyInfo.

    :param keys: what such keys are called.
    :raises CMPError: badCertTemplate if it is none.
    """
    try:
        return serialization.load_der_public_key(public_key_info)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CMPError(
            f"the {keys} public key cannot be read: {error}", PKIFailureInfo.BAD_CERT_TEMPLATE, rule=RULE
        ) from error


class _CurveKey(Protocol):
    @classmethod
    def from_private_bytes(cls, data: bytes) -> Self: ...


Curve = TypeVar("Curve", bound=_CurveKey)


def load_curve_key(pkcs8: bytes, kinds: Mapping[ObjectIdentifier, type[Curve]], keys: str) -> Curve:
    """The private key of DER PKCS#8, on a curve of RFC 8410.

    :param kinds: the class of the keys on each curve.
    :param keys: what such keys are called.
    :raises CMPError: badDataFormat if it is none.
    """
    info = decode(PrivateKeyInfo, pkcs8)
    kind = kinds.get(info.algorithm.algorithm)
    if kind is None or info.algorithm.parameters is not None:
        raise CMPError(f"the private key is not an {keys} key", PKIFailureInfo.BAD_DATA_FORMAT)
    # The library's own reader fails with an internal error where the length is wrong.
    try:
        return kind.from_private_bytes(decode(bytes, info.private_key))
    except ValueError as error:
        raise CMPError(f"the {keys} private key cannot be read: {error}", PKIFailureInfo.BAD_DATA_FORMAT) from error


def to_pkcs8(
    key: rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey,
    password: bytes | None,
) -> bytes:
    """DER of PKCS#8, encrypted if there is a password."""
    plain = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return plain if password is None else encrypt_pkcs8(plain, password)
