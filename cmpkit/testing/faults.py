"""What can be wrong with a message whose octets are right otherwise: one function for each fault, found by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any, Final, TypeAlias

from cryptography import x509
from cryptography.x509 import NameOID, ObjectIdentifier

from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertificationRequest,
    CertRepMessage,
    CertReqMsg,
    CertStatus,
    GeneralizedTime,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIMessage,
    PollRep,
    PollReq,
    POPOSigningKey,
    ProofOfPossession,
    Variant,
    directory_name,
)
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError

__all__ = ["MESSAGE_FAULTS", "Chance", "MessageFault", "flipped"]

_DAY = timedelta(days=1)
_UNKNOWN = ObjectIdentifier("2.999.1")
_NONCE = 16


@dataclass(frozen=True, slots=True)
class Chance:
    """What a fault may draw from.

    :param random: seeded.
    :param earlier: messages that were seen before, in their order.
    """

    random: Random
    earlier: Sequence[PKIMessage] = ()


MessageFault: TypeAlias = Callable[[PKIMessage, Chance], PKIMessage | None]
"""Gives the message with its fault, or ``None`` where it has nothing that could be wrong in this way."""

MESSAGE_FAULTS: Final[dict[str, MessageFault]] = {}
"""The faults of fields by name."""


def _fault(function: MessageFault) -> MessageFault:
    MESSAGE_FAULTS[function.__name__.strip("_").replace("_", "-")] = function
    return function


def flipped(octets: bytes, random: Random) -> bytes:
    """The octets with one bit changed; of none there are none."""
    if not octets:
        return octets
    bit = random.randrange(8 * len(octets))
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _with(message: PKIMessage, **fields: Any) -> PKIMessage:
    header = dataclasses.replace(message.header, **fields)
    return PKIMessage(header, message.body, message.protection, message.extra_certs)


def _with_content(message: PKIMessage, content: Any) -> PKIMessage:
    return PKIMessage(message.header, PKIBody(message.body.type, content), message.protection, message.extra_certs)


def _name(text: str) -> Any:
    return directory_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]))


def _shifted(message: PKIMessage, by: timedelta) -> PKIMessage | None:
    time = message.header.time
    return None if time is None else _with(message, message_time=GeneralizedTime(time + by))


@_fault
def _stale_time(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """messageTime is a day ago (badTime)."""
    return _shifted(message, -_DAY)


@_fault
def _future_time(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """messageTime is tomorrow (badTime)."""
    return _shifted(message, _DAY)


@_fault
def _unknown_version(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """pvno is a version that does not exist (unsupportedVersion)."""
    return _with(message, pvno=chance.random.randrange(4, 128))


@_fault
def _foreign_transaction_id(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """transactionID is that of no transaction: fatal but for the message that opens one."""
    return _with(message, transaction_id=chance.random.randbytes(_NONCE))


@_fault
def _no_transaction_id(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """transactionID is absent (badDataFormat)."""
    return _with(message, transaction_id=None)


@_fault
def _replayed_nonce(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """senderNonce is that of the first message once more (badSenderNonce); the first one cannot have this fault."""
    return _with(message, sender_nonce=chance.earlier[0].header.sender_nonce) if chance.earlier else None


@_fault
def _short_nonce(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """senderNonce has 8 octets, 16 are the least (badSenderNonce)."""
    return _with(message, sender_nonce=chance.random.randbytes(_NONCE // 2))


@_fault
def _no_sender_nonce(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """senderNonce is absent (badSenderNonce)."""
    return _with(message, sender_nonce=None)


@_fault
def _wrong_recip_nonce(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """recipNonce is the senderNonce of nobody (badRecipientNonce)."""
    return None if message.header.recip_nonce is None else _with(message, recip_nonce=chance.random.randbytes(_NONCE))


@_fault
def _no_recip_nonce(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """recipNonce is absent where it was there (badRecipientNonce)."""
    return None if message.header.recip_nonce is None else _with(message, recip_nonce=None)


@_fault
def _wrong_sender(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """sender is somebody else (badMessageCheck)."""
    return _with(message, sender=_name("mallory"))


@_fault
def _wrong_sender_kid(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """senderKID is that of nobody (badMessageCheck)."""
    return _with(message, sender_kid=chance.random.randbytes(20))


@_fault
def _no_protection(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """The message is not protected (wrongIntegrity)."""
    header = dataclasses.replace(message.header, protection_alg=None)
    return PKIMessage(header, message.body, None, message.extra_certs)


@_fault
def _unknown_protection(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """protectionAlg is an algorithm that nobody knows, with 32 octets that could be its protection (badAlg)."""
    header = dataclasses.replace(message.header, protection_alg=AlgorithmIdentifier(_UNKNOWN))
    return PKIMessage(header, message.body, chance.random.randbytes(32), message.extra_certs)


@_fault
def _unknown_general_info(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """generalInfo has a type that nobody knows: this must be ignored (RFC 9810 section 5.1.1)."""
    known = message.header.general_info or ()
    return _with(message, general_info=[*known, InfoTypeAndValue(_UNKNOWN, Null())])


@_fault
def _unexpected_body(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """The body is pkiconf, which no client sends (badRequest)."""
    body = PKIBody(BodyType.PKICONF, Null())
    return PKIMessage(message.header, body, message.protection, message.extra_certs)


@_fault
def _wrong_cert_req_id(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """certReqId is that of no request; in a request this spoils the proof of possession too."""
    content, number = message.body.content, chance.random.randrange(1, 1 << 31)
    if isinstance(content, CertRepMessage):
        responses = [dataclasses.replace(one, cert_req_id=number) for one in content.response]
        return _with_content(message, dataclasses.replace(content, response=responses))
    if not isinstance(content, list) or not content:
        return None
    first, *rest = content
    if isinstance(first, CertReqMsg):
        try:
            request = dataclasses.replace(first.request, cert_req_id=number)
        except CMPError:
            # It cannot be read, and is faulty enough.
            return None
        return _with_content(message, [CertReqMsg.build(request, first.popo, reg_info=first.reg_info), *rest])
    if isinstance(first, CertStatus | PollReq | PollRep):
        return _with_content(message, [dataclasses.replace(first, cert_req_id=number), *rest])
    return None


@_fault
def _wrong_cert_hash(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """certHash of a certConf is that of another certificate (badCertId)."""
    if message.body.type is not BodyType.CERT_CONF or not message.body.content:
        return None
    first, *rest = message.body.content
    return _with_content(message, [dataclasses.replace(first, cert_hash=chance.random.randbytes(32)), *rest])


@_fault
def _wrong_pop(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """The signature that proves possession of the key has one bit changed (badPOP)."""
    content = message.body.content
    if isinstance(content, CertificationRequest):
        signature = BitString(flipped(content.signature.as_bytes(), chance.random), 0)
        return _with_content(message, dataclasses.replace(content, signature=signature))
    asked = _first_request(message)
    if asked is None or asked.popo is None or not isinstance(asked.popo.value, POPOSigningKey):
        return None
    proof = asked.popo.value
    signature = BitString(flipped(proof.signature.as_bytes(), chance.random), 0)
    popo: ProofOfPossession = Variant(dataclasses.replace(proof, signature=signature), asked.popo.tag)
    return _with_content(message, [dataclasses.replace(asked, popo=popo), *content[1:]])


@_fault
def _no_pop(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """There is no proof of possession (badPOP)."""
    asked = _first_request(message)
    if asked is None:
        return None
    return _with_content(message, [dataclasses.replace(asked, popo=None), *message.body.content[1:]])


@_fault
def _ra_verified(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """The proof of possession is raVerified, which only a registration authority may say (badPOP)."""
    asked = _first_request(message)
    if asked is None:
        return None
    popo: ProofOfPossession = Variant(Null(), "ra_verified")
    return _with_content(message, [dataclasses.replace(asked, popo=popo), *message.body.content[1:]])


@_fault
def _two_requests(message: PKIMessage, chance: Chance) -> PKIMessage | None:
    """The same certificate is asked for twice in one message (badRequest)."""
    asked = _first_request(message)
    return None if asked is None else _with_content(message, [asked, *message.body.content])


def _first_request(message: PKIMessage) -> CertReqMsg | None:
    content = message.body.content
    first = content[0] if isinstance(content, list) and content else None
    return first if isinstance(first, CertReqMsg) else None
