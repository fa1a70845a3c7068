"""Who may pass what on: not verified here, refused, changed, or held for a person."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from relaying import Authority, dead, issued_to, new_secret

from cmpkit.ca.approval import Approvals, decide_request
from cmpkit.ca.policy import load_policy
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import PeerRefusal
from cmpkit.parts import Decision, HeldState, SharedSecret


async def enrol(ra: Authority, secret: SharedSecret, subject: str = "", **options: Any) -> Any:
    key = generate_key("p256", ra.ca.plugins)
    name = subject or f"CN={secret.reference.decode()}"
    return await ra.client(secret, **options).enroll(subject=name, key=key)


@pytest.mark.parametrize("forward", ["unchanged", "nest"])
async def test_who_is_not_verified_here_is_verified_above_and_gets_what_that_says(ra: Authority, forward: str) -> None:
    ra.forward, ra.verify = forward, False
    async with ra.running():
        secret = await ra.ca.add_secret(f"dev-{secrets.token_hex(4)}")
        await enrol(ra, secret)
        assert await issued_to(ra, secret) == 1


async def test_who_is_not_verified_here_is_not_told_to_wait(ra: Authority) -> None:
    ra.verify, ra.terms = False, {"timeout": timedelta(seconds=0.05)}
    ra.line.before = dead
    async with ra.running():
        secret = await ra.ca.add_secret(f"dev-{secrets.token_hex(4)}")
        message = await ra.request(secret)
        answer = await ra.ask(message)
        assert answer.body.type is BodyType.ERROR
        assert answer.body.content.pki_status_info.failures is PKIFailureInfo.SYSTEM_UNAVAIL
        ra.line.before, ra.terms = None, {}
        for _ in range(100):
            answer = await ra.ask(message)
            if answer.body.type is BodyType.IP:
                break
        assert answer.body.type is BodyType.IP
        assert await issued_to(ra, secret) == 1


async def test_what_the_policy_refuses_does_not_leave(ra: Authority) -> None:
    profiles = {"device": load_profile("device", {}, ra.ca.plugins)}
    ra.policy = load_policy({"default_profile": "device"}, profiles)
    async with ra.running():
        secret = await new_secret(ra, subject=parse_name("CN=another"))
        with pytest.raises(PeerRefusal):
            await enrol(ra, secret)
        assert ra.line.sent == []


async def test_what_the_policy_changes_goes_up_changed_or_not_at_all(ra: Authority) -> None:
    ra.policy.change = lambda request: replace(request, subject=parse_name("CN=changed"))
    ra.forward = "reprotect"
    async with ra.running():
        secret = await new_secret(ra)
        enrolled = await enrol(ra, secret)
        assert "changed" in [record.subject.partition("=")[2] for record in await ra.ca.certificates()]
        assert enrolled.certificate is not None
    ra.forward = "unchanged"
    sent = len(ra.line.sent)
    async with ra.running():
        with pytest.raises(PeerRefusal) as refusal:
            await enrol(ra, await new_secret(ra))
        assert refusal.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
        assert len(ra.line.sent) == sent


@pytest.mark.parametrize("approved", [True, False])
async def test_what_a_person_has_to_agree_to_leaves_once_somebody_does(ra: Authority, approved: bool) -> None:
    profiles = {"device": load_profile("device", {"approval": "manual"}, ra.ca.plugins)}
    ra.approvals = Approvals(profiles)
    ra.policy = load_policy({"default_profile": "device"}, profiles)
    async with ra.running():
        secret = await new_secret(ra)
        answer = await ra.ask(await ra.request(secret))
        assert answer.body.content.response[0].status.status is PKIStatus.WAITING
        answer = await ra.ask(await ra.poll(secret, answer))
        assert answer.body.type is BodyType.POLL_REP
        assert ra.line.sent == []
        now = datetime.now(UTC)
        (held,) = await ra.store.held_requests(now=now, states=(HeldState.WAITING,))
        decision = Decision(held.key, approved=approved, by="somebody", at=now, fail_info=PKIFailureInfo.NOT_AUTHORIZED)
        await decide_request(ra.store, held, decision)
        answer = await ra.ask(await ra.poll(secret, answer))
        assert answer.body.type is BodyType.IP
        status = answer.body.content.response[0].status.status
        assert (status is PKIStatus.ACCEPTED) is approved
        assert await issued_to(ra, secret) == approved


async def test_a_use_of_a_secret_is_taken_before_the_request_leaves(ra: Authority) -> None:
    profiles = {"device": load_profile("device", {}, ra.ca.plugins)}
    ra.policy = load_policy({"default_profile": "device"}, profiles)
    async with ra.running():
        secret = await new_secret(ra, uses=1)
        await enrol(ra, secret)
        with pytest.raises(PeerRefusal) as refusal:
            await enrol(ra, secret)
        assert refusal.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert await issued_to(ra, secret) == 1
