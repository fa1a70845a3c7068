"""Client and responder in any order of messages, legal and illegal ones: forged, misplaced, out of date, of strangers.

Whatever comes, nothing but a CMPError is raised; no certificate is issued, confirmed or revoked without the rules for
that; and both sides find an end.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cmpkit.asn1 import (
    CertRepMessage,
    CertResponse,
    CertStatus,
    ErrorMsgContent,
    Null,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    PollReq,
    POPOPrivKey,
    RevRepContent,
    Variant,
    make_element,
)
from cmpkit.crypto.challenges import is_answer
from cmpkit.engine.client import Finished, receive
from cmpkit.engine.needs import Authorize, CheckProof, Inform, Issue, Recover, Revoke
from cmpkit.engine.replies import Reply
from cmpkit.engine.responder import ResponderSettings
from cmpkit.engine.states import CERTIFICATE_REQUESTS, CRMF_REQUESTS
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus, SubsequentMessage
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateState, Transaction, TransactionState
from cmpkit.testing import ClientEnd, ResponderEnd, run_to_the_end

from .scene import PUBLIC_KEY_INFO, by_certificate, by_mac, ccr, cert_hash, crmf, genm, ir, message, nonce, p10, rr
from .test_engine_recovery import BOTH, RECOVERED, krr

ENOUGH = 60
SHAPED = CRMF_REQUESTS - {BodyType.CCR}
REQUESTS = {
    BodyType.IR: ir(),
    BodyType.CR: ir(body_type=BodyType.CR),
    BodyType.KUR: ir(body_type=BodyType.KUR),
    BodyType.CCR: ccr(),
    BodyType.P10CR: p10(),
    BodyType.RR: rr(),
    BodyType.GENM: genm(),
    BodyType.KRR: krr(BOTH),
}
MALLORY = by_mac("mallory")
HONEST_CERTIFIED, HONEST = by_certificate(), by_mac()
HONEST_TWICE = by_mac(uses=2)

SHAPES = ("plain", "challenged", "two")
"""What a CertReqMessages asks for: a certificate, one whose key is to be challenged, or two."""

REFUSALS = [*[frozenset()] * 5, *(frozenset({kind}) for kind in (Authorize, CheckProof, Issue))]

ids = st.sampled_from([-1, 0, 1, 7, 1 << 70])
hashes = st.sampled_from([b"", bytes(32), b"right"])
waiting_statuses = st.sampled_from([None, PKIStatus.ACCEPTED, PKIStatus.REJECTION, PKIStatus.WAITING])


@dataclasses.dataclass(frozen=True)
class Strange:
    """A body that a server may be sent at any time; its certHash is made right for the certificate that there is."""

    kind: BodyType
    numbers: tuple[int, ...] = (0,)
    hash: bytes = b"right"
    status: PKIStatus | None = None

    def body(self, right_hash: bytes) -> PKIBody:
        info = None if self.status is None else PKIStatusInfo.of(self.status)
        value = right_hash if self.hash == b"right" else self.hash
        content: Any = {
            BodyType.CERT_CONF: lambda: [
                CertStatus(cert_hash=value, cert_req_id=n, status_info=info) for n in self.numbers
            ],
            BodyType.POLL_REQ: lambda: [PollReq(cert_req_id=n) for n in self.numbers],
            BodyType.POLL_REP: lambda: [
                PollRep(cert_req_id=n, check_after=3 if self.hash else -3) for n in self.numbers
            ],
            BodyType.POPDECR: lambda: list(self.numbers),
            BodyType.PKICONF: Null,
            BodyType.ERROR: lambda: ErrorMsgContent(pki_status_info=info or PKIStatusInfo.of(PKIStatus.REJECTION)),
            BodyType.RP: lambda: RevRepContent(status=[info or PKIStatusInfo.of(PKIStatus.ACCEPTED)]),
            BodyType.IP: lambda: CertRepMessage(
                response=[
                    CertResponse(cert_req_id=n, status=info or PKIStatusInfo.of(PKIStatus.WAITING))
                    for n in self.numbers
                ]
            ),
        }
        return PKIBody(self.kind, content[self.kind]()) if self.kind in content else REQUESTS[self.kind]


def strange(*kinds: BodyType) -> st.SearchStrategy[Strange]:
    return st.builds(Strange, st.sampled_from(kinds), st.lists(ids, max_size=3).map(tuple), hashes, waiting_statuses)


TO_SERVER = strange(
    *REQUESTS,
    BodyType.CERT_CONF,
    BodyType.POPDECR,
    BodyType.POLL_REQ,
    BodyType.PKICONF,
    BodyType.ERROR,
    BodyType.IP,
    BodyType.RP,
)
TO_CLIENT = strange(
    BodyType.IP, BodyType.RP, BodyType.POLL_REP, BodyType.PKICONF, BodyType.ERROR, BodyType.CERT_CONF, BodyType.IR
)


class Watched(ResponderEnd):
    """A responder whose every certificate must have been asked for by the rules.

    :ivar proved: transactions whose challenges were answered rightly.
    """

    def __init__(self, *, refuses: frozenset[type], refuses_late: bool, **options: Any) -> None:
        super().__init__(**options)
        self.refuses, self.refuses_late = refuses, refuses_late
        self.challenged_ids: set[tuple[bytes, str]] = set()
        self.proved: set[tuple[bytes, str]] = set()
        self.needs: list[Any] = []
        self.parts = {Recover: lambda _: RECOVERED, **dict.fromkeys(refuses, self._refuse)}

    @staticmethod
    def _refuse(need: Any) -> None:
        raise CMPError("no", PKIFailureInfo.NOT_AUTHORIZED)

    def _answer(self, need: Any) -> Any:
        if self.refuses_late and isinstance(need, Issue) and need.again:
            # A person said no (cmpkit request reject).
            raise CMPError("no", PKIFailureInfo.NOT_AUTHORIZED)
        result = super()._answer(need)
        self.needs.append(need)
        return result

    def handle(self, message: PKIMessage, auth: Authenticated, *, killed: bool = False) -> PKIMessage | None:
        key = (message.header.transaction_id or b"", auth.credential.id)
        stored = self.transactions.get(key)
        if stored is not None and stored.witnesses and message.body.type is BodyType.POPDECR:
            told = message.body.content
            if len(told) == len(stored.witnesses) and all(map(is_answer, told, stored.witnesses)):
                self.proved.add(key)
        return super().handle(message, auth, killed=killed)

    def _commit(self, transaction: Transaction, reply: Reply) -> None:
        key = (transaction.transaction_id, transaction.credential)
        if transaction.state is TransactionState.CHALLENGED:
            self.challenged_ids.add(key)
            self.proved.discard(key)
            assert not reply.certificates
        assert not reply.certificates or key not in self.challenged_ids - self.proved
        if reply.certificates or transaction.state is TransactionState.DONE:
            self.challenged_ids.discard(key)
        super()._commit(transaction, reply)

    def granted(self, kind: type) -> int:
        return sum(isinstance(need, kind) for need in self.needs)


class Disorder(RuleBasedStateMachine):
    """An honest client, a stranger with a secret of his own, and a road on which anything is possible."""

    @initialize(
        operation=st.sampled_from([*CERTIFICATE_REQUESTS, *REQUESTS]),
        implicit=st.booleans(),
        likes_it=st.booleans(),
        waits=st.tuples(st.integers(0, 2), st.integers(0, 2)),
        granted=st.booleans(),
        refuses=st.sampled_from(REFUSALS),
        refuses_late=st.sampled_from([False, False, True]),
        shape=st.sampled_from(SHAPES),
        proves=st.sampled_from([True, True, False]),
    )
    def meet(
        self,
        operation: BodyType,
        *,
        implicit: bool,
        likes_it: bool,
        waits: tuple[int, int],
        granted: bool,
        refuses: frozenset[type],
        refuses_late: bool,
        shape: str,
        proves: bool,
    ) -> None:
        self.operation, self.is_implicit = operation, implicit
        self.is_challenged = operation in SHAPED and shape == "challenged"
        auth = HONEST_CERTIFIED if operation in (BodyType.KUR, BodyType.RR) else HONEST_TWICE
        self.client = ClientEnd.of(
            shaped(operation, shape), auth, implicit_confirm=implicit, public_key_info=PUBLIC_KEY_INFO
        )
        self.client.likes_it, self.client.proves = likes_it, proves
        self.server = Watched(
            refuses=refuses,
            refuses_late=refuses_late,
            settings=ResponderSettings(implicit_confirm=granted, max_requests=2),
            waits=waits[0],
            confirm_waits=waits[1],
        )
        self.to_client: list[PKIMessage] = []
        self.seen: list[PKIMessage] = []
        self.accepted: set[int] = set()
        self.implicit: set[int] = set()
        self.is_undisturbed = True

    @rule(arrives=st.sampled_from([True, True, False]))
    def client_and_server_go_on(self, *, arrives: bool) -> None:
        asked = self.client.next_message()
        if asked is not None:
            self.seen.append(asked)
            self._handle(asked, self.client.auth)
            if arrives:
                self.client.take(self.to_client.pop())

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), stranger=st.booleans())
    def an_old_message_comes_again(self, data: st.DataObject, *, stranger: bool) -> None:
        old = data.draw(st.sampled_from(self.seen))
        self._handle(old, MALLORY if stranger else self.client.auth)

    @rule(what=TO_SERVER, known=st.booleans(), fits=st.booleans(), by=st.sampled_from(["client", "stranger"]))
    def something_strange_comes_to_the_server(self, what: Strange, *, known: bool, fits: bool, by: str) -> None:
        """By the client itself, which may be broken, or by a stranger; in this transaction or in another.

        :param fits: whether its recipNonce is that of the server's last message.
        """
        self._send_strange(what, self._transaction_id() if known else nonce(), fits=fits, by=by)

    @precondition(lambda self: self._waiting_for_cert_conf() is not None)
    @rule(fault=st.sampled_from(["hash", "number", "status", "nonce", "stranger"]))
    def a_cert_conf_with_one_fault_comes(self, fault: str) -> None:
        stored = self._waiting_for_cert_conf()
        assert stored is not None
        number = stored.certificates[0][0]
        before = dict(self.server.states)
        what = Strange(
            BodyType.CERT_CONF,
            (number + 5 if fault == "number" else number,),
            bytes(32) if fault == "hash" else b"right",
            PKIStatus.WAITING if fault == "status" else None,
        )
        by = "stranger" if fault == "stranger" else "client"
        self._send_strange(what, stored.transaction_id, fits=fault != "nonce", by=by)
        assert self.server.states == before

    def _waiting_for_cert_conf(self) -> Transaction | None:
        stored = self.server.transactions.get((self._transaction_id(), self.client.auth.credential.id))
        waits = stored is not None and stored.state is TransactionState.ISSUED and len(stored.certificates) == 1
        return stored if waits else None

    def _send_strange(self, what: Strange, transaction_id: bytes, *, fits: bool, by: str) -> None:
        auth = self.client.auth if by == "client" else MALLORY
        stored = self.server.transactions.get((transaction_id, self.client.auth.credential.id))
        recip_nonce = stored.sender_nonce if stored is not None and fits else None
        right_hash = cert_hash(self.server.certificates[-1]) if self.server.certificates else b""
        sent = message(what.body(right_hash), transaction_id=transaction_id, recip_nonce=recip_nonce)
        self.seen.append(sent)
        self.is_undisturbed &= by == "stranger"
        self._handle(sent, auth)

    @precondition(lambda self: self.to_client)
    @rule(data=st.data(), keep=st.booleans())
    def an_answer_arrives(self, data: st.DataObject, *, keep: bool) -> None:
        index = data.draw(st.integers(0, len(self.to_client) - 1))
        self.client.take(self.to_client[index] if keep else self.to_client.pop(index))

    @rule(what=TO_CLIENT, authentic=st.booleans(), fits=st.sampled_from([True, True, False]))
    def something_strange_comes_to_the_client(self, what: Strange, *, authentic: bool, fits: bool) -> None:
        """From who cannot protect it, it changes nothing; from the server it may at most be believed."""
        if self.client.step is not None or not self.client.saved or self.client.is_over:
            return
        transaction = self.client.transaction
        recip_nonce = transaction.sender_nonce if fits else nonce()
        forged = message(what.body(b""), transaction_id=transaction.transaction_id, recip_nonce=recip_nonce)
        before = self.client.saved
        try:
            step = receive(transaction, forged, authentic=authentic, now=self.client.now)
        except CMPError:
            step = None
        assert self.client.saved == before
        assert authentic or step is None
        assert not isinstance(step, Finished) or step.transaction.certificate == transaction.certificate

    @rule()
    def the_client_dies(self) -> None:
        self.client.restart()

    @rule(duration=st.sampled_from([timedelta(seconds=5), timedelta(minutes=20), timedelta(days=31)]))
    def time_passes(self, duration: timedelta) -> None:
        self.client.advance(duration)
        self.server.now += duration
        self.is_undisturbed &= not any(
            known.expires is not None and known.expires < self.server.now for known in self.server.transactions.values()
        )
        self.server.expire()

    def _handle(self, sent: PKIMessage, auth: Authenticated) -> None:
        self._note(sent, auth)
        answer = self.server.handle(sent, auth)
        assert answer is not None
        assert answer.header.transaction_id == sent.header.transaction_id
        known = self.server.transactions.get((sent.header.transaction_id or b"", auth.credential.id))
        if known is not None and known.implicit_confirm:
            self.implicit |= {number for _, _, number in known.certificates}
        if auth is self.client.auth and answer.header.transaction_id == self._transaction_id():
            self.to_client.append(answer)

    def _note(self, sent: PKIMessage, auth: Authenticated) -> None:
        """Which certificates a message accepts, by the rules: in its transaction, in its turn, with the right hash."""
        stored = self.server.transactions.get((sent.header.transaction_id or b"", auth.credential.id))
        if stored is None or sent.header.recip_nonce != stored.sender_nonce:
            return
        numbers = {number for _, _, number in stored.certificates}
        if sent.body.type is BodyType.PKICONF:
            self.accepted |= numbers
        elif sent.body.type is BodyType.CERT_CONF:
            good = (None, PKIStatus.ACCEPTED)
            said = [one.cert_hash for one in sent.body.content if _status(one) in good]
            known = [record for record in self.server.certificates if record.serial_number in numbers]
            self.accepted |= {record.serial_number for record in known if cert_hash(record) in said}

    def _transaction_id(self) -> bytes:
        return self.client.transaction.transaction_id if self.client.saved else b"not begun: 16 oct"

    @invariant()
    def nothing_is_issued_without_its_rules(self) -> None:
        issued = len(self.server.certificates)
        assert issued <= self.server.granted(Issue)
        assert issued <= self.server.granted(CheckProof)
        assert not (issued and self.server.refuses)

    @invariant()
    def nothing_is_kept_without_its_rules(self) -> None:
        assert len(self.server.kept) <= self.server.granted(Inform)
        assert not (self.server.kept and Authorize in self.server.refuses)

    @invariant()
    def no_keys_are_handed_over_without_their_rules(self) -> None:
        assert not (self.server.granted(Recover) and Authorize in self.server.refuses)

    @invariant()
    def nothing_is_revoked_without_its_rules(self) -> None:
        assert len(self.server.revocations) <= self.server.granted(Revoke)
        assert not (self.server.revocations and Authorize in self.server.refuses)

    @invariant()
    def nothing_is_valid_that_was_not_confirmed(self) -> None:
        """By certConf with the right hash, by pkiconf, or implicitly, where both sides agree to that."""
        assert not self.implicit or (self.server.settings.implicit_confirm and self.is_implicit)
        valid = {number for number, state in self.server.states.items() if state is CertificateState.VALID}
        assert valid <= self.accepted | self.implicit

    @invariant()
    def each_transaction_has_at_most_one_certificate(self) -> None:
        keys = [record.request_key for record in self.server.certificates]
        assert len(set(keys)) == len(keys)

    def teardown(self) -> None:
        """The client goes on by itself, and time passes: both sides come to an end, and agree."""
        for answer in self.to_client:
            self.client.take(answer)
        for _ in range(ENOUGH):
            asked = self.client.next_message()
            if asked is None:
                break
            self.server.now = max(self.server.now, self.client.now)
            self._handle(asked, self.client.auth)
            self.client.take(self.to_client.pop())
        assert self.client.is_over
        for _ in range(ENOUGH):
            self.server.now += timedelta(days=32)
            self.server.expire()
        assert {known.state for known in self.server.transactions.values()} <= {TransactionState.DONE}
        assert CertificateState.ISSUED not in self.server.states.values()
        self._agree()

    def _agree(self) -> None:
        """What the client ended with is what the server has of it; but for its own errors, and time, it is valid."""
        proven = self.client.proves or not self.is_challenged
        if self.is_undisturbed and proven and not self.server.refuses and not self.server.refuses_late:
            assert self.client.refusal is None
        if self.is_challenged and not self.client.proves:
            assert not isinstance(self.client.step, Finished)
        if not isinstance(self.client.step, Finished) or self.operation not in {*CERTIFICATE_REQUESTS, BodyType.KRR}:
            return
        for one in self.client.step.transaction.sought:
            if not one.certificate:
                assert self.server.refuses or self.server.refuses_late
                continue
            (record,) = (record for record in self.server.certificates if record.der == one.certificate)
            state = self.server.states[record.serial_number]
            if self.is_undisturbed:
                wanted = self.client.likes_it or record.serial_number in self.implicit
                assert state is (CertificateState.VALID if wanted else CertificateState.REVOKED)
            assert state in (CertificateState.VALID, CertificateState.REVOKED)


def shaped(operation: BodyType, shape: str) -> PKIBody:
    """A request for a certificate, or for two; what is no CertReqMessages has one shape, and so has a ccr (R-190)."""
    if operation not in SHAPED or shape == "plain":
        return REQUESTS[operation]
    if shape == "two":
        return ir(crmf(), crmf(1), body_type=operation)
    private = make_element(Variant(SubsequentMessage.CHALLENGE_RESP, "subsequent_message"), POPOPrivKey)
    popo: Any = Variant(private, "key_agreement")
    return ir(dataclasses.replace(crmf(), popo=popo), body_type=operation)


def _status(one: CertStatus) -> PKIStatus | None:
    return None if one.status_info is None else one.status_info.status


Disorder.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestDisorder = Disorder.TestCase


@pytest.mark.parametrize("proves", [True, False])
@pytest.mark.rule("R-067")
def test_who_answers_the_challenge_rightly_gets_the_certificate(*, proves: bool) -> None:
    client = ClientEnd.of(shaped(BodyType.IR, "challenged"), HONEST, public_key_info=PUBLIC_KEY_INFO)
    client.proves = proves
    server = Watched(refuses=frozenset(), refuses_late=False, waits=1)
    bodies = [one.body.type for one in run_to_the_end(client, server)[::2]]
    if proves:
        assert bodies == [BodyType.IR, BodyType.POPDECR, BodyType.POLL_REQ, BodyType.CERT_CONF]
        assert list(server.states.values()) == [CertificateState.VALID]
    else:
        assert bodies == [BodyType.IR, BodyType.POPDECR]
        assert client.refusal is not None
        assert client.refusal.fail_info is PKIFailureInfo.BAD_POP
        assert server.states == {}


def test_two_certificates_of_one_message_are_confirmed_by_one() -> None:
    client = ClientEnd.of(shaped(BodyType.CR, "two"), HONEST_TWICE, public_key_info=PUBLIC_KEY_INFO)
    server = Watched(refuses=frozenset(), refuses_late=False, settings=ResponderSettings(max_requests=2))
    run_to_the_end(client, server)
    assert list(server.states.values()) == [CertificateState.VALID] * 2
