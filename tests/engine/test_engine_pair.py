"""Client and responder over a road that loses, repeats and reorders, with processes that die: they end in agreement."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cmpkit.asn1 import PKIMessage
from cmpkit.engine.client import Finished
from cmpkit.engine.responder import ResponderSettings
from cmpkit.engine.states import CERTIFICATE_REQUESTS, OPENS
from cmpkit.enums import BodyType
from cmpkit.parts import CertificateState, TransactionState
from cmpkit.testing import ClientEnd, ResponderEnd, run_to_the_end

from .scene import PUBLIC_KEY_INFO, by_certificate, by_mac, genm, ir, p10, rr

REQUESTS = {
    BodyType.IR: ir(),
    BodyType.CR: ir(body_type=BodyType.CR),
    BodyType.KUR: ir(body_type=BodyType.KUR),
    BodyType.P10CR: p10(),
    BodyType.RR: rr(),
    BodyType.GENM: genm(),
}
BY_CERTIFICATE = (BodyType.KUR, BodyType.RR)
MALLORY = by_mac("mallory")
ENOUGH = 40


def make_client(operation: BodyType, *, implicit: bool = False, likes_it: bool = True) -> ClientEnd:
    auth = by_certificate() if operation in BY_CERTIFICATE else by_mac()
    return ClientEnd.of(
        REQUESTS[operation],
        auth,
        implicit_confirm=implicit,
        public_key_info=PUBLIC_KEY_INFO,
        likes_it=likes_it,
    )


def check_agreement(client: ClientEnd, server: ResponderEnd) -> None:
    """What both sides believe once the client is done."""
    operation = client.transaction.operation
    states = list(server.states.values())
    if client.refusal is not None:
        assert CertificateState.VALID not in states
        return
    assert isinstance(client.step, Finished)
    assert len(server.revocations) == (operation is BodyType.RR)
    if operation not in CERTIFICATE_REQUESTS:
        assert states == []
        return
    (record,) = server.certificates
    assert client.step.transaction.sought[0].certificate == record.der
    (stored,) = server.transactions.values()
    assert stored.state is TransactionState.DONE
    assert bool(client.step.transaction.sought[0].rejection) is not client.likes_it
    confirmed = client.likes_it or stored.implicit_confirm
    assert states == [CertificateState.VALID if confirmed else CertificateState.REVOKED]


class Road(RuleBasedStateMachine):
    """Messages lie on the road, in either direction, until somebody takes them up, in any order, or twice, or never."""

    to_server: list[PKIMessage]
    to_client: list[PKIMessage]

    @initialize(
        operation=st.sampled_from(sorted(REQUESTS)),
        implicit=st.booleans(),
        granted=st.booleans(),
        likes_it=st.booleans(),
        waits=st.tuples(st.integers(0, 3), st.integers(0, 2)),
        is_slow=st.booleans(),
    )
    def meet(
        self,
        operation: BodyType,
        *,
        implicit: bool,
        granted: bool,
        likes_it: bool,
        waits: tuple[int, int],
        is_slow: bool,
    ) -> None:
        self.client = make_client(operation, implicit=implicit, likes_it=likes_it)
        settings = ResponderSettings(implicit_confirm=granted)
        self.server = ResponderEnd(settings, waits=waits[0], confirm_waits=waits[1])
        self.to_server, self.to_client = [], []
        self.is_slow, self.has_expired = is_slow, False

    @rule()
    def client_sends(self) -> None:
        message = self.client.next_message()
        if message is not None:
            self.to_server.append(message)

    @precondition(lambda self: self.to_server)
    @rule(data=st.data(), keep=st.booleans())
    def server_takes(self, data: st.DataObject, *, keep: bool) -> None:
        answer = self.server.handle(self._pick(data, self.to_server, keep=keep), self.client.auth)
        assert answer is not None
        self.to_client.append(answer)

    @precondition(lambda self: self.to_server)
    @rule(data=st.data(), committed=st.booleans())
    def server_dies(self, data: st.DataObject, *, committed: bool) -> None:
        """Before it commits, or before the answer leaves."""
        message = self._pick(data, self.to_server, keep=False)
        self.server.handle(message, self.client.auth, killed=not committed)

    @precondition(lambda self: self.to_client)
    @rule(data=st.data(), keep=st.booleans())
    def client_takes(self, data: st.DataObject, *, keep: bool) -> None:
        self.client.take(self._pick(data, self.to_client, keep=keep))

    @rule()
    def client_dies(self) -> None:
        self.client.restart()

    @precondition(lambda self: self.to_server)
    @rule(data=st.data())
    def somebody_else_sends_the_same(self, data: st.DataObject) -> None:
        """A message under another credential touches no transaction of the client."""
        message = self._pick(data, self.to_server, keep=True)
        before = dict(self.server.transactions), dict(self.server.states), list(self.server.certificates)
        if message.body.type not in OPENS:
            answer = self.server.handle(message, MALLORY)
            assert answer is not None
            assert answer.body.type is BodyType.ERROR
        assert before == (self.server.transactions, self.server.states, self.server.certificates)

    @precondition(lambda self: self.is_slow)
    @rule(duration=st.sampled_from([timedelta(seconds=5), timedelta(minutes=20), timedelta(days=31)]))
    def time_passes(self, duration: timedelta) -> None:
        self.client.advance(duration)
        self.server.now += duration
        self.has_expired |= any(
            known.expires is not None and known.expires < self.server.now for known in self.server.transactions.values()
        )
        self.server.expire()

    @invariant()
    def nothing_is_done_twice(self) -> None:
        assert len(self.server.certificates) <= 1
        assert len(self.server.revocations) <= 1
        assert len(self.server.transactions) <= 1

    @invariant()
    def only_time_makes_the_server_refuse(self) -> None:
        assert self.client.refusal is None or self.has_expired

    @staticmethod
    def _pick(data: st.DataObject, messages: list[PKIMessage], *, keep: bool) -> PKIMessage:
        index = data.draw(st.integers(0, len(messages) - 1))
        return messages[index] if keep else messages.pop(index)

    def teardown(self) -> None:
        """From now on everything gets through; what still lies on the road comes first."""
        for message in self.to_server:
            self.server.handle(message, self.client.auth)
        for message in self.to_client:
            self.client.take(message)
        for _ in range(ENOUGH):
            message = self.client.next_message()
            if message is None:
                break
            self.server.now = max(self.server.now, self.client.now)
            answer = self.server.handle(message, self.client.auth)
            assert answer is not None
            self.client.take(answer)
            self.nothing_is_done_twice()
        assert self.client.is_over
        self.only_time_makes_the_server_refuse()
        check_agreement(self.client, self.server)


Road.TestCase.settings = settings(max_examples=160, stateful_step_count=40)
TestRoad = Road.TestCase


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize(("waits", "confirm_waits"), [(0, 0), (2, 0), (1, 2)])
@pytest.mark.parametrize(("implicit", "likes_it"), [(True, True), (False, True), (False, False)])
def test_good_road_leads_to_the_end(
    operation: BodyType, waits: int, confirm_waits: int, *, implicit: bool, likes_it: bool
) -> None:
    client = make_client(operation, implicit=implicit, likes_it=likes_it)
    server = ResponderEnd(waits=waits, confirm_waits=confirm_waits)
    bodies = [message.body.type for message in run_to_the_end(client, server)[::2]]
    check_agreement(client, server)
    issues = operation in CERTIFICATE_REQUESTS
    polls = [BodyType.POLL_REQ] * waits
    # Asked to confirm at once, an issuer that needs time gets a certConf.
    confirmed = issues and (not implicit or confirm_waits > 0)
    confirms = [BodyType.CERT_CONF, *[BodyType.POLL_REQ] * (confirm_waits - implicit)] if confirmed else []
    assert bodies == [operation, *polls, *confirms]


def test_certificate_that_is_confirmed_too_late_is_valid_nowhere() -> None:
    client, server = make_client(BodyType.IR), ResponderEnd()
    for _ in range(2):
        message = client.next_message()
        assert message is not None
        answer = server.handle(message, client.auth)
        assert answer is not None
        client.take(answer)
        server.now += timedelta(minutes=16)
        if message.body.type is BodyType.IR:
            server.expire()
    assert client.refusal is not None
    assert list(server.states.values()) == [CertificateState.REVOKED]
