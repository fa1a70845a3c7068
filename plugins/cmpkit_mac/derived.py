"""What these protections do alike: derive a key within limits, once per transaction, and compare MACs."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import AlgorithmIdentifier
from cmpkit.crypto.work import run_derivation
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import NeedsExchange, ProtectionKind, RandomOctets, SharedSecret
from cmpkit_mac.algorithms import TOLERATE_SHA1, bad_alg, hash_repeatedly, refuse_weak
from cmpkit_mac.macs import Mac

__all__ = ["Derivation", "DerivedKeyMac", "check_salt", "expand"]

_MAX_SALT = 128
_INLINE_STEPS = 1_000
_KEPT_KEYS = 256


@dataclass(frozen=True, slots=True)
class Derivation:
    """How to come from a secret to a MAC key, and what to do with it; every limit is checked.

    :param derive: the MAC key of a secret.
    :param label: what the key depends on besides the secret.
    :param steps: how many hashes that takes.
    :param mac: what the key is for.
    :param hash_names: of all the hashes that are used.
    """

    derive: Callable[[bytes], bytes]
    label: bytes
    steps: int
    mac: Mac
    hash_names: tuple[str, ...]


def check_salt(salt: bytes) -> None:
    """Refuse a salt that is empty or excessive.

    :raises CMPError: badAlg.
    """
    if not 1 <= len(salt) <= _MAX_SALT:
        raise bad_alg(f"a salt of {len(salt)} octets; 1 to {_MAX_SALT} are accepted")


def expand(base: bytes, owf: str, length: int) -> bytes:
    """BASEKEY cut, or lengthened, to what the MAC takes (RFC 9810 section 5.1.3.1).

    An HMAC takes a key of any length, so the whole BASEKEY is its key (RFC 9045 section 4.2).

    :param owf: the hash that BASEKEY came from, see :func:`cmpkit_mac.algorithms.hash_name`.
    :param length: octets.
    """
    key, number = base, 0
    while len(key) < length:
        number += 1
        key += hash_repeatedly(owf, b"%d" % number + base, 1)
    return key[:length]


class DerivedKeyMac(ABC):
    """A MAC whose key is derived from a shared secret; a :class:`cmpkit.parts.SecretProtection`.

    Who verifies and knows no secret for a senderKID calls :meth:`verify` with a random :class:`SharedSecret`: it takes
    as long as a wrong MAC does, and ends in the same error. Therefore derived keys are kept only once a MAC fitted (one
    transaction has several messages with the same parameters), so that a guess is as slow the second time as the first.
    """

    kind = ProtectionKind.MAC
    oids: tuple[ObjectIdentifier, ...]
    tolerances: tuple[str, ...] = (TOLERATE_SHA1,)
    macs: tuple[str, ...]

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, bytes] = OrderedDict()

    @abstractmethod
    def read(self, algorithm: AlgorithmIdentifier) -> Derivation:
        """What the parameters ask for.

        :raises CMPError: badAlg if they are beyond the limits or not known, badDataFormat if they cannot be read.
        """

    @abstractmethod
    def new_algorithm(self, mac: str, random: RandomOctets) -> AlgorithmIdentifier:
        """Our own parameters, with a fresh salt; see :meth:`cmpkit.parts.SecretProtection.new_algorithm`."""

    @abstractmethod
    def renewed(self, algorithm: AlgorithmIdentifier, random: RandomOctets) -> AlgorithmIdentifier:
        """The parameters for another message: the same, but for a nonce that is used once.

        :raises CMPError: badAlg or badDataFormat as for :meth:`read`.
        """

    async def verify(
        self,
        protected_part: bytes,
        algorithm: AlgorithmIdentifier,
        protection: bytes,
        credential: SharedSecret,
        *,
        tolerances: frozenset[str] = frozenset(),
    ) -> NeedsExchange | None:
        """Check the MAC; see :class:`cmpkit.parts.Protection`.

        :param tolerances: ``hmac-sha1`` allows SHA-1 and HMAC-SHA1.
        """
        derivation = self.read(algorithm)
        refuse_weak(derivation.hash_names, tolerances)
        label = _label(derivation, credential)
        key = await self._key(label, derivation, credential)
        if not hmac.compare_digest(derivation.mac.compute(key, protected_part), protection):
            raise CMPError(
                "the MAC of the message does not fit the shared secret",
                PKIFailureInfo.BAD_MESSAGE_CHECK,
                rule="RFC 9483 section 3.5",
                hint="compare reference and secret on both sides",
            )
        self._keep(label, key)
        return None

    def algorithm(
        self,
        credential: SharedSecret,
        like: AlgorithmIdentifier | None = None,
        *,
        random: RandomOctets = secrets.token_bytes,
    ) -> AlgorithmIdentifier:
        """The same parameters as the peer's (RFC 9810 section 5.1.3.1), or our own with a fresh salt."""
        if like is not None and like.algorithm in self.oids:
            return self.renewed(like, random)
        return self.new_algorithm(self.macs[0], random)

    async def protect(self, protected_part: bytes, algorithm: AlgorithmIdentifier, credential: SharedSecret) -> bytes:
        """The MAC.

        SHA-1 is not refused here: its parameters can only come from a message that was verified under the tolerance.

        :raises CMPError: badAlg if the parameters are beyond the limits or not known.
        """
        derivation = self.read(algorithm)
        label = _label(derivation, credential)
        key = await self._key(label, derivation, credential)
        self._keep(label, key)
        return derivation.mac.compute(key, protected_part)

    async def _key(self, label: bytes, derivation: Derivation, credential: SharedSecret) -> bytes:
        kept = self._keys.get(label)
        if kept is not None:
            return kept
        if derivation.steps <= _INLINE_STEPS:
            return derivation.derive(credential.value)
        return await run_derivation(derivation.derive, credential.value)

    def _keep(self, label: bytes, key: bytes) -> None:
        self._keys[label] = key
        self._keys.move_to_end(label)
        if len(self._keys) > _KEPT_KEYS:
            self._keys.popitem(last=False)


def _label(derivation: Derivation, credential: SharedSecret) -> bytes:
    """What a derived key depends on, as a digest, so that no secret is kept with it."""
    parameters = hashlib.sha256(derivation.label).digest()
    return hashlib.sha256(parameters + credential.value).digest()
