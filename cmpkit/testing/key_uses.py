"""Whether keys that encrypt or agree on secrets do so: what a key algorithm may have besides signatures."""

from __future__ import annotations

from typing import Any

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import AlgorithmIdentifier
from cmpkit.enums import PKIFailureInfo
from cmpkit.parts import AgreementKey, KeyAgreement, KeyAlgorithm, KeyTransport, PrivateKey, TransportKey
from cmpkit.testing.contract import refused, require, success

__all__ = ["check_agreement", "check_no_signatures", "check_transport"]

_SECRET = bytes(range(32))
_FOREIGN = AlgorithmIdentifier(ObjectIdentifier("2.999.1"))


async def check_no_signatures(algorithm: KeyAlgorithm, key: PrivateKey) -> None:
    """Check a key of an algorithm without signatures: it says so by badAlg.

    :raises AssertionError: naming what is wrong.
    """
    with refused("a signature by a key that does not sign", PKIFailureInfo.BAD_ALG):
        await key.sign(b"data")
    with refused("the verification by a key that does not sign", PKIFailureInfo.BAD_ALG):
        algorithm.verify(key.public_key_info, _FOREIGN, b"data", b"")


async def check_transport(algorithm: KeyAlgorithm, key: Any, other: Any) -> None:
    """Check what encrypts secrets, if the algorithm has that (:class:`cmpkit.parts.KeyTransport`).

    :param key: a private key; one that does not decrypt, though others of its kind may, is passed over.
    :param other: another key of the same type.
    :raises AssertionError: naming what is wrong.
    """
    public = key.public_key_info
    if not isinstance(algorithm, KeyTransport) or not _both(key, other, TransportKey):
        return
    with success("encrypt() must encrypt by transport_algorithm()"):
        used = algorithm.transport_algorithm(public)
        encrypted = algorithm.encrypt(public, used, _SECRET)
    with success("decrypt() must decrypt what encrypt() made"):
        decrypted = await key.decrypt(used, encrypted)
    require(decrypted == _SECRET, "decrypt() must give back what was encrypted")
    with refused("a secret that is encrypted to another key", PKIFailureInfo.BAD_DATA_FORMAT):
        await other.decrypt(used, encrypted)
    with refused("decryption by a foreign algorithm", PKIFailureInfo.BAD_ALG):
        await key.decrypt(_FOREIGN, encrypted)


async def check_agreement(algorithm: KeyAlgorithm, key: Any, other: Any) -> None:
    """Check what agrees on secrets, if the algorithm has that (:class:`cmpkit.parts.KeyAgreement`).

    :param key: a private key; one that does not agree, though others of its kind may, is passed over.
    :param other: another key of the same type.
    :raises AssertionError: naming what is wrong.
    """
    public = key.public_key_info
    if not isinstance(algorithm, KeyAgreement) or not _both(key, other, AgreementKey):
        return
    scheme = algorithm.agreement_scheme(public)
    require(isinstance(scheme, ObjectIdentifier), f"agreement_scheme() must be an ObjectIdentifier, not {scheme!r}")
    with success("agree() must make a key, and agree on a secret with it"):
        ours, secret = algorithm.agree(public)
        theirs = await key.agree(ours)
    require(theirs == secret, "both sides must agree on the same secret")
    require(await other.agree(ours) != secret, "another key must not agree on the same secret")
    require(algorithm.agree(public)[0] != ours, "agree() must make a new key each time")


def _both(key: Any, other: Any, kind: type[Any]) -> bool:
    return isinstance(key, kind) and isinstance(other, kind)
