"""The client's side of an operation as a value and pure functions over it.

:class:`ClientTransaction` is everything that must survive: saved before the first octet is sent and after each answer,
it goes on in another process a week later. :func:`receive` says what to do next: :class:`Send`, :class:`Wait`,
:class:`Decide` or :class:`Finished`. Protection, trust and files lie outside (:mod:`cmpkit.endpoints`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    CertRepMessage,
    CertStatus,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    PollReq,
    RevRepContent,
    encode,
)
from cmpkit.engine.answers import (
    answer_ids,
    broken_answer,
    certificate_answer_faults,
    misplaced_answer,
    poll_rep_faults,
    revocation_answer_faults,
    waiting_faults,
)
from cmpkit.engine.header import NONCE_SIZE, Correlation, check_response_header
from cmpkit.engine.states import ANSWERS, CERTIFICATE_REQUESTS, P10_CERT_REQ_ID, WHOLE_MESSAGE, ClientState
from cmpkit.enums import PVNO, BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, PeerRefusal, TrustError, raise_first
from cmpkit.parts import RandomOctets
from cmpkit.tolerances import STRICT, Leniency

__all__ = [
    "ClientTransaction",
    "Decide",
    "Finished",
    "Send",
    "Step",
    "Wait",
    "begin",
    "decide",
    "poll",
    "receive",
    "sent",
]

MAX_CHECK_AFTER = timedelta(days=1)
"""The longest that a client waits before it asks again, whatever checkAfter says (R-112)."""
DEFAULT_CHECK_AFTER = timedelta(seconds=1)
"""How long it waits where a pollReq is answered by "waiting" once more, which brings no checkAfter."""


@dataclass(frozen=True, slots=True)
class ClientTransaction:
    """One operation of a client.

    :param operation: the body that opens it.
    :param implicit_confirm: whether implicit confirmation was asked for.
    :param cert_req_id: that of the request, then that of the answer with the certificate; -1 for p10cr.
    :param poll_id: the certReqId to poll for.
    :param message: DER of the message that was sent last; it is what is sent again.
    :param sender_nonce: its senderNonce.
    :param awaited_nonce: senderNonce of the message whose answer is being polled for (R-024).
    :param recip_nonce: senderNonce of the last answer.
    :param poll_at: when the next pollReq is due.
    :param certificate: DER of the certificate that came.
    :param public_key_info: DER of the SubjectPublicKeyInfo that it must hold.
    :param subject: DER of the subject that was asked for, empty if any will do.
    :param chain: DER of the extraCerts that came.
    :param ca_pubs: DER of its caPubs; they are no trust anchors by themselves (R-048).
    :param rejection: why the certificate was refused by us, empty if it was not.
    :param context: what the caller needs to go on in another process, as plain text: no secrets.
    """

    operation: BodyType
    transaction_id: bytes
    state: ClientState = ClientState.SENT
    pvno: int = PVNO.CMP2000
    implicit_confirm: bool = False
    cert_req_id: int = 0
    poll_id: int = WHOLE_MESSAGE
    message: bytes = b""
    sender_nonce: bytes = b""
    awaited_nonce: bytes = b""
    recip_nonce: bytes = b""
    poll_at: datetime | None = None
    certificate: bytes = b""
    public_key_info: bytes = b""
    subject: bytes = b""
    chain: tuple[bytes, ...] = ()
    ca_pubs: tuple[bytes, ...] = ()
    rejection: str = ""
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def correlation(self) -> Correlation:
        """What the next answer must fit."""
        nonces = (self.sender_nonce, self.awaited_nonce) if self.awaited_nonce else (self.sender_nonce,)
        return Correlation(self.pvno, self.transaction_id, nonces)


@dataclass(frozen=True, slots=True)
class Send:
    """Protect and send this body, then give the answer to :func:`receive`."""

    transaction: ClientTransaction
    body: PKIBody


@dataclass(frozen=True, slots=True)
class Wait:
    """The server needs time: call :func:`poll` at ``transaction.poll_at``."""

    transaction: ClientTransaction
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decide:
    """A certificate came: examine it, then call :func:`decide`.

    :param granted_with_mods: whether the server says that it differs from what was asked.
    :param confirmed: whether the server granted implicit confirmation.
    """

    transaction: ClientTransaction
    granted_with_mods: bool
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation is over.

    :param content: of genp or rp; ``None`` for certificates, which are in the transaction.
    """

    transaction: ClientTransaction
    content: Any = None


Step: TypeAlias = Send | Wait | Decide | Finished
"""What a client does next."""


def begin(
    operation: BodyType,
    *,
    cert_req_id: int = 0,
    implicit_confirm: bool = False,
    public_key_info: bytes = b"",
    subject: bytes = b"",
    context: Mapping[str, str] | None = None,
    random: RandomOctets = secrets.token_bytes,
) -> ClientTransaction:
    """A new transaction under a fresh transactionID; nothing was sent yet.

    :param random: where the transactionID comes from.
    """
    return ClientTransaction(
        operation=operation,
        transaction_id=random(NONCE_SIZE),
        cert_req_id=P10_CERT_REQ_ID if operation is BodyType.P10CR else cert_req_id,
        implicit_confirm=implicit_confirm,
        public_key_info=public_key_info,
        subject=subject,
        context=dict(context or {}),
    )


def sent(transaction: ClientTransaction, message: PKIMessage) -> ClientTransaction:
    """The transaction with a message that is about to be sent; save it before the first octet leaves."""
    return replace(transaction, message=message.raw, sender_nonce=message.header.sender_nonce or b"")


def receive(
    transaction: ClientTransaction,
    message: PKIMessage,
    *,
    authentic: bool,
    now: datetime,
    leniency: Leniency = STRICT,
) -> Step:
    """What an answer means.

    :param message: the answer, its protection judged by the caller.
    :param authentic: whether it is protected and verified; otherwise it can do nothing but refuse.
    :param leniency: what is let pass.
    :raises PeerRefusal: if the peer refuses.
    :raises TrustError: if the answer does not belong to the request, or breaks a rule. The transaction stands where it
        stood: the right answer may still come.
    """
    check_response_header(message, transaction.correlation, leniency)
    step = _interpret(replace(transaction, recip_nonce=message.header.sender_nonce or b""), message, now)
    if not authentic:
        raise TrustError(
            f"the {message.body.type.wire_name} is not authentic, and is no refusal",
            PKIFailureInfo.WRONG_INTEGRITY,
            rule="RFC 9483 section 3.2",
        )
    # Only what ends the waiting may answer the request itself: the "waiting" that is answered already, come
    # once more, would take us back to a nonce that is over.
    if isinstance(step, Wait) and message.header.recip_nonce != transaction.sender_nonce:
        raise TrustError(
            f"the {message.body.type.wire_name} is an earlier answer, which came again",
            PKIFailureInfo.BAD_RECIPIENT_NONCE,
            rule="RFC 9483 section 4.4",
        )
    return step


def _interpret(transaction: ClientTransaction, message: PKIMessage, now: datetime) -> Step:
    body, state = message.body, transaction.state
    if state is ClientState.DONE:
        raise broken_answer(f"{body.type.wire_name} after the end of the transaction", "RFC 9810 section 5.3")
    if body.type is BodyType.ERROR:
        return _error(transaction, body.content.pki_status_info, now)
    if body.type is BodyType.POLL_REP and state is ClientState.POLLING:
        return _poll_rep(transaction, body.content, now)
    confirming = transaction.certificate != b""
    if confirming and body.type is BodyType.PKICONF:
        return Finished(replace(transaction, state=ClientState.DONE))
    if not confirming and body.type is ANSWERS[transaction.operation]:
        return _ANSWERED[transaction.operation](transaction, message, now)
    raise misplaced_answer(body.type, BodyType.PKICONF if confirming else ANSWERS[transaction.operation])


def _error(transaction: ClientTransaction, status: PKIStatusInfo, now: datetime) -> Step:
    if status.status is PKIStatus.WAITING:
        return _wait(transaction, WHOLE_MESSAGE, now, status)
    raise _refused(status, BodyType.ERROR)


def _refused(status: PKIStatusInfo, body_type: BodyType) -> PeerRefusal:
    hint = next((hint for bit, hint in _HINTS.items() if bit in status.failures), "")
    return PeerRefusal(status.failures, status=status.status, texts=status.texts, body=body_type.wire_name, hint=hint)


_HINTS = {
    PKIFailureInfo.BAD_TIME: "the clocks differ, or the message is too old to be sent again",
    PKIFailureInfo.TRANSACTION_ID_IN_USE: "try again: the next attempt has a new transactionID",
    PKIFailureInfo.BAD_MESSAGE_CHECK: "check the reference and the secret, or the certificate and key",
    PKIFailureInfo.UNSUPPORTED_VERSION: "the server speaks another version of CMP",
    PKIFailureInfo.SYSTEM_UNAVAIL: "try again later",
    PKIFailureInfo.SYSTEM_FAILURE: "try again later",
}


def _wait(transaction: ClientTransaction, poll_id: int, now: datetime, status: PKIStatusInfo) -> Wait:
    raise_first(waiting_faults(status))
    # The first pollReq may go at once: its answer says when to come again.
    again = transaction.state is ClientState.POLLING
    waiting = replace(
        transaction,
        state=ClientState.POLL_WAIT,
        awaited_nonce=transaction.awaited_nonce or transaction.sender_nonce,
        poll_at=now + DEFAULT_CHECK_AFTER if again else now,
        poll_id=poll_id,
    )
    return Wait(waiting, "; ".join(status.texts))


def _poll_rep(transaction: ClientTransaction, content: list[PollRep], now: datetime) -> Step:
    raise_first(poll_rep_faults(content, transaction.poll_id))
    delay = min(timedelta(seconds=min(content[0].check_after, 1 << 20)), MAX_CHECK_AFTER)
    waiting = replace(transaction, state=ClientState.POLL_WAIT, poll_at=now + delay)
    return Wait(waiting, "; ".join(content[0].reason or ()))


def poll(transaction: ClientTransaction) -> Send:
    """The pollReq that is due (RFC 9810 section 5.3.22)."""
    polling = replace(transaction, state=ClientState.POLLING, poll_at=None)
    return Send(polling, PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=transaction.poll_id)]))


def _certificates(transaction: ClientTransaction, message: PKIMessage, now: datetime) -> Step:
    content: CertRepMessage = message.body.content
    allowed = answer_ids(transaction.operation, {transaction.cert_req_id})
    raise_first(certificate_answer_faults(content, allowed))
    response = content.response[0]
    status, pair = response.status, response.certified_key_pair
    if status.status is PKIStatus.WAITING:
        return _wait(transaction, response.cert_req_id, now, status)
    if status.status is PKIStatus.REJECTION:
        raise _refused(status, message.body.type)
    assert pair is not None
    if pair.cert_or_enc_cert.tag != "certificate":
        raise broken_answer("the certificate is encrypted, which was not asked for", "RFC 9810 section 5.2.8.3")
    came = replace(
        transaction,
        certificate=encode(pair.cert_or_enc_cert.value),
        ca_pubs=tuple(encode(certificate) for certificate in content.ca_pubs or ()),
        cert_req_id=response.cert_req_id,
        awaited_nonce=b"",
    )
    granted = message.header.info(oids.IMPLICIT_CONFIRM) is not None
    return Decide(came, status.status is PKIStatus.GRANTED_WITH_MODS, granted and transaction.implicit_confirm)


def _revocation(transaction: ClientTransaction, message: PKIMessage, now: datetime) -> Step:
    content: RevRepContent = message.body.content
    raise_first(revocation_answer_faults(content))
    status = content.status[0]
    if status.status is PKIStatus.WAITING:
        return _wait(transaction, WHOLE_MESSAGE, now, status)
    if status.status is PKIStatus.REJECTION:
        raise _refused(status, BodyType.RP)
    return Finished(replace(transaction, state=ClientState.DONE), content)


def _information(transaction: ClientTransaction, message: PKIMessage, now: datetime) -> Step:
    return Finished(replace(transaction, state=ClientState.DONE), message.body.content)


_ANSWERED: dict[BodyType, Callable[[ClientTransaction, PKIMessage, datetime], Step]] = {
    **dict.fromkeys(CERTIFICATE_REQUESTS, _certificates),
    BodyType.RR: _revocation,
    BodyType.GENM: _information,
}


def decide(
    step: Decide, *, cert_hash: bytes, hash_alg: AlgorithmIdentifier | None = None, fault: CMPError | None = None
) -> Step:
    """Accept or refuse the certificate that came (R-084, R-090 to R-093).

    :param cert_hash: over the certificate.
    :param hash_alg: the hash, where the certificate's signature does not name one; needs pvno 3.
    :param fault: why it is not acceptable, or ``None``.
    """
    transaction = replace(step.transaction, rejection="" if fault is None else str(fault))
    if step.confirmed:
        return Finished(replace(transaction, state=ClientState.DONE))
    info = None if fault is None else PKIStatusInfo.of(PKIStatus.REJECTION, [fault.detail], fault.fail_info)
    status = CertStatus(cert_hash=cert_hash, cert_req_id=transaction.cert_req_id, status_info=info, hash_alg=hash_alg)
    pvno = PVNO.CMP2021 if hash_alg is not None else transaction.pvno
    confirming = replace(transaction, state=ClientState.CONF_SENT, pvno=pvno)
    return Send(confirming, PKIBody(BodyType.CERT_CONF, [status]))
