"""Everything that a server may need time for, end to end: the client is told to wait, polls, and gets its answer.

RFC 9810 section 5.3.22, RFC 9483 section 4.4.
"""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.saving import TransactionFolder
from cmpkit.engine.states import ClientState
from cmpkit.enums import BodyType, CRLReason, PKIStatus
from cmpkit.errors import PeerRefusal, StillWaiting, TransportError
from cmpkit.parts import CertificateState, Event, Pending

from .conftest import World, over_http

LATER = Pending(60, "a person looks at it")


class Deliberate:
    """An issuer that is elsewhere, and needs time for whatever it is asked: ``waits`` times for each kind of thing."""

    local = False

    def __init__(self, world: World, **waits: int) -> None:
        self.inner, self.waits = world.issuer, waits
        self.asked: list[str] = []

    def _waits(self, what: str) -> bool:
        self.asked.append(what)
        self.waits[what] = self.waits.get(what, 0) - 1
        return self.waits[what] >= 0

    async def issue(self, request, auth, *, idempotency_key, now):
        if self._waits("issue"):
            return LATER
        return await self.inner.issue(request, auth, idempotency_key=idempotency_key, now=now)

    async def confirm(self, certificate, *, accepted, now):
        return LATER if self._waits("confirm") else await self.inner.confirm(certificate, accepted=accepted, now=now)

    async def revoke(self, request, auth, *, now):
        return LATER if self._waits("revoke") else await self.inner.revoke(request, auth, now=now)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


class Listening:
    """A road that keeps what passes, and may fail."""

    def __init__(self, world: World) -> None:
        self.inner = world.road()
        self.passed: list[PKIMessage] = []
        self.fails_at: BodyType | None = None

    async def exchange(self, request: bytes) -> bytes:
        message = decode_message(request)
        self.passed.append(message)
        if message.body.type is self.fails_at:
            raise TransportError("the network is gone")
        answer = await self.inner.exchange(request)
        self.passed.append(decode_message(answer))
        return answer

    async def aclose(self) -> None:
        pass

    @property
    def bodies(self) -> list[str]:
        return [message.body.type.wire_name for message in self.passed]


class Talk:
    """What a client says and hears."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def observe(self, event: Event) -> None:
        if event.name in ("message-sent", "message-received"):
            self.bodies.append(event.details["message"].body.type.wire_name)


def patient(world: World, credentials, road, **options):
    """A client to whom time costs nothing."""
    return world.client(credentials, transport=road, sleep=world.clock.sleep, **{"total_timeout": 3600.0, **options})


@pytest.fixture
async def enrolled(world: World) -> SigningCredentials:
    async with world.client(await world.secret("dev-7", uses=None)) as client:
        return (await client.enroll(subject="CN=dev-7")).credentials


async def states(world: World) -> list[CertificateState]:
    return [record.state for record in await world.certificates()]


POLLED_TWICE = ["pollReq", "pollRep", "pollReq"]


class TestEachOperation:
    @pytest.mark.parametrize("kind", ["ir", "cr", "kur", "p10cr"])
    @pytest.mark.rule("R-110")
    async def test_a_request_for_a_certificate_waits_in_its_answer(self, world, enrolled, kind):
        slow = world.with_(front=Deliberate(world, issue=2))
        road = Listening(slow)
        if kind == "ir":
            client = patient(slow, await world.secret(), road)
            await client.enroll(subject="CN=dev-42")
        else:
            client = patient(slow, enrolled, road)
            if kind == "cr":
                await client.certify(subject="CN=dev-7")
            elif kind == "kur":
                await client.update()
            else:
                key = generate_key("p256", world.plugins)
                await client.request_p10(await build_p10(parse_name("CN=dev-7"), key, ()))
        answer = {"ir": "ip", "kur": "kup"}.get(kind, "cp")
        assert road.bodies == [kind, answer, *POLLED_TWICE, answer, "certConf", "pkiconf"]
        number = -1 if kind == "p10cr" else 0
        polls = [message.body.content[0].cert_req_id for message in road.passed if message.body.type.name[:4] == "POLL"]
        assert polls == [number] * 3
        assert (await states(world))[0] is CertificateState.VALID

    @pytest.mark.rule("R-110")
    async def test_a_revocation_waits_by_error(self, world, enrolled):
        slow = world.with_(front=Deliberate(world, revoke=2))
        road = Listening(slow)
        async with patient(slow, enrolled, road) as client:
            await client.revoke(enrolled, CRLReason.SUPERSEDED)
        assert road.bodies == ["rr", "error", *POLLED_TWICE, "rp"]
        assert road.passed[1].body.content.pki_status_info.status is PKIStatus.WAITING
        assert await states(world) == [CertificateState.REVOKED]

    @pytest.mark.parametrize("by", ["secret", "certificate"])
    @pytest.mark.rule("R-100")
    async def test_a_confirmation_waits_by_error(self, world, enrolled, by):
        slow = world.with_(front=Deliberate(world, confirm=2))
        road = Listening(slow)
        async with patient(slow, enrolled if by == "certificate" else await world.secret(), road) as client:
            if by == "secret":
                await client.enroll(subject="CN=dev-42")
            else:
                await client.update()
        assert road.bodies[2:] == ["certConf", "error", *POLLED_TWICE, "pkiconf"]
        polls = [message.body.content[0].cert_req_id for message in road.passed if message.body.type.name[:4] == "POLL"]
        assert polls == [-1] * 3
        assert (await states(world))[0] is CertificateState.VALID

    @pytest.mark.rule("R-110", "R-115")
    async def test_everything_waits_in_one_transaction(self, world):
        slow = world.with_(front=Deliberate(world, issue=1, confirm=1))
        road = Listening(slow)
        async with patient(slow, await world.secret(), road) as client:
            await client.enroll(subject="CN=dev-42")
        assert road.bodies == ["ir", "ip", "pollReq", "ip", "certConf", "error", "pollReq", "pkiconf"]

    async def test_asked_to_dispense_with_cert_conf_a_slow_issuer_wants_it(self, world):
        slow = world.with_(front=Deliberate(world, confirm=2))
        road = Listening(slow)
        async with patient(slow, await world.secret(), road, implicit_confirm=True) as client:
            await client.enroll(subject="CN=dev-42")
        assert road.bodies == ["ir", "ip", "certConf", "error", "pollReq", "pkiconf"]
        assert await states(world) == [CertificateState.VALID]


async def test_each_kind_of_waiting_over_http(world):
    """For certificates by each request, for their confirmation and for a revocation, in several rounds."""
    slow = world.with_(front=Deliberate(world))
    twice, talk = {"issue": 2, "confirm": 2, "revoke": 2}, Talk()
    key = generate_key("p256", world.plugins)
    csr = await build_p10(parse_name("CN=dev-42"), key, ())
    async with over_http(slow) as road:

        async def client(credentials):
            slow.front.waits.update(twice)
            return patient(slow, credentials, road(), observers=[talk])

        async with await client(await world.secret()) as asking:
            enrolled = await asking.enroll(subject="CN=dev-42")
        async with await client(enrolled.credentials) as asking:
            await asking.certify(subject="CN=dev-42")
        async with await client(enrolled.credentials) as asking:
            await asking.update()
        async with await client(enrolled.credentials) as asking:
            await asking.request_p10(csr)
        async with await client(enrolled.credentials) as asking:
            await asking.revoke(enrolled)
    for asked, answer in (("ir", "ip"), ("cr", "cp"), ("kur", "kup"), ("p10cr", "cp")):
        whole = [asked, answer, *POLLED_TWICE, answer, "certConf", "error", *POLLED_TWICE, "pkiconf"]
        assert talk.bodies[: len(whole)] == whole
        del talk.bodies[: len(whole)]
    assert talk.bodies == ["rr", "error", *POLLED_TWICE, "rp"]
    assert await states(world) == [*[CertificateState.VALID] * 3, CertificateState.REVOKED]


@pytest.mark.parametrize("waits", ["issue", "confirm", "revoke"])
async def test_another_server_goes_on_over_http_where_the_first_one_was_ended(world, enrolled, tmp_path, waits):
    slow = world.with_(front=Deliberate(world, **{waits: 2}))
    async with over_http(slow) as road, patient(slow, enrolled, road(), state=tmp_path, total_timeout=30) as client:
        with pytest.raises(StillWaiting) as caught:
            await (client.revoke(enrolled) if waits == "revoke" else client.update())
    async with over_http(world) as road, patient(world, enrolled, road(), state=tmp_path) as client:
        await client.resume(caught.value.saved)
    assert (await states(world))[0] is (CertificateState.REVOKED if waits == "revoke" else CertificateState.VALID)


class TestNonces:
    @pytest.mark.rule("R-024")
    async def test_each_poll_req_answers_the_answer_before_it(self, world, enrolled):
        """The last answer too: its recipNonce is that of the pollReq (R-023, R-024, RFC 9483 section 5.1.5)."""
        slow = world.with_(front=Deliberate(world, revoke=2))
        road = Listening(slow)
        async with patient(slow, enrolled, road) as client:
            await client.revoke(enrolled)
        for before, after in itertools.pairwise(road.passed):
            assert after.header.recip_nonce == before.header.sender_nonce


class TestInterrupted:
    """Another process goes on, a day later."""

    async def stop(self, slow: World, credentials, folder, begin):
        async with patient(slow, credentials, slow.road(), state=folder, total_timeout=30) as client:
            with pytest.raises(StillWaiting) as caught:
                await begin(client)
        assert caught.value.waiting
        slow.clock.advance(timedelta(days=1))
        return caught.value.saved

    async def test_a_revocation_goes_on(self, world, enrolled, tmp_path):
        slow = world.with_(front=Deliberate(world, revoke=2))
        saved = await self.stop(slow, enrolled, tmp_path, lambda client: client.revoke(enrolled))
        async with patient(slow, enrolled, slow.road(), state=tmp_path) as client:
            await client.resume(saved)
        assert await states(world) == [CertificateState.REVOKED]
        assert TransactionFolder(tmp_path).all() == ()

    @pytest.mark.rule("R-100")
    async def test_a_confirmation_goes_on(self, world, tmp_path):
        slow, secret = world.with_(front=Deliberate(world, confirm=2)), await world.secret()
        saved = await self.stop(slow, secret, tmp_path, lambda client: client.enroll(subject="CN=dev-42"))
        await slow.server.housekeep()
        async with patient(slow, secret, slow.road(), state=tmp_path) as client:
            got = await client.resume(saved)
        (record,) = await world.certificates()
        assert (got.certificate, record.state) == (record.der, CertificateState.VALID)

    async def test_a_poll_req_that_never_arrived_is_sent_a_day_later(self, world, tmp_path):
        """Its time is over, but the nonces tell that it is none of before."""
        slow, secret = world.with_(front=Deliberate(world, issue=2)), await world.secret()
        road = Listening(slow)
        road.fails_at = BodyType.POLL_REQ
        async with patient(slow, secret, road, state=tmp_path) as client:
            with pytest.raises(TransportError):
                await client.enroll(subject="CN=dev-42")
        (transaction,) = TransactionFolder(tmp_path).all()
        assert transaction.state is ClientState.POLLING
        world.clock.advance(timedelta(days=1))
        async with patient(slow, secret, slow.road(), state=tmp_path) as client:
            await client.resume(transaction)
        assert await states(world) == [CertificateState.VALID]

    async def test_a_cert_conf_that_never_arrived_is_made_anew(self, world, tmp_path):
        """The server refuses the old one as too old: it never had it."""
        secret = await world.secret()
        road = Listening(world)
        road.fails_at = BodyType.CERT_CONF
        async with patient(world, secret, road, state=tmp_path) as client:
            with pytest.raises(TransportError):
                await client.enroll(subject="CN=dev-42")
        (transaction,) = TransactionFolder(tmp_path).all()
        world.clock.advance(timedelta(minutes=10))
        road.fails_at, road.passed = None, []
        async with patient(world, secret, road, state=tmp_path) as client:
            await client.resume(transaction)
        assert road.bodies == ["certConf", "error", "certConf", "pkiconf"]
        assert await states(world) == [CertificateState.VALID]

    @pytest.mark.rule("R-015")
    async def test_a_request_that_never_arrived_is_refused_as_too_old(self, world, tmp_path):
        secret = await world.secret()
        road = Listening(world)
        road.fails_at = BodyType.IR
        async with patient(world, secret, road, state=tmp_path) as client:
            with pytest.raises(TransportError):
                await client.enroll(subject="CN=dev-42")
        (transaction,) = TransactionFolder(tmp_path).all()
        world.clock.advance(timedelta(days=1))
        async with patient(world, secret, world.road(), state=tmp_path) as client:
            with pytest.raises(PeerRefusal, match="badTime"):
                await client.resume(transaction)


class TestNobodyPolls:
    @pytest.mark.rule("R-116")
    async def test_a_revocation_that_nobody_polls_for_is_given_up(self, world, enrolled, tmp_path):
        """R-116."""
        issuer = Deliberate(world, revoke=9)
        slow = world.with_(front=issuer)
        async with patient(slow, enrolled, slow.road(), state=tmp_path, total_timeout=30) as client:
            with pytest.raises(StillWaiting) as caught:
                await client.revoke(enrolled)
        world.clock.advance(timedelta(days=31))
        await slow.server.housekeep()
        with pytest.raises(PeerRefusal):
            async with patient(slow, enrolled, slow.road(), state=tmp_path) as client:
                await client.resume(caught.value.saved)
        assert await states(world) == [CertificateState.VALID]

    async def test_a_certificate_whose_pki_conf_nobody_polls_for_is_revoked(self, world):
        """As soon as the issuer can: it needs time for that, too."""
        slow = world.with_(front=Deliberate(world, confirm=2))
        road = Listening(slow)
        road.fails_at = BodyType.POLL_REQ
        async with patient(slow, await world.secret(), road) as client:
            with pytest.raises(TransportError):
                await client.enroll(subject="CN=dev-42")
        assert road.bodies == ["ir", "ip", "certConf", "error", "pollReq"]
        world.clock.advance(timedelta(days=31))
        await slow.server.housekeep()
        assert await states(world) == [CertificateState.ISSUED]
        await slow.server.housekeep()
        assert await states(world) == [CertificateState.REVOKED]
