"""PKIMessage, PKIHeader and PKIBody (RFC 9810 section 5.1), and the doors between octets and messages."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Iterable
from typing import Annotated, Any

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.codec import bad_format, decode, der_wrap, encode
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
from cmpkit.asn1.declare import from_wire, sequence, wire_class
from cmpkit.asn1.diagnosis import diagnose
from cmpkit.asn1.names import GeneralName, keep_general_name
from cmpkit.asn1.primitives import (
    TLV,
    BitString,
    Explicit,
    FrozenList,
    GeneralizedTime,
    NonEmpty,
    Null,
    Size,
    Unread,
    hazmat,
)
from cmpkit.asn1.show import show
from cmpkit.asn1.x509 import CertificationRequest
from cmpkit.caching import cached_property, keep_last
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

_BIT_STRING = 0x03
_SEQUENCE = 0x30
_CONTEXT_CONSTRUCTED = 0xA0
_LONG_FORM = 0x80


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
class _CertRepMessage:
    content: CertRepMessage


@sequence
class _CertificationRequest:
    content: CertificationRequest


@sequence
class _RevReqContent:
    content: list[RevDetails]


@sequence
class _RevRepContent:
    content: RevRepContent


@sequence
class _PKIConfirmContent:
    content: Null


@sequence
class _GenMsgContent:
    content: list[InfoTypeAndValue]


@sequence
class _ErrorMsgContent:
    content: ErrorMsgContent


@sequence
class _CertConfirmContent:
    content: list[CertStatus]


@sequence
class _PollReqContent:
    content: list[PollReq]


@sequence
class _PollRepContent:
    content: list[PollRep]


@sequence
class _UnreadContent:
    content: TLV


# The EXPLICIT tag of a body frames its content as a SEQUENCE frames its fields, so the tag octet is all that differs.
_HOLDERS: dict[BodyType, type[Any]] = {
    BodyType.IR: _CertReqMessages,
    BodyType.IP: _CertRepMessage,
    BodyType.CR: _CertReqMessages,
    BodyType.CP: _CertRepMessage,
    BodyType.P10CR: _CertificationRequest,
    BodyType.KUR: _CertReqMessages,
    BodyType.KUP: _CertRepMessage,
    BodyType.RR: _RevReqContent,
    BodyType.RP: _RevRepContent,
    BodyType.PKICONF: _PKIConfirmContent,
    BodyType.GENM: _GenMsgContent,
    BodyType.GENP: _GenMsgContent,
    BodyType.ERROR: _ErrorMsgContent,
    BodyType.CERT_CONF: _CertConfirmContent,
    BodyType.POLL_REQ: _PollReqContent,
    BodyType.POLL_REP: _PollRepContent,
}
_BODIES = {_CONTEXT_CONSTRUCTED + kind: (kind, _HOLDERS.get(kind, _UnreadContent)) for kind in BodyType}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PKIBody:
    """One of the 27 alternatives (RFC 9810 section 5.1.2).

    What a content leaves unread (``CertReqMsg.request``, ``CertificationRequest.info``) is read when it is asked for.

    :param type: which one.
    :param content: a list of :class:`CertReqMsg` (ir, cr, kur), :class:`CertStatus`, :class:`RevDetails`,
        :class:`InfoTypeAndValue`, :class:`PollReq` or :class:`PollRep`; a :class:`CertRepMessage`,
        :class:`RevRepContent`, :class:`ErrorMsgContent`, :class:`CertificationRequest`; ``Null()`` for pkiconf; an
        unread element for the rest.
    """

    type: BodyType
    content: Any

    def __post_init__(self) -> None:
        if type(self.content) is list:
            object.__setattr__(self, "content", FrozenList(self.content))

    @classmethod
    def from_der(cls, der: bytes) -> PKIBody:
        """Read a body.

        :raises CMPError: badRequest for an unknown tag, badDataFormat for content that does not fit it.
        """
        tag = der[0] if der else 0
        if tag not in _BODIES:
            raise CMPError(f"PKIBody has the unknown tag 0x{tag:02x}", rule="RFC 9810 section 5.1.2")
        kind, holder = _BODIES[tag]
        return cls(kind, decode(holder, b"\x30" + der[1:]).content)

    def to_der(self) -> bytes:
        """The DER octets of the body.

        :raises CMPError: systemFailure if the content does not fit the type.
        """
        holder = _HOLDERS.get(self.type, _UnreadContent)
        try:
            held = holder(content=self.content)
        except (ValueError, TypeError) as error:
            raise CMPError(f"cannot encode {self.type.wire_name}: {error}", PKIFailureInfo.SYSTEM_FAILURE) from error
        return bytes((_CONTEXT_CONSTRUCTED + self.type,)) + encode(held)[1:]

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, PKIBody) and self.type == other.type and self.to_der() == other.to_der()
        )

    def __hash__(self) -> int:
        return hash(self.to_der())

    def __repr__(self) -> str:
        return f"PKIBody({self.type.wire_name}, {show(self.content)})"


@dataclasses.dataclass(frozen=True, eq=False)
class PKIMessage:
    """A whole message (RFC 9810 section 5.1); two are equal if their octets are.

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
        """DER of ProtectedPart, ``SEQUENCE { header, body }``: the octets that came, where the message came by wire.

        :raises CMPError: systemFailure if a field holds what its type does not allow.
        """
        return der_wrap(_SEQUENCE, self._protected_content())

    @cached_property
    def raw(self) -> bytes:
        """DER of the message: the octets that came, where the message came by wire.

        :raises CMPError: systemFailure if a field holds what its type does not allow.
        """
        parts = [self._protected_content()]
        if self.protection is not None:
            parts.append(der_wrap(_CONTEXT_CONSTRUCTED, der_wrap(_BIT_STRING, b"\x00" + self.protection)))
        if self.extra_certs:
            for certificate in self.extra_certs:
                _check_element(certificate)
            certificates = der_wrap(_SEQUENCE, b"".join(self.extra_certs))
            parts.append(der_wrap(_CONTEXT_CONSTRUCTED + 1, certificates))
        return der_wrap(_SEQUENCE, b"".join(parts))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over :attr:`raw`, 32 octets."""
        return hashlib.sha256(self.raw).digest()

    def _protected_content(self) -> bytes:
        """DER of header and body, one after the other."""
        known: dict[str, bytes] = self.__dict__
        if "_content" in known:
            return known["_content"]
        raw = known.get("raw")
        if raw is None:
            content = encode(self.header) + self.body.to_der()
        else:
            start = _content_start(raw, 0)
            content = raw[start : _element_end(raw, _element_end(raw, start))]
        known["_content"] = content
        return content

    def with_protection(self, protection: bytes, extra_certs: Iterable[bytes] = ()) -> PKIMessage:
        """The same header and body, octet by octet, with another protection.

        :param protection: computed over :attr:`protected_part`.
        :param extra_certs: certificates as DER octets.
        """
        message = PKIMessage(self.header, self.body, protection, tuple(extra_certs))
        message.__dict__["_content"] = self._protected_content()
        return message

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, PKIMessage) and self.raw == other.raw)

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return (
            f"PKIMessage({self.body.type.wire_name}, header={self.header!r}, body={show(self.body.content)}, "
            f"protection={'none' if self.protection is None else f'{len(self.protection)} octets'}, "
            f"extra_certs={len(self.extra_certs)})"
        )


@keep_last
def _check_element(der: bytes) -> None:
    decode(TLV, der)


@sequence
class _PKIMessage:
    header: wire_class(PKIHeader)  # type: ignore[valid-type]
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
    try:
        outer = decode(_PKIMessage, der)
    except CMPError as error:
        error.hint = diagnose(der)
        raise
    message = PKIMessage(
        header=_read_header(outer.header),
        body=PKIBody.from_der(encode(outer.body)),
        protection=_whole_octets(outer.protection),
        extra_certs=tuple(map(hazmat.encode_der, outer.extra_certs or ())),
    )
    message.__dict__["raw"] = der
    return message


def _read_header(wire: Any) -> PKIHeader:
    try:
        return from_wire(PKIHeader, wire)
    except ValueError as error:
        raise bad_format(PKIHeader, error) from error


def _whole_octets(protection: BitString | None) -> bytes | None:
    if protection is None:
        return None
    if protection.padding_bits():
        raise CMPError(
            "the protection has unused bits", PKIFailureInfo.BAD_MESSAGE_CHECK, rule="RFC 9810 section 5.1.3"
        )
    return protection.as_bytes()


def encode_message(message: PKIMessage) -> bytes:
    """The DER octets of a message; those that came, where it came by wire.

    :raises CMPError: systemFailure if a field holds what its type does not allow.
    """
    return message.raw


def _content_start(der: bytes, start: int) -> int:
    """Where the content of an element begins; ``der`` is well formed, and the tag of the element has one octet."""
    length = der[start + 1]
    return start + 2 + (0 if length < _LONG_FORM else length - _LONG_FORM)


def _element_end(der: bytes, start: int) -> int:
    length, content = der[start + 1], _content_start(der, start)
    return content + (length if length < _LONG_FORM else int.from_bytes(der[start + 2 : content], "big"))
