"""RSA: PKCS#1 v1.5 and PSS signatures (RFC 8017, RFC 4055), with SHA-3, too (RFC 9688); OAEP for content keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    SIGNING_USAGES,
    AlgorithmIdentifier,
    Null,
    SubjectPublicKeyInfo,
    decode,
    encode,
    read_public_key_info,
)
from cmpkit.crypto.oaep import OAEPParameters
from cmpkit.crypto.pkcs8 import PrivateKeyInfo, encrypt_pkcs8
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit_signature.common import (
    HASHES,
    bad_alg,
    load_public_key,
    refuse_sha1,
    to_pkcs8,
    wrong_algorithm,
)
from cmpkit_signature.pss import PSSParameters

__all__ = ["RSAKey", "RSAKeys"]

MIN_BITS = 2048
MAX_BITS = 16384
_PUBLIC_EXPONENT = 65537
_MAX_EXPONENT = 1 << 32
_SIZES = {"rsa2048": 2048, "rsa3072": 3072, "rsa4096": 4096}
_HASH_NAMES = {
    oids.SHA1_WITH_RSA: "sha1",
    oids.SHA224_WITH_RSA: "sha224",
    oids.SHA256_WITH_RSA: "sha256",
    oids.SHA384_WITH_RSA: "sha384",
    oids.SHA512_WITH_RSA: "sha512",
    oids.SHA3_224_WITH_RSA: "sha3_224",
    oids.SHA3_256_WITH_RSA: "sha3_256",
    oids.SHA3_384_WITH_RSA: "sha3_384",
    oids.SHA3_512_WITH_RSA: "sha3_512",
}
# Known for certHash, and to say why: cryptography has no PSS whose mask is made by SHAKE (RFC 8702 section 3.2.1).
_PSS_SHAKE = {oids.RSASSA_PSS_SHAKE128: "shake_128", oids.RSASSA_PSS_SHAKE256: "shake_256"}
_RSA_ENCRYPTION = AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null())
_SHA256_WITH_RSA = AlgorithmIdentifier(oids.SHA256_WITH_RSA, Null())


@dataclass(frozen=True, slots=True)
class _PublicKey:
    """A key that keeps the limits, and the PSS parameters that it is restricted to.

    :param pss_only: whether the key is marked as one for PSS signatures only (RFC 4055 section 1.2).
    """

    key: rsa.RSAPublicKey
    pss_only: bool
    pss: PSSParameters | None


class RSAKey:
    """A private key in memory.

    :param pss: for a key that is marked as one for PSS only: its AlgorithmIdentifier.
    """

    def __init__(self, key: rsa.RSAPrivateKey, pss: AlgorithmIdentifier | None = None) -> None:
        self._key = key
        self._pss = pss
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if pss is not None:
            bits = decode(SubjectPublicKeyInfo, spki).subject_public_key
            spki = encode(SubjectPublicKeyInfo(algorithm=pss, subject_public_key=bits))
        self.public_key_info = spki
        self._public_key = _public_key(spki)
        self.key_type = f"rsa{key.key_size}"
        if pss is None:
            self.signature_algorithm = _SHA256_WITH_RSA
        else:
            self.signature_algorithm = (self._public_key.pss or PSSParameters("sha256", 32)).to_algorithm()

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        """The signature over ``data``; see :class:`cmpkit.parts.PrivateKey`."""
        return self._key.sign(data, *_scheme(algorithm or self.signature_algorithm, self._public_key))

    async def decrypt(self, algorithm: AlgorithmIdentifier, encrypted: bytes) -> bytes:
        """The secret; see :class:`cmpkit.parts.TransportKey`."""
        scheme = _encryption(algorithm, self._public_key)
        try:
            return self._key.decrypt(encrypted, scheme)
        except ValueError:
            # No reason is given: it would be of use to an attacker only.
            raise CMPError("the secret cannot be decrypted", PKIFailureInfo.BAD_DATA_FORMAT) from None

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        """DER of PKCS#8; see :class:`cmpkit.parts.PrivateKey`."""
        if self._pss is None:
            return to_pkcs8(self._key, password)
        plain = decode(PrivateKeyInfo, to_pkcs8(self._key, None))
        marked = encode(PrivateKeyInfo(version=0, algorithm=self._pss, private_key=plain.private_key))
        return marked if password is None else encrypt_pkcs8(marked, password)


class RSAKeys:
    """The key algorithm; see :class:`cmpkit.parts.KeyAlgorithm`."""

    name = "RSA"
    key_oids: tuple[ObjectIdentifier, ...] = (oids.RSA_ENCRYPTION, oids.RSASSA_PSS)
    signature_oids: tuple[ObjectIdentifier, ...] = (*_HASH_NAMES, oids.RSASSA_PSS, *_PSS_SHAKE)
    key_types: tuple[str, ...] = tuple(_SIZES)
    # RFC 3279 section 2.3.1; key agreement is the one thing that RSA does not do.
    key_usages: frozenset[str] = SIGNING_USAGES | {"keyEncipherment", "dataEncipherment"}

    def generate(self, key_type: str) -> RSAKey:
        """A new key of the size that the type names."""
        return RSAKey(rsa.generate_private_key(_PUBLIC_EXPONENT, _SIZES[key_type]))

    def load_private_key(self, pkcs8: bytes) -> RSAKey:
        """A key from DER PKCS#8."""
        algorithm = decode(PrivateKeyInfo, pkcs8).algorithm
        try:
            key = serialization.load_der_private_key(pkcs8, None)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise CMPError(f"the RSA private key cannot be read: {error}", PKIFailureInfo.BAD_DATA_FORMAT) from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise CMPError("the private key is not an RSA key", PKIFailureInfo.BAD_DATA_FORMAT)
        return RSAKey(key, algorithm if algorithm.algorithm == oids.RSASSA_PSS else None)

    def key_type(self, public_key_info: bytes) -> str:
        """``rsa`` and the number of bits."""
        return f"rsa{_public_key(public_key_info).key.key_size}"

    def verify(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> bool:
        """Whether the signature fits."""
        key = _public_key(public_key_info)
        try:
            key.key.verify(signature, data, *_scheme(algorithm, key))
        except InvalidSignature:
            return False
        return True

    def cert_hash(self, algorithm: AlgorithmIdentifier) -> str | None:
        """The hash that the signature algorithm or its PSS parameters name."""
        if algorithm.algorithm == oids.RSASSA_PSS:
            return PSSParameters.of(algorithm).hash_name
        return {**_HASH_NAMES, **_PSS_SHAKE}[algorithm.algorithm]

    def transport_algorithm(self, public_key_info: bytes) -> AlgorithmIdentifier:
        """OAEP with SHA-256 (RFC 9481 section 4.2)."""
        algorithm = OAEPParameters().to_algorithm()
        _encryption(algorithm, _public_key(public_key_info))
        return algorithm

    def encrypt(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, secret: bytes) -> bytes:
        """A short secret, encrypted; see :class:`cmpkit.parts.KeyTransport`."""
        key = _public_key(public_key_info)
        try:
            return key.key.encrypt(secret, _encryption(algorithm, key))
        except ValueError:
            raise bad_alg(
                f"an RSA key of {key.key.key_size} bits is too short to encrypt {len(secret)} octets"
            ) from None


@lru_cache(maxsize=256)
def _public_key(public_key_info: bytes) -> _PublicKey:
    info = read_public_key_info(public_key_info)
    pss_only = info.algorithm.algorithm == oids.RSASSA_PSS
    if not pss_only and info.algorithm.algorithm != oids.RSA_ENCRYPTION:
        raise bad_alg("an RSA signature needs an RSA key, this key is of another kind")
    pss = PSSParameters.of(info.algorithm) if pss_only and info.algorithm.parameters is not None else None
    plain = SubjectPublicKeyInfo(algorithm=_RSA_ENCRYPTION, subject_public_key=info.subject_public_key)
    key = load_public_key(encode(plain) if pss_only else public_key_info, "RSA")
    assert isinstance(key, rsa.RSAPublicKey)
    _check_limits(key)
    return _PublicKey(key, pss_only, pss)


def _check_limits(key: rsa.RSAPublicKey) -> None:
    if not MIN_BITS <= key.key_size <= MAX_BITS:
        raise bad_alg(f"an RSA key of {key.key_size} bits", f"keys of {MIN_BITS} to {MAX_BITS} bits are accepted")
    # The library has refused even exponents, and those below 3.
    if key.public_numbers().e >= _MAX_EXPONENT:
        raise bad_alg("an RSA key with a public exponent of more than 32 bits", "use 65537")


def _scheme(
    algorithm: AlgorithmIdentifier, key: _PublicKey
) -> tuple[padding.PKCS1v15 | padding.PSS, hashes.HashAlgorithm]:
    if algorithm.algorithm == oids.RSASSA_PSS:
        used = PSSParameters.of(algorithm)
        if key.pss and (used.hash_name != key.pss.hash_name or used.salt_length < key.pss.salt_length):
            raise bad_alg("the PSS parameters of the signature are not those that the key is restricted to")
        return used.padding_for(key.key.key_size), HASHES[used.hash_name]
    if algorithm.algorithm in _PSS_SHAKE:
        raise bad_alg("RSASSA-PSS with SHAKE is not available", "sign with RSASSA-PSS and SHA-256, or with ECDSA")
    name = _HASH_NAMES.get(algorithm.algorithm)
    # RFC 4055 section 5: the parameters are NULL, absent ones are accepted.
    if name is None or key.pss_only or not algorithm.has_null_or_no_parameters:
        raise wrong_algorithm(algorithm, "RSA-PSS keys" if key.pss_only else "RSA keys")
    refuse_sha1(name, algorithm.algorithm)
    return padding.PKCS1v15(), HASHES[name]


def _encryption(algorithm: AlgorithmIdentifier, key: _PublicKey) -> padding.OAEP | padding.PKCS1v15:
    if key.pss_only:
        raise bad_alg("the RSA key is restricted to PSS signatures: it does not encrypt")
    if algorithm.algorithm == oids.RSAES_OAEP:
        return OAEPParameters.of(algorithm).to_padding()
    if algorithm.algorithm == oids.RSA_ENCRYPTION and algorithm.has_null_or_no_parameters:
        return padding.PKCS1v15()
    raise bad_alg(f"RSA keys do not encrypt by {algorithm.algorithm.dotted_string}", "use OAEP with SHA-256")
