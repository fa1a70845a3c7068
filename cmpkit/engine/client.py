"""The client's side of an operation as a value and pure functions over it.

A :class:`~cmpkit.engine.client_transaction.ClientTransaction` is everything that must survive. :func:`receive` says
what to do next: :class:`Send`, :class:`Wait`, :class:`Decide` or :class:`Finished`. Protection, trust and files lie
outside (:mod:`cmpkit.endpoints`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from cmpkit import oids
from cmpkit.asn1 import (
    CertRepMessage,
    KeyRecRepContent,
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
    recovery_answer_faults,
    revocation_answer_faults,
    waiting_faults,
)
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.header import NONCE_SIZE, check_response_header
from cmpkit.engine.judging import Judgement, cert_status
from cmpkit.engine.solving import Solve, challenged
from cmpkit.engine.sought import SoughtCertificate, answered_by, refusal_by, signing_certificate
from cmpkit.engine.states import ANSWERS, CERTIFICATE_REQUESTS, P10_CERT_REQ_ID, WHOLE_MESSAGE, ClientState
from cmpkit.enums import PVNO, BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import TrustError, raise_first
from cmpkit.parts import RandomOctets
from cmpkit.tolerances import STRICT, Leniency

__all__ = [
    "Decide",
    "Finished",
    "Send",
    "Step",
    "Wait",
    "begin",
    "confirmed",
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
    """Certificates came: examine those that are open, then call :func:`decide`.

    :param confirmed: whether the server granted implicit confirmation.
    """

    transaction: ClientTransaction
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation is over.

    :param content: of genp, rp or krp; ``None`` for certificates, which are in the transaction.
    """

    transaction: ClientTransaction
    content: Any = None


Step: TypeAlias = Send | Solve | Wait | Decide | Finished
"""What a client does next."""


def begin(
    operation: BodyType,
    *,
    sought: Sequence[SoughtCertificate] = (),
    asked: int = 1,
    implicit_confirm: bool = False,
    enveloped: bool = False,
    tolerances: frozenset[str] = frozenset(),
    context: Mapping[str, str] | None = None,
    random: RandomOctets = secrets.token_bytes,
) -> ClientTransaction:
    """A new transaction under a fresh transactionID; nothing was sent yet.

    :param sought: the certificates that it asks for.
    :param asked: how many certificates an rr names.
    :param enveloped: whether the request has EnvelopedData in it.
    :param tolerances: ``legacy-encryption`` has what is encrypted to RSA keys come in the forms of pvno 2.
    :param random: where the transactionID comes from.
    """
    if operation is BodyType.P10CR:
        sought = [replace(one, cert_req_id=P10_CERT_REQ_ID) for one in sought]
    # What is encrypted comes as EnvelopedData (RFC 9810 section 5.2.2, RFC 9483 section 3.1).
    enveloped = enveloped or any(one.needs_version_3(tolerances) for one in sought)
    return ClientTransaction(
        operation=operation,
        transaction_id=random(NONCE_SIZE),
        sought=tuple(sought),
        asked=asked,
        pvno=PVNO.CMP2021 if enveloped else PVNO.CMP2000,
        implicit_confirm=implicit_confirm and not any(one.is_encrypted for one in sought),
        context=dict(context or {}),
    )


def sent(transaction: ClientTransaction, message: PKIMessage) -> ClientTransaction:
    """The transaction with a message that is about to be sent; save it before the first octet leaves."""
    nonce = message.header.sender_nonce or b""
    first = transaction.request_nonce or nonce
    return replace(transaction, message=message.raw, is_sent=False, request_nonce=first, sender_nonce=nonce)


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
    again = isinstance(step, Wait) and message.body.type is not BodyType.PKICONF
    if again and message.header.recip_nonce != transaction.sender_nonce:
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
    if body.type is BodyType.POPDECC and any(one.is_challenged for one in transaction.sought):
        return challenged(transaction, message)
    confirming = transaction.open_certificates != ()
    if confirming and body.type is BodyType.PKICONF:
        return confirmed(transaction)
    if not confirming and body.type is ANSWERS[transaction.operation]:
        return _ANSWERED[transaction.operation](transaction, message, now)
    raise misplaced_answer(body.type, BodyType.PKICONF if confirming else ANSWERS[transaction.operation])


def _error(transaction: ClientTransaction, status: PKIStatusInfo, now: datetime) -> Step:
    if status.status is PKIStatus.WAITING:
        return _wait(transaction, (WHOLE_MESSAGE,), now, status)
    raise refusal_by(status, BodyType.ERROR.wire_name)


def confirmed(transaction: ClientTransaction) -> Step:
    """What came is confirmed; what still takes time is polled for after that (R-117)."""
    sought = tuple(replace(one, is_decided=True) if one.is_open else one for one in transaction.sought)
    waiting = tuple(one.cert_req_id for one in sought if one.is_due)
    if not waiting:
        return Finished(replace(transaction, sought=sought, state=ClientState.DONE))
    return Wait(
        replace(
            transaction,
            sought=sought,
            state=ClientState.POLL_WAIT,
            awaited_nonce=transaction.request_nonce,
            poll_at=None,
            poll_ids=waiting,
        )
    )


def _wait(transaction: ClientTransaction, poll_ids: tuple[int, ...], now: datetime, status: PKIStatusInfo) -> Wait:
    raise_first(waiting_faults(status))
    # The first pollReq may go at once: its answer says when to come again.
    again = transaction.state is ClientState.POLLING
    waiting = replace(
        transaction,
        state=ClientState.POLL_WAIT,
        awaited_nonce=transaction.awaited_nonce or transaction.sender_nonce,
        poll_at=now + DEFAULT_CHECK_AFTER if again else now,
        poll_ids=poll_ids,
    )
    return Wait(waiting, "; ".join(status.texts))


def _poll_rep(transaction: ClientTransaction, content: list[PollRep], now: datetime) -> Step:
    raise_first(poll_rep_faults(content, transaction.poll_ids))
    first = min(entry.check_after for entry in content)
    delay = min(timedelta(seconds=min(first, 1 << 20)), MAX_CHECK_AFTER)
    waiting = replace(transaction, state=ClientState.POLL_WAIT, poll_at=now + delay)
    return Wait(waiting, "; ".join(dict.fromkeys(text for entry in content for text in entry.reason or ())))


def poll(transaction: ClientTransaction) -> Send:
    """The pollReq that is due (RFC 9810 section 5.3.22)."""
    polling = replace(transaction, state=ClientState.POLLING, poll_at=None)
    return Send(polling, PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=number) for number in transaction.poll_ids]))


def _certificates(transaction: ClientTransaction, message: PKIMessage, now: datetime) -> Step:
    content: CertRepMessage = message.body.content
    due = [one.cert_req_id for one in transaction.sought if one.is_due]
    # Once it is polled for, what is ready may come before the rest.
    count = None if transaction.state is ClientState.POLLING else len(due)
    raise_first(certificate_answer_faults(content, answer_ids(transaction.operation, due), count))
    sought = answered_by(content, transaction.sought, by_number=transaction.operation is not BodyType.P10CR)
    came = replace(transaction, sought=sought)
    if came.open_certificates:
        granted = message.header.info(oids.IMPLICIT_CONFIRM) is not None
        ca_pubs = tuple(encode(certificate) for certificate in content.ca_pubs or ())
        came = replace(came, ca_pubs=ca_pubs, awaited_nonce=b"")
        proving = any(one.encrypted for one in came.open_certificates)
        return Decide(came, granted and transaction.implicit_confirm and not proving)
    waiting = [one for one in sought if one.is_waiting]
    if waiting:
        assert waiting[0].status_info is not None
        return _wait(came, tuple(one.cert_req_id for one in waiting), now, waiting[0].status_info)
    refusal = sought[0].refusal(message.body.type.wire_name)
    if len(sought) == 1 and refusal is not None:
        raise refusal
    return Finished(replace(came, state=ClientState.DONE))


def _revocation(transaction: ClientTransaction, message: PKIMessage, now: datetime) -> Step:
    content: RevRepContent = message.body.content
    raise_first(revocation_answer_faults(content, transaction.asked))
    status = next((one for one in content.status if one.status is PKIStatus.WAITING), content.status[0])
    if status.status is PKIStatus.WAITING:
        return _wait(transaction, (WHOLE_MESSAGE,), now, status)
    if status.status is PKIStatus.REJECTION and transaction.asked == 1:
        raise refusal_by(status, BodyType.RP.wire_name)
    return Finished(replace(transaction, state=ClientState.DONE), content)


def _recovery(transaction: ClientTransaction, message: PKIMessage, now: datetime) -> Step:
    content: KeyRecRepContent = message.body.content
    raise_first(recovery_answer_faults(content, with_certificate=transaction.sought != ()))
    if content.status.status is PKIStatus.WAITING:
        return _wait(transaction, (WHOLE_MESSAGE,), now, content.status)
    if content.status.status is PKIStatus.REJECTION:
        raise refusal_by(content.status, BodyType.KRP.wire_name)
    came = replace(transaction, recovered=encode(content))
    if content.new_sig_cert is None:
        return Finished(replace(came, state=ClientState.DONE), content)
    return _certificates(came, replace(message, body=signing_certificate(content, transaction.sought[0])), now)


def _information(transaction: ClientTransaction, message: PKIMessage, now: datetime) -> Step:
    return Finished(replace(transaction, state=ClientState.DONE), message.body.content)


_ANSWERED: dict[BodyType, Callable[[ClientTransaction, PKIMessage, datetime], Step]] = {
    **dict.fromkeys(CERTIFICATE_REQUESTS, _certificates),
    BodyType.RR: _revocation,
    BodyType.KRR: _recovery,
    BodyType.GENM: _information,
}


def decide(step: Decide, *judgements: Judgement) -> Step:
    """Accept or refuse the certificates that came (R-084, R-090 to R-093).

    :param judgements: one for each certificate that is open, in their order.
    """
    judged = dict(zip(step.transaction.open_certificates, judgements, strict=True))
    faults = {one: judgement.fault for one, judgement in judged.items() if judgement.fault is not None}
    sought = tuple(
        replace(one, rejection=str(faults[one])) if one in faults else one for one in step.transaction.sought
    )
    transaction = replace(step.transaction, sought=sought)
    if step.confirmed:
        return confirmed(transaction)
    named = any(judgement.hash_alg is not None for judgement in judgements)
    pvno = PVNO.CMP2021 if named else transaction.pvno
    # What could not be decrypted has no hash: a certificate that is left out is rejected (RFC 9810 section 5.2.1).
    statuses = [cert_status(one, judgement) for one, judgement in judged.items() if judgement.cert_hash]
    confirming = replace(transaction, state=ClientState.CONF_SENT, pvno=pvno)
    return Send(confirming, PKIBody(BodyType.CERT_CONF, statuses))
