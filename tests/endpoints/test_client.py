"""The client: what it believes, what it refuses, how it waits and how it goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import ErrorMsgContent, PKIBody, PKIMessage, PKIStatusInfo, decode_list, decode_message, encode
from cmpkit.ca.extensions import purposes_extension
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.crypto.x509 import fingerprint
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.saving import TransactionFolder
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.responder import ResponderSettings
from cmpkit.engine.states import ClientState
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal, StillWaiting, TransportError, TrustError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import CertificateState, Issued, Pending, SharedSecret

from .conftest import World, subject_of
from .forge import certify, self_signed

Change = Callable[[PKIMessage], Awaitable[PKIMessage]]


class Tampering:
    """A road on which answers are changed, lost, or requests never arrive."""

    def __init__(self, world: World, change: Change | None = None, *, lose: int = 0) -> None:
        self.inner, self.change, self.lose = world.road(), change, lose
        self.requests: list[PKIMessage] = []

    async def exchange(self, request: bytes) -> bytes:
        self.requests.append(decode_message(request))
        answer = await self.inner.exchange(request)
        if self.lose:
            self.lose -= 1
            raise TransportError("the answer was lost", retryable=True)
        return (await self.change(decode_message(answer))).raw if self.change else answer

    async def aclose(self) -> None:
        pass


def changed(**fields: object) -> Change:
    """Other octets under the same protection."""

    async def change(answer: PKIMessage) -> PKIMessage:
        return PKIMessage(
            dataclasses.replace(answer.header, **fields), answer.body, answer.protection, answer.extra_certs
        )

    return change


async def unprotected(answer: PKIMessage) -> PKIMessage:
    return PKIMessage(dataclasses.replace(answer.header, protection_alg=None), answer.body)


def error_answer(*, protected: bool = False) -> Change:
    """A refusal in place of the answer."""

    async def change(answer: PKIMessage) -> PKIMessage:
        status = PKIStatusInfo.of(PKIStatus.REJECTION, ["go away"], PKIFailureInfo.BAD_REQUEST)
        body = PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status))
        if protected:
            return PKIMessage(answer.header, body, answer.protection, answer.extra_certs)
        return PKIMessage(dataclasses.replace(answer.header, protection_alg=None), body)

    return change


class Slow:
    """An issuer that is elsewhere, and says "later" a few times."""

    local = False

    def __init__(self, world: World, times: int, check_after: int = 1) -> None:
        self.inner, self.times, self.check_after = world.issuer, times, check_after
        self.keys: list[str] = []

    async def issue(self, request, auth, *, idempotency_key, now):
        self.keys.append(idempotency_key)
        if self.times:
            self.times -= 1
            return Pending(self.check_after, "an operator looks at it")
        return await self.inner.issue(request, auth, idempotency_key=idempotency_key, now=now)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@pytest.fixture
async def secret(world: World) -> SharedSecret:
    return await world.secret()


@pytest.fixture
async def enrolled(world: World) -> SigningCredentials:
    async with world.client(await world.secret("dev-7")) as client:
        return (await client.enroll(subject="CN=dev-7")).credentials


async def distrust(client: Client, operation: Awaitable[object]) -> TrustError:
    async with client:
        with pytest.raises(TrustError) as caught:
            await operation
    return caught.value


class TestAnswers:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (changed(transaction_id=bytes(16)), ""),
            (changed(recip_nonce=bytes(16)), ""),
            (changed(sender_nonce=bytes(16)), ""),
            (unprotected, "not protected"),
        ],
    )
    @pytest.mark.rule("R-020", "R-023", "R-034", "R-047")
    async def test_an_answer_that_was_changed_is_not_believed(self, world, secret, change, words):
        client = world.client(secret, transport=Tampering(world, change))
        error = await distrust(client, client.enroll(subject="CN=dev-42"))
        assert words in str(error)

    @pytest.mark.rule("R-023")
    async def test_an_old_answer_is_not_believed(self, world, enrolled):
        """It is authentic, but answers another request."""
        first: list[PKIMessage] = []

        async def replay(answer: PKIMessage) -> PKIMessage:
            first.append(answer)
            return first[0]

        client = world.client(enrolled, transport=Tampering(world, replay))
        async with client:
            await client.info(oids.CA_CERTS)
            with pytest.raises(TrustError, match="transactionID"):
                await client.info(oids.CA_CERTS)

    @pytest.mark.rule("R-037")
    async def test_a_signed_answer_needs_a_trust_anchor(self, world, enrolled):
        client = dataclasses.replace(world, trust=()).client(enrolled)
        error = await distrust(client, client.info(oids.CA_CERTS))
        assert "--trusted" in str(error)

    @pytest.mark.rule("R-040")
    async def test_a_server_certificate_without_authority_is_not_believed(self, world, enrolled):
        """Another device of the same CA answers: trusted as a device, not authorised as a server."""
        impostor = world.with_(signer=enrolled)
        client = impostor.client(enrolled)
        error = await distrust(client, client.info(oids.CA_CERTS))
        assert "--srvcert" in str(error) or "--expect-sender" in str(error)
        assert "4.5" in error.rule

    @pytest.mark.rule("R-040")
    async def test_such_a_server_is_believed_where_its_name_is_expected(self, world, enrolled):
        impostor = world.with_(signer=enrolled)
        async with impostor.client(enrolled, expected_sender=parse_name("CN=dev-7")) as client:
            assert await client.info(oids.CA_CERTS)

    @pytest.mark.rule("R-040")
    async def test_a_pinned_certificate_is_believed(self, world, enrolled):
        lone = await self_signed(world.plugins, parse_name("CN=lone server"))
        lonely = world.with_(signer=lone)
        async with lonely.client(enrolled, pinned=lone.certificate) as client:
            assert await client.info(oids.CA_CERTS)

    @pytest.mark.rule("R-040")
    async def test_another_certificate_than_the_pinned_one_is_not_believed(self, world, enrolled):
        lone = await self_signed(world.plugins, parse_name("CN=lone server"))
        client = world.client(enrolled, pinned=lone.certificate)
        error = await distrust(client, client.info(oids.CA_CERTS))
        assert "--srvcert" in str(error)

    @pytest.mark.rule("R-040")
    async def test_authority_from_another_ca_than_the_devices_is_not_believed(self, world, enrolled):
        """cmcCA counts only from the CA that issued the device's certificate (RFC 9810 section 4.5)."""
        key, other = generate_key("p256", world.plugins), generate_key("p256", world.plugins)
        name = parse_name("CN=other CA")
        root = await certify(other, name, other, name, ca=True)
        signer = await certify(key, parse_name("CN=cmp"), other, name, purposes_extension([oids.KP_CMC_CA]))
        foreign = dataclasses.replace(world, signer=SigningCredentials(signer, key), trust=(*world.trust, root))
        client = foreign.client(enrolled)
        await distrust(client, client.info(oids.CA_CERTS))


class TestRefusals:
    @pytest.mark.rule("R-030")
    async def test_an_unprotected_refusal_is_not_believed(self, world, secret):
        client = world.client(secret, transport=Tampering(world, error_answer()))
        error = await distrust(client, client.enroll(subject="CN=dev-42"))
        assert "--unprotected-errors" in str(error)
        assert "go away" in str(error)

    @pytest.mark.parametrize("protected", [False, True])
    @pytest.mark.rule("R-042")
    async def test_it_is_taken_where_that_is_allowed(self, world, secret, protected):
        road = Tampering(world, error_answer(protected=protected))
        async with world.client(secret, transport=road, tolerances=frozenset({"unprotected-errors"})) as client:
            with pytest.raises(PeerRefusal, match="go away") as caught:
                await client.enroll(subject="CN=dev-42")
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST

    @pytest.mark.rule("R-030")
    async def test_an_unprotected_certificate_is_never_taken(self, world, secret):
        client = world.client(
            secret, transport=Tampering(world, unprotected), tolerances=frozenset({"unprotected-errors"})
        )
        await distrust(client, client.enroll(subject="CN=dev-42"))

    async def test_a_wrong_secret_is_refused_in_words_that_help(self, world, secret):
        async with world.client(SharedSecret("dev-42", "wrong")) as client:
            with pytest.raises(PeerRefusal) as caught:
                await client.enroll(subject="CN=dev-42")
        assert caught.value.fail_info is PKIFailureInfo.BAD_MESSAGE_CHECK
        assert "secret" in caught.value.hint


class TestCertificates:
    @pytest.mark.rule("R-083", "R-084")
    async def test_a_certificate_for_a_ca_that_is_not_trusted_is_rejected_by_cert_conf(self, world, secret):
        lone = await self_signed(world.plugins, parse_name("CN=other root"))
        road = Tampering(world)
        client = dataclasses.replace(world, trust=(lone.certificate,)).client(secret, transport=road)
        error = await distrust(client, client.enroll(subject="CN=dev-42"))
        assert "--trusted" in str(error)
        assert road.requests[-1].body.type is BodyType.CERT_CONF
        assert [record.state for record in await world.certificates()] == [CertificateState.REVOKED]

    @pytest.mark.rule("R-048")
    async def test_the_ca_certificates_of_the_answer_are_adopted_only_if_allowed(self, world, secret):
        settings = ServerSettings(responder=ResponderSettings(ca_pubs=world.trust))
        ignorant = dataclasses.replace(world, settings=settings, trust=())
        async with ignorant.client(await world.secret("dev-43")) as client:
            with pytest.raises(ConfigurationError, match="--adopt-ca-pubs"):
                await client.enroll(subject="CN=dev-43")
        async with ignorant.client(secret, adopt_ca_pubs=True) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
        assert enrolled.chain[-1] in enrolled.ca_pubs
        assert fingerprint(enrolled.chain[-1]) == fingerprint(world.trust[0])

    @pytest.mark.rule("R-046")
    async def test_the_chain_leads_to_the_trust_anchor(self, world, secret):
        async with world.client(secret) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
        assert enrolled.chain == (*world.issuing[:1], *world.trust)

    @pytest.mark.rule("R-083", "R-084")
    async def test_a_certificate_of_another_subject_is_rejected(self, world):
        """The server was asked for one name, says nothing of changes, and gives another."""
        secret = await world.secret("dev-42", subject=None)

        class Renaming(Slow):
            async def issue(self, request, auth, *, idempotency_key, now):
                renamed = dataclasses.replace(request, subject=parse_name("CN=other"))
                result = await self.inner.issue(renamed, auth, idempotency_key=idempotency_key, now=now)
                assert isinstance(result, Issued)
                return dataclasses.replace(result, modified=False)

        client = world.with_(front=Renaming(world, 0)).client(secret)
        error = await distrust(client, client.enroll(subject="CN=dev-42"))
        assert "CN=other" in str(error)
        assert [record.state for record in await world.certificates()] == [CertificateState.REVOKED]


class TestWaiting:
    @pytest.mark.rule("R-110", "R-112")
    async def test_the_client_polls_until_the_certificate_is_there(self, world, secret):
        slow = Slow(world, times=2, check_after=0)
        async with world.with_(front=slow).client(secret) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
        assert subject_of(enrolled.certificate) == "CN=dev-42"
        assert len(slow.keys) == 3
        assert len(set(slow.keys)) == 1
        assert ["until" in event.details for event in world.watcher.of("waiting")].count(True) == 2

    @pytest.mark.rule("R-112")
    async def test_out_of_time_says_where_the_transaction_is_and_it_can_be_resumed(self, world, secret, tmp_path):
        slow = Slow(world, times=2, check_after=3600)
        waiting = world.with_(front=slow)
        key = generate_key("p256", world.plugins)
        async with waiting.client(secret, state=tmp_path, sleep=world.clock.sleep, total_timeout=60) as client:
            with pytest.raises(StillWaiting) as caught:
                await client.enroll(subject="CN=dev-42", key=key)
        assert caught.value.waiting
        saved = caught.value.saved
        assert isinstance(saved, Path)
        assert TransactionFolder(tmp_path).load(saved).state is ClientState.POLL_WAIT
        assert oct(saved.stat().st_mode & 0o777) == "0o600"
        world.clock.advance(3600)
        async with waiting.client(secret, state=tmp_path) as client:
            enrolled = await client.resume(saved, key)
        assert subject_of(enrolled.certificate) == "CN=dev-42"
        assert enrolled.key is key
        assert len(await world.certificates()) == 1

    async def test_a_client_on_a_virtual_clock_waits_for_nothing(self, world, secret, tmp_path):
        waiting = world.with_(front=Slow(world, times=3, check_after=3600))
        start = world.clock()
        with anyio.fail_after(5):
            async with waiting.client(secret, sleep=world.clock.sleep, total_timeout=4 * 3600) as client:
                await client.enroll(subject="CN=dev-42")
        assert timedelta(hours=2) <= world.clock() - start < timedelta(hours=4)

    async def test_time_is_over_on_a_virtual_clock_too(self, world, secret, tmp_path):
        waiting = world.with_(front=Slow(world, times=3, check_after=3600))
        start = world.clock()
        async with waiting.client(secret, sleep=world.clock.sleep, total_timeout=60, state=tmp_path) as client:
            with pytest.raises(StillWaiting) as caught:
                await client.enroll(subject="CN=dev-42")
        assert caught.value.waiting
        assert world.clock() - start == timedelta(seconds=60)

    @pytest.mark.rule("R-022")
    async def test_a_lost_answer_is_asked_for_again_with_the_same_octets(self, world, secret):
        road = Tampering(world, lose=1)
        async with world.client(secret, transport=road) as client:
            await client.enroll(subject="CN=dev-42")
        assert road.requests[0].raw == road.requests[1].raw
        assert len(await world.certificates()) == 1

    async def test_a_server_that_never_answers_is_out_of_time_and_not_waiting(self, world, secret, tmp_path):
        road = Tampering(world, lose=1000)
        async with world.client(secret, transport=road, total_timeout=0.1, state=tmp_path) as client:
            with pytest.raises(StillWaiting) as caught:
                await client.enroll(subject="CN=dev-42")
        assert not caught.value.waiting
        assert caught.value.saved is not None

    async def test_a_pending_request_that_is_then_refused_tells_why(self, world, secret):
        class Refusing(Slow):
            async def issue(self, request, auth, *, idempotency_key, now):
                if self.times:
                    self.times -= 1
                    return Pending(0, "")
                request = dataclasses.replace(request, profile="nonsense")
                return await self.inner.issue(request, auth, idempotency_key=idempotency_key, now=now)

        async with world.with_(front=Refusing(world, 1)).client(secret) as client:
            with pytest.raises(PeerRefusal):
                await client.enroll(subject="CN=dev-42")


class TestCalls:
    async def test_an_update_needs_a_certificate(self, world, secret):
        async with world.client(secret) as client:
            with pytest.raises(ConfigurationError, match="--cert"):
                await client.update()

    async def test_credentials_of_a_certificate_without_key_cannot_be_made(self, world):
        async with world.client(await world.secret("dev-42", uses=None)) as client:
            got = await client.request_p10(
                await build_p10(parse_name("CN=dev-42"), generate_key("p256", world.plugins), ())
            )
        with pytest.raises(ConfigurationError):
            got.credentials  # noqa: B018

    async def test_the_ca_certificates_can_be_asked_for(self, world, enrolled):
        async with world.client(enrolled) as client:
            (answer,) = await client.info(oids.CA_CERTS)
        certificates = decode_list(x509.Certificate, encode(answer.info_value))
        assert len(certificates) >= 1

    @pytest.mark.rule("R-180")
    async def test_who_asks_for_nothing_is_told_what_can_be_told_without_a_question(self, world, enrolled):
        class NeedsQuestion:
            oid, name = x509.ObjectIdentifier("1.2.3.4"), "question"

            async def answer(self, value, context):
                raise CMPError("which one?", PKIFailureInfo.BAD_REQUEST)

        class Brings:
            @hookimpl
            def cmpkit_info_types(self):
                return [NeedsQuestion()]

        world.plugins.add(Brings(), "needs question")
        async with world.client(enrolled) as client:
            answers = await client.info()
            assert {answer.info_type for answer in answers} == {
                *(oids.CA_CERTS, oids.CURRENT_CRL, oids.CERT_REQ_TEMPLATE),
                *(oids.SIGN_KEY_PAIR_TYPES, oids.ENC_KEY_PAIR_TYPES, oids.PREFERRED_SYMM_ALG),
            }
            with pytest.raises(PeerRefusal):
                await client.info(x509.ObjectIdentifier("1.2.3.4"))

    @pytest.mark.rule("R-006", "R-180")
    async def test_what_is_not_known_is_reported_as_unsupported(self, world, enrolled):
        async with world.client(enrolled) as client:
            (answer,) = await client.info(x509.ObjectIdentifier("1.2.3.4.5"))
        assert answer.info_type == oids.UNSUPPORTED_OIDS

    @pytest.mark.rule("R-015")
    async def test_a_client_whose_clock_is_wrong_is_told_so(self, world, secret, tmp_path):
        """The server says badTime: the client tells what to do."""
        road = Tampering(world)
        client = world.client(secret, transport=road, state=tmp_path)
        client.options = dataclasses.replace(client.options, clock=lambda: world.clock() - timedelta(hours=1))
        async with client:
            with pytest.raises(PeerRefusal) as caught:
                await client.enroll(subject="CN=dev-42")
        assert caught.value.fail_info is PKIFailureInfo.BAD_TIME
        assert "clock" in caught.value.hint
        assert TransactionFolder(tmp_path).all() == ()
