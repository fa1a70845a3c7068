"""Message protection by signature, and how the protection for a message is found (RFC 9810 section 5.1.3)."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Any

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, PKIMessage
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import KeyAlgorithm, NeedsExchange, PrivateKey, Protection, ProtectionKind, RandomOctets
from cmpkit.plugins import Plugins
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["SignatureProtection", "find_protection", "mac_protection", "verify_message", "verify_protection"]


class SignatureProtection:
    """Protection by the signatures of one key algorithm (RFC 9810 section 5.1.3.3); a :class:`cmpkit.parts.Protection`.

    The credential is DER of the signer's SubjectPublicKeyInfo to verify, a :class:`cmpkit.parts.PrivateKey` to protect.
    """

    kind = ProtectionKind.SIGNATURE
    tolerances: tuple[str, ...] = ()

    def __init__(self, key_algorithm: KeyAlgorithm) -> None:
        self._key_algorithm = key_algorithm
        self.oids: tuple[ObjectIdentifier, ...] = key_algorithm.signature_oids

    async def verify(
        self,
        protected_part: bytes,
        algorithm: AlgorithmIdentifier,
        protection: bytes,
        credential: bytes,
        *,
        tolerances: frozenset[str] = frozenset(),
    ) -> NeedsExchange | None:
        """Check the signature.

        :param tolerances: none of them concerns signatures.
        :raises CMPError: badAlg if the key cannot verify by that algorithm, badMessageCheck if it does not fit.
        """
        if not self._key_algorithm.verify(credential, algorithm, protected_part, protection):
            raise CMPError(
                "the signature of the message does not fit the signer's key",
                PKIFailureInfo.BAD_MESSAGE_CHECK,
                rule="RFC 9483 section 3.5",
            )
        return None

    def algorithm(
        self,
        credential: PrivateKey,
        like: AlgorithmIdentifier | None = None,
        *,
        random: RandomOctets = secrets.token_bytes,
    ) -> AlgorithmIdentifier:
        """What the key signs by; each side of a transaction has a key, and so an algorithm, of its own."""
        return credential.signature_algorithm

    async def protect(self, protected_part: bytes, algorithm: AlgorithmIdentifier, credential: PrivateKey) -> bytes:
        """The signature.

        :raises CMPError: badAlg if the key cannot sign by that algorithm.
        """
        return await credential.sign(protected_part, algorithm)


_by_signature = lru_cache(maxsize=64)(SignatureProtection)


def find_protection(plugins: Plugins, oid: ObjectIdentifier) -> Protection:
    """The protection for a protectionAlg: one that a plugin registered, else the signatures of a key algorithm.

    :raises CMPError: badAlg if there is none.
    """
    registered: Protection | None = plugins.get("protection", oid)
    if registered is not None:
        return registered
    key_algorithm = plugins.get("key algorithm", oid)
    if key_algorithm is not None and oid in key_algorithm.signature_oids:
        return _by_signature(key_algorithm)
    raise CMPError(
        f"no protection for protectionAlg {oid.dotted_string}",
        PKIFailureInfo.BAD_ALG,
        rule="RFC 9483 section 3.5",
        hint="a plugin may bring it, see: cmpkit plugins",
    )


def mac_protection(plugins: Plugins, oid: ObjectIdentifier = oids.PASSWORD_BASED_MAC) -> Protection:
    """The protection by shared secret.

    :raises CMPError: badAlg if no plugin brings it, or ``oid`` is another kind of protection.
    """
    protection = find_protection(plugins, oid)
    if protection.kind is not ProtectionKind.MAC:
        raise CMPError(f"{oid.dotted_string} is not a protection by shared secret", PKIFailureInfo.BAD_ALG)
    return protection


async def verify_protection(
    protection: Protection,
    octets: bytes,
    algorithm: AlgorithmIdentifier,
    value: bytes,
    credential: Any,
    *,
    leniency: Leniency = STRICT,
) -> None:
    """Return only if ``value`` protects ``octets``: a part that wants something exchanged first has verified nothing.

    :param leniency: what is let pass, of those names that the part's refusal carries.
    :raises CMPError: badAlg, badMessageCheck; wrongIntegrity if the protection needs an exchange before.
    """
    try:
        needed = await protection.verify(octets, algorithm, value, credential)
    except CMPError as fault:
        if not leniency.allows(fault.tolerance):
            raise
        needed = await protection.verify(octets, algorithm, value, credential, tolerances=leniency.names)
    if needed is not None:
        raise CMPError(
            f"the protection needs an exchange before: {needed.reason}",
            PKIFailureInfo.WRONG_INTEGRITY,
            rule="RFC 9810 section 5.1.3.4",
        )


async def verify_message(
    protection: Protection, message: PKIMessage, credential: Any, *, leniency: Leniency = STRICT
) -> None:
    """Return only if a message is protected by what it says protects it.

    :param message: a message with protectionAlg and protection; one that came in BER may be protected over the octets
        that came or over their DER form.
    :param leniency: what is let pass.
    :raises CMPError: badAlg, badMessageCheck; wrongIntegrity if the protection needs an exchange before.
    """
    algorithm, value = message.header.protection_alg, message.protection
    assert algorithm is not None
    assert value is not None
    *received, der_form = message.protected_forms
    for octets in received:
        try:
            return await verify_protection(protection, octets, algorithm, value, credential, leniency=leniency)
        except CMPError as error:
            if error.fail_info is not PKIFailureInfo.BAD_MESSAGE_CHECK:
                raise
    return await verify_protection(protection, der_form, algorithm, value, credential, leniency=leniency)
