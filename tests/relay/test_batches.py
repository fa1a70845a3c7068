"""Batches end to end: devices, an authority that collects their messages, and a CA that answers them in one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from cryptography import x509
from relaying import SOON, Authority, dead

from cmpkit.asn1 import ErrorMsgContent, PKIBody, PKIMessage, PKIStatusInfo, PollRep, decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.engine.nesting import nest
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, PeerRefusal
from cmpkit.parts import (
    Answer,
    Batch,
    Peer,
    PrivateKey,
    RelayChange,
    RelayState,
    SharedSecret,
    TransportOptions,
    UnitOfWork,
)
from cmpkit.relay.wrapping import OwnProtection
from cmpkit.transports.memory_post import MemoryPost

LONG = timedelta(seconds=60)


@pytest.fixture
def ra(ra: Authority) -> Authority:
    """An authority that collects three messages, however long that takes."""
    ra.forward = "batch"
    ra.terms = {"batch_count": 3, "batch_time": LONG}
    return ra


async def shared(ra: Authority) -> SharedSecret:
    """The secret that all devices have, and the CA."""
    secret = await ra.ca.add_secret(f"all-{secrets.token_hex(4)}", subject=None)
    await ra.add_secret(secret)
    return secret


@pytest.fixture(scope="module")
def key(standing: Any) -> PrivateKey:
    return generate_key("p256", standing.ca.plugins)


class Devices:
    """Devices that enrol at the same time."""

    def __init__(self, ra: Authority, key: PrivateKey, **options: Any) -> None:
        self._ra, self._key, self._options = ra, key, options
        self.results: dict[int, Enrolled | PeerRefusal] = {}

    async def enrol(self, count: int) -> None:
        secret = await shared(self._ra)
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(self._enrol, secret, number)

    async def _enrol(self, secret: SharedSecret, number: int) -> None:
        client = self._ra.client(secret, implicit_confirm=True, **self._options)
        try:
            self.results[number] = await client.enroll(subject=f"CN=device {number}", key=self._key)
        except PeerRefusal as refusal:
            self.results[number] = refusal

    @property
    def served(self) -> set[int]:
        """Those that got the certificate that they asked for."""
        return {
            number
            for number, result in self.results.items()
            if isinstance(result, Enrolled)
            and x509.load_der_x509_certificate(result.certificate).subject.rfc4514_string() == f"CN=device {number}"
        }

    @property
    def refusals(self) -> dict[int, PeerRefusal]:
        return {number: result for number, result in self.results.items() if isinstance(result, PeerRefusal)}


def answering(ra: Authority, change: Callable[[Sequence[PKIMessage]], PKIBody]) -> None:
    """Have the CA answer batches otherwise."""

    async def after(octets: bytes) -> bytes:
        answer = decode_message(octets)
        if answer.body.type is not BodyType.NESTED:
            return octets
        own = OwnProtection(ra.ca.plugins, ra.ca.signer)
        return (await own.protect(PKIMessage(answer.header, change(answer.nested)))).raw

    ra.line.after = after


@pytest.mark.rule("R-152", "R-153")
async def test_of_a_hundred_devices_in_one_batch_only_the_one_whose_answer_is_lost_goes_without(
    ra: Authority, key: PrivateKey
) -> None:
    ra.terms = {"batch_count": 100, "batch_time": LONG}
    answering(ra, lambda answers: nest([*reversed(answers[43:]), *answers[:42]]))
    async with ra.running():
        devices = Devices(ra, key)
        await devices.enrol(100)
        assert [len(decode_message(octets).nested) for octets in ra.line.sent] == [100]
        assert len(devices.served) == 99
        ((_, refusal),) = devices.refusals.items()
        assert refusal.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL
        assert await ra.store.relayed_messages(upstream="ca") == ()
        assert await ra.store.batches(upstream="ca") == ()


@pytest.mark.rule("R-152")
async def test_messages_wait_for_each_other_no_longer_than_they_may(ra: Authority, key: PrivateKey) -> None:
    ra.terms = {"batch_count": 100, "batch_time": SOON}
    async with ra.running():
        devices = Devices(ra, key)
        await devices.enrol(2)
        assert devices.served == {0, 1}
        assert [len(decode_message(octets).nested) for octets in ra.line.sent] == [2]


@pytest.mark.rule("R-151")
async def test_one_message_alone_is_answered_without_a_batch(ra: Authority, key: PrivateKey) -> None:
    ra.terms = {"batch_count": 100, "batch_time": SOON}
    async with ra.running():
        devices = Devices(ra, key)
        await devices.enrol(1)
        assert devices.served == {0}
        assert [decode_message(octets).body.type for octets in ra.line.sent] == [BodyType.NESTED]
        assert [decode_message(octets).body.type for octets in ra.line.answered] == [BodyType.IP]


@pytest.mark.rule("R-154")
async def test_what_refuses_the_batch_refuses_everybody_in_it(ra: Authority, key: PrivateKey) -> None:
    status = PKIStatusInfo.of(PKIStatus.REJECTION, ["not now"], PKIFailureInfo.NOT_AUTHORIZED)
    answering(ra, lambda _: PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status)))
    async with ra.running():
        devices = Devices(ra, key)
        await devices.enrol(3)
        assert {refusal.fail_info for refusal in devices.refusals.values()} == {PKIFailureInfo.NOT_AUTHORIZED}
        assert {refusal.texts for refusal in devices.refusals.values()} == {("not now",)}
        assert len(devices.refusals) == 3


@pytest.mark.rule("R-110", "R-111", "R-112")
async def test_a_batch_that_the_upstream_needs_time_for_is_polled_for(ra: Authority, key: PrivateKey) -> None:
    """First it says so by an error, then by pollRep, then it answers."""
    status = PKIStatusInfo.of(PKIStatus.WAITING, ["busy"])
    said = [
        PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status)),
        PKIBody(BodyType.POLL_REP, [PollRep(cert_req_id=-1, check_after=0)]),
    ]
    own, batches = OwnProtection(ra.ca.plugins, ra.ca.signer), []

    async def answer(octets: bytes, peer: Peer) -> Answer:
        request = decode_message(octets)
        if request.body.type is BodyType.NESTED:
            batches.append(octets)
        made = decode_message((await ra.ca.handle(batches[0], peer)).der or b"")
        header = replace(made.header, recip_nonce=request.header.sender_nonce)
        body = said.pop(0) if said else made.body
        return Answer((await own.protect(PKIMessage(header, body))).raw)

    ra.line.handler, ra.terms = answer, {**ra.terms, "check_after": timedelta(0)}
    async with ra.running():
        devices = Devices(ra, key)
        await devices.enrol(3)
        assert devices.served == {0, 1, 2}
        kinds = [decode_message(octets).body.type for octets in ra.line.sent]
        assert kinds == [BodyType.NESTED, BodyType.POLL_REQ, BodyType.POLL_REQ]


async def test_an_answer_that_is_not_to_be_believed_concerns_its_own_requester_only(
    ra: Authority, key: PrivateKey
) -> None:
    def forge(answers: Sequence[PKIMessage]) -> PKIBody:
        spoilt = answers[1].with_protection(b"\0" * 32, answers[1].extra_certs)
        return nest([answers[0], spoilt, answers[2]])

    answering(ra, forge)
    async with ra.running():
        devices = Devices(ra, key)
        await devices.enrol(3)
        assert len(devices.served) == 2
        assert [refusal.fail_info for refusal in devices.refusals.values()] == [PKIFailureInfo.SYSTEM_UNAVAIL]
        assert await ra.store.batches(upstream="ca") == ()


async def test_an_answer_to_the_batch_that_is_not_to_be_believed_is_asked_for_again(
    ra: Authority, key: PrivateKey
) -> None:
    failures = 2

    async def after(octets: bytes) -> bytes:
        nonlocal failures
        failures -= 1
        answer = decode_message(octets)
        return octets if failures < 0 else answer.with_protection(b"\0" * 70, answer.extra_certs).raw

    ra.line.after = after
    async with ra.running():
        devices = Devices(ra, key)
        await devices.enrol(3)
        assert devices.served == {0, 1, 2}
        assert len(ra.line.sent) == 3
        assert len(set(ra.line.sent)) == 1


async def test_after_a_restart_the_same_octets_go_and_what_polls_is_served(ra: Authority, key: PrivateKey) -> None:
    ra.terms |= {"timeout": SOON}
    ra.line.before = dead
    async with ra.running():
        secret = await shared(ra)
        requests = [await ra.request(secret) for _ in range(3)]
        waiting = await asked(ra, requests)
        assert {answer.body.content.response[0].status.status for answer in waiting} == {PKIStatus.WAITING}
        (batch,) = await ra.store.batches(upstream="ca")
    ra.line.before, sent = None, len(ra.line.sent)
    async with ra.running():
        await ra.wait_for(RelayState.ANSWERED, count=3)
        assert {*ra.line.sent} == {batch.outgoing}
        assert len(ra.line.sent) > sent
        for answer in waiting:
            final = await ra.ask(await ra.poll(secret, answer))
            assert final.body.content.response[0].status.status is PKIStatus.ACCEPTED
        assert await ra.store.batches(upstream="ca") == ()


async def test_what_was_collected_before_a_restart_goes_after_it(ra: Authority) -> None:
    ra.terms |= {"timeout": SOON}
    async with ra.running():
        secret = await shared(ra)
        waiting = await ra.ask(await ra.request(secret))
        assert not ra.line.sent
    ra.terms |= {"batch_time": SOON}
    async with ra.running():
        await ra.wait_for(RelayState.ANSWERED)
        final = await ra.ask(await ra.poll(secret, waiting))
        assert final.body.content.response[0].status.status is PKIStatus.ACCEPTED


async def test_batches_go_by_a_road_on_which_answers_travel_apart(ra: Authority, key: PrivateKey) -> None:
    """The CA comes to life after the authority ended."""
    post, url = MemoryPost(), "memory-post:ca"
    ra.terms |= {"timeout": SOON}
    ra.road = post.open(url, TransportOptions())
    async with ra.running():
        secret = await shared(ra)
        requests = [await ra.request(secret) for _ in range(3)]
        waiting = await asked(ra, requests)
        with anyio.fail_after(5):
            while [batch.is_sent for batch in await ra.store.batches(upstream="ca")] != [True]:  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
    ra.road = post.open(url, TransportOptions())
    async with serving(post, url, ra), ra.running():
        await ra.wait_for(RelayState.ANSWERED, count=3)
        with anyio.fail_after(5):
            while await ra.store.batches(upstream="ca"):  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
        for answer in waiting:
            final = await ra.ask(await ra.poll(secret, answer))
            assert final.body.content.response[0].status.status is PKIStatus.ACCEPTED


@asynccontextmanager
async def serving(post: MemoryPost, url: str, ra: Authority) -> AsyncIterator[None]:
    """The CA at an address."""
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        serve = partial(post.serve, url, ra.ca.handle, max_message_size=1 << 20, shutdown=shutdown)
        await tasks.start(serve)
        yield
        shutdown.set()


async def test_what_became_of_a_message_elsewhere_is_seen_before_it_goes(ra: Authority) -> None:
    ra.terms |= {"timeout": SOON}
    async with ra.running():
        secret = await shared(ra)
        await asked(ra, [await ra.request(secret) for _ in range(2)])
        given_up, forgotten = await ra.store.relayed_messages(upstream="ca")
        changes = RelayChange(given_up.key, RelayState.GIVEN_UP), RelayChange(forgotten.key, None)
        await ra.store.commit(UnitOfWork(relay_changes=changes))
        await asked(ra, [await ra.request(secret) for _ in range(2)])
        await ra.wait_for_audit("late certificate")
        (octets,) = ra.line.sent
        inside = {inner.raw for inner in decode_message(octets).nested}
        assert (given_up.outgoing in inside, forgotten.outgoing in inside) == (True, False)


async def test_a_batch_waits_for_the_store(ra: Authority, key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 2
    async with ra.running():
        commit = ra.store.commit

        async def fail(unit: UnitOfWork) -> None:
            nonlocal failures
            if unit.batches and failures:
                failures -= 1
                raise CMPError("the disk is full", PKIFailureInfo.SYSTEM_UNAVAIL)
            await commit(unit)

        monkeypatch.setattr(ra.store, "commit", fail)
        devices = Devices(ra, key)
        await devices.enrol(3)
        assert devices.served == {0, 1, 2}
        assert failures == 0
        assert len(ra.line.sent) == 1


async def test_a_batch_that_was_answered_before_a_restart_is_forgotten_after_it(ra: Authority) -> None:
    async with ra.running():
        batch = Batch("0" * 64, "ca", b"t" * 16, b"n" * 16, b"octets", ra.ca.clock())
        await ra.store.commit(UnitOfWork(batches=(batch,)))
    async with ra.running():
        with anyio.fail_after(5):
            while await ra.store.batches(upstream="ca"):  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
    assert not ra.line.sent


async def test_a_batch_for_which_nobody_waits_any_more_is_forgotten(ra: Authority) -> None:
    """What the CA makes of it later is looked for by asking once more."""
    ra.terms |= {"timeout": SOON, "deadline": timedelta(seconds=0.3)}
    ra.line.before = dead
    async with ra.running():
        secret = await shared(ra)
        waiting = await asked(ra, [await ra.request(secret) for _ in range(3)])
        with anyio.fail_after(5):
            while await ra.store.batches(upstream="ca"):  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
        (sent,) = {*ra.line.sent}
        refused = await asked(ra, [await ra.poll(secret, answer) for answer in waiting])
        assert {answer.body.type for answer in refused} == {BodyType.ERROR}
        ra.line.before = None
        await ra.relay.housekeep()
        await ra.wait_for_audit("late certificate")
        again = decode_message(ra.line.sent[-1])
        assert {inner.raw for inner in again.nested} == {inner.raw for inner in decode_message(sent).nested}


async def asked(ra: Authority, messages: Sequence[PKIMessage]) -> list[PKIMessage]:
    """What the authority answers to messages that come at the same time."""
    answers: dict[int, PKIMessage] = {}

    async def ask(number: int) -> None:
        answers[number] = await ra.ask(messages[number])

    async with anyio.create_task_group() as tasks:
        for number in range(len(messages)):
            tasks.start_soon(ask, number)
    return [answers[number] for number in range(len(messages))]
