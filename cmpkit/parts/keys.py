"""Keys, shared secrets, and what protects messages with them."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import AlgorithmIdentifier

__all__ = [
    "AgreementKey",
    "KeyAgreement",
    "KeyAlgorithm",
    "KeyProvider",
    "KeyTransport",
    "NeedsExchange",
    "PrivateKey",
    "Protection",
    "ProtectionKind",
    "RandomOctets",
    "SecretProtection",
    "SharedSecret",
    "TransportKey",
]


RandomOctets: TypeAlias = Callable[[int], bytes]
"""Gives as many random octets as it is asked for: :func:`secrets.token_bytes`, or what a test wants them to be."""


class ProtectionKind(enum.Enum):
    """By what a message is protected (RFC 9810 section 5.1.3)."""

    MAC = "MAC"
    AGREEMENT = "key agreement"
    SIGNATURE = "signature"
    KEM = "KEM"


def _octets(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, init=False, repr=False)
class SharedSecret:
    """A secret that two sides share, with its reference number.

    :param reference: what the senderKID holds; text is taken as UTF-8.
    :param value: the secret; text is taken as UTF-8. It is in no repr.
    """

    reference: bytes
    value: bytes

    def __init__(self, reference: str | bytes, value: str | bytes) -> None:
        object.__setattr__(self, "reference", _octets(reference))
        object.__setattr__(self, "value", _octets(value))

    def __repr__(self) -> str:
        return f"SharedSecret({self.reference!r}, …)"


class PrivateKey(Protocol):
    """A private key, in memory or somewhere that signs for us."""

    @property
    def key_type(self) -> str:
        """The name that ``--newkey-type`` knows, e.g. ``p256`` or ``rsa3072``."""

    @property
    def public_key_info(self) -> bytes:
        """DER of the SubjectPublicKeyInfo."""

    @property
    def signature_algorithm(self) -> AlgorithmIdentifier:
        """What :meth:`sign` uses unless it is told otherwise.

        :raises CMPError: badAlg if this key does not sign.
        """

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        """The signature over ``data``.

        :raises CMPError: badAlg if this key cannot sign by that algorithm.
        """

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        """DER of PKCS#8, encrypted if there is a password.

        :raises CMPError: if the key cannot leave the place where it is.
        """


class KeyAlgorithm(Protocol):
    """One family of keys: for certificates, messages, proofs and path checks alike.

    ``key_oids`` are those of SubjectPublicKeyInfo, ``signature_oids`` those that it verifies, ``key_types`` the names
    that :meth:`generate` takes (and ``--newkey-type`` shows), ``key_usages`` what a certificate for such a key may be
    used for, in the words of RFC 5280 section 4.2.1.3: a profile gives no others.
    """

    name: str
    key_oids: tuple[ObjectIdentifier, ...]
    signature_oids: tuple[ObjectIdentifier, ...]
    key_types: tuple[str, ...]
    key_usages: frozenset[str]

    def generate(self, key_type: str) -> PrivateKey:
        """A new key."""

    def load_private_key(self, pkcs8: bytes) -> PrivateKey:
        """A key from unencrypted DER PKCS#8.

        :raises CMPError: badDataFormat if it cannot be read.
        """

    def key_type(self, public_key_info: bytes) -> str:
        """The name of this public key's type, in the words of ``key_types`` (other sizes are named alike: ``rsa2560``).

        :raises CMPError: badAlg for a key that is too weak or too large, badCertTemplate for one that cannot be read.
        """

    def verify(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> bool:
        """Whether the signature fits.

        :raises CMPError: badAlg if the key cannot verify by that algorithm.
        """

    def cert_hash(self, algorithm: AlgorithmIdentifier) -> str | None:
        """The hash (a hashlib name) for the certHash of a certificate that is signed by ``algorithm``.

        SHAKE128 gives 32 octets and SHAKE256 gives 64 (:func:`cmpkit.crypto.digests.digest`). ``None`` means that the
        algorithm implies none, so that certConf must name one with hashAlg (RFC 9810 section 5.3.18, RFC 9481 section
        3).
        """


@runtime_checkable
class KeyTransport(Protocol):
    """What a :class:`KeyAlgorithm` has besides if a content key can be encrypted to its keys (RFC 5652 section 6.2.1).

    A private key that opens such content is a :class:`TransportKey`.
    """

    def transport_algorithm(self, public_key_info: bytes) -> AlgorithmIdentifier:
        """How to encrypt to that key.

        :raises CMPError: badAlg if this key does not encrypt.
        """

    def encrypt(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, secret: bytes) -> bytes:
        """A short secret, encrypted.

        :raises CMPError: badAlg if this key does not encrypt by that algorithm.
        """


@runtime_checkable
class TransportKey(Protocol):
    """What a :class:`PrivateKey` has besides if it decrypts content keys."""

    async def decrypt(self, algorithm: AlgorithmIdentifier, encrypted: bytes) -> bytes:
        """The secret.

        :raises CMPError: badAlg if this key does not decrypt by that algorithm, badDataFormat if it cannot be
            decrypted.
        """


@runtime_checkable
class KeyAgreement(Protocol):
    """What a :class:`KeyAlgorithm` has besides if its keys agree on secrets with others (RFC 5652 section 6.2.2).

    A private key that opens such content is an :class:`AgreementKey`.
    """

    def agreement_scheme(self, public_key_info: bytes) -> ObjectIdentifier:
        """The scheme for that key: agreement and key derivation, e.g. dhSinglePass-stdDH-sha256kdf-scheme."""

    def agree(self, public_key_info: bytes) -> tuple[bytes, bytes]:
        """A new public key of the same kind (DER of SubjectPublicKeyInfo), and the shared secret.

        :raises CMPError: badAlg or badCertTemplate if there can be none with that key.
        """


@runtime_checkable
class AgreementKey(Protocol):
    """What a :class:`PrivateKey` has besides if it agrees on content keys."""

    async def agree(self, public_key_info: bytes) -> bytes:
        """The shared secret.

        :param public_key_info: the other side's key, DER of SubjectPublicKeyInfo.
        :raises CMPError: badDataFormat if there can be none with that key.
        """


class KeyProvider(Protocol):
    """Finds private keys by URI."""

    schemes: tuple[str, ...]

    async def load(self, uri: str, password: bytes | None, algorithms: Sequence[KeyAlgorithm]) -> PrivateKey:
        """The key behind ``uri``.

        :raises ConfigurationError: if there is none, or the password is wrong.
        """


@dataclass(frozen=True, slots=True)
class NeedsExchange:
    """A protection cannot be verified before something else was exchanged (KEM, RFC 9810 appendix E)."""

    reason: str


class Protection(Protocol):
    """One way to protect messages, found by the OID of protectionAlg.

    :attr:`kind` says which credential it needs: for ``MAC`` a :class:`SharedSecret` on both sides; for ``SIGNATURE``
    the signer's SubjectPublicKeyInfo (octets) to verify and a :class:`PrivateKey` to protect; for ``AGREEMENT`` a
    :class:`SharedSecret` whose value two keys agreed on: it proves possession, and protects no message. ``tolerances``
    are the names of what :meth:`verify` accepts only if it is told to.
    """

    kind: ProtectionKind
    oids: tuple[ObjectIdentifier, ...]
    tolerances: tuple[str, ...]

    async def verify(
        self,
        protected_part: bytes,
        algorithm: AlgorithmIdentifier,
        protection: bytes,
        credential: Any,
        *,
        tolerances: frozenset[str] = frozenset(),
    ) -> NeedsExchange | None:
        """Check the protection; limits are checked before work is done.

        :param tolerances: names of what the operator allows beyond the default.
        :raises CMPError: badAlg for parameters that are not accepted, badMessageCheck if it does not fit. What one of
            :attr:`tolerances` would allow is refused with its name (``CMPError(…, tolerance=NAME)``), without regard to
            the credential; where the operator allows it, it is verified again with that name among ``tolerances``.
        """

    def algorithm(
        self, credential: Any, like: AlgorithmIdentifier | None = None, *, random: RandomOctets = secrets.token_bytes
    ) -> AlgorithmIdentifier:
        """The protectionAlg to put into a header.

        :param like: what the peer used, to answer in kind: parameters stay constant through a transaction, but for a
            nonce that is good for one message only (AES-GMAC).
        :param random: where every random octet of the parameters comes from: salts, nonces.
        """

    async def protect(self, protected_part: bytes, algorithm: AlgorithmIdentifier, credential: Any) -> bytes:
        """The protection octets over DER of ProtectedPart."""


class SecretProtection(Protection, Protocol):
    """A protection by shared secret that has several MACs for a client to choose from.

    ``macs`` are their names (``--mac`` shows them), the usual one first; no other protection has the same names.
    """

    macs: tuple[str, ...]

    def new_algorithm(self, mac: str, random: RandomOctets) -> AlgorithmIdentifier:
        """The protectionAlg for the first message of a transaction.

        :param mac: one of ``macs``.
        :param random: where every random octet of the parameters comes from.
        """
