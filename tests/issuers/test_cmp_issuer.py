"""Another CMP server as issuer, on behalf of those who ask here."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cmpkit import oids
from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.crypto.keys import generate_key, key_to_pem
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.crypto.x509 import certificate_public_key_info, to_pem
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.requests import PublicKey, Wish
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.responder import ResponderSettings
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal, TransportError
from cmpkit.issuers.cmp import CMPIssuer
from cmpkit.issuers.cmp_opening import open_cmp_issuer
from cmpkit.parts import (
    CertificateState,
    Issued,
    OpenContext,
    Pending,
    Rejected,
    RevocationRequest,
    TransportOptions,
    UnitOfWork,
)
from cmpkit.testing import check_issuer
from cmpkit.transports import MemoryPost

from .conftest import DEVICE, Landscape

KEY = "ab" * 32
VALID, ISSUED, REVOKED = CertificateState.VALID, CertificateState.ISSUED, CertificateState.REVOKED


class Road:
    """A road that loses messages, or puts other answers in their place."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.dead = False
        self.lost = False
        self.answer: bytes | None = None
        self.slow = False

    async def exchange(self, request: bytes) -> bytes:
        if self.dead:
            raise TransportError("nobody is there")
        answer = await self.inner.exchange(request)
        if self.slow:
            await anyio.sleep_forever()
        if self.lost:
            raise TransportError("the answer is lost")
        return answer if self.answer is None else self.answer

    async def aclose(self) -> None:
        """Nothing is open."""


class SlowIssuer:
    """Needs time for whatever it is told to."""

    def __init__(self, inner: Any, slow: set[str]) -> None:
        self.inner, self.slow = inner, slow

    async def issue(self, *arguments: Any, **options: Any) -> Any:
        return Pending(300, "thinking") if "issue" in self.slow else await self.inner.issue(*arguments, **options)

    async def confirm(self, *arguments: Any, **options: Any) -> Any:
        return Pending(300) if "confirm" in self.slow else await self.inner.confirm(*arguments, **options)

    async def revoke(self, *arguments: Any, **options: Any) -> Any:
        return Pending(300) if "revoke" in self.slow else await self.inner.revoke(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def bodies(landscape: Landscape) -> list[str]:
    """What came to the CA."""
    return [decode_message(octets).body.type.wire_name for octets in landscape.ca.messages]


def opening(landscape: Landscape) -> PKIMessage:
    return decode_message(landscape.ca.messages[0])


async def ask(landscape: Landscape, issuer: CMPIssuer, request: Any, key: str = KEY) -> Any:
    return await issuer.issue(request, DEVICE, idempotency_key=key, now=landscape.clock())


def slow_ca(landscape: Landscape, *slow: str) -> set[str]:
    """Make the CA need time for these operations, until the set is empty."""
    names = set(slow)
    landscape.ca = replace(landscape.ca, front=lambda inner: SlowIssuer(inner, names))
    return names


@pytest.mark.parametrize("at_once", [False, True])
async def test_it_keeps_the_contract_of_issuers(landscape: Landscape, at_once: bool) -> None:
    await check_issuer(
        landscape.cmp_issuer(at_once=at_once),
        landscape.request,
        DEVICE,
        plugins=landscape.plugins,
        commit=landscape.store.commit,
        clock=landscape.clock,
        wait=landscape.sleep,
    )


@pytest.mark.rule("R-161")
async def test_a_certificate_is_asked_for_on_behalf_of_the_requester(landscape: Landscape) -> None:
    request = landscape.request()
    result = await ask(landscape, landscape.cmp_issuer(profiles={"device": "upstream"}), request)
    message = opening(landscape)
    (asked,) = message.body.content
    assert message.body.type is BodyType.IR
    assert message.header.info(oids.CERT_PROFILE).parse_list(str) == ["upstream"]
    assert message.extra_certs[0] == landscape.credentials.certificate
    assert asked.popo.tag == "ra_verified"
    assert asked.request.cert_template.subject.name == parse_name("CN=dev-42")
    assert asked.request.cert_template.public_key.der == request.public_key_info
    assert isinstance(result, Rejected), "the CA has no profile of that name"


@pytest.mark.rule("R-161")
async def test_a_pkcs10_request_goes_as_it_came(landscape: Landscape) -> None:
    csr = await build_p10(parse_name("CN=dev-42"), generate_key("p256", landscape.plugins), ())
    async with landscape.device(await landscape.secret(), landscape.cmp_issuer()) as client:
        await client.request_p10(csr)
    assert bodies(landscape) == ["p10cr", "certConf"]
    assert csr in landscape.ca.messages[0]
    assert await landscape.issued_by_ca() == [VALID]


async def test_one_whose_subject_is_changed_goes_as_a_template(landscape: Landscape) -> None:
    landscape.profile = {"subject": "CN={identity},O=Example"}
    csr = await build_p10(parse_name("CN=dev-42"), generate_key("p256", landscape.plugins), ())
    async with landscape.device(await landscape.secret(subject=None), landscape.cmp_issuer()) as client:
        enrolled = await client.request_p10(csr)
    assert bodies(landscape) == ["cr", "certConf"]
    assert x509.load_der_x509_certificate(enrolled.certificate).subject.rfc4514_string() == "CN=dev-42,O=Example"


@pytest.mark.rule("R-161")
async def test_a_client_asks_for_somebody_else(landscape: Landscape) -> None:
    key = PublicKey(landscape.request().public_key_info)
    async with landscape.ca.client(landscape.credentials) as client:
        enrolled = await client.obtain(Wish(key=key, subject=parse_name("CN=dev-42")))
    assert certificate_public_key_info(enrolled.certificate) == key.public_key_info
    assert enrolled.key is None


async def test_a_device_enrols_updates_and_revokes(landscape: Landscape) -> None:
    async with landscape.device(await landscape.secret(), landscape.cmp_issuer()) as client:
        enrolled = await client.enroll("CN=dev-42")
        renewed = await client.update(enrolled)
        await client.revoke(renewed, CRLReason.KEY_COMPROMISE)
        with pytest.raises(PeerRefusal) as caught:
            await client.revoke(renewed)
    assert PKIFailureInfo.CERT_REVOKED in caught.value.fail_info
    assert bodies(landscape) == ["ir", "certConf", "cr", "certConf", "rr"]
    assert await landscape.issued_by_ca() == [VALID, REVOKED]
    assert [record.state for record in await landscape.store.certificates()][:2] == [REVOKED, VALID]


async def test_the_certificate_is_confirmed_above_when_the_requester_confirms(landscape: Landscape) -> None:
    issuer = landscape.cmp_issuer()
    result = await ask(landscape, issuer, landscape.request())
    assert await landscape.issued_by_ca() == [ISSUED]
    await issuer.confirm(result.certificate, accepted=False, now=landscape.clock())
    assert await landscape.issued_by_ca() == [REVOKED]
    assert bodies(landscape) == ["ir", "certConf"]


async def test_what_was_confirmed_at_once_and_is_rejected_is_revoked_above(landscape: Landscape) -> None:
    issuer = landscape.cmp_issuer(at_once=True)
    result = await ask(landscape, issuer, landscape.request())
    assert await landscape.issued_by_ca() == [VALID]
    await issuer.confirm(result.certificate, accepted=False, now=landscape.clock())
    assert bodies(landscape) == ["ir", "certConf", "rr"]
    assert await landscape.issued_by_ca() == [REVOKED]


async def test_what_is_proven_by_the_confirmation_is_not_confirmed_before_it(landscape: Landscape) -> None:
    landscape.profile = {"proofs": ["encrCert"]}
    issuer = landscape.cmp_issuer(at_once=True)
    result = await ask(landscape, issuer, landscape.request(proof=ProofMethod.ENCRYPTED_CERTIFICATE))
    assert await landscape.issued_by_ca() == [ISSUED]
    await issuer.confirm(result.certificate, accepted=True, now=landscape.clock())
    assert await landscape.issued_by_ca() == [VALID]


async def test_a_confirmation_that_the_ca_does_not_take_is_refused(landscape: Landscape) -> None:
    issuer = landscape.cmp_issuer()
    result = await ask(landscape, issuer, landscape.request())
    landscape.clock.advance(3600)
    async with landscape.ca.store() as store:
        await landscape.ca.server(store).housekeep()
    assert await landscape.issued_by_ca() == [REVOKED]
    with pytest.raises(CMPError):
        await issuer.confirm(result.certificate, accepted=True, now=landscape.clock())
    change = await issuer.confirm(result.certificate, accepted=False, now=landscape.clock())
    assert change.state is REVOKED


async def test_a_ca_that_needs_time_is_asked_again_when_the_requester_asks(landscape: Landscape) -> None:
    slow = slow_ca(landscape, "issue")
    request = landscape.request()
    result = await ask(landscape, landscape.cmp_issuer(), request)
    assert result == Pending(300, "thinking")
    landscape.clock.advance(300)
    assert isinstance(await ask(landscape, landscape.cmp_issuer(), request), Pending)
    slow.clear()
    landscape.clock.advance(300)
    assert isinstance(await ask(landscape, landscape.cmp_issuer(), request), Issued)
    assert bodies(landscape).count("ir") == 1
    assert len(await landscape.issued_by_ca()) == 1


async def test_a_device_polls_while_the_ca_needs_time(landscape: Landscape) -> None:
    slow = slow_ca(landscape, "issue", "confirm", "revoke")
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        landscape.clock.advance(seconds)
        if len(waits) % 2 == 0:
            slow.discard(("issue", "confirm", "revoke")[len(waits) // 2 - 1])

    options = {"sleep": sleep, "total_timeout": None}
    async with landscape.device(await landscape.secret(), landscape.cmp_issuer(), **options) as client:
        enrolled = await client.enroll("CN=dev-42")
        await client.revoke(enrolled)
    assert slow == set()
    assert await landscape.issued_by_ca() == [REVOKED]


@pytest.mark.parametrize("way", ["dead", "lost", "slow"])
async def test_a_ca_that_does_not_answer_is_asked_again_with_the_same_message(landscape: Landscape, way: str) -> None:
    road = Road(landscape.ca.road())
    setattr(road, way, True)
    request = landscape.request()
    result = await ask(landscape, landscape.cmp_issuer(road=road, patience=0.3), request)
    assert isinstance(result, Pending)
    result = await ask(landscape, landscape.cmp_issuer(), request)
    assert isinstance(result, Issued)
    assert len(set(landscape.ca.messages)) == 1
    assert len(await landscape.issued_by_ca()) == 1


async def test_over_a_road_that_takes_its_time_one_message_goes_and_its_answer_is_found_later(
    landscape: Landscape,
) -> None:
    post, request, url = MemoryPost(), landscape.request(), "memory-post:ca"

    def issuer() -> CMPIssuer:
        return landscape.cmp_issuer(road=post.open(url, TransportOptions()), patience=0.2)

    for _ in range(2):
        assert isinstance(await ask(landscape, issuer(), request), Pending)
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        serve = partial(post.serve, url, landscape.ca.handle, max_message_size=1 << 20, shutdown=shutdown)
        await tasks.start(serve)
        result: Any = Pending(0)
        while isinstance(result, Pending):
            result = await ask(landscape, issuer(), request)
        shutdown.set()
    assert isinstance(result, Issued)
    assert bodies(landscape) == ["ir"]


async def test_a_message_that_is_too_old_to_be_sent_again_is_made_anew(landscape: Landscape) -> None:
    road = Road(landscape.ca.road())
    road.dead = True
    request = landscape.request()
    await ask(landscape, landscape.cmp_issuer(road=road), request)
    landscape.clock.advance(3600)
    assert isinstance(await ask(landscape, landscape.cmp_issuer(), request), Issued)
    assert len({decode_message(octets).header.transaction_id for octets in landscape.ca.messages}) == 2
    assert len(await landscape.issued_by_ca()) == 1


async def test_a_ca_that_never_answers_is_given_up(landscape: Landscape) -> None:
    road = Road(landscape.ca.road())
    road.dead = True
    issuer, request = landscape.cmp_issuer(road=road, deadline=timedelta(hours=1)), landscape.request()
    assert isinstance(await ask(landscape, issuer, request), Pending)
    landscape.clock.advance(3601)
    result = await ask(landscape, issuer, request)
    assert isinstance(result, Rejected)
    assert result.error.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL


@pytest.mark.parametrize("garbage", [b"garbage", b"another answer"])
async def test_nothing_of_a_wrong_answer_reaches_the_requester(
    landscape: Landscape, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    road = Road(landscape.ca.road())
    if garbage == b"another answer":
        await ask(landscape, landscape.cmp_issuer(road=road), landscape.request(), key="cd" * 32)
        garbage = (await landscape.ca.handle(landscape.ca.messages[0], landscape.ca.road()._peer)).der
    road.answer = garbage
    request = landscape.request()
    result = await ask(landscape, landscape.cmp_issuer(road=road), request)
    assert result == Pending(10, "the CA cannot be asked at the moment")
    assert "failed, and is tried again" in caplog.text
    road.answer = None
    assert isinstance(await ask(landscape, landscape.cmp_issuer(road=road), request), Issued)


async def test_a_certificate_that_is_not_acceptable_is_rejected_above(
    landscape: Landscape, caplog: pytest.LogCaptureFixture
) -> None:
    other = generate_key("p256", landscape.plugins)

    class OtherKey(SlowIssuer):
        async def issue(self, request: Any, *arguments: Any, **options: Any) -> Any:
            return await self.inner.issue(
                replace(request, public_key_info=other.public_key_info), *arguments, **options
            )

    landscape.ca = replace(landscape.ca, front=lambda inner: OtherKey(inner, set()))
    issuer, request = landscape.cmp_issuer(), landscape.request()
    result = await ask(landscape, issuer, request)
    assert isinstance(result, Rejected)
    assert result.error.fail_info is PKIFailureInfo.SYSTEM_FAILURE
    assert await landscape.issued_by_ca() == [REVOKED]
    assert "is not acceptable" in caplog.text
    assert isinstance(await ask(landscape, issuer, request), Rejected)
    assert bodies(landscape) == ["ir", "certConf"]


async def test_a_refusal_is_passed_on(landscape: Landscape) -> None:
    class Refusing(SlowIssuer):
        async def issue(self, *_: Any, **__: Any) -> Any:
            return Rejected(CMPError("no", PKIFailureInfo.BAD_CERT_TEMPLATE, status_text="not this name"))

    landscape.ca = replace(landscape.ca, front=lambda inner: Refusing(inner, set()))
    async with landscape.device(await landscape.secret(), landscape.cmp_issuer()) as client:
        with pytest.raises(PeerRefusal) as caught:
            await client.enroll("CN=dev-42")
    assert (caught.value.fail_info, caught.value.texts) == (PKIFailureInfo.BAD_CERT_TEMPLATE, ("not this name",))


async def test_what_is_wrong_between_the_servers_is_not_the_concern_of_the_requester(landscape: Landscape) -> None:
    stranger = replace(landscape.credentials, key=generate_key("p256", landscape.plugins))
    result = await ask(landscape, landscape.cmp_issuer(credentials=stranger), landscape.request())
    assert isinstance(result, Rejected)
    assert result.error.fail_info is PKIFailureInfo.SYSTEM_FAILURE


async def test_two_processes_ask_once(landscape: Landscape) -> None:
    request, results = landscape.request(), []

    async def one() -> None:
        results.append(await ask(landscape, landscape.cmp_issuer(), request))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(one)
    issued = [result for result in results if isinstance(result, Issued)]
    assert all(isinstance(result, Issued | Pending) for result in results)
    assert issued
    assert len(await landscape.issued_by_ca()) == 1
    again = await ask(landscape, landscape.cmp_issuer(), request)
    assert again.certificate == issued[0].certificate


async def test_a_request_that_another_process_goes_on_with_is_left_to_it(landscape: Landscape) -> None:
    request, road = landscape.request(), Road(landscape.ca.road())
    landscape.ca.messages.clear()

    class Overtaken(Road):
        async def exchange(self, octets: bytes) -> bytes:
            await ask(landscape, landscape.cmp_issuer(), request)
            return await self.inner.exchange(octets)

    result = await ask(landscape, landscape.cmp_issuer(road=Overtaken(road.inner)), request)
    assert result == Pending(1, "another process is at it")


@pytest.mark.parametrize("body_type", [BodyType.CCR, BodyType.KRR])
async def test_what_only_the_ca_itself_can_do_is_refused(landscape: Landscape, body_type: BodyType) -> None:
    result = await ask(landscape, landscape.cmp_issuer(), replace(landscape.request(), body_type=body_type))
    assert isinstance(result, Rejected)
    assert "cannot be passed to another CA" in result.error.detail


@pytest.mark.rule("R-161")
async def test_a_revocation_that_was_done_before_is_no_refusal(landscape: Landscape) -> None:
    issuer = landscape.cmp_issuer()
    result = await ask(landscape, issuer, landscape.request())
    await landscape.store.commit(UnitOfWork(certificates=(replace(result.certificate, state=VALID),)))
    await issuer.confirm(result.certificate, accepted=True, now=landscape.clock())
    named = RevocationRequest(landscape.ca.issuing.name, result.certificate.serial_number, CRLReason.SUPERSEDED)
    for _ in range(2):
        revoked = await issuer.revoke(named, DEVICE, now=landscape.clock())
        assert revoked.change.state is REVOKED
    (details,) = decode_message(landscape.ca.messages[-1]).body.content
    assert details.cert_details.serial_number == result.certificate.serial_number
    unknown = await issuer.revoke(replace(named, issuer=parse_name("CN=Other")), DEVICE, now=landscape.clock())
    assert unknown.error.fail_info is PKIFailureInfo.BAD_CERT_ID


async def test_the_crl_comes_from_above_or_from_its_file(landscape: Landscape, tmp_path: Path) -> None:
    crl = await landscape.cmp_issuer().crl(now=landscape.clock())
    (tmp_path / "ca.crl").write_bytes(x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM))
    assert await landscape.cmp_issuer(crl_file=tmp_path / "ca.crl").crl(now=landscape.clock()) == crl
    (tmp_path / "ca.crl").write_bytes(b"garbage")
    with pytest.raises(CMPError, match="cannot be used"):
        await landscape.cmp_issuer(crl_file=tmp_path / "ca.crl").crl(now=landscape.clock())


def by_request(landscape: Landscape) -> ServerSettings:
    return ServerSettings(responder=ResponderSettings(pending_time=timedelta(hours=1)))


@pytest.mark.parametrize(("late", "state"), [("revoke", REVOKED), ("keep", VALID)])
@pytest.mark.parametrize("at_once", [False, True])
async def test_a_certificate_that_comes_when_its_requester_is_gone_is_revoked_or_kept(
    landscape: Landscape, late: Any, state: CertificateState, at_once: bool
) -> None:
    slow = slow_ca(landscape, "issue")
    landscape.settings = by_request(landscape)
    issuer = landscape.cmp_issuer(late=late, at_once=at_once)
    secret = await landscape.secret()
    with pytest.raises(CMPError):
        async with landscape.device(secret, issuer, total_timeout=0.5, sleep=anyio.sleep) as client:
            await client.enroll("CN=dev-42")
    server = landscape.server(issuer)
    landscape.clock.advance(7200)
    await server.housekeep()
    assert "expired" in [entry.event for entry in await landscape.store.audit_entries()]
    slow.clear()
    landscape.clock.advance(301)
    await server.housekeep()
    (entry,) = [entry for entry in await landscape.store.audit_entries() if entry.event.startswith("late")]
    assert entry.event == f"late certificate {'kept' if late == 'keep' else 'revoked'}"
    assert entry.actor == "mac:6465762d3432"
    (record,) = [one for one in await landscape.store.certificates() if one.subject == "CN=dev-42"]
    assert (record.state, f"{record.serial_number:x}") == (state, entry.details["serial"])
    assert await landscape.issued_by_ca() == [state]
    await server.housekeep()
    assert len(await landscape.store.audit_entries()) == 3


async def test_what_never_came_is_forgotten(landscape: Landscape, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    road = Road(landscape.ca.road())
    road.dead = True
    issuer = landscape.cmp_issuer(road=road)
    await ask(landscape, issuer, landscape.request())
    assert isinstance(await issuer.abandon(KEY, now=landscape.clock()), Pending)
    landscape.clock.advance(8 * 86400)
    assert (await issuer.abandon(KEY, now=landscape.clock())).certificate is None
    assert await landscape.store.undertaking("cmp transaction", KEY) is None


async def test_what_is_refused_late_is_forgotten(landscape: Landscape) -> None:
    class Refusing(SlowIssuer):
        async def issue(self, *_: Any, **__: Any) -> Any:
            return Pending(1) if self.slow else Rejected(CMPError("no", PKIFailureInfo.BAD_CERT_TEMPLATE))

    slow = {"issue"}
    landscape.ca = replace(landscape.ca, front=lambda inner: Refusing(inner, slow))
    issuer = landscape.cmp_issuer()
    await ask(landscape, issuer, landscape.request())
    slow.clear()
    landscape.clock.advance(5)
    assert (await issuer.abandon(KEY, now=landscape.clock())).certificate is None
    assert await landscape.store.undertaking("cmp transaction", KEY) is None


async def test_a_late_certificate_that_the_ca_rejected_meanwhile_is_not_kept(landscape: Landscape) -> None:
    issuer = landscape.cmp_issuer(late="keep")
    await ask(landscape, issuer, landscape.request())
    landscape.clock.advance(3600)
    async with landscape.ca.store() as store:
        await landscape.ca.server(store).housekeep()
    ended = await issuer.abandon(KEY, now=landscape.clock())
    assert ended.certificate.state is REVOKED


async def test_a_certificate_that_went_out_unnoticed_is_found(landscape: Landscape) -> None:
    issuer = landscape.cmp_issuer()
    await ask(landscape, issuer, landscape.request())
    first = await issuer.abandon(KEY, now=landscape.clock())
    again = await issuer.abandon(KEY, now=landscape.clock())
    assert first.certificate.state is again.certificate.state is REVOKED
    assert await landscape.issued_by_ca() == [REVOKED]


async def test_keys_are_generated_for_it_and_forgotten(landscape: Landscape) -> None:
    landscape.profile = {"key_generation": "central"}
    slow = slow_ca(landscape, "issue")

    async def sleep(seconds: float) -> None:
        slow.clear()
        landscape.clock.advance(seconds)

    issuer = landscape.cmp_issuer()
    options = {"sleep": sleep, "total_timeout": None}
    async with landscape.device(await landscape.secret(), issuer, **options) as client:
        enrolled = await client.enroll("CN=dev-42", CentralKey())
    assert enrolled.key is not None
    assert enrolled.key.public_key_info == certificate_public_key_info(enrolled.certificate)
    asked = opening(landscape).body.content[0].request.cert_template
    assert asked.public_key.der == enrolled.key.public_key_info
    (record,) = [one for one in await landscape.store.certificates() if one.subject == "CN=dev-42"]
    assert await landscape.store.undertaking("generated key", record.request_key) is None


def table(landscape: Landscape, directory: Path, **changes: Any) -> dict[str, Any]:
    """The table of a registration authority, with the files that it names."""
    (directory / "issuing.pem").write_bytes(to_pem(*landscape.ca.issuing.all))
    (directory / "ra.pem").write_bytes(to_pem(landscape.credentials.certificate))
    (directory / "ra.key").write_bytes(key_to_pem(landscape.credentials.key))
    (directory / "secret").write_text("the secret\n")
    values = {
        "url": "http://127.0.0.1:1/.well-known/cmp",
        "authority": "issuing.pem",
        "certificate": "ra.pem",
        "key": "file:ra.key",
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def context_of(landscape: Landscape, directory: Path) -> OpenContext:
    return OpenContext(directory, landscape.store, landscape.plugins, landscape.authority.profiles)


@pytest.mark.parametrize(
    "changes",
    [
        {"pinned": "ra.pem", "expected_sender": "CN=RA", "peer": "openssl-3.0", "profiles": {"device": "other"}},
        {"certificate": None, "key": None, "secret": "file:secret", "reference": "ra", "crl_file": "ca.crl"},
    ],
)
async def test_its_table_is_read(landscape: Landscape, tmp_path: Path, changes: Any) -> None:
    issuer = await open_cmp_issuer(table(landscape, tmp_path, **changes), context_of(landscape, tmp_path))
    assert await issuer.ca_certificates() == landscape.ca.issuing.all
    assert await issuer.root_key_update() is None


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"certificate": None, "key": None}, "certificate: is missing, as is secret"),
        ({"key": None}, "certificate: goes with key"),
        ({"profiles": {"other": "x"}}, "there is no profile other here"),
        ({"authority": "missing.pem"}, r"\[issuer\] authority: .*missing.pem cannot be read"),
        ({"url": "nowhere"}, r"\[issuer\] url: "),
        ({"confirm": "never"}, "confirm: "),
    ],
)
async def test_mistakes_in_its_table_are_named(
    landscape: Landscape, tmp_path: Path, changes: Any, mistake: str
) -> None:
    with pytest.raises(ConfigurationError, match=mistake):
        await open_cmp_issuer(table(landscape, tmp_path, **changes), context_of(landscape, tmp_path))
