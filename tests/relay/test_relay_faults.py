"""What an upstream may do wrong: nothing of it reaches a requester, and nothing that was issued is lost."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from relaying import SOON, Authority, dead, issued_to, new_secret

from cmpkit.asn1 import Null, PKIBody, PKIMessage, decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.work import ResponderSettings
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import PeerRefusal
from cmpkit.parts import CertificateState, RelayState, SharedSecret
from cmpkit.relay.wrapping import OwnProtection


async def enrol(ra: Authority, secret: SharedSecret, **options: Any) -> Any:
    key = generate_key("p256", ra.ca.plugins)
    return await ra.client(secret, **options).enroll(subject=f"CN={secret.reference.decode()}", key=key)


class Switch:
    """For Line.before: nothing gets through until it is set."""

    def __init__(self) -> None:
        self.open = anyio.Event()

    async def wait(self, request: bytes) -> None:
        await self.open.wait()

    async def refuse(self, request: bytes) -> None:
        if not self.open.is_set():
            await dead(request)


@pytest.mark.rule("R-024", "R-110")
async def test_a_device_polls_while_the_upstream_takes_its_time(ra: Authority) -> None:
    ra.terms = {"timeout": SOON}
    switch = Switch()
    ra.line.before = switch.wait
    polls = 0

    async def sleep(seconds: float) -> None:
        nonlocal polls
        polls += 1
        if polls == 3:
            switch.open.set()
            await ra.wait_for(RelayState.ANSWERED)

    async with ra.running():
        secret = await new_secret(ra)
        await enrol(ra, secret, sleep=sleep)
        assert polls >= 3
        assert await issued_to(ra, secret) == 1
        assert len(ra.line.sent) == 2


async def test_a_dead_upstream_gets_the_same_octets_until_it_answers(ra: Authority) -> None:
    ra.terms = {"timeout": timedelta(seconds=5)}
    switch = Switch()
    ra.line.before = switch.refuse

    async def revive() -> None:
        with anyio.fail_after(20):
            while len(ra.line.sent) < 3:  # noqa: ASYNC110 - the line tells nobody
                await anyio.sleep(0.01)
        switch.open.set()

    async with ra.running(), anyio.create_task_group() as tasks:
        tasks.start_soon(revive)
        secret = await new_secret(ra)
        await enrol(ra, secret)
        assert ra.line.sent[0] == ra.line.sent[1] == ra.line.sent[2]
        assert await issued_to(ra, secret) == 1


def garbage(answer: PKIMessage, own: OwnProtection) -> PKIMessage | bytes:
    return b"<html>"


def bad_protection(answer: PKIMessage, own: OwnProtection) -> PKIMessage | bytes:
    assert answer.protection is not None
    broken = bytes([answer.protection[0] ^ 1]) + answer.protection[1:]
    return answer.with_protection(broken, answer.extra_certs)


def no_protection(answer: PKIMessage, own: OwnProtection) -> PKIMessage | bytes:
    return PKIMessage(replace(answer.header, protection_alg=None), answer.body)


def other_transaction(answer: PKIMessage, own: OwnProtection) -> PKIMessage | bytes:
    return PKIMessage(replace(answer.header, transaction_id=bytes(16)), answer.body)


def wrong_nonce(answer: PKIMessage, own: OwnProtection) -> PKIMessage | bytes:
    return PKIMessage(replace(answer.header, recip_nonce=bytes(16)), answer.body)


def wrong_body(answer: PKIMessage, own: OwnProtection) -> PKIMessage | bytes:
    return PKIMessage(answer.header, PKIBody(BodyType.PKICONF, Null()))


@pytest.mark.parametrize("fault", [garbage, bad_protection, no_protection, other_transaction, wrong_nonce, wrong_body])
@pytest.mark.rule("R-020", "R-023")
async def test_nothing_of_a_wrong_answer_reaches_the_device_and_the_right_one_does(ra: Authority, fault: Any) -> None:
    broken: list[bytes] = []

    async def spoil(octets: bytes) -> bytes:
        if len(broken) == 2:
            return octets
        own = OwnProtection(ra.ca.plugins, secret)
        made = fault(decode_message(octets), own)
        if isinstance(made, PKIMessage) and made.protection is None and fault is not no_protection:
            made = await own.protect(made)
        broken.append(made if isinstance(made, bytes) else made.raw)
        return broken[-1]

    ra.line.after = spoil
    async with ra.running():
        secret = await new_secret(ra)
        await enrol(ra, secret)
        assert len(broken) == 2
        assert ra.line.sent[0] == ra.line.sent[1] == ra.line.sent[2]
        assert await issued_to(ra, secret) == 1


@pytest.mark.rule("R-160")
async def test_errors_from_above_are_passed_on(ra: Authority) -> None:
    async with ra.running():
        secret = SharedSecret(f"dev-{secrets.token_hex(4)}", "only the authority knows this one")
        await ra.add_secret(secret)
        ra.terms = {}
        with pytest.raises(PeerRefusal) as refusal:
            await enrol(ra, secret)
        assert "badMessageCheck" in str(refusal.value)


@pytest.mark.rule("R-160")
async def test_an_upstream_that_never_answers_ends_in_an_error(ra: Authority) -> None:
    ra.terms = {"timeout": SOON, "deadline": timedelta(seconds=0.2)}
    ra.line.before = dead
    async with ra.running():
        secret = await new_secret(ra)
        with pytest.raises(PeerRefusal) as refusal:
            await enrol(ra, secret, sleep=lambda seconds: anyio.sleep(0.1))
        assert refusal.value.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL
        assert len(await ra.audit("given up")) == 1


async def test_a_message_sent_again_while_it_is_under_way_joins_it(ra: Authority) -> None:
    switch = Switch()
    ra.line.before = switch.wait
    answers: list[PKIMessage] = []

    async with ra.running(), anyio.create_task_group() as tasks:
        secret = await new_secret(ra)
        message = await ra.request(secret)

        async def ask() -> None:
            answers.append(await ra.ask(message))

        for _ in range(3):
            tasks.start_soon(ask)
        await ra.wait_for(RelayState.WAITING)
        switch.open.set()
        with anyio.fail_after(20):
            while len(answers) < 3:  # noqa: ASYNC110 - three tasks
                await anyio.sleep(0.01)
        assert len(ra.line.sent) == 1
        assert {answer.raw for answer in answers} == {answers[0].raw}
        assert answers[0].body.type is BodyType.IP


async def test_a_restart_while_the_upstream_is_silent_loses_nothing(ra: Authority) -> None:
    ra.terms = {"timeout": SOON}
    ra.line.before = dead
    async with ra.running():
        secret = await new_secret(ra)
        message = await ra.request(secret)
        waiting = await ra.ask(message)
        assert waiting.body.content.response[0].status.status is PKIStatus.WAITING
    ra.line.before = None
    async with ra.running():
        await ra.wait_for(RelayState.ANSWERED)
        answer = await ra.ask(await ra.poll(secret, waiting))
        assert answer.body.type is BodyType.IP
        assert answer.header.recip_nonce == message.header.sender_nonce
        assert await issued_to(ra, secret) == 1
        assert set(ra.line.sent) == {message.raw}


async def test_a_message_that_was_recorded_when_the_process_ended_is_answered_when_it_is_sent_again(
    ra: Authority,
) -> None:
    switch = Switch()
    ra.line.before = switch.wait
    async with ra.running(), anyio.create_task_group() as tasks:
        secret = await new_secret(ra)
        message = await ra.request(secret)
        tasks.start_soon(ra.ask, message)
        await ra.wait_for(RelayState.WAITING)
        tasks.cancel_scope.cancel()
    switch.open.set()
    async with ra.running():
        answer = await ra.ask(message)
        assert answer.body.type is BodyType.IP
        assert await issued_to(ra, secret) == 1


async def test_what_the_requester_gave_up_before_the_answer_is_revoked_by_the_authority(ra: Authority) -> None:
    ra.terms = {"timeout": SOON, "late": "revoke"}
    switch = Switch()
    ra.line.before = switch.wait
    async with ra.running():
        secret = await new_secret(ra)
        waiting = await ra.ask(await ra.request(secret))
        ended = await ra.ask(await ra.error(secret, waiting))
        assert ended.body.type is BodyType.PKICONF
        switch.open.set()
        entry = await ra.wait_for_audit("late certificate revoked")
        (record,) = [one for one in await ra.ca.certificates() if one.subject == f"CN={secret.reference.decode()}"]
        assert entry.details["serial"] == f"{record.serial_number:x}"
        assert record.state is CertificateState.REVOKED
        await ra.wait_for(count=0)


async def test_a_late_certificate_is_kept_where_the_operator_wants_that(ra: Authority) -> None:
    ra.terms = {"timeout": SOON, "late": "keep"}
    switch = Switch()
    ra.line.before = switch.wait
    async with ra.running():
        secret = await new_secret(ra)
        waiting = await ra.ask(await ra.request(secret))
        await ra.ask(await ra.error(secret, waiting))
        switch.open.set()
        await ra.wait_for_audit("late certificate kept")
        (record,) = [one for one in await ra.ca.certificates() if one.subject == f"CN={secret.reference.decode()}"]
        assert record.state is not CertificateState.REVOKED
        await ra.wait_for(count=0)


@pytest.mark.rule("R-116")
async def test_a_certificate_that_nobody_fetched_before_its_transaction_expired_is_late(ra: Authority) -> None:
    ra.terms = {"timeout": SOON}
    ra.settings = ServerSettings(responder=ResponderSettings(pending_time=timedelta(seconds=0.5)))
    ra.line.before = dead
    async with ra.running():
        secret = await new_secret(ra)
        await ra.ask(await ra.request(secret))
        ra.line.before = None
        await ra.wait_for(RelayState.ANSWERED)
        await anyio.sleep(0.5)
        await ra.relay.housekeep()
        await ra.wait_for_audit("late certificate revoked")
        assert len(await ra.audit("expired")) == 1


async def test_an_answer_after_the_deadline_is_late(ra: Authority) -> None:
    ra.terms = {"timeout": SOON, "deadline": timedelta(seconds=0.1)}
    ra.line.before = dead
    async with ra.running():
        secret = await new_secret(ra)
        waiting = await ra.ask(await ra.request(secret))
        await anyio.sleep(0.15)
        refused = await ra.ask(await ra.poll(secret, waiting))
        assert refused.body.type is BodyType.ERROR
        ra.line.before = None
        await ra.relay.housekeep()
        await ra.wait_for_audit("late certificate revoked")


@pytest.mark.parametrize("forward", ["unchanged", "reprotect"])
@pytest.mark.rule("R-100", "R-162")
async def test_a_cert_conf_whose_answer_takes_long_is_polled_for(ra: Authority, forward: str) -> None:
    ra.forward = forward
    ra.terms = {"timeout": timedelta(seconds=0.2)}
    slow, switch = [], Switch()

    async def delay_the_second(request: bytes) -> None:
        slow.append(request)
        if len(slow) == 2:
            await switch.open.wait()

    ra.line.before = delay_the_second

    async def sleep(seconds: float) -> None:
        await ra.wait_for(RelayState.WAITING)
        switch.open.set()
        await ra.wait_for(RelayState.ANSWERED)

    async with ra.running():
        secret = await new_secret(ra)
        enrolled = await enrol(ra, secret, sleep=sleep, implicit_confirm=False)
        assert len(slow) == 2
        (record,) = [one for one in await ra.ca.certificates() if one.subject == f"CN={secret.reference.decode()}"]
        assert record.state is CertificateState.VALID
        assert enrolled.certificate is not None
        await ra.wait_for(count=0)


async def test_an_error_that_is_sent_again_while_it_is_under_way_joins_it(ra: Authority) -> None:
    switch, sent, answers = Switch(), [], []

    async def hold_the_error(request: bytes) -> None:
        sent.append(request)
        if decode_message(request).body.type is BodyType.ERROR:
            await switch.open.wait()

    ra.line.before = hold_the_error
    async with ra.running(), anyio.create_task_group() as tasks:
        secret = await new_secret(ra)
        answer = await ra.ask(await ra.request(secret, confirm=True))
        error = await ra.error(secret, answer)

        async def ask() -> None:
            answers.append(await ra.ask(error))

        for _ in range(2):
            tasks.start_soon(ask)
        with anyio.fail_after(20):
            while len(sent) < 2:  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
        await anyio.sleep(0.05)
        switch.open.set()
        with anyio.fail_after(20):
            while len(answers) < 2:  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
        assert len(sent) == 2
        assert {one.raw for one in answers} == {answers[0].raw}
        assert answers[0].body.type is BodyType.PKICONF


async def test_a_late_certificate_that_cannot_be_revoked_is_said_to_be_so(ra: Authority) -> None:
    ra.terms = {"timeout": SOON, "deadline": timedelta(seconds=1)}
    switch = Switch()

    async def only_the_first(request: bytes) -> None:
        if len(ra.line.sent) > 1:
            await dead(request)
        await switch.open.wait()

    ra.line.before = only_the_first
    async with ra.running():
        secret = await new_secret(ra)
        waiting = await ra.ask(await ra.request(secret))
        await ra.ask(await ra.error(secret, waiting))
        switch.open.set()
        entry = await ra.wait_for_audit("late certificate not revoked")
        assert entry.details["answer"] == "no answer"
        await ra.wait_for(count=0)


async def test_a_revocation_that_was_over_when_the_process_came_back_is_said_to_be_so(ra: Authority) -> None:
    ra.terms = {"timeout": SOON, "deadline": timedelta(seconds=1)}
    switch = Switch()

    async def only_the_first(request: bytes) -> None:
        if len(ra.line.sent) > 1:
            await anyio.sleep_forever()
        await switch.open.wait()

    ra.line.before = only_the_first
    async with ra.running():
        secret = await new_secret(ra)
        waiting = await ra.ask(await ra.request(secret))
        await ra.ask(await ra.error(secret, waiting))
        switch.open.set()
        await ra.wait_for_audit("late certificate")
    await anyio.sleep(1)
    async with ra.running():
        assert len(await ra.audit("late certificate not revoked")) == 1
