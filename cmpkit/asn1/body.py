"""PKIBody: one of 27 contents under a tag (RFC 9810 section 5.1.2)."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from cmpkit.asn1.announcements import CAKeyUpdContent, RevAnnContent
from cmpkit.asn1.codec import decode, encode
from cmpkit.asn1.content import (
    CertRepMessage,
    CertStatus,
    ErrorMsgContent,
    InfoTypeAndValue,
    KeyRecRepContent,
    PollRep,
    PollReq,
    RevDetails,
    RevRepContent,
)
from cmpkit.asn1.crmf import CertReqMsg
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.pop import Challenge
from cmpkit.asn1.primitives import TLV, FrozenList, Null, Size
from cmpkit.asn1.show import show
from cmpkit.asn1.x509 import CertificateList, CertificationRequest, CMPCertificate
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = ["PKIBody", "content_holder"]

_CONTEXT_CONSTRUCTED = 0xA0


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
class _POPODecKeyChallContent:
    content: list[Challenge]


@sequence
class _POPODecKeyRespContent:
    content: list[int]


@sequence
class _KeyRecRepContent:
    content: KeyRecRepContent


@sequence
class _CAKeyUpdContent:
    content: CAKeyUpdContent


@sequence
class _CertAnnContent:
    content: CMPCertificate


@sequence
class _RevAnnContent:
    content: RevAnnContent


@sequence
class _CRLAnnContent:
    content: list[CertificateList]


@sequence
class _NestedMessageContent:
    content: Annotated[list[TLV], Size(1, None)]


# The EXPLICIT tag of a body frames its content as a SEQUENCE frames its fields, so the tag octet is all that differs.
_HOLDERS: dict[BodyType, type[Any]] = {
    BodyType.IR: _CertReqMessages,
    BodyType.IP: _CertRepMessage,
    BodyType.CR: _CertReqMessages,
    BodyType.CP: _CertRepMessage,
    BodyType.P10CR: _CertificationRequest,
    BodyType.POPDECC: _POPODecKeyChallContent,
    BodyType.POPDECR: _POPODecKeyRespContent,
    BodyType.KUR: _CertReqMessages,
    BodyType.KUP: _CertRepMessage,
    BodyType.KRR: _CertReqMessages,
    BodyType.KRP: _KeyRecRepContent,
    BodyType.RR: _RevReqContent,
    BodyType.RP: _RevRepContent,
    BodyType.CCR: _CertReqMessages,
    BodyType.CCP: _CertRepMessage,
    BodyType.CKUANN: _CAKeyUpdContent,
    BodyType.CANN: _CertAnnContent,
    BodyType.RANN: _RevAnnContent,
    BodyType.CRLANN: _CRLAnnContent,
    BodyType.PKICONF: _PKIConfirmContent,
    BodyType.NESTED: _NestedMessageContent,
    BodyType.GENM: _GenMsgContent,
    BodyType.GENP: _GenMsgContent,
    BodyType.ERROR: _ErrorMsgContent,
    BodyType.CERT_CONF: _CertConfirmContent,
    BodyType.POLL_REQ: _PollReqContent,
    BodyType.POLL_REP: _PollRepContent,
}
_BODIES = {_CONTEXT_CONSTRUCTED + kind: (kind, holder) for kind, holder in _HOLDERS.items()}


def content_holder(tag: int) -> type[Any]:
    """The class with the content of the body with a tag as its only field.

    :raises CMPError: badRequest for an unknown tag.
    """
    try:
        return _BODIES[tag][1]
    except KeyError:
        raise _unknown(tag) from None


def _unknown(tag: int) -> CMPError:
    return CMPError(f"PKIBody has the unknown tag 0x{tag:02x}", rule="RFC 9810 section 5.1.2")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PKIBody:
    """One of the 27 alternatives (RFC 9810 section 5.1.2).

    What a content leaves unread (``CertReqMsg.request``, ``CertificationRequest.info``) is read when it is asked for.

    :param type: which one.
    :param content: a list of :class:`CertReqMsg` (ir, cr, kur, krr, ccr), :class:`CertStatus`, :class:`RevDetails`,
        :class:`InfoTypeAndValue`, :class:`PollReq`, :class:`PollRep`, :class:`Challenge` (popdecc), int (popdecr) or
        :class:`CertificateList` (crlann); a :class:`CertRepMessage`, :class:`KeyRecRepContent`,
        :class:`RevRepContent`, :class:`ErrorMsgContent`, :class:`CertificationRequest`, :class:`RevAnnContent`,
        :data:`CMPCertificate` (cann) or :data:`CAKeyUpdContent` (ckuann); ``Null()`` for pkiconf; for nested a list of
        unread elements, which :attr:`cmpkit.asn1.PKIMessage.nested` reads.
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
        try:
            kind, holder = _BODIES[tag]
        except KeyError:
            raise _unknown(tag) from None
        return cls(kind, decode(holder, b"\x30" + der[1:]).content)

    def to_der(self) -> bytes:
        """The DER octets of the body.

        :raises CMPError: systemFailure if the content does not fit the type.
        """
        try:
            held = _HOLDERS[self.type](content=self.content)
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
