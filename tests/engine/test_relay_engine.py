"""The state machine of transactions that are passed on, driven by whatever may come, in whatever order."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cmpkit import oids
from cmpkit.asn1 import (
    CertRepMessage,
    CertResponse,
    ErrorMsgContent,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    PollReq,
    RevRepContent,
    directory_name,
)
from cmpkit.engine.needs import Authorize, Await, Collect, Pass, Unwrap
from cmpkit.engine.relay_states import RELAY_CONTINUES, relayed_answer_faults, stage_after
from cmpkit.engine.relaying import UNVERIFIED, RelayTerms, expire_relayed, relay
from cmpkit.engine.replies import Reply
from cmpkit.engine.work import ResponderSettings
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, TrustError
from cmpkit.parts import (
    Authenticated,
    Credential,
    ProtectionKind,
    Relayed,
    RelayStage,
    RelayState,
    Transaction,
    TransactionState,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOBODY = directory_name(x509.Name([]))
ERROR = ErrorMsgContent(pki_status_info=PKIStatusInfo.of(PKIStatus.REJECTION, ["no"]))
WAIT = ErrorMsgContent(pki_status_info=PKIStatusInfo.of(PKIStatus.WAITING))
FROM_REQUESTER = {
    BodyType.GENM: PKIBody(BodyType.GENM, []),
    BodyType.CERT_CONF: PKIBody(BodyType.CERT_CONF, []),
    BodyType.PKICONF: PKIBody(BodyType.PKICONF, Null()),
    BodyType.POLL_REQ: PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=-1)]),
    BodyType.POPDECR: PKIBody(BodyType.POPDECR, []),
    BodyType.ERROR: PKIBody(BodyType.ERROR, ERROR),
}


def certificates(kind: BodyType, status: PKIStatus) -> PKIBody:
    return PKIBody(kind, CertRepMessage(response=[CertResponse(cert_req_id=0, status=PKIStatusInfo.of(status))]))


FROM_UPSTREAM = {
    "granted": certificates(BodyType.IP, PKIStatus.ACCEPTED),
    "rejected": certificates(BodyType.IP, PKIStatus.REJECTION),
    "waiting": certificates(BodyType.IP, PKIStatus.WAITING),
    "error": PKIBody(BodyType.ERROR, ERROR),
    "error, waiting": PKIBody(BodyType.ERROR, WAIT),
    "genp": PKIBody(BodyType.GENP, []),
    "popdecc": PKIBody(BodyType.POPDECC, []),
    "pollRep": PKIBody(BodyType.POLL_REP, [PollRep(cert_req_id=-1, check_after=7)]),
    "pkiconf": PKIBody(BodyType.PKICONF, Null()),
    "revoked": PKIBody(BodyType.RP, RevRepContent(status=[PKIStatusInfo.of(PKIStatus.ACCEPTED)])),
}


class Bench:
    """What an endpoint does, with values only."""

    def __init__(self, credential: str = "mac:64") -> None:
        self.numbers = itertools.count(1)
        self.auth = Authenticated("d", Credential(ProtectionKind.MAC, credential))
        self.transaction: Transaction | None = None
        self.relayed: Relayed | None = None
        self.known_above = b""
        """The senderNonce of the last message of the upstream."""
        self.now = NOW
        self.records_late = False
        """Whether what continues a transaction is written down only if its answer takes long."""

    def nonce(self) -> bytes:
        return next(self.numbers).to_bytes(16, "big")

    def message(self, body: PKIBody, **fields: Any) -> PKIMessage:
        header = PKIHeader(
            pvno=2, sender=NOBODY, recipient=NOBODY, transaction_id=bytes(16), sender_nonce=self.nonce(), **fields
        )
        return PKIMessage(header, body).with_protection(b"not looked at", ())

    def answer(self, name: str, *, implicit: bool = False, to: PKIMessage | None = None) -> PKIMessage:
        info = [InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())] if implicit else None
        recip_nonce = to.header.sender_nonce if to else None
        return self.message(FROM_UPSTREAM[name], general_info=info, recip_nonce=recip_nonce)

    def ask(self, message: PKIMessage, answer: PKIMessage | None) -> tuple[Reply, list[Any]]:
        """The reply, and what it needed.

        :param answer: what the upstream says to what is passed on, ``None`` for nothing yet.
        """
        steps = relay(
            message,
            self.auth,
            self.transaction,
            terms=RelayTerms("ca", 5),
            settings=ResponderSettings(),
            now=self.now,
        )
        needs: list[Any] = []
        try:
            need = next(steps)
            while True:
                needs.append(need)
                need = steps.send(self.meet(need, answer))
        except StopIteration as stop:
            reply: Reply = stop.value
        self.keep(reply)
        return reply, needs

    def meet(self, need: Any, answer: PKIMessage | None) -> Any:
        if isinstance(need, Pass):
            assert self.relayed is None, "one message is under way at a time"
            if self.records_late and answer is not None and need.message.body.type is not BodyType.GENM:
                return replace(need.transaction, request=b""), answer
            self.transaction = replace(need.transaction, version=need.transaction.version + 1)
            self.relayed = Relayed(
                need.key,
                bytes(16),
                self.auth.credential.id,
                "ca",
                need.message.body.type,
                need.message.raw,
                need.message.raw,
                self.now,
                self.now + timedelta(days=7),
            )
            return self.transaction, answer
        if isinstance(need, Unwrap):
            return need.answer
        return {Authorize: None, Await: answer, Collect: self.relayed}[type(need)]

    def keep(self, reply: Reply) -> None:
        for change in reply.relay_changes:
            assert self.relayed is not None
            assert change.key == self.relayed.key
            self.relayed = None
        if reply.transaction is None:
            return
        version = self.transaction.version if self.transaction else 0
        assert reply.transaction.version == version
        nonce = reply.sender_nonce or (reply.given.header.sender_nonce if reply.given else None) or self.nonce()
        self.transaction = replace(reply.transaction.answered(nonce), version=version + 1)


class Relaying(RuleBasedStateMachine):
    """A requester that sends anything, and an upstream that answers anything that may answer it, late or never."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.stage: RelayStage | None = None

    @property
    def allowed(self) -> frozenset[BodyType]:
        if self.stage in (None, RelayStage.OVER):
            over = RELAY_CONTINUES[RelayStage.OVER] if self.stage else frozenset()
            return over | {BodyType.GENM}
        return RELAY_CONTINUES[self.stage]

    @rule(body=st.sampled_from(sorted(FROM_REQUESTER)), data=st.data())
    def requester_sends(self, body: BodyType, data: st.DataObject) -> None:
        bench, before = self.bench, self.bench.transaction
        opens = body is BodyType.GENM
        message = bench.message(
            FROM_REQUESTER[body], recip_nonce=None if opens or before is None else before.sender_nonce
        )
        if body not in self.allowed:
            with pytest.raises(CMPError):
                bench.ask(message, None)
            assert bench.transaction is before
            return
        fitting = [
            name
            for name, answer in FROM_UPSTREAM.items()
            if not list(relayed_answer_faults(body, bench.message(answer)))
        ]
        name = data.draw(st.sampled_from([*fitting, "nothing"]), label="upstream")
        bench.records_late = data.draw(st.booleans(), label="records late")
        answer = None if name == "nothing" else bench.answer(name, to=message)
        under_way = bench.relayed
        reply, needs = bench.ask(message, answer)
        passed = [need for need in needs if isinstance(need, Pass)]
        if under_way is not None:
            assert not passed, "nothing goes upstream while something is under way"
        else:
            assert [need.message for need in passed] == [message]
        assert bench.transaction is not None
        self.stage = bench.transaction.stage
        if passed and answer is not None:
            assert reply.given is answer
            assert self.stage is stage_after(answer)
        elif passed and body is not BodyType.ERROR:
            assert self.stage is RelayStage.DELAYED
            assert bench.relayed is not None

    @precondition(lambda self: self.stage is RelayStage.DELAYED)
    @rule(data=st.data())
    def upstream_answers_late(self, data: st.DataObject) -> None:
        relayed = self.bench.relayed
        assert relayed is not None
        names = [
            name
            for name, answer in FROM_UPSTREAM.items()
            if not list(relayed_answer_faults(relayed.body_type, self.bench.message(answer)))
        ]
        answer = self.bench.answer(data.draw(st.sampled_from(names)))
        self.bench.relayed = replace(relayed, answer=answer.raw, state=RelayState.ANSWERED)

    @invariant()
    def what_is_done_is_over(self) -> None:
        transaction = self.bench.transaction
        if transaction is not None:
            assert (transaction.state is TransactionState.DONE) is (transaction.stage is RelayStage.OVER)
            assert (transaction.expires is None) is (transaction.state is TransactionState.DONE)
            assert bool(transaction.request) is (self.bench.relayed is not None)


TestRelaying = Relaying.TestCase
TestRelaying.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)


def test_the_same_octets_while_they_are_under_way_wait_for_the_same_answer() -> None:
    bench = Bench(UNVERIFIED)
    message = bench.message(FROM_REQUESTER[BodyType.GENM])
    with pytest.raises(CMPError) as refusal:
        bench.ask(message, None)
    assert refusal.value.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL
    answer = bench.answer("genp", to=message)
    reply, needs = bench.ask(message, answer)
    assert [type(need) for need in needs] == [Await, Unwrap]
    assert reply.given is answer


@pytest.mark.rule("R-150", "R-162")
def test_what_the_upstream_puts_off_late_goes_on_with_its_own_nonce() -> None:
    bench = Bench()
    message = bench.message(FROM_REQUESTER[BodyType.GENM])
    bench.ask(message, None)
    waiting = bench.answer("error, waiting", to=message)
    assert bench.relayed is not None
    bench.relayed = replace(bench.relayed, answer=waiting.raw, state=RelayState.ANSWERED)
    assert bench.transaction is not None
    poll = bench.message(FROM_REQUESTER[BodyType.POLL_REQ], recip_nonce=bench.transaction.sender_nonce)
    reply, _ = bench.ask(poll, None)
    assert reply.body is not None
    assert reply.body.type is BodyType.POLL_REP
    assert reply.sender_nonce == waiting.header.sender_nonce
    again = bench.message(FROM_REQUESTER[BodyType.POLL_REQ], recip_nonce=waiting.header.sender_nonce)
    reply, needs = bench.ask(again, bench.answer("pollRep", to=again))
    assert [type(need) for need in needs] == [Pass, Unwrap]


@pytest.mark.rule("R-024")
def test_an_answer_to_a_poll_that_is_over_is_said_anew() -> None:
    bench = Bench()
    message = bench.message(FROM_REQUESTER[BodyType.GENM])
    bench.ask(message, bench.answer("error, waiting", to=message))
    assert bench.transaction is not None
    poll = bench.message(FROM_REQUESTER[BodyType.POLL_REQ], recip_nonce=bench.transaction.sender_nonce)
    bench.ask(poll, None)
    final = bench.answer("genp", to=poll)
    assert bench.relayed is not None
    bench.relayed = replace(bench.relayed, answer=final.raw, state=RelayState.ANSWERED)
    again = bench.message(FROM_REQUESTER[BodyType.POLL_REQ], recip_nonce=bench.transaction.sender_nonce)
    reply, _ = bench.ask(again, None)
    assert reply.given is None
    assert reply.body is not None
    assert (reply.body.type, reply.sender_nonce) == (BodyType.GENP, final.header.sender_nonce)


def test_after_the_deadline_there_is_an_error_and_the_answer_is_late() -> None:
    bench = Bench()
    bench.ask(bench.message(FROM_REQUESTER[BodyType.GENM]), None)
    bench.now += timedelta(days=8)
    assert bench.transaction is not None
    poll = bench.message(FROM_REQUESTER[BodyType.POLL_REQ], recip_nonce=bench.transaction.sender_nonce)
    reply, _ = bench.ask(poll, None)
    (change,) = reply.relay_changes
    assert change.state is RelayState.GIVEN_UP
    assert reply.refused is not None
    assert reply.refused.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL


def test_who_does_not_come_again_is_given_up() -> None:
    bench = Bench()
    bench.ask(bench.message(FROM_REQUESTER[BodyType.GENM]), None)
    assert bench.transaction is not None
    reply = expire_relayed(bench.transaction, bench.relayed, NOW)
    assert reply.relay_changes[0].state is RelayState.GIVEN_UP
    assert reply.transaction is not None
    assert reply.transaction.state is TransactionState.DONE
    assert expire_relayed(bench.transaction, None, NOW).relay_changes == ()


@pytest.mark.parametrize(
    ("name", "implicit", "stage"),
    [
        ("granted", False, RelayStage.GRANTED),
        ("granted", True, RelayStage.OVER),
        ("rejected", False, RelayStage.OVER),
        ("waiting", False, RelayStage.POLLED),
        ("error", False, RelayStage.OVER),
        ("error, waiting", False, RelayStage.POLLED),
        ("popdecc", False, RelayStage.CHALLENGED),
        ("pollRep", False, RelayStage.POLLED),
        ("pkiconf", False, RelayStage.OVER),
        ("revoked", False, RelayStage.OVER),
    ],
)
def test_the_stage_follows_from_the_answer(name: str, implicit: bool, stage: RelayStage) -> None:
    assert stage_after(Bench().answer(name, implicit=implicit)) is stage


def test_a_body_that_answers_something_else_is_not_taken() -> None:
    (fault,) = relayed_answer_faults(BodyType.RR, Bench().answer("granted"))
    assert isinstance(fault, TrustError)
