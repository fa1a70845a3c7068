"""Requests that wait for a person, from the client's first message to the certificate, and what is kept of them."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from cmpkit.ca.approval import REJECTIONS, Approvals, decide_request, find_request, short_id
from cmpkit.ca.policy import DefaultPolicy, PolicySettings
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.requests import Wish
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.responder import ResponderSettings
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal, StillWaiting
from cmpkit.parts import CertificateState, Decision, HeldRequest, HeldState, Peer, UnitOfWork

from .conftest import World, subject_of

MINUTE = timedelta(seconds=60)
DAY = timedelta(days=1)


@pytest.fixture
def manual(world: World) -> World:
    """The world with a profile that a person has to agree to."""
    profile = load_profile("device", {"approval": "manual"}, world.plugins)
    return world.with_(approvals=Approvals({"device": profile}, MINUTE))


def impatient(manual: World, secret, **options) -> Client:
    """A client that gives up before anybody can have decided."""
    return manual.client(secret, sleep=manual.clock.sleep, **{"total_timeout": 30, **options})


async def ask(manual: World, secret, folder, **options):
    """A request that waits, and the file that goes on with it."""
    async with impatient(manual, secret, state=folder, **options) as client:
        with pytest.raises(StillWaiting) as caught:
            await client.enroll(subject="CN=dev-42")
    assert caught.value.waiting
    return await held(manual), caught.value.saved


async def go_on(manual: World, secret, saved, **options):
    async with impatient(manual, secret, state=saved.parent, **options) as client:
        return await client.resume(saved)


async def held(manual: World) -> HeldRequest:
    (request,) = await manual.store.held_requests(now=manual.clock())
    return request


async def decide(manual: World, request: HeldRequest, *, approved: bool = True, **details) -> None:
    decision = Decision(request.key, approved, by="alice", at=manual.clock(), **details)
    await decide_request(manual.store, request, decision)


@pytest.mark.rule("R-110")
async def test_a_request_waits_until_it_is_approved(manual, tmp_path):
    secret = await manual.secret()
    request, saved = await ask(manual, secret, tmp_path)
    assert (request.state, request.subject, request.address) == (HeldState.WAITING, "CN=dev-42", "192.0.2.1")
    assert await manual.certificates() == ()
    await decide(manual, request)
    assert await manual.certificates() == ()
    manual.clock.advance(20 * DAY)
    got = await go_on(manual, secret, saved)
    (record,) = await manual.certificates()
    assert (got.certificate, record.state) == (record.der, CertificateState.VALID)
    # The validity begins when somebody has the certificate.
    assert record.not_before >= manual.clock() - 2 * MINUTE
    assert (await held(manual)).state is HeldState.ISSUED


@pytest.mark.rule("R-118")
async def test_who_asks_in_time_hears_when_to_come_again(manual, tmp_path):
    secret = await manual.secret()
    await ask(manual, secret, tmp_path, total_timeout=200)
    waits = [event.details for event in manual.watcher.of("waiting") if "until" in event.details]
    assert len(waits) == 5
    assert all(later["until"] - earlier["until"] == MINUTE for earlier, later in itertools.pairwise(waits))
    assert {wait["reason"] for wait in waits} == {"a person has to agree to it"}


async def test_a_rejection_reaches_who_asked_with_failure_and_text(manual, tmp_path):
    secret = await manual.secret()
    request, saved = await ask(manual, secret, tmp_path)
    details = {"fail_info": PKIFailureInfo.BAD_CERT_TEMPLATE, "status_text": "no such device", "reason": "unknown"}
    await decide(manual, request, approved=False, **details)
    with pytest.raises(PeerRefusal, match="no such device") as caught:
        await go_on(manual, secret, saved)
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    assert "unknown" not in str(caught.value)
    assert await manual.certificates() == ()
    assert (await held(manual)).state is HeldState.REJECTED
    (refused,) = manual.watcher.of("refused")
    assert "alice rejected the request" in str(refused.details["error"])
    assert "unknown" in str(refused.details["error"])


async def test_who_decided_when_and_why_is_in_the_audit(manual, tmp_path):
    request, _ = await ask(manual, await manual.secret(), tmp_path)
    await decide(manual, request, reason="I know it")
    entry = next(entry for entry in await manual.store.audit_entries() if entry.event == "request approved")
    assert (entry.actor, entry.at, entry.transaction_id) == ("operator:alice", manual.clock(), request.transaction_id)
    assert entry.details == {
        "request": request.key,
        "subject": "CN=dev-42",
        "profile": "device",
        "identity": "dev-42",
        "reason": "I know it",
    }


async def test_a_failure_that_would_not_end_the_transaction_cannot_be_given(manual, tmp_path):
    request, _ = await ask(manual, await manual.secret(), tmp_path)
    for failure in (PKIFailureInfo.SYSTEM_UNAVAIL, PKIFailureInfo(0)):
        with pytest.raises(ConfigurationError, match="notAuthorized"):
            await decide(manual, request, approved=False, fail_info=failure)
    assert PKIFailureInfo.NOT_AUTHORIZED in REJECTIONS
    assert (await held(manual)).state is HeldState.WAITING


class TestTwice:
    async def test_a_decision_is_final(self, manual, tmp_path):
        request, _ = await ask(manual, await manual.secret(), tmp_path)
        await decide(manual, request)
        for approved in (True, False):
            with pytest.raises(ConfigurationError, match="was approved by alice at"):
                await decide(manual, request, approved=approved, fail_info=PKIFailureInfo.NOT_AUTHORIZED)

    async def test_a_rejection_is_final_too(self, manual, tmp_path):
        request, _ = await ask(manual, await manual.secret(), tmp_path)
        await decide(manual, request, approved=False, fail_info=PKIFailureInfo.NOT_AUTHORIZED)
        with pytest.raises(ConfigurationError, match="was rejected by alice"):
            await decide(manual, request)

    async def test_what_is_issued_cannot_be_decided_again(self, manual, tmp_path):
        secret = await manual.secret()
        request, saved = await ask(manual, secret, tmp_path)
        await decide(manual, request)
        await go_on(manual, secret, saved)
        with pytest.raises(ConfigurationError, match="is issued") as caught:
            await decide(manual, request, approved=False, fail_info=PKIFailureInfo.NOT_AUTHORIZED)
        assert "cert revoke" in caught.value.hint

    @pytest.mark.rule("R-116")
    async def test_what_nobody_asked_for_in_time_cannot_be_approved(self, manual, tmp_path):
        request, _ = await ask(manual, await manual.secret(), tmp_path)
        manual.clock.advance(31 * DAY)
        assert (await held(manual)).state is HeldState.LAPSED
        with pytest.raises(ConfigurationError, match="has lapsed"):
            await decide(manual, request)
        await manual.server.housekeep()
        assert [entry.event for entry in await manual.store.audit_entries(limit=1)] == ["expired"]

    async def test_who_comes_too_late_gets_nothing(self, manual, tmp_path):
        secret = await manual.secret()
        request, saved = await ask(manual, secret, tmp_path)
        await decide(manual, request)
        manual.clock.advance(31 * DAY)
        with pytest.raises(PeerRefusal):
            await go_on(manual, secret, saved)
        assert await manual.certificates() == ()


class TestWhatMayChangeMeanwhile:
    async def test_a_secret_that_expired_while_a_person_thought_is_good(self, manual, tmp_path):
        """It says until when operations may be opened."""
        secret = await manual.secret(expires=manual.clock() + 10 * MINUTE)
        request, saved = await ask(manual, secret, tmp_path)
        manual.clock.advance(DAY)
        await decide(manual, request)
        await go_on(manual, secret, saved)
        assert len(await manual.certificates()) == 1

    async def test_a_secret_that_was_revoked_is_not(self, manual, tmp_path):
        secret = await manual.secret()
        request, saved = await ask(manual, secret, tmp_path)
        await decide(manual, request)
        await manual.store.revoke_secret(secret.reference)
        with pytest.raises(CMPError):
            await go_on(manual, secret, saved)
        assert await manual.certificates() == ()

    async def test_one_use_is_one_certificate_however_many_were_approved(self, manual, tmp_path):
        secret = await manual.secret()
        _, saved = await ask(manual, secret, tmp_path / "one")
        async with impatient(manual, secret, state=tmp_path / "two") as client:
            with pytest.raises(StillWaiting) as caught:
                await client.enroll(subject="CN=dev-42")
        for request in await manual.store.held_requests(now=manual.clock()):
            await decide(manual, request)
        await go_on(manual, secret, saved)
        with pytest.raises(PeerRefusal) as refused:
            await go_on(manual, secret, caught.value.saved)
        assert refused.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert len(await manual.certificates()) == 1

    async def test_a_profile_that_needs_nobody_any_more_leaves_decisions_in_force(self, manual, world, tmp_path):
        secret = await manual.secret()
        request, saved = await ask(manual, secret, tmp_path)
        with pytest.raises(StillWaiting):
            await go_on(world, secret, saved)
        await decide(manual, request, approved=False, fail_info=PKIFailureInfo.NOT_AUTHORIZED)
        with pytest.raises(PeerRefusal):
            await go_on(world, secret, saved, total_timeout=200)

    async def test_the_server_may_be_another_process_each_time(self, manual, tmp_path):
        """Each message of the memory road is handled by a new server, which knows what is in the store."""
        secret = await manual.secret()
        request, saved = await ask(manual, secret, tmp_path, total_timeout=200)
        await decide(manual, request)
        await go_on(manual.with_(), secret, saved, total_timeout=200)
        assert len(await manual.certificates()) == 1


async def test_what_the_profile_does_not_allow_is_refused_at_once(manual, world):
    strict = load_profile("device", {"approval": "manual", "key_types": ["p384"]}, world.plugins)
    refusing = world.with_(approvals=Approvals({"device": strict}, MINUTE))
    async with refusing.client(await world.secret()) as client:
        with pytest.raises(PeerRefusal) as caught:
            await client.enroll(subject="CN=dev-42")
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    assert await world.store.held_requests(now=world.clock()) == ()


class Hesitant(DefaultPolicy):
    """The default policy, but a person has to agree to whatever comes to one address."""

    async def authorize_request(self, request, auth, *, now):
        decided = await super().authorize_request(request, auth, now=now)
        assert request.profile == "device"
        return replace(decided, approval=True) if auth.label == "device" else decided


class TestHeldByThePolicy:
    @pytest.fixture
    def hesitant(self, world) -> World:
        profiles = {"device": load_profile("device", {}, world.plugins)}
        policy = Hesitant(PolicySettings(), profiles)
        peer = Peer("memory", "192.0.2.1", label="device")
        return world.with_(approvals=Approvals(profiles, MINUTE), policy=policy, peer=peer)

    async def test_a_request_that_the_policy_holds_waits_for_a_person(self, hesitant, tmp_path):
        secret = await hesitant.secret()
        request, saved = await ask(hesitant, secret, tmp_path)
        assert (request.facts["path"], request.facts["asked_profile"]) == ("device", "device")
        await decide(hesitant, request)
        assert subject_of((await go_on(hesitant, secret, saved)).certificate) == "CN=dev-42"

    async def test_it_is_judged_as_it_came_when_it_is_asked_for_at_another_address(self, hesitant, world, tmp_path):
        secret = await hesitant.secret()
        request, saved = await ask(hesitant, secret, tmp_path)
        await decide(hesitant, request)
        elsewhere = hesitant.with_(peer=world.peer)
        assert subject_of((await go_on(elsewhere, secret, saved)).certificate) == "CN=dev-42"

    async def test_what_the_policy_gives_another_profile_meanwhile_is_refused(self, hesitant, tmp_path):
        secret = await hesitant.secret()
        request, saved = await ask(hesitant, secret, tmp_path)
        await decide(hesitant, request)

        class Renaming(DefaultPolicy):
            async def authorize_request(self, request, auth, *, now):
                return request.under("server")

        changed = hesitant.with_(policy=Renaming(PolicySettings(), hesitant.approvals.profiles))
        with pytest.raises(PeerRefusal) as caught:
            await go_on(changed, secret, saved)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert await hesitant.certificates() == ()

    async def test_without_a_profile_to_show_nothing_can_wait(self, hesitant):
        unknown = hesitant.with_(approvals=Approvals({}, MINUTE))
        async with unknown.client(await unknown.secret()) as client:
            with pytest.raises(PeerRefusal) as caught:
                await client.enroll(subject="CN=dev-42")
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


class Renaming(DefaultPolicy):
    """The default policy, but everybody gets another name than asked for."""

    async def authorize_request(self, request, auth, *, now):
        decided = await super().authorize_request(request, auth, now=now)
        return replace(decided, subject=parse_name("CN=renamed"))


@pytest.mark.rule("R-071")
async def test_r_071_what_the_policy_changes_is_granted_with_modifications(world):
    policy = Renaming(PolicySettings(), {"device": load_profile("device", {}, world.plugins)})
    async with world.with_(policy=policy).client(await world.secret()) as client:
        got = await client.enroll(subject="CN=dev-42")
    # A client that is not told so refuses a certificate with another subject.
    assert subject_of(got.certificate) == "CN=renamed"


async def test_an_update_waits_too_and_names_what_it_updates(manual, world, tmp_path):
    async with world.client(await world.secret("dev-7")) as client:
        own = (await client.enroll(subject="CN=dev-7")).credentials
    async with impatient(manual, own, state=tmp_path) as client:
        with pytest.raises(StillWaiting) as caught:
            await client.update()
    request = await held(manual)
    assert request.facts["body"] == "kur"
    assert str(request.facts["protected_by"]).startswith("the certificate of CN=dev-7, SHA-256 ")
    assert "updates" in request.facts
    await decide(manual, request)
    await go_on(manual, own, caught.value.saved)
    assert len(await manual.certificates()) == 2


class TestFinding:
    async def test_a_request_is_named_by_how_its_id_begins(self, manual, tmp_path):
        request, _ = await ask(manual, await manual.secret(), tmp_path)
        for text in (request.key, request.key[:6], f" {request.key[:8].upper()}"):
            assert await find_request(manual.store, text, now=manual.clock()) == request

    @pytest.mark.parametrize("text", ["", "zz", "0" * 64, "%"])
    async def test_an_id_that_there_is_not_finds_nothing(self, manual, tmp_path, text):
        await ask(manual, await manual.secret(), tmp_path)
        with pytest.raises(ConfigurationError, match="there is no request") as caught:
            await find_request(manual.store, text, now=manual.clock())
        assert "cmpkit request list" in caught.value.hint

    async def test_what_several_ids_begin_with_is_not_enough(self, manual, tmp_path):
        request, _ = await ask(manual, await manual.secret(), tmp_path)
        (transaction,), _ = await manual.store.load(request.transaction_id, b"")
        twin = dataclasses.replace(request, key=request.key[:10] + "0" * 54)
        await manual.store.commit(UnitOfWork(transaction=transaction, held=(twin,)))
        with pytest.raises(ConfigurationError, match="more than one"):
            await find_request(manual.store, request.key[:10], now=manual.clock())


class TestSeveral:
    """Requests of one message are decided one by one, and answered together."""

    @pytest.fixture
    def several(self, manual: World) -> World:
        return manual.with_(settings=ServerSettings(responder=ResponderSettings(max_requests=12)))

    async def ask(self, several: World, secret, folder, count: int):
        """What waits, in the order of the message, and what goes on with it."""
        wishes = [Wish(key=generate_key("p256", several.plugins), subject=None) for _ in range(count)]
        async with impatient(several, secret, state=folder) as client:
            with pytest.raises(StillWaiting) as caught:
                await client.obtain_several(wishes)
        kept = await several.store.held_requests(now=several.clock())
        by_number = {int(request.key.partition("-")[2]): request for request in kept}
        return [by_number[number] for number in range(count)], (caught.value.saved, [wish.key for wish in wishes])

    async def go_on(self, several: World, secret, waiting):
        saved, keys = waiting
        async with impatient(several, secret, state=saved.parent, total_timeout=200) as client:
            return await client.resume_several(saved, keys)

    async def test_the_message_waits_for_the_last_decision(self, several, tmp_path):
        secret = await several.secret(uses=3)
        (first, second, third), waiting = await self.ask(several, secret, tmp_path, 3)
        await decide(several, first)
        await decide(several, second, approved=False, fail_info=PKIFailureInfo.NOT_AUTHORIZED)
        with pytest.raises(StillWaiting):
            await self.go_on(several, secret, waiting)
        assert await several.certificates() == ()
        await decide(several, third)
        one, other, another = await self.go_on(several, secret, waiting)
        assert isinstance(one, Enrolled)
        assert isinstance(other, PeerRefusal)
        assert isinstance(another, Enrolled)
        assert [record.state for record in await several.certificates()] == [CertificateState.VALID] * 2

    async def test_each_is_named_by_its_number(self, several, tmp_path):
        kept, _ = await self.ask(several, await several.secret(uses=12), tmp_path, 12)
        for number in (1, 10, 11):
            assert short_id(kept[number]) == f"{kept[0].key[:12]}-{number}"
            for text in (short_id(kept[number]), kept[number].key):
                assert await find_request(several.store, text, now=several.clock()) == kept[number]
        with pytest.raises(ConfigurationError, match="more than one"):
            await find_request(several.store, kept[0].key[:12], now=several.clock())

    async def test_the_decision_about_one_is_none_about_another(self, several, tmp_path):
        """Numbers may begin alike."""
        secret = await several.secret(uses=12)
        kept, waiting = await self.ask(several, secret, tmp_path, 12)
        for number, request in enumerate(kept):
            await decide(several, request, approved=number != 1, fail_info=PKIFailureInfo.NOT_AUTHORIZED)
        results = await self.go_on(several, secret, waiting)
        assert [isinstance(result, Enrolled) for result in results] == [number != 1 for number in range(12)]
