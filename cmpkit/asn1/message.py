"""PKIMessage and PKIHeader (RFC 9810 section 5.1), and the doors between octets and messages."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Iterable
from typing import Annotated

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.body import PKIBody
from cmpkit.asn1.codec import READERS, content_start, decode, der_wrap, encode
from cmpkit.asn1.content import InfoTypeAndValue
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.diagnosis import diagnose, tolerance_for
from cmpkit.asn1.names import GeneralName, keep_general_name
from cmpkit.asn1.primitives import (
    TLV,
    BitString,
    Explicit,
    GeneralizedTime,
    NonEmpty,
    Unread,
    hazmat,
)
from cmpkit.asn1.show import show
from cmpkit.caching import cached_property, keep_last
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.values import quick

__all__ = [
    "MAX_MESSAGE_SIZE",
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


@quick
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

    @property
    def protected_forms(self) -> tuple[bytes, ...]:
        """The octets that the protection may have been computed over, one by one: :attr:`protected_part` alone, but
        what came and then its DER form where the message came in BER (:mod:`cmpkit.asn1.ber`).
        """
        received = self.__dict__.get("received_part")
        return (self.protected_part,) if received is None else (received, self.protected_part)

    @cached_property
    def raw(self) -> bytes:
        """DER of the message: the octets that came, where the message came by wire, in DER.

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
    def members(self) -> tuple[PKIMessage | CMPError, ...]:
        """The messages in a nested message, each over the octets that came, and in place of one that cannot be read why
        it cannot; none in another message.
        """
        if self.body.type is not BodyType.NESTED:
            return ()
        return tuple(map(_read_member, map(encode, self.body.content)))

    @cached_property
    def nested(self) -> tuple[PKIMessage, ...]:
        """The messages in a nested message, all of which can be read; none in another message.

        :raises CMPError: badDataFormat or badRequest if one cannot be read.
        """
        for member in self.members:
            if isinstance(member, CMPError):
                raise member
        return tuple(member for member in self.members if isinstance(member, PKIMessage))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over :attr:`raw`, 32 octets."""
        return hashlib.sha256(self.raw).digest()

    def _protected_content(self) -> bytes:
        """DER of header and body, one after the other."""
        known: dict[str, bytes] = self.__dict__
        if "_content" not in known:
            known["_content"] = encode(self.header) + self.body.to_der()
        return known["_content"]

    def with_transaction_id(self, transaction_id: bytes) -> PKIMessage:
        """The same message, octet by octet, read as if its header had that transactionID.

        For a first message without one, to which the server gives it (RFC 9810 section 5.1.1).
        """
        header = dataclasses.replace(self.header, transaction_id=transaction_id)
        message = PKIMessage(header, self.body, self.protection, self.extra_certs)
        message.__dict__.update(raw=self.raw, _content=self._protected_content())
        if "received_part" in self.__dict__:
            message.__dict__["received_part"] = self.__dict__["received_part"]
        return message

    def with_protection(self, protection: bytes, extra_certs: Iterable[bytes] = ()) -> PKIMessage:
        """The same header and body, octet by octet, with another protection.

        :param protection: computed over :attr:`protected_part`.
        :param extra_certs: certificates as DER octets.
        """
        message = PKIMessage(self.header, self.body, protection, tuple(extra_certs))
        message.__dict__["_content"] = self._protected_content()
        return message

    def with_header(self, header: PKIHeader) -> PKIMessage:
        """The same body, octet by octet, under another header, without protection and certificates."""
        content = self._protected_content()
        message = PKIMessage(header, self.body)
        message.__dict__["_content"] = encode(header) + content[_element_end(content, 0) :]
        return message

    def _to_der(self) -> bytes:
        return self.raw

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
    header: PKIHeader
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
        error.hint, error.tolerance = diagnose(der), tolerance_for(der)
        raise
    start = content_start(der, 0)
    body_start = _element_end(der, start)
    body_end = _element_end(der, body_start)
    message = PKIMessage(
        header=outer.header,
        body=PKIBody.from_der(der[body_start:body_end]),
        protection=_whole_octets(outer.protection),
        extra_certs=tuple(map(hazmat.encode_der, outer.extra_certs or ())),
    )
    message.__dict__.update(raw=der, _content=der[start:body_end])
    return message


READERS[PKIMessage] = decode_message


def _read_member(der: bytes) -> PKIMessage | CMPError:
    """A message in another one, whose size bounds that of this one."""
    try:
        return decode_message(der, max_size=len(der))
    except CMPError as fault:
        return fault


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


def _element_end(der: bytes, start: int) -> int:
    """Where an element ends; of a body, whose unknown tag of more octets makes nonsense of this, and is refused by its
    first.
    """
    length, content = der[start + 1], content_start(der, start)
    return content + (length if length < _LONG_FORM else int.from_bytes(der[start + 2 : content], "big"))
