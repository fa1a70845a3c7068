"""Headers: what a server checks before and after authentication, what a client checks, and how both write theirs.

RFC 9810 section 5.1.1, RFC 9483 sections 3.1 and 3.5.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    GeneralizedTime,
    GeneralName,
    InfoTypeAndValue,
    PKIHeader,
    PKIMessage,
    directory_name,
)
from cmpkit.engine.answers import is_refusal
from cmpkit.engine.states import OPENS
from cmpkit.engine.wording import number_text
from cmpkit.enums import PVNO, BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, TrustError, raise_first
from cmpkit.parts import RandomOctets
from cmpkit.tolerances import STRICT, Leniency

__all__ = [
    "MAX_IDENTIFIER_SIZE",
    "NONCE_SIZE",
    "SHORT_NONCE_SIZE",
    "Correlation",
    "check_message_time",
    "check_request_header",
    "check_response_header",
    "confirm_wait_time_faults",
    "correlation_faults",
    "first_message_faults",
    "foreign_mac_faults",
    "header_form_faults",
    "mixed_protection_faults",
    "next_message_faults",
    "request_header",
    "request_header_faults",
    "response_header",
    "response_header_faults",
    "unprotected_answer_faults",
    "used_nonce_faults",
    "whole_seconds",
]

NONCE_SIZE = 16
"""Octets of a transactionID or nonce of ours, and the fewest that a senderNonce may have (RFC 9483 section 3.1)."""
SHORT_NONCE_SIZE = 8
"""Octets that it must have where short nonces are tolerated."""
MAX_IDENTIFIER_SIZE = 128
"""Octets that a transactionID, nonce or key identifier may have at most; a bound on memory, not in an RFC."""

_SUPPORTED_VERSIONS = range(PVNO.CMP2000, PVNO.CMP2021 + 1)
_RULE = "RFC 9483 section 3.5"


def check_request_header(message: PKIMessage, leniency: Leniency = STRICT) -> None:
    """What can be checked of a request without keys, cheap checks first.

    :param leniency: what is let pass.
    :raises CMPError: the first of :func:`request_header_faults`.
    """
    raise_first(request_header_faults(message), leniency)


def request_header_faults(message: PKIMessage) -> Iterator[CMPError]:
    """What a server refuses in the header of any message: faults of its form, and missing protection.

    unsupportedVersion, badDataFormat, badSenderNonce, wrongIntegrity (R-010, R-017, R-018, R-021, R-030).
    """
    yield from header_form_faults(message)
    if message.protection is None:
        yield CMPError(
            f"the {message.body.type.wire_name} is not protected",
            PKIFailureInfo.WRONG_INTEGRITY,
            rule="RFC 9483 section 3.2",
            hint="the client must protect its messages by a shared secret or a certificate",
        )


def header_form_faults(message: PKIMessage) -> Iterator[CMPError]:
    """What is wrong with a header by itself, whoever sent it."""
    header = message.header
    if header.pvno not in _SUPPORTED_VERSIONS:
        yield CMPError(
            f"pvno {number_text(header.pvno)} is not supported, versions 2 and 3 are",
            PKIFailureInfo.UNSUPPORTED_VERSION,
            rule="RFC 9810 section 7",
            hint="the client may repeat the request with the version of this answer",
        )
    if (header.protection_alg is None) != (message.protection is None):
        yield _bad_format(
            "protectionAlg and protection must be present together",
            "RFC 9810 section 5.1.1",
            "a protected message has both, an unprotected one has neither",
        )
    if not header.transaction_id:
        hint = "the client must send 16 random octets, the server theirs"
        tolerance = "missing-transaction-id" if message.body.type in OPENS else ""
        yield _bad_format("transactionID is missing", _RULE, hint, tolerance)
    for name in ("transaction_id", "sender_nonce", "recip_nonce", "sender_kid", "recip_kid"):
        if len(getattr(header, name) or b"") > MAX_IDENTIFIER_SIZE:
            detail = f"{name} has more than {MAX_IDENTIFIER_SIZE} octets"
            yield _bad_format(detail, "a limit of this server", f"{NONCE_SIZE} random octets are enough")
    size = len(header.sender_nonce or b"")
    if size < NONCE_SIZE:
        yield CMPError(
            f"senderNonce has {size} octets, at least {NONCE_SIZE} are needed",
            PKIFailureInfo.BAD_SENDER_NONCE,
            rule=_RULE,
            hint="the client must send 16 random octets with each message",
            tolerance=_short_nonce(size),
        )


def _short_nonce(size: int) -> str:
    """The tolerance for a nonce that is too short, if there is one for such a short one."""
    return "short-nonces" if size >= SHORT_NONCE_SIZE else ""


def _bad_format(detail: str, rule: str, hint: str, tolerance: str = "") -> CMPError:
    return CMPError(detail, PKIFailureInfo.BAD_DATA_FORMAT, rule=rule, hint=hint, tolerance=tolerance)


def first_message_faults(header: PKIHeader) -> Iterator[CMPError]:
    """What a server refuses in the header of a message that opens a transaction (R-023)."""
    if header.recip_nonce is not None:
        yield CMPError(
            "a first message must not have a recipNonce",
            PKIFailureInfo.BAD_RECIPIENT_NONCE,
            rule="RFC 9483 section 3.1",
            hint="leave recipNonce out: there is no message yet that it could answer",
            tolerance="recip-nonce-in-first",
        )


def next_message_faults(header: PKIHeader, sender_nonce: bytes | None) -> Iterator[CMPError]:
    """What a server refuses in the header of a message that continues a transaction (R-023).

    :param sender_nonce: that of the answer before it.
    """
    if header.recip_nonce != sender_nonce:
        yield CMPError(
            "recipNonce is not the senderNonce of our last message",
            PKIFailureInfo.BAD_RECIPIENT_NONCE,
            rule="RFC 9483 section 3.5",
            hint="the client must repeat the senderNonce of the answer that it continues",
        )


def used_nonce_faults(header: PKIHeader, used: Container[bytes | None]) -> Iterator[CMPError]:
    """What a server refuses in the header of a message whose nonce another one of its transaction had (R-022).

    :param used: the senderNonces of the client's messages before it.
    """
    if header.sender_nonce in used:
        yield CMPError(
            "senderNonce was used before",
            PKIFailureInfo.BAD_SENDER_NONCE,
            rule="RFC 9810 section 5.1.1",
            hint="the client must make a new one for each message; only the same octets may be sent again",
        )


def check_message_time(message: PKIMessage, now: datetime, window: timedelta | None) -> None:
    """Whether messageTime is near enough; absent is fine.

    :param window: how far it may be off, either way; ``None`` does not check.
    :raises CMPError: badTime.
    """
    time = message.header.time
    if window is None or time is None or abs(now - time) <= window:
        return
    raise CMPError(
        f"messageTime {time.isoformat()} is {abs((now - time).total_seconds()):.0f} s from the time of this server, "
        f"{window.total_seconds():.0f} s are allowed",
        PKIFailureInfo.BAD_TIME,
        rule=_RULE,
        hint="set the clocks right, or raise message_time_window",
    )


def foreign_mac_faults(*, by_mac: bool, asked_by_mac: bool) -> Iterator[TrustError]:
    """What a client refuses where it has no secret: a MAC in answer to a signature (R-039).

    :param by_mac: whether the answer is protected by a MAC.
    :param asked_by_mac: whether the request was.
    """
    if by_mac and not asked_by_mac:
        yield TrustError(
            "the answer is protected by a MAC, the request was by a signature",
            PKIFailureInfo.WRONG_INTEGRITY,
            rule="RFC 9483 section 3.2",
            hint="the server must answer by a signature",
        )


def mixed_protection_faults(message: PKIMessage, *, asked_by_mac: bool) -> Iterator[TrustError]:
    """What a client with a secret refuses: a signature, unless it says no (R-039, R-042).

    :param message: an answer that is signed.
    :param asked_by_mac: whether the request was protected by a MAC.
    """
    if asked_by_mac and not is_refusal(message):
        yield TrustError(
            "the answer is signed, the request was under a shared secret",
            PKIFailureInfo.WRONG_INTEGRITY,
            rule="RFC 9483 section 3.2",
            hint="the server must answer by the same secret",
            tolerance="mixed-protection",
        )


@dataclass(frozen=True, slots=True)
class Correlation:
    """What an answer must fit.

    :param nonces: senderNonces any of which the answer's recipNonce may repeat (R-024: RFC 9483 sections 3.1 and 4.4
        want that of the original request after polling, others that of the last pollReq).
    """

    pvno: int
    transaction_id: bytes
    nonces: tuple[bytes, ...]


def check_response_header(message: PKIMessage, expected: Correlation, leniency: Leniency = STRICT) -> None:
    """Whether an answer belongs to our request.

    :param leniency: what is let pass.
    :raises TrustError: the first of :func:`response_header_faults`.
    """
    raise_first(response_header_faults(message, expected), leniency)


def response_header_faults(message: PKIMessage, expected: Correlation) -> Iterator[CMPError]:
    """What a client refuses in the header of an answer (R-010, R-016, R-020, R-021, R-023)."""
    yield from correlation_faults(message, expected)
    size = len(message.header.sender_nonce or b"")
    if size < NONCE_SIZE:
        detail = f"a senderNonce of less than {NONCE_SIZE} octets"
        yield _foreign(detail, PKIFailureInfo.BAD_SENDER_NONCE, _short_nonce(size))
    yield from confirm_wait_time_faults(message.header)


def correlation_faults(message: PKIMessage, expected: Correlation) -> Iterator[TrustError]:
    """Whether an answer is the one to a request (R-010, R-020, R-023)."""
    header = message.header
    tolerance = "uncorrelated-errors" if is_refusal(message) else ""
    if header.transaction_id != expected.transaction_id:
        yield _foreign("another transactionID", PKIFailureInfo.BAD_REQUEST, tolerance)
    if header.recip_nonce not in expected.nonces:
        yield _foreign("a recipNonce that is not our senderNonce", PKIFailureInfo.BAD_RECIPIENT_NONCE, tolerance)
    if not _may_answer(message, expected.pvno):
        yield _foreign(
            f"pvno {number_text(header.pvno)} in answer to {expected.pvno}", PKIFailureInfo.UNSUPPORTED_VERSION
        )


def confirm_wait_time_faults(header: PKIHeader) -> Iterator[TrustError]:
    """Whether confirmWaitTime, a point in time, comes with the time that the server has (R-016)."""
    if header.message_time is None and header.info(oids.CONFIRM_WAIT_TIME) is not None:
        yield TrustError(
            "the answer has confirmWaitTime without messageTime",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 9483 section 3.1",
            hint="the server must send messageTime, or leave confirmWaitTime out",
        )


def unprotected_answer_faults(message: PKIMessage) -> Iterator[TrustError]:
    """What a client refuses unless it was told to take unprotected refusals (R-030)."""
    if message.protection is None or message.header.protection_alg is None:
        yield TrustError(
            f"the {message.body.type.wire_name} is not protected",
            PKIFailureInfo.BAD_MESSAGE_CHECK,
            rule="RFC 9483 section 3.2",
            tolerance="unprotected-errors" if is_refusal(message) else "",
        )


def _may_answer(message: PKIMessage, asked: int) -> bool:
    """Whether an answer may have its version (R-010).

    An error says by its version which ones its sender supports. OpenSSL's server answers in version 2 whatever is asked
    in version 3, and RFC 9810 section 7 lets whoever does not need the newer version use the older one.
    """
    return message.body.type is BodyType.ERROR or PVNO.CMP2000 <= message.header.pvno <= asked


def _foreign(what: str, fail_info: PKIFailureInfo, tolerance: str = "") -> TrustError:
    hint = "it may be replayed, or another request's"
    return TrustError(f"the answer has {what}", fail_info, rule=_RULE, hint=hint, tolerance=tolerance)


def request_header(
    *,
    pvno: int,
    sender: x509.Name,
    recipient: x509.Name,
    sender_kid: bytes | None,
    protection_alg: AlgorithmIdentifier | None,
    transaction_id: bytes,
    recip_nonce: bytes | None,
    now: datetime,
    general_info: Sequence[InfoTypeAndValue] = (),
    random: RandomOctets = secrets.token_bytes,
) -> PKIHeader:
    """The header of a client's message, with a fresh senderNonce.

    :param random: where the senderNonce comes from.
    """
    return PKIHeader(
        pvno=pvno,
        sender=directory_name(sender),
        recipient=directory_name(recipient),
        message_time=whole_seconds(now),
        protection_alg=protection_alg,
        sender_kid=sender_kid,
        transaction_id=transaction_id,
        sender_nonce=random(NONCE_SIZE),
        recip_nonce=recip_nonce,
        general_info=list(general_info) or None,
    )


def response_header(
    request: PKIHeader | None,
    *,
    sender: GeneralName,
    sender_kid: bytes | None,
    protection_alg: AlgorithmIdentifier | None,
    recip_nonce: bytes | None,
    now: datetime,
    general_info: Sequence[InfoTypeAndValue] = (),
    random: RandomOctets = secrets.token_bytes,
) -> PKIHeader:
    """The header of a server's message: the request's sender and transactionID come back (RFC 9483 section 5.1).

    :param request: ``None`` if the request could not be read.
    :param recip_nonce: the senderNonce that is answered.
    :param random: where the senderNonce comes from.
    """
    return PKIHeader(
        pvno=_answer_version(request),
        sender=sender,
        recipient=request.sender if request else directory_name(x509.Name([])),
        message_time=whole_seconds(now),
        protection_alg=protection_alg,
        sender_kid=sender_kid,
        transaction_id=request.transaction_id if request else None,
        sender_nonce=random(NONCE_SIZE),
        recip_nonce=recip_nonce,
        general_info=list(general_info) or None,
    )


def _answer_version(request: PKIHeader | None) -> int:
    """The version that came, or the nearest supported one (RFC 9810 section 7)."""
    if request is None:
        return PVNO.CMP2000
    return min(max(request.pvno, _SUPPORTED_VERSIONS[0]), _SUPPORTED_VERSIONS[-1])


def whole_seconds(time: datetime) -> GeneralizedTime:
    """GeneralizedTime without a fraction (RFC 9810 section 5.2.9, RFC 5280 section 4.1.2.5)."""
    return GeneralizedTime(time.replace(microsecond=0))
