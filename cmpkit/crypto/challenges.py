"""Challenges: numbers that only the holder of a private key can read (RFC 9810 section 5.2.8.3.3).

The number travels as EnvelopedData (pvno 3), or encrypted by RSA itself (pvno 2). Its witness is the digest of the DER
of the INTEGER, which the RFC leaves open; a client takes the digest of its contents, too.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    Challenge,
    GeneralName,
    IssuerAndSerialNumber,
    Rand,
    decode,
    encode,
    encode_general_name,
)
from cmpkit.crypto.digests import HASH_NAMES, digest
from cmpkit.crypto.encrypted_values import decrypt_by_rsa, encrypt_by_rsa
from cmpkit.crypto.enveloping import KeyRecipient, envelop, open_envelope
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, RandomOctets
from cmpkit.plugins import Plugins

__all__ = ["is_answer", "make_challenge", "read_challenges"]

_RULE: Final = "RFC 9810 section 5.2.8.3.3"
_NUMBER_SIZE: Final = 16
_WEAK: Final = frozenset({"sha1"})


async def make_challenge(
    public_key_info: bytes,
    cert_req_id: int,
    sender: GeneralName,
    *,
    plugins: Plugins,
    by_rsa: bool = False,
    random: RandomOctets = secrets.token_bytes,
) -> Challenge:
    """A number of 128 random bits, encrypted to a key.

    :param public_key_info: DER of the key.
    :param cert_req_id: of the request; it stands where the number of a certificate does.
    :param sender: of the message that the challenge is for.
    :param by_rsa: whether it is for a message of pvno 2: encrypted by the RSA key itself.
    :raises CMPError: badAlg if nothing can be encrypted to the key.
    """
    number = int.from_bytes(random(_NUMBER_SIZE))
    owf, witness, rand = AlgorithmIdentifier(oids.SHA256), _witness(number), encode(Rand(int_=number, sender=sender))
    if by_rsa:
        return Challenge(owf=owf, witness=witness, challenge=encrypt_by_rsa(rand, public_key_info, plugins))
    unnamed = IssuerAndSerialNumber(issuer=x509.Name([]), serial_number=cert_req_id)
    enveloped = await envelop(rand, KeyRecipient(public_key_info, unnamed), plugins=plugins, random=random)
    return Challenge(owf=owf, witness=witness, challenge=b"", encrypted_rand=enveloped)


def _witness(number: int) -> bytes:
    return digest("sha256", encode(number))


def is_answer(number: int, witness: bytes) -> bool:
    """Whether a number is that of a challenge that :func:`make_challenge` made."""
    return hmac.compare_digest(_witness(number), witness)


async def read_challenges(
    challenges: Sequence[Challenge],
    keys: Sequence[PrivateKey],
    sender: GeneralName,
    *,
    tolerances: frozenset[str] = frozenset(),
) -> tuple[int, ...]:
    """The numbers, in their order.

    Nothing is read aloud that is no Rand for this message: otherwise the sender could have anything decrypted (RFC 9810
    section 8.2).

    :param keys: the key of each challenge.
    :param sender: of the message that brought them.
    :param tolerances: see :func:`cmpkit.crypto.enveloping.open_envelope`; ``legacy-encryption`` allows the form of
        pvno 2.
    :raises CMPError: badAlg for algorithms that are not accepted; badDataFormat if there is not one challenge for each
        key, or one cannot be read, or does not fit its witness or the sender.
    """
    if len(challenges) != len(keys):
        raise _unfit(f"{len(challenges)} challenges for {len(keys)} keys")
    numbers, hash_name = [], ""
    for challenge, key in zip(challenges, keys, strict=True):
        if challenge.owf is not None:
            hash_name = HASH_NAMES.get(challenge.owf.algorithm, "")
        if not hash_name or hash_name in _WEAK:
            raise CMPError("the hash of a challenge is not accepted", PKIFailureInfo.BAD_ALG, rule=_RULE)
        rand = await _open(challenge, key, tolerances)
        same_sender = encode(encode_general_name(rand.sender)) == encode(encode_general_name(sender))
        if not same_sender or not _fits(rand.int_, hash_name, challenge.witness):
            raise _unfit("the challenge does not fit its witness or its sender")
        numbers.append(rand.int_)
    return tuple(numbers)


async def _open(challenge: Challenge, key: PrivateKey, tolerances: frozenset[str]) -> Rand:
    if challenge.encrypted_rand is None:
        return await decrypt_by_rsa(challenge.challenge, key, read=_read_rand, tolerances=tolerances)
    if challenge.challenge:
        raise _unfit("the challenge is there twice")
    return await open_envelope(challenge.encrypted_rand, key, read=_read_rand, tolerances=tolerances)


def _read_rand(octets: bytes) -> Rand:
    return decode(Rand, octets)


def _fits(number: int, hash_name: str, witness: bytes) -> bool:
    whole = encode(number)
    contents = number.to_bytes(number.bit_length() // 8 + 1, signed=True)
    return any(hmac.compare_digest(digest(hash_name, data), witness) for data in (whole, contents))


def _unfit(detail: str) -> CMPError:
    return CMPError(detail, PKIFailureInfo.BAD_DATA_FORMAT, rule=_RULE)
