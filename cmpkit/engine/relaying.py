"""Relaying: which message of a requester may come when, what becomes of it, and what of its answer. Sans I/O.

RFC 9483 section 5.2. A registration authority changes neither transactionID nor nonces, so that a transaction is one
between the requester and the upstream. Where the upstream takes its time, the requester is told here to come again
(RFC 9483 section 4.4), and what the RA says of its own never comes between two messages that continue one another:

- the final answer repeats the nonce of the original request, whatever was said here meanwhile (R-024);
- once the upstream itself has said "waiting", what is said here has the senderNonce of that, so that the pollReq that
  follows can go upstream as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cmpkit import oids
from cmpkit.asn1 import GeneralizedTime, Null, PKIBody, PKIMessage, PollRep, decode_message, read_value
from cmpkit.engine.answers import answer_statuses
from cmpkit.engine.header import next_message_faults, used_nonce_faults
from cmpkit.engine.needs import Authorize, Await, Collect, Consider, Pass, Unwrap
from cmpkit.engine.polling import awaited_ids, delay, poll_req_faults, put_again
from cmpkit.engine.relay_states import ANSWERED_HERE, RELAY_CONTINUES, stage_after
from cmpkit.engine.replies import Reply, refusal, rejection, waiting_response
from cmpkit.engine.responder import check_opening, unknown_transaction
from cmpkit.engine.states import CERTIFICATE_REQUESTS, DELAYED_BY, HEADER_FAULTS, OPENS
from cmpkit.engine.work import ResponderSettings, Steps, Work, spent
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import (
    AuditEntry,
    Authenticated,
    Pending,
    RelayChange,
    Relayed,
    RelayStage,
    RelayState,
    Transaction,
    TransactionState,
)
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["UNVERIFIED", "RelayTerms", "expire_relayed", "relay"]

UNVERIFIED: Final = "unverified"
"""The credential of whoever is not verified here, but by the upstream alone."""

_NO_NEWS = frozenset({BodyType.PKICONF, BodyType.POLL_REP})
"""Answers that the audit says nothing of."""

_LATE: Final = timedelta(days=30)
"""How long an answer is looked for that nobody waits for any more."""


@dataclass(frozen=True, slots=True)
class RelayTerms:
    """What is agreed about an upstream.

    :param upstream: its name.
    :param check_after: seconds after which a requester is to come again that waits for it.
    """

    upstream: str
    check_after: int = 10


def relay(
    message: PKIMessage,
    auth: Authenticated,
    transaction: Transaction | None,
    *,
    terms: RelayTerms,
    settings: ResponderSettings,
    now: datetime,
    profile: str | None = None,
    leniency: Leniency = STRICT,
) -> Steps:
    """Answer one message on its way to an upstream; as :func:`cmpkit.engine.responder.respond` does for a CA.

    :param transaction: from :func:`cmpkit.engine.responder.find_transaction`.
    :raises CMPError: for what is answered by ``error``; what is refused of a request's content becomes a rejection in
        the body that answers it (RFC 9483 section 3.6).
    """
    relaying = _Relaying(Work(message, auth, transaction, settings, now, profile, leniency), terms)
    key = relaying.work.request_key(message)
    if transaction is not None and transaction.stage is RelayStage.UNDER_WAY and transaction.request == key.encode():
        # The same octets again, while the first ones are under way.
        answer: PKIMessage | None = yield Await(key)
        return (yield from relaying.answered(transaction, message, answer))
    raise_first(used_nonce_faults(message.header, transaction.peer_nonces if transaction else ()))
    if message.body.type in OPENS:
        check_opening(message.header, transaction, leniency)
        try:
            return (yield from relaying.open(message, key))
        except CMPError as error:
            if error.fail_info & HEADER_FAULTS or message.body.type is BodyType.GENM:
                raise
            return rejection(message.body, error)
    if transaction is None:
        raise unknown_transaction(message.body.type)
    _check_continuing(message, transaction, now)
    return (yield from relaying.go_on(transaction, key))


def _check_continuing(message: PKIMessage, transaction: Transaction, now: datetime) -> None:
    body_type = message.body.type
    if transaction.stage is None:
        allowed, where = RELAY_CONTINUES[RelayStage.DELAYED], transaction.state.value
    else:
        allowed, where = RELAY_CONTINUES[transaction.stage], transaction.stage.value
    if body_type not in allowed:
        raise CMPError(
            f"{body_type.wire_name} for a transaction that is {where}",
            rule="RFC 9483 section 3.5",
            hint="the client should wait for the answer to its message before" if where == "under way" else "",
        )
    if transaction.expires is not None and now > transaction.expires:
        raise CMPError(
            f"{body_type.wire_name} for a transaction that expired at {transaction.expires.isoformat()}",
            rule="RFC 9810 section 5.3.21",
        )
    if transaction.sender_nonce:
        raise_first(next_message_faults(message.header, transaction.sender_nonce))


@dataclass(frozen=True, slots=True)
class _Relaying:
    """One message, and the upstream that it is for."""

    work: Work
    terms: RelayTerms

    def open(self, opening: PKIMessage, key: str) -> Steps:
        """A message that opens a transaction, or that did and waited for a person."""
        changed: tuple[Any, ...] = ()
        if self.work.auth.credential.id != UNVERIFIED:
            if opening is self.work.message:
                yield Authorize(opening.body.type)
            if opening.body.type in CERTIFICATE_REQUESTS:
                again = opening is not self.work.message
                changed = yield Consider(opening, self.work.profile, key, again=again)
                waiting = [one for one in changed if isinstance(one, Pending)]
                if waiting:
                    reply = delay(self.work, opening, *waiting)
                    assert reply.transaction is not None
                    return replace(reply, transaction=replace(reply.transaction, upstream=self.terms.upstream))
        return (yield from self._pass(opening, key, changed))

    def go_on(self, transaction: Transaction, key: str) -> Steps:
        """A message that continues a transaction."""
        message = self.work.message
        if transaction.stage is not None and transaction.stage not in ANSWERED_HERE:
            return (yield from self._pass(message, key))
        if message.body.type is BodyType.ERROR:
            return self._end(transaction)
        if transaction.stage is None:
            kept = decode_message(transaction.request, max_size=len(transaction.request))
            raise_first(poll_req_faults(message.body.content, awaited_ids(kept.body)))
            return (yield from put_again(self.work, kept, self.open(kept, self.work.request_key(kept))))
        return (yield from self._poll(transaction))

    def _pass(self, message: PKIMessage, key: str, changed: tuple[Any, ...] = ()) -> Steps:
        """Send a message upstream, and wait for a while."""
        work = self.work
        state = work.followed(
            TransactionState.RELAYED,
            upstream=self.terms.upstream,
            stage=RelayStage.UNDER_WAY,
            request=key.encode(),
            expires=work.now + work.settings.pending_time,
        )
        asks = message.body.type in CERTIFICATE_REQUESTS
        uses = spent(work) * len(awaited_ids(message.body)) if asks else ()
        stored, answer = yield Pass(message, key, state, changed, uses)
        return (yield from self.answered(stored, message, answer))

    def answered(self, stored: Transaction, message: PKIMessage, answer: PKIMessage | None) -> Steps:
        """What is said to the requester once the upstream answered, or did not in time.

        :param stored: the transaction as the store has it.
        :param message: what went upstream: the one that came, or the one that it polls for.
        """
        if answer is None:
            return self._not_yet(stored, message)
        stage = stage_after(answer)
        work = self.work
        if answer.protection is None:
            return self._say_anew(stored, message, answer, stage)
        if message is work.message or message.raw == work.message.raw:
            given: PKIMessage = yield Unwrap(answer, message, stored.manner)
            return self._reply(stored, message, answer, stage, given=given)
        if stage is RelayStage.POLLED:
            check_after = self.terms.check_after
            if answer.body.type is BodyType.POLL_REP:
                check_after = max(item.check_after for item in answer.body.content)
            nonce = answer.header.sender_nonce or b""
            reply = self._reply(stored, message, answer, stage)
            return replace(reply, body=self._poll_rep(check_after), sender_nonce=nonce)
        if answer.header.recip_nonce in (stored.peer_nonces[0], work.message.header.sender_nonce):
            given = yield Unwrap(answer, message, stored.manner)
            return self._reply(stored, message, answer, stage, given=given)
        # It answers a pollReq that is over, and a requester takes the nonce of its first or its last message only.
        return self._say_anew(stored, message, answer, stage)

    def _say_anew(self, stored: Transaction, message: PKIMessage, answer: PKIMessage, stage: RelayStage) -> Reply:
        """What an answer says, under our own protection, with the senderNonce by which the upstream knows what follows.

        An answer without protection is one that was made here, about a message that is lost in its batch.
        """
        reply = self._reply(stored, message, answer, stage)
        return replace(
            reply,
            body=answer.body,
            general_info=tuple(answer.header.general_info or ()),
            extra_certs=answer.extra_certs,
            sender_nonce=answer.header.sender_nonce or b"",
        )

    def _reply(
        self,
        stored: Transaction,
        message: PKIMessage,
        answer: PKIMessage,
        stage: RelayStage,
        *,
        given: PKIMessage | None = None,
    ) -> Reply:
        """The reply with an answer of the upstream; with it the message is forgotten."""
        work = self.work
        over = stage is RelayStage.OVER
        state = replace(
            stored,
            state=TransactionState.DONE if over else TransactionState.RELAYED,
            stage=stage,
            request=b"",
            extra_certs=() if over else stored.extra_certs,
            expires=None if over else self._expires(stage, answer),
        )
        forgotten = RelayChange(work.request_key(message), None, (RelayState.WAITING, RelayState.ANSWERED))
        is_kept = bool(stored.request)
        return Reply(
            None,
            transaction=state,
            given=given,
            relay_changes=(forgotten,) if is_kept else (),
            audit=() if answer.body.type in _NO_NEWS else (self._told(message, answer),),
        )

    def _told(self, message: PKIMessage, answer: PKIMessage) -> AuditEntry:
        details = {"upstream": self.terms.upstream, "body": message.body.type.wire_name}
        return self.work.audit("relayed", answer=_said(answer), identity=self.work.auth.identity, **details)

    def _expires(self, stage: RelayStage, answer: PKIMessage) -> datetime:
        settings, now = self.work.settings, self.work.now
        if stage is not RelayStage.GRANTED:
            return now + settings.pending_time
        # What the upstream allows counts, not what is allowed here.
        own = now + settings.confirm_wait_time
        item = answer.header.info(oids.CONFIRM_WAIT_TIME)
        try:
            told = None if item is None else read_value(item)
        except CMPError:
            # Who asked for the certificate is to judge that.
            return own
        return max(own, told.as_datetime()) if isinstance(told, GeneralizedTime) else own

    def _not_yet(self, stored: Transaction, message: PKIMessage) -> Reply:
        """What is said while the upstream has not answered.

        :raises CMPError: systemUnavail to those who could not verify that they are to wait.
        """
        work = self.work
        if work.auth.credential.id == UNVERIFIED:
            raise CMPError(
                f"the upstream {self.terms.upstream} has not answered yet",
                PKIFailureInfo.SYSTEM_UNAVAIL,
                hint="the requester gets the answer for the same message, sent again",
            )
        if work.body_type is BodyType.ERROR:
            return self._end(stored)
        expires = work.now + work.settings.pending_time
        state = replace(stored, stage=RelayStage.DELAYED, expires=expires)
        if work.body_type is BodyType.POLL_REQ:
            return Reply(self._poll_rep(self.terms.check_after), transaction=state)
        # A popdecr is delayed by error, like everything that is no request.
        body_type = work.body_type if work.body_type in DELAYED_BY else BodyType.CERT_CONF
        ids = awaited_ids(message.body) if work.body_type in OPENS else ()
        body = waiting_response(body_type, ids, "the request is under way")
        return Reply(body, transaction=state, audit=(work.audit("waiting", body=work.body_type.wire_name),))

    def _poll(self, transaction: Transaction) -> Steps:
        """pollReq for what is under way."""
        work = self.work
        key = transaction.request.decode()
        found: Relayed | None = yield Collect(key)
        if found is None or (found.state is not RelayState.ANSWERED and found.deadline < work.now):
            return self._give_up(transaction, found)
        message = decode_message(found.message, max_size=len(found.message))
        if message.body.type is BodyType.POLL_REQ:
            awaited = tuple(item.cert_req_id for item in message.body.content)
        else:
            awaited = awaited_ids(message.body)
        raise_first(poll_req_faults(work.message.body.content, awaited))
        stored = work.continued(TransactionState.RELAYED)
        answer = decode_message(found.answer, max_size=len(found.answer)) if found.answer else None
        return (yield from self.answered(stored, message, answer))

    def _poll_rep(self, check_after: int) -> PKIBody:
        asked = self.work.message.body.content
        check_after = max(check_after, self.work.settings.least_check_after)
        return PKIBody(
            BodyType.POLL_REP, [PollRep(cert_req_id=item.cert_req_id, check_after=check_after) for item in asked]
        )

    def _give_up(self, transaction: Transaction, found: Relayed | None) -> Reply:
        """The upstream never answered."""
        error = CMPError(
            f"the upstream {self.terms.upstream} did not answer in time",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            hint="see what the log says of the upstream; the requester may begin anew",
        )
        changes = () if found is None or found.state is RelayState.GIVEN_UP else (_given_up(found.key, self.work.now),)
        return replace(
            refusal(error),
            transaction=self._over(transaction),
            relay_changes=changes,
            refused=error,
            audit=(self.work.audit("given up", upstream=self.terms.upstream),),
        )

    def _end(self, transaction: Transaction) -> Reply:
        """error from the requester, which the upstream could not place: the transaction ends here."""
        under_way = transaction.stage in ANSWERED_HERE
        return Reply(
            PKIBody(BodyType.PKICONF, Null()),
            transaction=self._over(transaction),
            relay_changes=(_given_up(transaction.request.decode(), self.work.now),) if under_way else (),
            audit=(self.work.audit("ended by the client", upstream=self.terms.upstream),),
        )

    def _over(self, transaction: Transaction) -> Transaction:
        version = transaction.version
        over = self.work.continued(TransactionState.DONE, stage=RelayStage.OVER, request=b"", expires=None)
        return replace(over, version=version)


def _given_up(key: str, now: datetime) -> RelayChange:
    """What comes of it is looked for further on: it may be a certificate that nobody wants any more."""
    return RelayChange(key, RelayState.GIVEN_UP, (RelayState.WAITING, RelayState.ANSWERED), deadline=now + _LATE)


def _said(answer: PKIMessage) -> str:
    statuses = [status.status.wire_name for status in answer_statuses(answer)]
    return " ".join([answer.body.type.wire_name, *dict.fromkeys(statuses)])


def expire_relayed(transaction: Transaction, found: Relayed | None, now: datetime) -> Reply:
    """End a transaction whose requester did not come again in time (R-116).

    :param found: its message that is under way.
    """
    changes = () if found is None or found.state is RelayState.GIVEN_UP else (_given_up(found.key, now),)
    return Reply(
        None,
        transaction=replace(
            transaction,
            state=TransactionState.DONE,
            stage=RelayStage.OVER,
            request=b"",
            extra_certs=(),
            expires=None,
        ),
        relay_changes=changes,
        audit=(AuditEntry(now, "expired", transaction.credential, transaction.transaction_id),),
    )
