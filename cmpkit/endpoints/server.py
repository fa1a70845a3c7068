"""The server: one message in, one answer out, everything stored before it leaves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import anyio

from cmpkit.asn1 import PKIMessage
from cmpkit.ca.key_generation import forgotten_keys
from cmpkit.caching import cached_property
from cmpkit.endpoints.abandoning import end_abandoned
from cmpkit.endpoints.announcements import ANNOUNCEMENTS
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.endpoints.nested import answer_nested, name_forwarders
from cmpkit.endpoints.places import Places, is_open
from cmpkit.endpoints.protector import Protector
from cmpkit.endpoints.receiving import receive_message
from cmpkit.endpoints.reporting import Reporter, origin, transaction_text
from cmpkit.endpoints.repository import Repository
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.endpoints.turn import InnerHandler, Turn, given_answer
from cmpkit.endpoints.verifier import RequestVerifier, addressed, road_faults, sender_faults
from cmpkit.endpoints.weakness import weak_protection
from cmpkit.endpoints.work import Works, Workshop
from cmpkit.engine.header import NONCE_SIZE, check_message_time, check_request_header
from cmpkit.engine.needs import Issue, MakeChallenge
from cmpkit.engine.replies import Reply, refusal
from cmpkit.engine.responder import Steps, expire, find_transaction, respond
from cmpkit.engine.states import OPENS
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, ConflictError, raise_first
from cmpkit.parts import (
    Answer,
    Authenticated,
    Credential,
    Disposition,
    Event,
    Peer,
    Pending,
    ProtectionKind,
    Rejected,
    StoredAnswer,
    Transaction,
    UnitOfWork,
)
from cmpkit.plugins import Plugins
from cmpkit.tolerances import Leniency

__all__ = ["Server"]

_log = logging.getLogger("cmpkit.server")
_ATTEMPTS = 4


def _utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Server:
    """A CMP server without a road: give :meth:`handle` to a server transport.

    :param workshop: does what the engine needs.
    :param clock: gives the time, in UTC.
    :param repository: takes announcements; without it they are refused.
    :param engine: the state machine that answers: of a CA, or of a registration authority that passes messages on.
    :param shared_places: the places for open transactions, where several share them; ``None`` for places of its own.
    """

    plugins: Plugins
    workshop: Works
    verifier: RequestVerifier
    protector: Protector
    settings: ServerSettings = field(default_factory=ServerSettings)
    clock: Callable[[], datetime] = _utc_now
    repository: Repository | None = None
    engine: Callable[..., Steps] = respond
    shared_places: Places | None = None

    @cached_property
    def places(self) -> Places:
        """The places for open transactions."""
        return self.shared_places or Places(
            self.workshop.store, self.settings.max_open, self.settings.max_open_per_peer
        )

    @cached_property
    def _reporter(self) -> Reporter:
        return Reporter(self.plugins)

    async def handle(self, der: bytes, peer: Peer, settings: ServerSettings | None = None) -> Answer:
        """Answer one message (a :data:`cmpkit.parts.Handler`). Never raises for what a peer sent.

        :param settings: those of the road on which it came, if they are not those of the server.
        """
        settings, now, leniency = settings or self.settings, self.clock(), Leniency(self.verifier.tolerances)
        try:
            message = await receive_message(der, max_size=settings.max_message_size, leniency=leniency)
        except CMPError as error:
            self._reporter.refused(error, peer, None)
            response = await self._seal(None, refusal(error), None, now)
            return Answer(response.raw, Disposition.MALFORMED)
        return await self.answer(message, peer, settings, leniency=leniency, now=now)

    async def answer(
        self,
        message: PKIMessage,
        peer: Peer,
        settings: ServerSettings | None = None,
        *,
        leniency: Leniency | None = None,
        now: datetime | None = None,
        inner: InnerHandler | None = None,
    ) -> Answer:
        """Answer one message that was read already, as :meth:`handle` does.

        :param leniency: what was let pass so far.
        :param now: when it came.
        :param inner: what answers the messages inside a nested one; absent, :meth:`handle`.
        """
        settings, now = settings or self.settings, now or self.clock()
        leniency = leniency or Leniency(self.verifier.tolerances)
        if not message.header.transaction_id and message.body.type in OPENS:
            message = self._with_transaction_id(message, leniency)
        self._reporter.received(message, peer)
        if message.body.type in ANNOUNCEMENTS:
            return await self._take(message, peer, now, settings.message_time_window)
        reach(self.plugins, Checkpoint.REQUEST_RECEIVED, message.header.transaction_id)
        try:
            return await self._answer_somehow(Turn(message, peer, now, leniency, settings, inner or self.handle))
        finally:
            self._reporter.tolerated(message, leniency)

    def _with_transaction_id(self, message: PKIMessage, leniency: Leniency) -> PKIMessage:
        """A first message with an ID of ours, where that is tolerated: RFC 9810 section 5.1.1 allows it (R-018).

        The same octets get the stored answer, in which the ID is that of the first time.
        """
        if not leniency.allows("missing-transaction-id"):
            return message
        return message.with_transaction_id(self.protector.random(NONCE_SIZE))

    async def _take(self, message: PKIMessage, peer: Peer, now: datetime, window: timedelta | None) -> Answer:
        """An announcement has no CMP answer, whatever becomes of it (RFC 9811 section 3.5, R-194)."""
        if self.repository is not None:
            return await self.repository.take(message, peer, now=now, time_window=window)
        body = message.body.type.wire_name
        _log.warning("refused %s from %s: this server is no repository", body, origin(peer))
        return Answer(None, Disposition.REFUSED)

    async def _answer_somehow(self, turn: Turn) -> Answer:
        message = turn.message
        for _ in range(_ATTEMPTS):
            try:
                return await self._answer(turn)
            except ConflictError as conflict:
                _log.debug("transaction %s: %s; again", transaction_text(message), conflict)
                turn.auth, turn.settled = None, []
        busy = CMPError("other requests keep changing the same state", PKIFailureInfo.SYSTEM_UNAVAIL)
        self._reporter.refused(busy, turn.peer, message)
        return given_answer(await self._seal(message, refusal(busy), None, turn.now), turn, busy)

    async def _answer(self, turn: Turn) -> Answer:
        """Answer a message that could be read; nothing of it leaves before it is stored.

        :raises ConflictError: if something else changed the same state meanwhile; nothing was stored then.
        """
        refused: CMPError | None = None
        try:
            reply = await self._judge(turn)
        except ConflictError:
            raise
        except CMPError as error:
            self._reporter.refused(error, turn.peer, turn.message)
            reply, refused = refusal(error), error
        except Exception:
            _log.exception("transaction %s failed", transaction_text(turn.message))
            reply = refusal(CMPError("the server failed, see its log", PKIFailureInfo.SYSTEM_FAILURE))
        if isinstance(reply, Answer):
            return reply
        response = await self._seal(turn.message, reply, turn.auth.credential if turn.auth else None, turn.now)
        await self._commit(turn, reply, response)
        return given_answer(response, turn, refused)

    async def _judge(self, turn: Turn) -> Reply | Answer:
        """The stored answer if these octets came before, else a new reply; cheap checks come first.

        :raises CMPError: for what is answered by ``error``.
        """
        message, now, window = turn.message, turn.now, turn.time_window
        if message.body.type is BodyType.NESTED:
            return await answer_nested(turn, self.verifier, self.plugins)
        check_request_header(message, turn.leniency)
        assert message.header.transaction_id is not None
        transactions, answers = await self.workshop.store.load(message.header.transaction_id, message.digest)
        if not answers:
            check_message_time(message, now, window)
        turn.auth = addressed(await self.verifier.verify(message, transactions, now, turn.leniency), turn.peer)
        for answer in answers:
            if answer.credential == turn.auth.credential.id:
                self._reporter.tell("answered-again", message)
                return Answer(answer.der)
        if answers:
            check_message_time(message, now, window)
        raise_first(sender_faults(message, turn.auth), turn.leniency)
        transaction = find_transaction(transactions, message, turn.auth)
        if self.settings.same_road:
            raise_first(road_faults(transaction, turn.peer))
        turn.was_open = is_open(transaction)
        credential = turn.auth.credential.id
        if message.body.type in OPENS and not turn.was_open and self.places.may_be_full(credential):
            await self.places.check(credential, now)
        steps = self.engine(
            message,
            turn.auth,
            transaction,
            settings=turn.settings.responder,
            now=now,
            profile=turn.profile,
            leniency=turn.leniency,
        )
        reply = await self._drive(steps, turn.auth, message.header.transaction_id, now, turn.settled)
        for error in (reply.refused, *reply.also_refused):
            if error is not None:
                self._reporter.refused(error, turn.peer, message)
        return reply

    async def _drive(
        self, steps: Steps, auth: Authenticated, transaction_id: bytes, now: datetime, settled: list[str]
    ) -> Reply:
        """Run the engine to its reply; ``settled`` gets the keys of the intents that are done with."""
        try:
            need = next(steps)
            while True:
                if isinstance(need, MakeChallenge):
                    need = replace(need, sender=self.protector.sender(auth.credential))
                try:
                    result = await self.workshop.run(need, auth, transaction_id, now)
                except ConflictError:
                    raise
                except CMPError as error:
                    need = steps.throw(error)
                else:
                    if isinstance(need, Issue) and self.workshop.leaves_intents and _is_over(result):
                        settled.append(need.key)
                    need = steps.send(result)
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply

    async def _seal(self, message: PKIMessage | None, reply: Reply, to: Credential | None, now: datetime) -> PKIMessage:
        response = reply.given
        if response is None:
            assert reply.body is not None
            response = await self.protector.answer(
                message.header if message else None,
                reply.body,
                to=to,
                now=now,
                general_info=reply.general_info,
                extra_certs=reply.extra_certs,
                sender_nonce=reply.sender_nonce,
            )
        self._reporter.tell("message-sent", response)
        return response

    async def _commit(self, turn: Turn, reply: Reply, response: PKIMessage) -> None:
        """Store everything that the message changed; a refusal only settles the intents behind it."""
        settled = tuple(turn.settled)
        if reply.transaction is None or turn.auth is None:
            if settled:
                await self.workshop.store.commit(
                    UnitOfWork(finished_intents=settled, undertakings=forgotten_keys(settled))
                )
            return
        state = reply.transaction.answered(response.header.sender_nonce or b"", turn.peer.road)
        answer = StoredAnswer(
            digest=turn.message.digest,
            credential=turn.auth.credential.id,
            transaction_id=state.transaction_id,
            der=response.raw,
            keep_until=turn.keep_until,
        )
        audit = reply.audit
        if reply.certificates:
            audit += weak_protection(reply.certificates, turn.auth.credential, state, plugins=self.plugins, at=turn.now)
        audit = name_forwarders(audit, turn.peer)
        unit = UnitOfWork(
            transaction=state,
            answer=answer,
            certificates=reply.certificates,
            changes=reply.changes,
            archived=reply.archived,
            spent=reply.spent,
            finished_intents=settled,
            undertakings=forgotten_keys(settled),
            held=tuple(replace(request, address=origin(turn.peer)) for request in reply.held),
            kept=reply.keep,
            relay_changes=reply.relay_changes,
            audit=audit,
        )
        reach(self.plugins, Checkpoint.BEFORE_COMMIT, state.transaction_id)
        await self.workshop.commit(unit)
        self.places.moved(state.credential, was=turn.was_open, now_is=is_open(state))
        reach(self.plugins, Checkpoint.AFTER_COMMIT, state.transaction_id)
        if self.plugins.observed:
            for entry in audit:
                self.plugins.observe(Event(entry.event, entry.transaction_id, entry.details))

    async def housekeep(self) -> None:
        """End the transactions whose time is over, drop answers that nobody can ask for again."""
        now = self.clock()
        for transaction in await self.workshop.store.overdue(now):
            if transaction.upstream:
                continue
            try:
                await self._expire(transaction, now)
            except ConflictError:
                _log.debug("transaction %s changed while it expired", transaction.transaction_id.hex())
            except CMPError as error:
                _log.error("transaction %s cannot be ended: %s", transaction.transaction_id.hex(), error)
        if isinstance(self.workshop, Workshop) and self.workshop.leaves_intents:
            before = now - self.settings.responder.confirm_wait_time
            await end_abandoned(self.workshop.issuer, self.workshop.store, self.plugins, now=now, before=before)
        await self.workshop.store.prune(now)
        await self.places.count(now)

    async def _expire(self, transaction: Transaction, now: datetime) -> None:
        kind = ProtectionKind.MAC if transaction.credential.startswith("mac:") else ProtectionKind.SIGNATURE
        nobody = Authenticated("", Credential(kind, transaction.credential))
        steps = expire(transaction, now, keep=self.settings.responder.keep_unconfirmed)
        reply = await self._drive(steps, nobody, transaction.transaction_id, now, [])
        if reply.transaction is None:
            _log.info("transaction %s expired, its issuer needs time to end it", transaction.transaction_id.hex())
            return
        await self.workshop.store.commit(
            UnitOfWork(transaction=reply.transaction, changes=reply.changes, audit=reply.audit)
        )
        _log.info("transaction %s expired", transaction.transaction_id.hex())

    async def keep_house(self) -> None:
        """Run :meth:`housekeep` at intervals, until cancelled."""
        while True:
            try:
                await self.housekeep()
            except CMPError as error:
                _log.error("housekeeping: %s", error)
            await anyio.sleep(self.settings.housekeeping_interval.total_seconds())


def _is_over(result: object) -> bool:
    """Whether nothing more can come of a request: neither pending nor failed in a way that may be mended."""
    if isinstance(result, Rejected):
        return not result.error.fail_info & (PKIFailureInfo.SYSTEM_UNAVAIL | PKIFailureInfo.SYSTEM_FAILURE)
    return not isinstance(result, Pending)
