"""Whether a protection keeps its contract: a check for authors of protections, to be awaited in their tests."""

from __future__ import annotations

from typing import Any

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import AlgorithmIdentifier, decode, encode, to_tlv
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Protection, ProtectionKind, SharedSecret
from cmpkit.testing.contract import refused, require, require_oids, require_type, success, task_group

__all__ = ["check_protection"]

_PARTS = (b"\x30\x00", b"a protected part", bytes(60_000))
_FOREIGN = AlgorithmIdentifier(ObjectIdentifier("2.999.1"))
# Two BOOLEANs in a SEQUENCE: the parameters of no algorithm.
_JUNK = bytes.fromhex("30060101ff0101ff")
_FINDABLE = 8


async def check_protection(
    protection: Protection, credential: Any, *, wrong_credential: Any, verifying_credential: Any = None
) -> None:
    """Check a protection with a credential.

    What it protects it accepts, and nothing else: no changed message, no changed protection, no other credential, no
    parameters that cannot be read. It answers in the peer's algorithm, takes random octets from where it is told, and
    twenty verifications at once do not mix. A shared secret of 8 octets or more is in none of its errors.

    :param credential: to protect with: a :class:`~cmpkit.parts.SharedSecret`, or a :class:`~cmpkit.parts.PrivateKey`.
    :param wrong_credential: one to verify with that does not fit.
    :param verifying_credential: the one to verify with, if it is not ``credential``: a SubjectPublicKeyInfo.
    :raises AssertionError: naming what is wrong.
    """
    require_oids(protection, "oids")
    require_type(getattr(protection, "kind", None), ProtectionKind, "kind")
    require_type(getattr(protection, "tolerances", None), tuple, "tolerances")
    used = credential if verifying_credential is None else verifying_credential
    algorithm = _check_algorithm(protection, credential)
    for part in _PARTS:
        await _check_part(protection, part, algorithm, credential, used)
    check = _Refusals(protection, algorithm, [credential, wrong_credential])
    part = _PARTS[1]
    with success("protect() must work a second time"):
        octets = await protection.protect(part, algorithm, credential)
    await check.changed(part, octets, used)
    await check.parameters(part, octets, used)
    await check.wrong(part, octets, wrong_credential)
    await check.concurrent(part, octets, used=used, wrong=wrong_credential)


def _check_algorithm(protection: Protection, credential: Any) -> AlgorithmIdentifier:
    with success("algorithm() must name the protectionAlg for the credential"):
        algorithm = protection.algorithm(credential)
        again = protection.algorithm(credential, algorithm)
        other = protection.algorithm(credential, _FOREIGN)
        pinned = [protection.algorithm(credential, random=bytes) for _ in range(2)]
    require_type(algorithm, AlgorithmIdentifier, "what algorithm() returns")
    require(
        algorithm.algorithm in protection.oids,
        f"algorithm() must be one of its oids, not {algorithm.algorithm.dotted_string}",
    )
    require(decode(AlgorithmIdentifier, encode(algorithm)) == algorithm, "algorithm() must survive DER")
    require(again == algorithm, "algorithm(like=…) must be what the peer used: parameters stay through a transaction")
    require(pinned[0] == pinned[1], "algorithm(random=…) must take every random octet from there")
    require(other.algorithm in protection.oids, "algorithm(like=…) must be its own where the peer used another one")
    return algorithm


async def _check_part(
    protection: Protection, part: bytes, algorithm: AlgorithmIdentifier, credential: Any, used: Any
) -> None:
    with success(f"a protected part of {len(part)} octets must be protected and verified"):
        octets = await protection.protect(part, algorithm, credential)
        result = await protection.verify(part, algorithm, octets, used)
    require_type(octets, bytes, "what protect() returns")
    require(result is None, f"verify() must return None for what protect() made with the credential, not {result!r}")


class _Refusals:
    """What must be refused, without a secret in the refusal."""

    def __init__(self, protection: Protection, algorithm: AlgorithmIdentifier, credentials: list[Any]) -> None:
        self._protection = protection
        self._algorithm = algorithm
        self._secrets = [
            credential.value
            for credential in credentials
            if isinstance(credential, SharedSecret) and len(credential.value) >= _FINDABLE
        ]

    async def changed(self, part: bytes, octets: bytes, used: Any) -> None:
        for number in (0, len(part) // 2, len(part) - 1):
            await self._misfit(f"a message whose octet {number} was changed", _flip(part, number), octets, used)
        await self._misfit("a message that was cut", part[:-1], octets, used)
        for number in (0, len(octets) // 2, len(octets) - 1):
            await self._misfit(f"a protection whose octet {number} was changed", part, _flip(octets, number), used)
        await self._misfit("a protection that was cut", part, octets[:-1], used)
        await self._misfit("a protection with an octet more", part, octets + b"\x00", used)
        await self._misfit("an empty protection", part, b"", used)

    async def wrong(self, part: bytes, octets: bytes, credential: Any) -> None:
        # Twice: what was kept of a good verification, or of a bad one, must not help.
        await self._misfit("a message under another credential", part, octets, credential)
        await self._misfit("a message under another credential, sent again,", part, octets, credential)

    async def parameters(self, part: bytes, octets: bytes, used: Any) -> None:
        for oid in self._protection.oids:
            junk = AlgorithmIdentifier(oid, to_tlv(_JUNK))
            what = f"{oid.dotted_string} with parameters that cannot be read"
            with refused(what, PKIFailureInfo.BAD_ALG, PKIFailureInfo.BAD_DATA_FORMAT) as caught:
                await self._protection.verify(part, junk, octets, used)
            self._require_silence(caught[0])

    async def concurrent(self, part: bytes, octets: bytes, *, used: Any, wrong: Any) -> None:
        async def accept() -> None:
            with success("verifications at the same time must not mix their credentials"):
                await self._protection.verify(part, self._algorithm, octets, used)

        async def refuse() -> None:
            await self._misfit("a message under another credential, beside good ones,", part, octets, wrong)

        async with task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(accept)
                tasks.start_soon(refuse)

    async def _misfit(self, what: str, part: bytes, octets: bytes, used: Any) -> None:
        with refused(what, PKIFailureInfo.BAD_MESSAGE_CHECK) as caught:
            await self._protection.verify(part, self._algorithm, octets, used)
        self._require_silence(caught[0])

    def _require_silence(self, error: CMPError) -> None:
        told = f"{error} {error.status_text}".encode()
        require(not any(secret in told for secret in self._secrets), "no secret may be in the text of an error")


def _flip(data: bytes, number: int) -> bytes:
    return data[:number] + bytes((data[number] ^ 1,)) + data[number + 1 :]
