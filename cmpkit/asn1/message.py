"""PKIMessage, PKIHeader and PKIBody (RFC 9810 section 5.1), and the doors between octets and messages."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.codec import decode, der_wrap, encode
from cmpkit.asn1.content import (
    CertRepMessage,
    CertStatus,
    ErrorMsgContent,
    InfoTypeAndValue,
    PollRep,
    PollReq,
    RevDetails,
    RevRepContent,
)
from cmpkit.asn1.crmf import CertReqMsg
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.names import GeneralName, keep_general_name
from cmpkit.asn1.primitives import TLV, BitString, Explicit, GeneralizedTime, NonEmpty, Null, Size, Unread
from cmpkit.asn1.x509 import CertificationRequest
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = [
    "MAX_MESSAGE_SIZE",
    "PKIBody",
    "PKIHeader",
    "PKIMessage",
    "decode_message",
    "encode_message",
]

MAX_MESSAGE_SIZE = 1 << 20
"""Octets that a message may have unless the caller says otherwise (1 MiB)."""

_CONTEXT_CONSTRUCTED = 0xA0
_HIGHEST_BODY_TAG = max(BodyType)


@sequence
class PKIHeader:
    """Who, to whom, when, and how it is protected (RFC 9810 section 5.1.1)."""

    pvno: int
    sender: Annotated[GeneralName, Unread(keep_general_name)]
    recipient: Annotated[GeneralName, Unread(keep_general_name)]
    message_time: Annotated[GeneralizedTime | None, Explicit(0)] = None
    protection_alg: Annotated[AlgorithmIdentifier | None, Explicit(1)] = None
    sender_kid: Annotated[bytes | None, Explicit(2)] = None
    recip_kid: Annotated[bytes | None, Explicit(3)] = None
    transaction_id: Annotated[bytes | None, Explicit(4)] = None
    sender_nonce: Annotated[bytes | None, Explicit(5)] = None
    recip_nonce: Annotated[bytes | None, Explicit(6)] = None
    free_text: Annotated[list[str] | None, Explicit(7), NonEmpty] = None
    general_info: Annotated[list[InfoTypeAndValue] | None, Explicit(8), NonEmpty] = None

    @property
    def time(self) -> datetime.datetime | None:
        """messageTime in UTC, or ``None``."""
        return None if self.message_time is None else self.message_time.as_datetime()

    def info(self, oid: ObjectIdentifier) -> InfoTypeAndValue | None:
        """The first generalInfo of that type, or ``None``."""
        return next((item for item in self.general_info or () if item.info_type == oid), None)


@sequence
class _CertReqMessages:
    content: Annotated[list[CertReqMsg], Size(1, None)]


@sequence
class _CertRep:
    content: CertRepMessage


@sequence
class _P10:
    content: CertificationRequest


@sequence
class _RevReq:
    content: list[RevDetails]


@sequence
class _RevRep:
    content: RevRepContent


@sequence
class _Confirm:
    content: Null


@sequence
class _Info:
    content: list[InfoTypeAndValue]


@sequence
class _Error:
    content: ErrorMsgContent


@sequence
class _CertConf:
    content: list[CertStatus]


@sequence
class _PollReqs:
    content: list[PollReq]


@sequence
class _PollReps:
    content: list[PollRep]


@sequence
class _Unread:
    content: TLV


# The EXPLICIT tag of a body frames its content as a SEQUENCE frames its fields, so the tag octet is all that differs.
_HOLDERS: dict[BodyType, type[Any]] = {
    BodyType.IR: _CertReqMessages,
    BodyType.IP: _CertRep,
    BodyType.CR: _CertReqMessages,
    BodyType.CP: _CertRep,
    BodyType.P10CR: _P10,
    BodyType.KUR: _CertReqMessages,
    BodyType.KUP: _CertRep,
    BodyType.RR: _RevReq,
    BodyType.RP: _RevRep,
    BodyType.PKICONF: _Confirm,
    BodyType.GENM: _Info,
    BodyType.GENP: _Info,
    BodyType.ERROR: _Error,
    BodyType.CERT_CONF: _CertConf,
    BodyType.POLL_REQ: _PollReqs,
    BodyType.POLL_REP: _PollReps,
}

# Parts that their types leave unread, and that must nevertheless be well formed for the message to be.
_READ_NOW: dict[BodyType, Callable[[Any], Any]] = {
    BodyType.IR: lambda content: [message.request for message in content],
    BodyType.CR: lambda content: [message.request for message in content],
    BodyType.KUR: lambda content: [message.request for message in content],
    BodyType.P10CR: lambda content: content.info,
}


@dataclasses.dataclass(frozen=True, slots=True)
class PKIBody:
    """One of the 27 alternatives (RFC 9810 section 5.1.2).

    :param type: which one.
    :param content: a list of :class:`CertReqMsg` (ir, cr, kur), :class:`CertStatus`, :class:`RevDetails`,
        :class:`InfoTypeAndValue`, :class:`PollReq` or :class:`PollRep`; a :class:`CertRepMessage`, :class:`RevRepContent`,
        :class:`ErrorMsgContent`, :class:`CertificationRequest`; ``Null()`` for pkiconf; an unread element for the rest.
    """

    type: BodyType
    content: Any

    @classmethod
    def from_der(cls, der: bytes) -> PKIBody:
        """Read a body.

        :raises CMPError: badRequest for an unknown tag, badDataFormat for content that does not fit it.
        """
        number = der[0] - _CONTEXT_CONSTRUCTED
        if not 0 <= number <= _HIGHEST_BODY_TAG:
            raise CMPError(f"PKIBody has the unknown tag 0x{der[0]:02x}", rule="RFC 9810 section 5.1.2")
        kind = BodyType(number)
        content = decode(_HOLDERS.get(kind, _Unread), b"\x30" + der[1:]).content
        if kind in _READ_NOW:
            _READ_NOW[kind](content)
        return cls(kind, content)

    def to_der(self) -> bytes:
        """The DER octets of the body.

        :raises CMPError: systemFailure if the content does not fit the type.
        """
        holder = _HOLDERS.get(self.type, _Unread)
        return bytes((_CONTEXT_CONSTRUCTED + self.type,)) + encode(holder(content=self.content))[1:]


@dataclasses.dataclass(frozen=True)
class PKIMessage:
    """A whole message (RFC 9810 section 5.1).

    :param header: the header.
    :param body: the body: ``body.type`` and ``body.content``.
    :param protection: the octets of the protection, or ``None`` for an unprotected message.
    :param extra_certs: certificates as DER octets, unread: one odd certificate must not spoil a message.
    """

    header: PKIHeader
    body: PKIBody
    protection: bytes | None = None
    extra_certs: tuple[bytes, ...] = ()

    @cached_property
    def protected_part(self) -> bytes:
        """DER of ProtectedPart, ``SEQUENCE { header, body }``: the octets that came, where the message came by wire."""
        return der_wrap(0x30, encode(self.header) + self.body.to_der())

    @cached_property
    def raw(self) -> bytes:
        """DER of the message: the octets that came, where the message came by wire."""
        return encode_message(self)

    def __repr__(self) -> str:
        return (
            f"PKIMessage({self.body.type.wire_name}, header={self.header!r}, body={self.body.content!r}, "
            f"protection={'none' if self.protection is None else f'{len(self.protection)} octets'}, "
            f"extra_certs={len(self.extra_certs)})"
        )


@sequence
class _Protection:
    value: Annotated[BitString | None, Explicit(0)] = None
    extra_certs: Annotated[list[TLV] | None, Explicit(1), NonEmpty] = None


@sequence
class _Outer:
    header: TLV
    body: TLV
    protection: Annotated[BitString | None, Explicit(0)] = None
    extra_certs: Annotated[list[TLV] | None, Explicit(1), NonEmpty] = None


def decode_message(der: bytes, *, max_size: int = MAX_MESSAGE_SIZE) -> PKIMessage:
    """Read one PKIMessage, strict DER, nothing after it.

    :param der: the octets.
    :param max_size: the most octets that are looked at.
    :raises CMPError: badDataFormat if it cannot be read, badRequest if the body has an unknown tag.
    """
    if len(der) > max_size:
        raise CMPError(
            f"the message has {len(der)} octets, at most {max_size} are read",
            PKIFailureInfo.BAD_DATA_FORMAT,
            hint="raise the size limit if such messages are wanted",
        )
    outer = decode(_Outer, der)
    header_der, body_der = encode(outer.header), encode(outer.body)
    message = PKIMessage(
        header=decode(PKIHeader, header_der),
        body=PKIBody.from_der(body_der),
        protection=_whole_octets(outer.protection),
        extra_certs=tuple(encode(certificate) for certificate in outer.extra_certs or ()),
    )
    message.__dict__["protected_part"] = der_wrap(0x30, header_der + body_der)
    message.__dict__["raw"] = der
    return message


def _whole_octets(protection: BitString | None) -> bytes | None:
    if protection is None:
        return None
    if protection.padding_bits():
        raise CMPError(
            "the protection has unused bits", PKIFailureInfo.BAD_MESSAGE_CHECK, rule="RFC 9810 section 5.1.3"
        )
    return protection.as_bytes()


def encode_message(message: PKIMessage) -> bytes:
    """The DER octets of a message.

    :raises CMPError: systemFailure if a field holds what its type does not allow.
    """
    if "raw" in message.__dict__:
        return message.raw
    _, content = _split(message.protected_part)
    tail = _Protection(
        value=None if message.protection is None else BitString(message.protection, 0),
        extra_certs=[decode(TLV, certificate) for certificate in message.extra_certs] or None,
    )
    return der_wrap(0x30, content + _split(encode(tail))[1])


def _split(der: bytes) -> tuple[int, bytes]:
    """Tag and content octets of one element."""
    tlv = decode(TLV, der)
    return tlv.tag_bytes[0], bytes(tlv.data)
